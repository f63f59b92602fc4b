"""Which layer of a user's model is which layer of the spec: by kind, order, branches and channels,
never by name.

Two chains are aligned as texts are, with the least cost of changes; the branches of two forks as
they fit best. What stands in one chain only, and again elsewhere in the other, has moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final, TypeAlias

from ..tracing.tree import Chain, Fork, Head, Item, Step, Tangle, steps
from .features import attributes, differing_in, family, is_one, kind, may_be_activation
from .nodes import Around, Extra, ForkPair, HeadPair, Missing, Node, Nodes, Pair, Tangled, walk

#: What the pairing of two layers costs, by the field in which they differ; a layer that is missing
#: costs 1. Channels and kernels tell layers apart best.
COSTS: Final = {"out_channels": 0.35, "kernel_size": 0.35, "stride": 0.15, "padding": 0.1}
OTHER_FIELD, OTHER_KIND, OTHER_ORDER = 0.05, 0.8, 0.01
#: An operation that nobody knows for an activation.
UNKNOWN: Final = 1.5
#: Other channels than the spec's are taken, which may only follow from the layer before.
INSIDE: Final = 0.05
#: A 1×1 convolution for a dense layer.
SAME_KIND: Final = 0.2
MISSING = 1.0
#: A sum or product around a block that the spec has not.
AROUND: Final = 0.6
#: So many layers of the spec may be missing in something around others.
LONGER: Final = 4
#: What stands in the place of layers of the spec, but cannot be compared, costs so much of their
#: weight, and so much for each layer more or less.
TANGLED, UNEVEN = 0.4, 0.2
#: The most branches of a block of the spec for which all ways to match them are compared: the time
#: for that doubles with each.
MATCHED: Final = 10
#: Up to this share of its weight what stands in another place is still the same, and two have
#: changed places if they cost only so much of what they cost where they are.
MOVED, CROSSED = 0.3, 0.25


def align(user: Chain, spec: Chain) -> tuple[float, Nodes]:
    """The alignment of least cost of a user's model with a network of the spec, and that `cost`."""
    aligner = _Aligner()
    return aligner.share(user, spec), aligner.chains(user, spec)


def cost(user: Chain, spec: Chain) -> float:
    """What the alignment of least cost costs, as a share of what the whole spec would."""
    return _Aligner().share(user, spec)


def is_joined_otherwise(user: Fork, spec: Fork) -> bool:
    """Whether branches are added that the spec concatenates, or the other way round; none of them
    passes on what it is given as it is, which is another thing to do.
    """
    return {user.join, spec.join} == {"sum", "concat"} and all((*user.branches, *spec.branches))


def _inside(step: Step) -> int:
    """How many channels of what it is given a layer's filters have."""
    return int(step.arrays["weight"].shape[1])


def weight(chain: Chain) -> float:
    """What it costs if a chain is missing."""
    return sum(map(_weight, chain))


def _weight(item: Item) -> float:
    match item:
        case Step():
            return MISSING
        case Fork(branches=branches):
            return MISSING + sum(map(weight, branches))
        case Tangle(knots=knots):
            return MISSING * (1 + len(knots))
        case Head(chain=chain):
            return MISSING + weight(chain)


#: What a matching of branches costs, and the pairs of their numbers.
Matching: TypeAlias = tuple[float, tuple[tuple[int, int], ...]]
#: How many of the user's items and of the spec's are behind.
At: TypeAlias = tuple[int, int]


