"""A network as people speak of it: stages, their blocks, the blocks' branches, and layers; and of
each block how its branches share the channels, and where it reduces them.

The ratios and reductions are those that *Dive into Deep Learning* tells in section 8.4: "64 : 128 :
32 : 32 = 2 : 4 : 1 : 1", "96 = 192/2".
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any, assert_never

from ..errors import UnknownNameError
from .analysis import leaf_multiply_adds, leaf_parameters, receptive_fields
from .layers import (
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    Leaf,
    LocalResponseNorm,
    MaxPool,
    Network,
    Pair,
    ReLU,
    Residual,
    Scale,
    Sequential,
    Shape,
)
from .shapes import size_text
from .traversal import LeafSite, Site, fold

# The tree -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A layer of a network in its place, with those inside it in the order of execution."""

    site: Site
    children: tuple[Part, ...] = ()

    @property
    def path(self) -> str:
        """Its path; "" for the whole network."""
        return self.site.path

    @property
    def name(self) -> str:
        """The last name of its path."""
        return self.path.rpartition(".")[2]

    @property
    def out_shape(self) -> Shape:
        """The shape of its output, (C, H, W) or (C,); of an auxiliary head that of the head."""
        aux = isinstance(self.site.layer, Aux)
        return self.children[0].out_shape if aux else self.site.out_shape

    @property
    def block(self) -> str:
        """What the paper calls it, if anything."""
        layer = self.site.layer
        return "" if isinstance(layer, Leaf) else layer.block

    def below(self) -> Iterator[Part]:
        """Itself and every part in it, each before its children."""
        yield self
        for child in self.children:
            yield from child.below()

    def leaves(self) -> Iterator[LeafSite]:
        """The leaves in it, in the order of execution."""
        if isinstance(self.site, LeafSite):
            yield self.site
        for child in self.children:
            yield from child.leaves()


def parts(network: Network) -> Part:
    """The whole of `network` as a tree. Raises `ShapeError` if the input does not fit."""
    return fold(network, Part, lambda site, children: Part(site, tuple(children.values())))


def splits(part: Part) -> bool:
    """Whether paths go side by side in it: a block, as people say."""
    return isinstance(part.site.layer, (Concat, Residual)) or any(map(splits, part.children))


def has_blocks(part: Part) -> bool:
    """Whether several blocks follow each other in it, as in a stem."""
    return isinstance(part.site.layer, Sequential) and sum(map(splits, part.children)) > 1


def blocks(root: Part) -> tuple[Part, ...]:
    """The stages of a network, their blocks and auxiliary heads, in the order of execution."""
    return tuple(part for stage in root.children for part in _blocks(stage, True))


def _blocks(part: Part, stage: bool) -> Iterator[Part]:
    layer = part.site.layer
    block = isinstance(layer, (Aux, Concat, Residual)) or (bool(part.block) and splits(part))
    if stage or block:
        yield part
    if isinstance(layer, Sequential) and (not block or has_blocks(part)):
        for child in part.children:
            yield from _blocks(child, False)


