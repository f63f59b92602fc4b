"""Chains and branches of a graph: from every value to the layers and forks that lead to it.

A join's branches begin at the nearest value that all of them pass through, the immediate dominator
that they have in common. Inputs of one concatenation that stand beside each other and have a nearer
one are a fork of their own inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from ..errors import TraceError
from .tree import Chain, Fork, Head, Item, Step


@dataclass(frozen=True, eq=False)
class Value:
    """The result of one layer, whose `step` is applied to one input; or of a join of several."""

    name: str
    inputs: tuple[str, ...]
    step: Step | None
    join: Fork | None  # without its branches


class Structure:
    """The values of a graph, each after its inputs, and the images called `start`."""

    def __init__(self, start: str, values: Sequence[Value]) -> None:
        self._start = start
        self._values = {value.name: value for value in values}
        #: For each value the nearest one that every path from the images to it passes through.
        self._above: dict[str, str | None] = {start: None}
        self._depth = {start: 0}
        for value in values:
            near = reduce(self.meet, value.inputs)
            self._above[value.name] = near
            self._depth[value.name] = self._depth[near] + 1
        self._used: set[str] = set()

    def meet(self, first: str, second: str) -> str:
        """The nearest value that every path to both passes through."""
        while first != second:
            if self._depth[first] < self._depth[second]:
                first, second = second, first
            above = self._above[first]
            assert above is not None  # the images are above everything
            first = above
        return first

    def tree(self, outputs: Sequence[str]) -> Chain:
        """The path to the first of `outputs`, with the others as heads where they leave it.

        Raises `TraceError` for a value that two branches share.
        """
        main, *heads = outputs
        path = self._path(main)
        leaves: dict[str, list[int]] = {}
        for number, head in enumerate(heads, 1):
            leaves.setdefault(self.meet(head, main), []).append(number)
        found: list[Item] = []
        begin = self._start
        for name in path:
            found += self._chain(begin, name)
            found += [
                Head(self._chain(name, outputs[number]), number) for number in leaves.get(name, ())
            ]
            begin = name
        return tuple(found)

    def _path(self, end: str) -> list[str]:
        """The values that every path to `end` passes through, from the images on."""
        names: list[str] = []
        name: str | None = end
        while name is not None:
            names.append(name)
            name = self._above[name]
        return names[::-1]

    def _chain(self, start: str, end: str) -> Chain:
        """What leads from one value to another that it is above."""
        found: list[Item] = []
        name = end
        while name != start:
            value = self._values[name]
            self._take(value)
            if value.step is not None:
                found.append(value.step)
                (name,) = value.inputs
                continue
            assert value.join is not None
            near = self._above[name]
            assert near is not None
            branches = self._branches(value.inputs, near, value.join)
            found.append(Fork(value.join.join, branches, value.join.out_shape, value.join.place))
            name = near
        return tuple(found[::-1])

    def _take(self, value: Value) -> None:
        if value.name in self._used:
            shaped = value.step or value.join
            assert shaped is not None
            raise TraceError(
                f"{shaped.place or value.name}: is used by branches that begin and end at different"
                " places; only branches that fork and join as a whole can be compared"
            )
        self._used.add(value.name)

    def _branches(self, ends: Sequence[str], near: str, join: Fork) -> tuple[Chain, ...]:
        """The branches from `near` to each of `ends`; those beside each other that first go the
        same way are a fork inside one, where they are concatenated.
        """
        found: list[Chain] = []
        place = 0
        while place < len(ends):
            stop = place + 1
            meeting = ends[place]
            while join.join == "concat" and stop < len(ends):
                closer = self.meet(meeting, ends[stop])
                if closer == near:
                    break
                meeting, stop = closer, stop + 1
            if stop == place + 1:
                found.append(self._chain(near, ends[place]))
            else:
                inside = self._branches(ends[place:stop], meeting, join)
                channels = sum(self._channels(end) for end in ends[place:stop])
                shape = (channels, *join.out_shape[1:])
                fork = Fork("concat", inside, shape, join.place)
                found.append((*self._chain(near, meeting), fork))
            place = stop
        return tuple(found)

    def _channels(self, name: str) -> int:
        value = self._values[name]
        shaped = value.step or value.join
        assert shaped is not None
        return shaped.out_shape[0]