class _Table:
    """The least costs of the beginnings of two chains, and from where each was reached."""

    def __init__(self, rows: int, columns: int) -> None:
        self._end = (rows, columns)
        self.costs = [[math.inf] * (columns + 1) for _ in range(rows + 1)]
        self.costs[0][0] = 0.0
        self._before: dict[At, At] = {}
        #: Where one item of the user's was taken for several: the number of its branch in which
        #: those are, of a tangle 0.
        self.over: dict[At, int] = {}

    @property
    def cost(self) -> float:
        """Of the whole chains."""
        return self.costs[-1][-1]

    def offer(
        self, row: int, column: int, total: float, at: At, *, over: int | None = None
    ) -> None:
        """One way to (row, column), from `at`: taken if it costs less than the others."""
        if total < self.costs[row][column] - 1e-9:
            self.costs[row][column] = total
            self._before[row, column] = at
            self.over.pop((row, column), None)
            if over is not None:
                self.over[row, column] = over

    def path(self, end: At | None = None) -> list[tuple[At, At]]:
        """The cheapest way in order, each place with the one before; to the end of both chains, or
        to another `end`.
        """
        found: list[tuple[At, At]] = []
        at = end or self._end
        while at != (0, 0):
            found.append((at, self._before[at]))
            at = self._before[at]
        return found[::-1]


