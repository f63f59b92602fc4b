"""Several convolutions that a user's code computes as one, and whose channels it takes apart
behind: each is a layer by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from ..spec.layers import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    MaxPool,
    ReLU,
    Scale,
)
from .foreign import ELEMENTWISE
from .structure import Value
from .tree import Foreign, Step

#: Layers each of whose channels depends on the same channel of what they are given.
CHANNELWISE: Final = (ReLU, Scale, Dropout, BatchNorm, MaxPool, AvgPool)


def with_parts(values: Sequence[Value], outputs: Collection[str]) -> list[Value]:
    """`values` with a convolution or dense layer for each part of the channels of one, where
    nothing takes the whole, and no two parts have a channel in common.
    """
    return _Parts(values, outputs).values()


class _Parts:
    def __init__(self, values: Sequence[Value], outputs: Collection[str]) -> None:
        self._named = {value.name: value for value in values}
        self._outputs = outputs
        self._users: dict[str, list[Value]] = {}
        for value in values:
            for name in value.inputs:
                self._users.setdefault(name, []).append(value)
        #: By the identity of each array, how many layers have it.
        self._holders = Counter(
            id(array)
            for value in values
            if value.step is not None
            for array in value.step.arrays.values()
        )

    def values(self) -> list[Value]:
        """All values, with those that are taken apart for the parts."""
        found: list[Value] = []
        apart: set[str] = set()
        for value in self._named.values():
            way = self._way(value)
            if way:
                apart.update(each.name for each in way)
                found += self._part(value, way)
            else:
                found.append(value)
        return [value for value in found if value.name not in apart]

    def _way(self, part: Value) -> list[Value]:
        """The layers from the convolution on whose channels `part` takes some of; none if it is not
        a part that can be computed alone.
        """
        if channels_of(part.step) is None:
            return []
        way: list[Value] = []
        value = self._named.get(part.inputs[0])
        users = self._users[part.inputs[0]]
        if not _are_apart(users):
            return []
        while value is not None and value.step is not None and value.name not in self._outputs:
            if way and len(self._users[value.name]) != 1:
                return []
            if any(self._holders[id(array)] > 1 for array in value.step.arrays.values()):
                return []  # parts of what is shared would have nothing in common any more
            way.insert(0, value)
            layer = value.step.layer
            if isinstance(layer, Dense) or (isinstance(layer, Conv) and layer.groups == 1):
                return way
            simple = isinstance(layer, Foreign) and layer.kind in ELEMENTWISE
            if not simple and not isinstance(layer, CHANNELWISE):
                return []
            value = self._named.get(value.inputs[0])
        return []

    def _part(self, part: Value, way: Sequence[Value]) -> list[Value]:
        """The layers of `way` for some of the channels, the last in the place of `part`."""
        found: list[Value] = []
        before = way[0].inputs[0]
        chosen = channels_of(part.step)
        assert chosen is not None
        for value in way:
            step = value.step
            assert step is not None
            name = part.name if value is way[-1] else f"{part.name} of {value.name}"
            found.append(Value(name, (before,), self._taken(step, chosen), None))
            before = name
        return found

    def _taken(self, step: Step, chosen: range) -> Step:
        layer = step.layer
        if isinstance(layer, Conv):
            layer = replace(layer, out_channels=len(chosen))
        if isinstance(layer, Dense):
            layer = replace(layer, out_features=len(chosen))
        arrays = {role: array[chosen.start : chosen.stop] for role, array in step.arrays.items()}
        shape = (len(chosen), *step.out_shape[1:])
        return replace(step, layer=layer, arrays=arrays, out_shape=shape)


def channels_of(step: Step | None) -> range | None:
    """The channels that a slice takes; None for any other layer."""
    if step is None or not isinstance(step.layer, Foreign) or step.layer.kind != "slice":
        return None
    found = step.layer.attributes
    if found["axis"] % (len(step.out_shape) + 1) != 1 or found["step"] != 1:
        return None
    return range(found["start"], found["stop"])


def _are_apart(values: Sequence[Value]) -> bool:
    """Whether all are parts, and no two of them have a channel in common."""
    ranges = [channels_of(value.step) for value in values]
    known = [each for each in ranges if each is not None]
    channels = {channel for each in known for channel in each}
    return len(known) == len(values) and len(channels) == sum(map(len, known))
