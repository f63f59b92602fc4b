"""The classifier of a file, where it is not under the model's own name: a layer that was put in its
place, such as `fc.1` or a `dense` of Keras, in the model or beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import WeightsError
from ...spec.layers import Network
from ...spec.params import ParamSpec
from ...spec.same import head_paths
from .guess import LEAST_SHARE
from .names import Entry
from .parts import Part

#: What libraries and their users call a classifier.
_CALLED = frozenset(
    ("fc", "last_linear", "classifier", "classif", "head", "output", "predictions", "logits")
)


@dataclass(frozen=True)
class Head:
    """A dense layer of a file: its module's name, how many features it takes and classes it has,
    and its arrays' names in the file by the model's names for them; a bias may be missing.
    """

    module: str
    features: int
    classes: int
    names: Mapping[str, str]


def expect_heads(network: Network, paths: Collection[str], source: Path) -> None:
    """Raises `WeightsError` if `network` has auxiliary heads, and none of their arrays is among
    the `paths` of those that the file `source` has.
    """
    heads = tuple(f"{path}." for path in head_paths(network))
    if heads and not any(path.startswith(heads) for path in paths):
        raise WeightsError(
            f"{source}: has no auxiliary heads, which '{network.name}' was asked to have; leave out"
            " `aux`"
        )


def find_head(
    part: Part,
    entries: Sequence[Entry],
    names: Mapping[str, str],
    last: ParamSpec,
    asked: str | None,
) -> Head | None:
    """The classifier of `part`, whose `entries` include `last`, the weight of the classifier, and
    which has `names`: in the file by the model's. None if it is under the model's own name, or if
    the file holds something else altogether.

    It is the module `asked`, or the only one that can be it: within the module that the model has,
    or called as classifiers are. What may precede it there, dropout or a ReLU, does not change what
    it computes of averages of ReLUs. Raises `WeightsError`, with what there is, if there is none.
    """
    own = [entry for entry in entries if entry.spec.site.path == last.site.path]
    there = part.share < LEAST_SHARE or any(name in names for name in own[0].names)
    if asked is None and there:
        return None
    used = {
        part.originals[names[name]]
        for entry in entries
        if entry not in own
        for name in entry.names
        if name in names
    }
    dense = _dense_layers(part, own, used)
    takes = _features(own[0])
    heads = [head for head in dense if head.features == takes or len(last.shape) > 2]
    for head in heads:
        others = (each for each in dense if each is not head and each.features == head.classes)
        after = next(others, head)
        if after is not head and asked in (None, *_names_of(head, part), *_names_of(after, part)):
            raise WeightsError(
                f"{part.file.path}: its classifier is of several layers, '{head.module}'"
                f" ({head.features:,} → {head.classes:,}) and '{after.module}'"
                f" ({after.features:,} → {after.classes:,}), expected one; train a new one with"
                " `new_head`"
            )
    if asked is not None:
        found = _asked(part, heads, asked)
        if beside := _beside(found, heads, part, used):
            raise WeightsError(
                f"{part.file.path}: `head={asked}` is not all of the classifier, which has"
                f" '{beside}' too, expected one layer; train a new one with `new_head`"
            )
        return found
    expected = own[0].names[0]
    if not heads:
        raise WeightsError(
            f"{part.file.path}: has no classifier: '{expected}' is missing, and no other layer"
            f" takes its {takes:,} features; train a new one with `new_head`"
        )
    if len(heads) == 1 and (beside := _beside(heads[0], heads, part, used)):
        raise WeightsError(
            f"{part.file.path}: its classifier is of several layers, '{heads[0].module}'"
            f" ({heads[0].features:,} → {heads[0].classes:,}) and what has '{beside}', expected"
            " one; train a new one with `new_head`"
        )
    if len(heads) == 1 and _container(heads[0]) != "":
        return heads[0]
    listed = ", ".join(
        f"'{head.module}' ({head.features:,} → {head.classes:,})" for head in heads[:4]
    )
    raise WeightsError(
        f"{part.file.path}: '{expected}' is missing; its classifier may be {listed}; if that comes"
        f" straight after the average pool, give `head={heads[0].module}`"
    )


def _features(weight: Entry) -> int:
    return math.prod(weight.spec.shape[1:])


def _dense_layers(part: Part, own: Sequence[Entry], used: Collection[str]) -> list[Head]:
    """The dense layers of the file that are not `used`."""
    separator = part.model.separator
    weight = own[0]
    kernel = weight.names[0].rpartition(separator)[2]
    outputs = 0 if weight.axes[0] == 0 else 1
    found = []
    for name, array in part.whole.items():
        module, _, last = name.rpartition(separator)
        if last != kernel or name in used or array.ndim != 2:
            continue
        classes, features = array.shape[outputs], array.shape[1 - outputs]
        arrays = {
            entry.names[0]: f"{module}{separator}{entry.names[0].rpartition(separator)[2]}"
            for entry in own
        }
        if array.size:
            there = {name: each for name, each in arrays.items() if each in part.whole}
            found.append(Head(module, features, classes, there))
    return found


def _names_of(head: Head, part: Part) -> tuple[str, str]:
    """What `head` may be called by who asks for it: with the prefix of the part, or without."""
    return head.module, head.module.removeprefix(part.prefix)


def _asked(part: Part, heads: Sequence[Head], asked: str) -> Head:
    for head in heads:
        if asked in _names_of(head, part):
            return head
    listed = ", ".join(f"'{head.module}'" for head in heads[:8])
    instead = f"it has {listed}" if listed else "it has no such layer"
    raise WeightsError(
        f"{part.file.path}: `head={asked}` is not a dense layer that takes the network's features;"
        f" {instead}"
    )


def _container(head: Head) -> str:
    """The outermost module around `head`, or itself, that is called as classifiers are, without
    numbers behind it; "" if none is.
    """
    places = [match.start() for match in re.finditer(r"[./]", f"{head.module}.")]
    for end in places:
        module = head.module[:end]
        if re.split(r"[./]", module)[-1] in _CALLED:
            return module
    return ""


def _beside(head: Head, heads: Sequence[Head], part: Part, used: Collection[str]) -> str:
    """An array in the classifier that is none of `head`, nor of another layer of the model, nor of
    another one of `heads`, which may stand side by side; or, beside a classifier that is called
    otherwise, one of a norm of its features. "" if there is none.
    """
    within = _container(head) or re.sub(r"([./]\d+)+$", "", head.module)
    aside = [each for each in heads if each.classes != each.features]
    taken = {*used, *(name for each in (head, *aside) for name in each.names.values())}
    others = [
        name
        for name in part.whole
        if name not in taken and name.rpartition(part.model.separator)[2] not in part.model.ignored
    ]
    if within == head.module and not _container(head):
        return _norm_of(head, others, part)
    return next((name for name in others if name.startswith((f"{within}.", f"{within}/"))), "")


def _norm_of(head: Head, others: Sequence[str], part: Part) -> str:
    """An array of a layer that stands where `head` stands, and has several numbers for each of the
    features that it takes, as a norm has, and nothing else; "" if there is none.
    """
    separator = part.model.separator
    layers: dict[str, list[str]] = {}
    for name in others:
        layers.setdefault(name.rpartition(separator)[0], []).append(name)
    place = re.split(r"[./](?=[^./]*$)", f"/{head.module}")[0]
    for module, names in layers.items():
        beside = re.split(r"[./](?=[^./]*$)", f"/{module}")[0] == place
        shapes = {part.whole[name].shape for name in names}
        if beside and len(names) > 1 and shapes == {(head.features,)}:
            return names[0]
    return ""