class _Aligner:
    """Keeps the costs of pairs, which chains of chains ask for again and again: every branch of
    every block is compared with every other. What is paired is told of the cheapest alone.
    """

    def __init__(self) -> None:
        self._prices: dict[tuple[Item, Item], float] = {}
        self._tables: dict[tuple[Chain, Chain], _Table] = {}
        self._matchings: dict[tuple[Fork, Fork], Matching] = {}
        self._features: dict[Step, tuple[str, str, bool, dict[str, Any]]] = {}

    def share(self, user: Chain, spec: Chain) -> float:
        """The least cost, as a share of what the whole spec would cost."""
        return self._table(user, spec).cost / max(weight(spec), MISSING)

    def chains(self, user: Chain, spec: Chain) -> Nodes:
        """The alignment of least cost."""
        table = self._table(user, spec)
        nodes: list[Node] = []
        for (row, column), (row_before, column_before) in table.path():
            if row == row_before:
                nodes.append(Missing(spec[column_before]))
            elif column == column_before:
                nodes.append(Extra(user[row_before]))
            elif (row, column) in table.over:
                item, part = user[row_before], spec[column_before:column]
                if isinstance(item, Tangle):
                    nodes.append(Tangled(item, part))
                    continue
                assert isinstance(item, Fork)
                number = table.over[row, column]
                nodes.append(Around(item, self.chains(item.branches[number], part), number))
            else:
                nodes.append(self.node(user[row_before], spec[column_before]))
        return self._moves(nodes)

    def _table(self, user: Chain, spec: Chain) -> _Table:
        key = (user, spec)
        if key not in self._tables:
            self._tables[key] = self._filled(user, spec)
        return self._tables[key]

    def _filled(self, user: Chain, spec: Chain) -> _Table:
        rows, columns = len(user), len(spec)
        found = _Table(rows, columns)
        missing, extra = list(map(_weight, spec)), list(map(_weight, user))
        for row in range(rows + 1):
            for column in range(columns + 1):
                here, at = found.costs[row][column], (row, column)
                if row < rows and column < columns:
                    price = here + self.price(user[row], spec[column])
                    found.offer(row + 1, column + 1, price, at)
                if column < columns:
                    found.offer(row, column + 1, here + missing[column], at)
                if row < rows:
                    found.offer(row + 1, column, here + extra[row], at)
                    for length, price, number in self._over(user[row], spec[column:]):
                        found.offer(row + 1, column + length, here + price, at, over=number)
        return found

    def _over(self, item: Item, spec: Chain) -> Iterator[tuple[int, float, int]]:
        """One item of the user's over several of the spec's: how many, at what cost, and in which
        of its branches.
        """
        if isinstance(item, Fork) and item.join != "concat":
            yield from self._around(item, spec)
        if isinstance(item, Tangle):
            own = sum(1 for _ in steps((item,)))
            for length in range(1, len(spec) + 1):
                part = spec[:length]
                if isinstance(part[-1], Head):
                    continue
                theirs = sum(1 for _ in steps(part))
                price = AROUND + TANGLED * weight(part) + UNEVEN * abs(own - theirs)
                uneven = part[-1].out_shape != item.out_shape
                yield length, price + MISSING * uneven, 0

    def _around(self, item: Fork, spec: Chain) -> Iterator[tuple[int, float, int]]:
        """A join other than a concatenation, as the layers inside one of its branches: those may
        be some more or less than the spec's.
        """
        for number, inside in enumerate(item.branches):
            if not inside:
                continue
            others = sum(map(weight, item.branches)) - weight(inside)
            reach = spec[: len(inside) + LONGER]
            joins = [isinstance(each, Fork) and each.join == item.join for each in reach]
            if True in joins:
                reach = reach[: joins.index(True)]
            table = self._table(inside, reach)
            for length in range(1, len(reach) + 1):
                end = (len(inside), length)
                path = table.path(end)
                # What is missing at an end is missing outside.
                if all(at[0] != before[0] for at, before in (path[0], path[-1])):
                    yield length, table.costs[end[0]][length] + others + AROUND, number

    def price(self, user: Item, spec: Item) -> float:
        """What it costs to take one item for the other; infinite for what cannot be."""
        key = (user, spec)
        if key not in self._prices:
            self._prices[key] = self._priced(user, spec)
        return self._prices[key]

    def _priced(self, user: Item, spec: Item) -> float:
        match user, spec:
            case Step(), Step():
                price = self._step_cost(user, spec)
                return price if price < 2 * MISSING else math.inf
            case Fork(), Fork() if user.join == spec.join or is_joined_otherwise(user, spec):
                price = self._matched(user, spec)[0]
                price += OTHER_KIND * (user.join != spec.join)
                return price if price < _weight(user) + _weight(spec) else math.inf
            case Head(), Head():
                return self._table(user.chain, spec.chain).cost
            case _:
                return math.inf

    def _step_cost(self, user: Step, spec: Step) -> float:
        (ours, kind, one, mine), (theirs, other, _, its) = self._told(user), self._told(spec)
        if ours != theirs:
            return UNKNOWN if theirs == "activation" and may_be_activation(user) else 2 * MISSING
        names = differing_in(mine, its, by_ones=one)
        total = sum(COSTS.get(name, OTHER_FIELD) for name in names)
        if ours == "norm" and user.out_shape[:1] != spec.out_shape[:1]:
            total += COSTS["out_channels"]
        if ours == "weighted" and _inside(user) != _inside(spec):
            total += INSIDE
        if kind != other:
            total += SAME_KIND if ours == "weighted" else OTHER_KIND
        return min(total, 2 * MISSING)

    def _told(self, step: Step) -> tuple[str, str, bool, dict[str, Any]]:
        """The family and kind of a layer, whether it is a norm by ones, and its attributes."""
        if step not in self._features:
            self._features[step] = family(step), kind(step), is_one(step), attributes(step)
        return self._features[step]

    def node(self, user: Item, spec: Item) -> Node:
        """Two items that belong together, and what is inside them."""
        match user, spec:
            case Step(), Step():
                return Pair(user, spec)
            case Head(), Head():
                return HeadPair(user, spec, self.chains(user.chain, spec.chain))
        assert isinstance(user, Fork)
        assert isinstance(spec, Fork)
        pairs = self._matched(user, spec)[1]
        branches = tuple(
            (number, other, self.chains(user.branches[number], spec.branches[other]))
            for number, other in sorted(pairs, key=lambda pair: pair[1])
        )
        mine, theirs = {number for number, _ in pairs}, {other for _, other in pairs}
        more = tuple(each for each in range(len(user.branches)) if each not in mine)
        without = tuple(each for each in range(len(spec.branches)) if each not in theirs)
        return ForkPair(user, spec, branches, more, without)

    def _matched(self, user: Fork, spec: Fork) -> Matching:
        key = (user, spec)
        if key not in self._matchings:
            self._matchings[key] = self._matching(user, spec)
        return self._matchings[key]

    def _matching(self, user: Fork, spec: Fork) -> Matching:
        """The best matching of the branches of two forks, and what it costs."""
        many, few = len(user.branches), len(spec.branches)
        found = [
            [self._table(branch, other).cost for other in spec.branches] for branch in user.branches
        ]

        if few > MATCHED:
            return self._greedy(user, spec, found)

        @cache
        def best(number: int, taken: int) -> Matching:
            """The least cost of the user's branches from `number` on."""
            if number == many:
                left = [other for other in range(few) if not taken >> other & 1]
                return sum(weight(spec.branches[other]) + MISSING for other in left), ()
            total, pairs = best(number + 1, taken)
            least = (total + weight(user.branches[number]) + MISSING, pairs)
            for other in range(few):
                if taken >> other & 1:
                    continue
                total, pairs = best(number + 1, taken | 1 << other)
                total += found[number][other] + OTHER_ORDER * (number != other)
                if total < least[0] - 1e-9:
                    least = (total, ((number, other), *pairs))
            return least

        return best(0, 0)

    def _greedy(self, user: Fork, spec: Fork, costs: list[list[float]]) -> Matching:
        """A matching of the branches that fit best first."""
        order = sorted(
            (cost + OTHER_ORDER * (number != other), number, other)
            for number, row in enumerate(costs)
            for other, cost in enumerate(row)
        )
        pairs: dict[int, int] = {}
        total = 0.0
        for price, number, other in order:
            apart = weight(user.branches[number]) + weight(spec.branches[other]) + 2 * MISSING
            if number not in pairs and other not in pairs.values() and price < apart:
                pairs[number] = other
                total += price
        mine = [each for number, each in enumerate(user.branches) if number not in pairs]
        left = [each for other, each in enumerate(spec.branches) if other not in pairs.values()]
        total += sum(weight(each) + MISSING for each in (*mine, *left))
        return total, tuple(sorted(pairs.items()))

    def _moves(self, nodes: list[Node]) -> Nodes:
        """What is missing here and too much there has moved; two pairs that fit better crosswise
        have changed places.
        """
        found = self._crossed(nodes)
        for at, node in enumerate(found):
            if not isinstance(node, Missing) or node.moved is not None:
                continue
            fitting = [
                (self.price(other.user, node.spec), place)
                for place, other in enumerate(found)
                if isinstance(other, Extra) and not other.moved
            ]
            price, place = min(fitting, default=(math.inf, 0))
            if price <= MOVED * _weight(node.spec):
                extra = found[place]
                assert isinstance(extra, Extra)
                found[place] = replace(extra, moved=True)
                found[at] = Missing(node.spec, extra.user)
        return tuple(found)

    def _crossed(self, nodes: list[Node]) -> list[Node]:
        """Pairs that have changed places as such."""
        pairs = [node for node in nodes if isinstance(node, Pair | ForkPair)]
        partners: dict[Node, Node] = {}
        for number, first in enumerate(pairs):
            straight = self.price(first.user, first.spec)
            if straight <= MOVED or first in partners:
                continue
            for second in pairs[number + 1 :]:
                both = straight + self.price(second.user, second.spec)
                across = self.price(first.user, second.spec) + self.price(second.user, first.spec)
                if second not in partners and across <= CROSSED * both:
                    partners[first], partners[second] = second, first
                    break
        found: list[Node] = []
        for node in nodes:
            other = partners.get(node)
            if isinstance(node, Pair | ForkPair) and isinstance(other, Pair | ForkPair):
                found += [Extra(node.user, moved=True), Missing(node.spec, other.user)]
            else:
                found.append(node)
        return found


def aligned(nodes: Nodes) -> Iterator[Pair]:
    """Every pair of layers, in the order of the spec, also inside what has moved."""
    for node in walk(nodes):
        match node:
            case Pair():
                yield node
            case Missing(spec=spec, moved=moved) if moved is not None:
                yield from aligned((pair_of(moved, spec),))


def pair_of(user: Item, spec: Item) -> Node:
    """The alignment of two items that belong together."""
    return _Aligner().node(user, spec)
