"""Chains and branches of a graph: from every value to the layers and forks that lead to it.

A join's branches begin at the nearest value that all of them pass through, the immediate dominator
that they have in common. Inputs of one concatenation that stand beside each other and have a nearer
one are a fork of their own inside it. What two branches have in common otherwise is in both, with
the same weights; where that would be too much, all between the two values is one tangle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

from .tree import Chain, Fork, Head, Item, Knot, Step, Tangle

#: How many layers and joins of a fork may be copies of others in it.
MOST_COPIES: Final = 32


@dataclass(frozen=True, eq=False)
class Value:
    """The result of one layer, whose `step` is applied to one input; or of a join of several."""

    name: str
    inputs: tuple[str, ...]
    step: Step | None
    join: Fork | None  # without its branches

    @property
    def item(self) -> Step | Fork:
        """The layer or the join."""
        found = self.step or self.join
        assert found is not None
        return found


@dataclass(frozen=True)
class _Branch:
    """The values from `start`, which is outside, to `end`; behind it a concatenation of `inside`,
    which begin there.
    """

    start: str
    end: str
    inside: tuple[_Branch, ...] = ()


class Structure:
    """The values of a graph, each after its inputs, and the images called `start`."""

    def __init__(self, start: str, values: Sequence[Value]) -> None:
        self._start = start
        self._values = {value.name: value for value in values}
        #: For each value the nearest one that every path from the images to it passes through.
        self._above: dict[str, str] = {}
        self._depth = {start: 0}
        #: The branches of each join; None where they are a tangle.
        self._branches: dict[str, tuple[_Branch, ...] | None] = {}
        #: How many layers and joins the tree has between a value and the one above it.
        self._sizes: dict[str, int] = {}
        for value in values:
            near = reduce(self.meet, value.inputs)
            self._above[value.name] = near
            self._depth[value.name] = self._depth[near] + 1
            self._sizes[value.name] = 1
            if value.join is not None:
                self._fork(value, near, value.join)
        #: The further outputs that begin at a value; what is in the tree already; and whether one
        #: of those outputs is being read.
        self._leaves: dict[str, list[tuple[int, str]]] = {}
        self._used: set[str] = set()
        self._aside = False

    def meet(self, first: str, second: str) -> str:
        """The nearest value that every path to both passes through."""
        while first != second:
            if self._depth[first] < self._depth[second]:
                first, second = second, first
            first = self._above[first]
        return first

    def tree(self, outputs: Sequence[str]) -> Chain:
        """The path to the first of `outputs`, with the others as heads where they leave it."""
        main, *heads = outputs
        shown = {self._start, *self._shown(_Branch(self._start, main))}
        for number, head in enumerate(heads, 1):
            leave = head
            while leave not in shown:
                leave = self._above[leave]
            self._leaves.setdefault(leave, []).append((number, head))
        return (*self._heads(self._start), *self._chain(_Branch(self._start, main)))

    def _fork(self, value: Value, near: str, join: Fork) -> None:
        """How the branches of a join are told."""
        branches = self._divided(value.inputs, near, join)
        size = 1 + sum(map(self._size, branches))
        between = self._between(near, value.name)
        if size - len(between) > MOST_COPIES:
            self._branches[value.name] = None
            self._sizes[value.name] = len(between)
        else:
            self._branches[value.name] = branches
            self._sizes[value.name] = size

    def _divided(self, ends: Sequence[str], near: str, join: Fork) -> tuple[_Branch, ...]:
        """The branches from `near` to each of `ends`; those beside each other that first go the
        same way are a fork inside one, where they are concatenated.
        """
        found: list[_Branch] = []
        place = 0
        while place < len(ends):
            stop = place + 1
            meeting = ends[place]
            while join.join == "concat" and stop < len(ends):
                closer = self.meet(meeting, ends[stop])
                if closer == near:
                    break
                meeting, stop = closer, stop + 1
            inside: tuple[_Branch, ...] = ()
            if stop > place + 1:
                inside = self._divided(ends[place:stop], meeting, join)
            found.append(_Branch(near, meeting, inside))
            place = stop
        return tuple(found)

    def _path(self, branch: _Branch) -> list[str]:
        """The values that every path from the start of a branch to its end passes through."""
        names: list[str] = []
        name = branch.end
        while name != branch.start:
            names.append(name)
            name = self._above[name]
        return names[::-1]

    def _size(self, branch: _Branch) -> int:
        inside = 1 + sum(map(self._size, branch.inside)) if branch.inside else 0
        return sum(self._sizes[name] for name in self._path(branch)) + inside

    def _between(self, start: str, end: str) -> list[str]:
        """All values that lead from `start` to `end`, and that, in their order."""
        found, left = {end}, [end]
        while left:
            for name in self._values[left.pop()].inputs:
                if name != start and name not in found:
                    found.add(name)
                    left.append(name)
        return [name for name in self._values if name in found] if len(found) > 1 else [end]

    def _shown(self, branch: _Branch) -> Iterator[str]:
        """The values whose layers or joins are in the tree by themselves."""
        for name in self._path(branch):
            yield name
            for each in self._branches.get(name) or ():
                yield from self._shown(each)
        for each in branch.inside:
            yield from self._shown(each)

    # The tree -------------------------------------------------------------------------------------

    def _chain(self, branch: _Branch, join: Fork | None = None) -> Chain:
        """What is in a branch of a `join`."""
        found: list[Item] = []
        for name in self._path(branch):
            found += [self._item(name), *self._heads(name)]
        if branch.inside:
            assert join is not None
            inside = tuple(self._chain(each, join) for each in branch.inside)
            channels = sum(self._channels(each) for each in branch.inside)
            shape = (channels, *join.out_shape[1:])
            found.append(replace(join, branches=inside, out_shape=shape))
        return tuple(found)

    def _heads(self, name: str) -> list[Head]:
        """The further outputs that begin at a value, where that is first on the main path."""
        if self._aside:
            return []
        self._aside = True
        found = [
            Head(self._chain(_Branch(name, end)), number)
            for number, end in self._leaves.pop(name, ())
        ]
        self._aside = False
        return found

    def _item(self, name: str) -> Item:
        value = self._values[name]
        if value.step is not None:
            again = name in self._used
            self._used.add(name)
            return replace(value.step) if again else value.step
        join, branches = value.join, self._branches[name]
        assert join is not None
        if branches is None:
            return self._tangle(value)
        return replace(join, branches=tuple(self._chain(each, join) for each in branches))

    def _tangle(self, value: Value) -> Tangle:
        names = self._between(self._above[value.name], value.name)
        numbers = {self._above[value.name]: 0, **{name: n for n, name in enumerate(names, 1)}}
        knots = []
        for name in names:
            each = self._values[name]
            item = replace(each.item)
            knots.append(Knot(item, tuple(numbers[before] for before in each.inputs)))
        return Tangle(tuple(knots), value.item.out_shape, value.item.place)

    def _channels(self, branch: _Branch) -> int:
        if branch.inside:
            return sum(map(self._channels, branch.inside))
        return self._values[branch.end].item.out_shape[0]