def find(network: Network, block: str) -> Part:
    """The part of `network` with the path `block`, or the one block with that name, or if no block
    has it the one part. Raises `UnknownNameError` if there is none, or if there are several, and
    `ShapeError` if the input does not fit.
    """
    root = parts(network)
    known = blocks(root)
    if not isinstance(block, str):
        raise UnknownNameError(
            f"`block`: expected a path or a name, got {block!r}; {network.name} has"
            f" {', '.join(part.path for part in known)}"
        )
    exact = _at(root, block) if block else None
    if exact is not None:
        return exact
    named = [part for part in known if part.name == block]
    named = named or [part for part in root.below() if part.path and part.name == block]
    if len(named) == 1:
        return named[0]
    paths = [part.path for part in named or known]
    if named:
        raise UnknownNameError(
            f"`block`: '{block}' is the name of {len(named)} parts of {network.name}; give the path"
            f" of one: {', '.join(paths)}"
        )
    close = difflib.get_close_matches(block, [*paths, *(part.name for part in known)], 1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise UnknownNameError(
        f"`block`: {network.name} has no '{block}'; {meant}it has {', '.join(paths)}"
    )


def _at(part: Part, path: str) -> Part | None:
    """The part of that path in `part`, the outermost if several share it."""
    if part.path == path:
        return part
    return next((found for child in part.children if (found := _at(child, path))), None)


# Ratios and reductions ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ratio:
    """The channels that the branches of the concatenation at `path` give, in their order."""

    path: str
    channels: tuple[int, ...]

    @property
    def terms(self) -> tuple[int, ...]:
        """The same in lowest terms: (64, 128, 32, 32) → (2, 4, 1, 1)."""
        divisor = math.gcd(*self.channels)
        return tuple(count // divisor for count in self.channels)

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {"path": self.path, "channels": list(self.channels), "terms": list(self.terms)}

    def __str__(self) -> str:
        channels, terms = (" : ".join(map(str, each)) for each in (self.channels, self.terms))
        return channels if channels == terms else f"{channels} = {terms}"


@dataclass(frozen=True, slots=True)
class Reduction:
    """A 1×1 convolution at `path` that leaves fewer channels to a larger one in its branch."""

    path: str
    before: int
    after: int

    @property
    def scale(self) -> Fraction:
        """What is left of the channels: 96 of 192 are 1/2."""
        return Fraction(self.after, self.before)

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        scale = [self.scale.numerator, self.scale.denominator]
        return {"path": self.path, "before": self.before, "after": self.after, "scale": scale}

    def __str__(self) -> str:
        return f"{self.before} → {self.after} = {self.scale}"


def ratios(part: Part) -> tuple[Ratio, ...]:
    """The ratios of the concatenations in `part`, without those inside another's branches."""
    if isinstance(part.site.layer, Concat):
        return (Ratio(part.path, tuple(child.out_shape[0] for child in part.children)),)
    return tuple(found for child in part.children for found in ratios(child))


def reductions(part: Part) -> tuple[Reduction, ...]:
    """The reductions in the branches of `part`, in the order of execution.

    A reduction is a 1×1 convolution with fewer output channels than input channels, after which
    another convolution of the same branch follows.
    """
    if isinstance(part.site.layer, Concat):
        return tuple(found for child in part.children for found in _in_branch(child, False))
    return tuple(found for child in part.children for found in reductions(child))


def _in_branch(part: Part, followed: bool) -> Iterator[Reduction]:
    """The reductions in a part of a branch, which a convolution has `followed` or not."""
    site, children = part.site, part.children
    match site.layer:
        case Conv(kernel_size=(1, 1), out_channels=after) if followed:
            if after < site.in_shape[0]:
                yield Reduction(part.path, site.in_shape[0], after)
        case Sequential():
            for place, child in enumerate(children):
                rest = any(_convolves(other) for other in children[place + 1 :])
                yield from _in_branch(child, followed or rest)
        case Concat() | Residual():
            for child in children:
                yield from _in_branch(child, False)


def _convolves(part: Part) -> bool:
    return any(isinstance(site.layer, Conv) for site in part.leaves())


# Words --------------------------------------------------------------------------------------------


def words_of(layer: Leaf) -> str:
    """What a leaf is, in words: `3×3 convolution, stride 2`."""
    match layer:
        case Conv(kernel_size=kernel, stride=stride, groups=groups):
            grouped = f", {groups} groups" if groups > 1 else ""
            return f"{size_text(kernel)} convolution{_stride(stride)}{grouped}"
        case MaxPool(kernel, stride):
            return f"{size_text(kernel)} max pool{_stride(stride)}"
        case AvgPool(kernel, stride):
            return f"{size_text(kernel)} average pool{_stride(stride)}"
        case AdaptiveAvgPool(size):
            return f"average pool to {size_text(size)}"
        case GlobalAvgPool():
            return "global average pool"
        case Dense():
            return "dense layer"
        case BatchNorm():
            return "batch norm"
        case LocalResponseNorm():
            return "local response norm"
        case ReLU():
            return "ReLU"
        case Dropout(rate):
            return f"dropout {rate:g}"
        case Scale(factor, when):
            return f"× {factor:g}" + {"always": "", "train": " in training"}.get(
                when, " in evaluation"
            )
        case _:
            assert_never(layer)


def _stride(stride: Pair) -> str:
    if stride == (1, 1):
        return ""
    return f", stride {stride[0] if stride[0] == stride[1] else size_text(stride)}"


# Rows ---------------------------------------------------------------------------------------------


class Level(IntEnum):
    """How deep a row of an outline is."""

    STAGE = 1
    BLOCK = 2
    BRANCH = 3
    LAYER = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an outline: a stage, a block or layer of it, a branch, or a layer.

    `name` is its path in the row above that it is inside of; `indent` is how many rows it is inside
    of; `kind` is the paper's name of a stage or block, or what a
    layer is, in words. Shapes are (C, H, W) or (C,), the receptive field is in pixels. `ratios` and
    `reductions` are those of a block, or of a stage that is one.
    """

    path: str
    name: str
    level: Level
    indent: int
    kind: str
    in_shape: Shape
    out_shape: Shape
    parameters: int
    multiply_adds: int
    receptive_field: Pair
    ratios: tuple[Ratio, ...] = ()
    reductions: tuple[Reduction, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "path": self.path,
            "level": self.level.name.lower(),
            "kind": self.kind,
            "input_shape": list(self.in_shape),
            "output_shape": list(self.out_shape),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "receptive_field": list(self.receptive_field),
            "ratios": [ratio.to_json() for ratio in self.ratios],
            "reductions": [reduction.to_json() for reduction in self.reductions],
        }


def outline(network: Network, depth: int) -> tuple[Row, ...]:
    """The rows of `network` down to `depth`: 1 for stages, 2 for blocks and the layers outside them
    too, 3 for the blocks' branches, 4 for every layer, each after the row that it is inside of.

    Raises `ShapeError` if the input does not fit.
    """
    fields = {path: field.size for path, field in receptive_fields(network).items()}
    rows: list[Row] = []

    def add(part: Part, level: Level, above: tuple[Row, ...]) -> None:
        row = _row(part, level, above, fields[_field_path(part)])
        rows.append(row)
        for child, below in _below(part, level):
            if below <= depth:
                add(child, below, (*above, row))

    for stage in parts(network).children:
        add(stage, Level.STAGE, ())
    return tuple(rows)


def _field_path(part: Part) -> str:
    """The path whose receptive field is that of `part`: an auxiliary head's is its last layer's."""
    if not isinstance(part.site.layer, Aux):
        return part.path
    last = part.children[0]
    while last.children:
        last = last.children[-1]
    return last.path


def _row(part: Part, level: Level, above: tuple[Row, ...], field: Pair) -> Row:
    leaves = list(part.leaves())
    # A stage of several blocks leaves ratios to their rows.
    block = splits(part) and (
        level > Level.STAGE or isinstance(part.site.layer, (Concat, Residual))
    )
    return Row(
        part.path,
        part.path.removeprefix(f"{above[-1].path}." if above else ""),
        level,
        len(above),
        part.block if level == Level.STAGE else _kind(part, leaves),
        part.site.in_shape,
        part.out_shape,
        sum(map(leaf_parameters, leaves)),
        sum(map(leaf_multiply_adds, leaves)),
        field,
        ratios(part) if block and level < Level.BRANCH else (),
        reductions(part) if block and level < Level.BRANCH else (),
    )


def _kind(part: Part, leaves: list[LeafSite]) -> str:
    """What the paper calls it, or what its layers are if it is a chain of few."""
    layer = part.site.layer
    if isinstance(layer, Leaf):
        return words_of(layer)
    if splits(part) or isinstance(layer, Aux):
        return part.block
    return ", ".join(words_of(site.layer) for site in leaves) if len(leaves) <= 3 else part.block


def _below(part: Part, level: Level) -> Iterator[tuple[Part, Level]]:
    """The parts whose rows come below that of `part`, and their levels."""
    layer = part.site.layer
    if isinstance(layer, Leaf):
        return
    if level == Level.STAGE and not isinstance(layer, (Concat, Residual)):
        for child in part.children:
            yield child, Level.BLOCK
    elif level < Level.BRANCH and splits(part):
        yield from _branches(part)
    else:
        for child in part.children:
            yield from _layers(child)


def _branches(part: Part) -> Iterator[tuple[Part, Level]]:
    """The branches of the first concatenation or sum in a block, and what is beside it."""
    if isinstance(part.site.layer, Concat):
        for child in part.children:
            yield child, Level.BRANCH
    elif splits(part):
        for child in part.children:
            yield from _branches(child)
    elif part.children or isinstance(part.site.layer, Leaf):
        yield part, Level.BRANCH


def _layers(part: Part) -> Iterator[tuple[Part, Level]]:
    """The leaves of a part, in the order of execution."""
    if isinstance(part.site.layer, Leaf):
        yield part, Level.LAYER
    for child in part.children:
        yield from _layers(child)
