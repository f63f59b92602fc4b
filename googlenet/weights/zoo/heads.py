"""The classifier of a file, where it is not under the model's own name: a layer that was put in its
place, such as `fc.1` or a `dense` of Keras, in the model or beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ...errors import WeightsError
from ...spec.params import ParamSpec
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
    and its arrays' names in the file by the model's names for them.
    """

    module: str
    features: int
    classes: int
    names: Mapping[str, str]


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
        after = next((each for each in dense if each.features == head.classes), head)
        if after is not head and asked in (None, *_names_of(head, part), *_names_of(after, part)):
            raise WeightsError(
                f"{part.file.path}: its classifier is of several layers, '{head.module}'"
                f" ({head.features:,} → {head.classes:,}) and '{after.module}'"
                f" ({after.features:,} → {after.classes:,}), expected one; train a new one with"
                " `new_head`"
            )
    for head in heads:
        beside = _in_sequence(head, heads, part, used)
        if beside is not None and asked in (None, *_names_of(head, part)):
            raise WeightsError(
                f"{part.file.path}: its classifier is of several layers, '{head.module}' and that"
                f" of '{beside}', expected one; train a new one with `new_head`"
            )
    if asked is not None:
        return _asked(part, heads, asked)
    expected = own[0].names[0]
    if not heads:
        raise WeightsError(
            f"{part.file.path}: has no classifier: '{expected}' is missing, and no other layer"
            f" takes its {takes:,} features; train a new one with `new_head`"
        )
    if len(heads) == 1 and _is_plain(heads[0], part, used):
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
        if array.size and all(each in part.whole for each in arrays.values()):
            found.append(Head(module, features, classes, arrays))
    return found


def _in_sequence(
    head: Head, heads: Sequence[Head], part: Part, used: Collection[str]
) -> str | None:
    """An array of another layer of the sequence that `head` is in, by its number; None if it is in
    none, or in a list of classifiers side by side.
    """
    numbered = re.fullmatch(r"(.+[./])\d+", head.module)
    if numbered is None:
        return None
    begins = re.compile(rf"{re.escape(numbered[1])}\d+[./]")
    of_heads = {
        name for each in heads if each.classes != each.features for name in each.names.values()
    }
    others = (
        name
        for name, array in part.whole.items()
        if array.ndim and begins.match(name) and name not in used
    )
    return next((name for name in others if name not in of_heads), None)


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


def _is_plain(head: Head, part: Part, used: Collection[str]) -> bool:
    """Whether `head` is called as classifiers are, and no other arrays are within what is called
    so.
    """
    called = re.sub(r"([./]\d+)+$", "", head.module)
    if re.split(r"[./]", called)[-1] not in _CALLED:
        return False
    others = [name for name in part.whole if name.startswith((f"{called}.", f"{called}/"))]
    return set(others) - set(used) <= set(head.names.values())
