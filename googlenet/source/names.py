"""What classes, functions and their arguments are called: words of the spec, put together."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from .tree import Item, Node, kind

#: Words that are written otherwise than with one capital.
WORDS: Final = {
    "alexnet": "AlexNet",
    "bn": "BN",
    "googlenet": "GoogLeNet",
    "nin": "NiN",
    "resnet": "ResNet",
    "vgg11": "VGG11",
    "vgg16": "VGG16",
}
#: The same in one word, before a label is taken apart.
ONE_WORD: Final = {"ReLU": "Relu", "ResNet": "Resnet", "GoogLeNet": "Googlenet"}

#: What an argument is called in every class, and so what no argument may be called.
TAKEN: Final = frozenset({"self", "x", "name", "F", "branches", "body"})


def camel(text: str) -> str:
    """mixed_3a → Mixed3a, inception_resnet_v2 → InceptionResNetV2."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    joined = "".join(WORDS.get(word, word[:1].upper() + word[1:]) for word in words)
    return joined if joined[:1].isalpha() else f"Network{joined}"


def snake(label: str) -> str:
    """ConvNormReLU → conv_norm_relu, Inception5b → inception_5b."""
    for word, one in ONE_WORD.items():
        label = label.replace(word, one)
    parts = re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z][a-z]+|\d+[a-z]*|[a-z]+", label)
    name = "_".join(parts).lower()
    return f"{name}_block" if keyword.iskeyword(name) or not name.isidentifier() else name


def network_name(name: str) -> str:
    """The class of a network: torchvision:googlenet_paper → GoogLeNetPaper."""
    return camel(name.rpartition(":")[2].replace("_", " "))


@dataclass(frozen=True, slots=True)
class Place:
    """An argument of a call in one instance of a class: the names that lead from the instance to
    the layer that is called, that layer, and the argument.
    """

    instance: Node
    path: tuple[str, ...]
    node: Node
    item: Item

    @property
    def is_input(self) -> bool:
        """Whether it says what the layer takes, not what it gives: in_channels, in_features."""
        return self.item.name.startswith("in_")

    @property
    def is_channels(self) -> bool:
        """Whether it is the number of channels that the layer gives."""
        return not self.is_input and self.item.value == self.node.site.out_shape[0]

    @property
    def ends_branch(self) -> bool:
        """Whether it is the number of channels of a whole branch."""
        branch = self.instance.children.get(self.path[0]) if self.path else None
        return (
            kind(self.instance) == "concat"
            and branch is not None
            and self.item.value == branch.site.out_shape[0]
        )


#: An argument in all instances of a class.
Column: TypeAlias = Sequence[Place]


def parameter_names(
    groups: Sequence[Sequence[Column]], columns: Sequence[Column], taken: Set[str]
) -> list[str]:
    """A name for each argument of a class, which stands for a group of columns, those that are
    equal in every instance; `columns` are all, those of literals too. None is `taken`.
    """
    names: list[str] = []
    for group in groups:
        hidden = {*TAKEN, *taken, *names}
        free = (each for each in _candidates(group, columns) if each not in hidden)
        names.append(next(name for name in free if name.isidentifier()))
    return names


def _candidates(group: Sequence[Column], columns: Sequence[Column]) -> Iterator[str]:
    first = group[0][0]
    namesakes = sum(column[0].item.name == first.item.name for column in columns)
    ours = sum(column[0].item.name == first.item.name for column in group)
    if first.is_input or (is_unit(first.instance) and ours == namesakes):
        yield first.item.name
    outs = [column for column in group if all(place.is_channels for place in column)]
    if outs:
        yield from _of_channels(outs)
    words = [*map(_bare, first.path), first.item.name]
    if words[0][0].isdigit():  # 3x3_kernel_size could name nothing
        words[0] = first.path[0]
    yield "_".join(words)
    number = 2
    while True:
        yield "_".join([*words, str(number)])
        number += 1


def is_unit(instance: Node) -> bool:
    """Whether it only holds layers, such as a convolution with its ReLU."""
    return kind(instance) == "sequence" and not any(map(is_composite, instance.children.values()))


def is_composite(node: Node) -> bool:
    """Whether a layer holds others."""
    return kind(node) != "leaf"


def _of_channels(outs: Sequence[Column]) -> Iterator[str]:
    """out_3x3, reduce_3x3, channels_7x7: by the branches whose channels they are."""
    paths = [column[0].path for column in outs]
    for column in outs:
        if all(place.ends_branch for place in column):
            yield f"out_{_bare(column[0].path[0])}"
    if len(paths) > 1:
        words = "_".join(paths[0]).split("_")
        others = [set("_".join(path).split("_")) for path in paths]
        shared = [word for word in words if all(word in other for other in others)]
        yield "_".join(["channels", *(word for word in shared if word != "branch")])
    branch, *inner = paths[0]
    if inner and branch != _bare(branch):
        yield "_".join([*inner, _bare(branch)])
    yield "_".join([*map(_bare, paths[0]), "channels"])


def _bare(name: str) -> str:
    """branch_3x3 → 3x3: that it is a branch is plain where its channels are counted."""
    return name.removeprefix("branch_")
