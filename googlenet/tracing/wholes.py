"""One convolution or dense layer that a user's code computes as the sum of several, each of which
takes some of the channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ..arrays import Array
from ..backend.graph import Origin
from ..backend.origins import FREE
from ..spec.layers import Conv, Dense
from .parts import channels_of
from .structure import Value
from .tree import Step

#: The axis of a weight that counts the channels, or features, that its layer takes.
_INPUT: Final = 1


@dataclass(frozen=True)
class _Part:
    """A layer that takes the channels `chosen` of the value `source`."""

    source: str
    chosen: range
    step: Step


def with_wholes(values: Sequence[Value], outputs: Collection[str]) -> list[Value]:
    """`values` with one layer for each sum of those that take all channels of a value, each channel
    once, and differ in nothing but their weights.
    """
    named = {value.name: value for value in values}
    uses = Counter([*outputs, *(name for value in values for name in value.inputs)])
    holders = Counter(
        id(array)
        for value in values
        if value.step is not None
        for array in value.step.arrays.values()
    )
    for value in values:
        parts = _parts(value, named, uses)
        arrays = [array for part in parts for array in part.step.arrays.values()]
        # What is shared would have nothing in common any more.
        if not parts or any(holders[id(array)] > 1 for array in arrays):
            continue
        named[value.name] = _whole(value, parts)
    needed = set(outputs)
    for value in reversed(named.values()):
        if value.name in needed:
            needed.update(value.inputs)
    return [value for value in named.values() if value.name in needed]


def _parts(value: Value, named: dict[str, Value], uses: Counter[str]) -> list[_Part]:
    """The layers that a sum adds up, if together they are one; else none."""
    if value.join is None or value.join.join != "sum":
        return []
    parts = [_part(name, named) for name in _terms(value, named, uses)]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return []
    found.sort(key=lambda part: part.chosen.start)
    source, layer = found[0].source, _unbiased(found[0].step)
    if any(part.source != source or _unbiased(part.step) != layer for part in found):
        return []
    chosen = [channel for part in found for channel in part.chosen]
    given = named.get(source)
    if given is None or chosen != list(range(given.item.out_shape[0])):
        return []
    return found


def _whole(value: Value, parts: Sequence[_Part]) -> Value:
    step = replace(_joined([part.step for part in parts]), out_shape=value.item.out_shape)
    return replace(value, inputs=(parts[0].source,), step=step, join=None)


def _terms(value: Value, named: dict[str, Value], uses: Counter[str]) -> list[str]:
    """What a sum adds up, and what the sums add up that are used in it alone."""
    found: list[str] = []
    for name in value.inputs:
        before = named.get(name)
        join = None if before is None or uses[name] > 1 else before.join
        if before is not None and join is not None and join.join == "sum":
            found += _terms(before, named, uses)
        else:
            found.append(name)
    return found


def _part(name: str, named: dict[str, Value]) -> _Part | None:
    """The layer of a term of a sum; None if it is not a convolution or dense layer of one group
    behind a slice of the channels.
    """
    value = named.get(name)
    if value is None or value.step is None:
        return None
    layer = value.step.layer
    if not isinstance(layer, Dense) and not (isinstance(layer, Conv) and layer.groups == 1):
        return None
    before = named.get(value.inputs[0])
    chosen = None if before is None else channels_of(before.step)
    if before is None or chosen is None:
        return None
    return _Part(before.inputs[0], chosen, value.step)


def _unbiased(step: Step) -> Conv | Dense:
    layer = step.layer
    assert isinstance(layer, Conv | Dense)
    return replace(layer, bias=False)


def _joined(steps: Sequence[Step]) -> Step:
    """One layer for several, whose weights it has one after the other; biases are added up."""
    weight = np.concatenate([step.arrays["weight"] for step in steps], _INPUT)
    arrays: dict[str, Array] = {"weight": weight}
    biased = [step for step in steps if "bias" in step.arrays]
    if biased:
        arrays["bias"] = biased[0].arrays["bias"]
    if len(biased) > 1:
        total = sum(step.arrays["bias"].astype(np.float64) for step in biased)
        arrays["bias"] = np.asarray(total)  # as float64, in which all is proved
    origins: dict[str, Origin] = {}
    for role, those in (("weight", steps), ("bias", biased)):
        given = {step.origins.get(role) for step in those}
        if len(given) == 1 and (origin := given.pop()) is not None:
            origins[role] = origin
        elif given and None not in given:
            origins[role] = "free" if given <= set(FREE) else "computed"
    layer = replace(_unbiased(steps[0]), bias=bool(biased))
    return replace(steps[-1], layer=layer, arrays=arrays, origins=origins)
