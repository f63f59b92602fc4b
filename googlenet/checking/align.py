"""Which layer of a user's model is which layer of the spec: by kind, order, branches and channels,
never by name.

Two chains are aligned as texts are, with the least cost of changes; the branches of two forks as
they fit best. What stands in one chain only, and again elsewhere in the other, has moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np

from ..spec.layers import (
    BatchNorm,
    Dense,
)
from ..tracing.lift import may_be_trained
from ..tracing.tree import Chain, Foreign, Fork, Head, Item, Step

#: What stands for another: a pool of one kind for one of another, and so on.
FAMILIES: Final = {
    "activation": (
        "ReLU",
        *("leaky_relu", "elu", "clip", "gelu", "sigmoid", "silu", "tanh", "softplus"),
    ),
    "pool": (
        *("MaxPool", "AvgPool", "AdaptiveAvgPool", "GlobalAvgPool"),
        *("max_pool", "avg_pool", "sum_pool", "adaptive_max_pool", "adaptive_avg_pool", "mean"),
    ),
    "weighted": ("Conv", "Dense", "conv", "dense"),
    "norm": ("BatchNorm", "LocalResponseNorm", "batch_norm", "local_response_norm"),
    "dropout": ("Dropout", "dropout", "spatial_dropout"),
    "scale": ("Scale", "mul", "affine"),
}
#: What is known by name only, and stands for another layer all the same; in lower case, without
#: underscores.
NAMED: Final = {
    "activation": (
        *("mish", "hardswish", "hardsigmoid", "selu", "celu", "prelu", "rrelu", "softsign"),
        *("logsigmoid", "swish", "softshrink", "hardshrink", "tanhshrink", "glu"),
    ),
    "norm": ("groupnorm", "layernorm", "instancenorm", "rmsnorm"),
}
#: What the pairing of two layers costs, by the field in which they differ; a layer that is missing
#: costs 1. Channels and kernels tell layers apart best.
COSTS: Final = {"out_channels": 0.35, "kernel_size": 0.35, "stride": 0.15, "padding": 0.1}
OTHER_FIELD, OTHER_KIND, OTHER_ORDER = 0.05, 0.8, 0.01
#: A 1×1 convolution for a dense layer.
SAME_KIND: Final = 0.2
MISSING = 1.0
#: A sum around a block that the spec has not.
AROUND: Final = 0.6
#: Up to this share of its weight what stands in another place is still the same, and two have
#: changed places if they cost only so much of what they cost where they are.
MOVED, CROSSED = 0.3, 0.25


@dataclass(frozen=True, eq=False)
class Pair:
    """A layer of the user's and the spec's."""

    user: Step
    spec: Step


@dataclass(frozen=True, eq=False)
class ForkPair:
    """Two forks, and for each of the spec's branches the number of the user's, and how the two are
    aligned; `more` are the user's further branches, and `without` the spec's that it lacks.
    """

    user: Fork
    spec: Fork
    branches: tuple[tuple[int, int, Nodes], ...]  # user's number, spec's number
    more: tuple[int, ...]
    without: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class HeadPair:
    """Two further outputs."""

    user: Head
    spec: Head
    inside: Nodes


@dataclass(frozen=True, eq=False)
class Extra:
    """What the user's model has and the spec has not; `moved` is the node that misses it."""

    user: Item
    moved: bool = False


@dataclass(frozen=True, eq=False)
class Missing:
    """What the spec has and the user's model has not, or (`moved`) has elsewhere in the chain."""

    spec: Item
    moved: Item | None = None


@dataclass(frozen=True, eq=False)
class Around:
    """A sum of the user's that adds to the result of some layers what they take: the layers alone
    are `inside`.
    """

    user: Fork
    inside: Nodes


Node: TypeAlias = "Pair | ForkPair | HeadPair | Extra | Missing | Around"
Nodes: TypeAlias = "tuple[Node, ...]"


def kind(step: Step) -> str:
    """The spec's class, or what a foreign layer is called."""
    layer = step.layer
    return layer.kind if isinstance(layer, Foreign) else type(layer).__name__


def family(step: Step) -> str:
    """What it is among others; a kind of its own if nothing stands for it."""
    name, plain = kind(step), plain_name(step)
    found = (each for each, kinds in FAMILIES.items() if name in kinds)
    named = (each for each, kinds in NAMED.items() if plain in kinds)
    return next(found, next(named, name))


def plain_name(step: Step) -> str:
    """What a layer is called, without its framework's prefix: `groupnorm` for aten.group_norm."""
    return kind(step).rpartition(".")[2].replace("_", "").lower()


def align(user: Chain, spec: Chain) -> Nodes:
    """The alignment of least cost of a user's model with a network of the spec."""
    return _Aligner().chains(user, spec)[1]


def cost(user: Chain, spec: Chain) -> float:
    """What that alignment costs, as a share of what the whole spec would."""
    return _Aligner().chains(user, spec)[0] / max(weight(spec), MISSING)


def weight(chain: Chain) -> float:
    """What it costs if a chain is missing."""
    return sum(map(_weight, chain))


def _weight(item: Item) -> float:
    match item:
        case Step():
            return MISSING
        case Fork(branches=branches):
            return MISSING + sum(map(weight, branches))
        case Head(chain=chain):
            return MISSING + weight(chain)


def attributes(step: Step) -> dict[str, Any]:
    """Everything that a layer is given, by name; its channels as `out_channels` everywhere."""
    layer = step.layer
    if isinstance(layer, Foreign):
        found = dict(layer.attributes)
        if (array := step.arrays.get("weight")) is not None and layer.kind in ("conv", "dense"):
            found["out_channels"] = len(array)
            if layer.kind == "conv":
                found["kernel_size"] = tuple(map(int, array.shape[2:]))
            found["bias"] = "bias" in step.arrays
        return found
    found = {each.name: getattr(layer, each.name) for each in fields(layer)}
    if isinstance(layer, Dense):
        found["out_channels"] = found.pop("out_features")
    if isinstance(layer, BatchNorm):
        del found["momentum"]  # no graph of evaluation says it
    return found


def is_one(step: Step) -> bool:
    """Whether a batch norm multiplies by 1, as one does that cannot be told not to multiply."""
    weight = step.arrays.get("weight")
    return weight is not None and bool((weight == 1).all())


def is_trained(step: Step) -> bool:
    """Whether a constant that is added or multiplied is a weight."""
    layer, other = step.layer, step.arrays.get("other")
    if not isinstance(layer, Foreign) or layer.kind != "affine" or other is None:
        return False
    return may_be_trained(other, step.origins.get("other"), product=layer.attributes["product"])


def differing(user: Step, spec: Step) -> dict[str, tuple[Any, Any]]:
    """The attributes in which two layers of one family differ: the user's and the spec's value."""
    ours, theirs = attributes(user), attributes(spec)
    found = {
        name: (ours[name], theirs[name])
        for name in theirs
        if name in ours and ours[name] != theirs[name]
    }
    if ours.get("dilation", (1, 1)) != (1, 1):
        found["dilation"] = (ours["dilation"], (1, 1))
    if found.get("scale") == (True, False) and is_one(user):
        del found["scale"]
    return found


def _step_cost(user: Step, spec: Step) -> float:
    if family(user) != family(spec):
        return 2 * MISSING
    names = differing(user, spec)
    total = sum(COSTS.get(name, OTHER_FIELD) for name in names)
    if kind(user) != kind(spec):
        total += SAME_KIND if family(user) == "weighted" else OTHER_KIND
    return min(total, 2 * MISSING)


class _Aligner:
    """Keeps the costs of pairs, which chains of chains ask for again and again."""

    def __init__(self) -> None:
        self._known: dict[tuple[Item, Item], tuple[float, Node | None]] = {}

    def chains(self, user: Chain, spec: Chain) -> tuple[float, Nodes]:
        """The least cost, and how."""
        rows, columns = len(user), len(spec)
        table = np.full((rows + 1, columns + 1), np.inf)
        how: dict[tuple[int, int], Node] = {}
        before: dict[tuple[int, int], tuple[int, int]] = {}
        table[0, 0] = 0.0

        def offer(row: int, column: int, total: float, at: tuple[int, int], node: Node) -> None:
            if total < table[row, column] - 1e-9:
                table[row, column] = total
                how[row, column], before[row, column] = node, at

        for row in range(rows + 1):
            for column in range(columns + 1):
                here = float(table[row, column])
                if row < rows and column < columns:
                    price, node = self._pair(user[row], spec[column])
                    if node is not None:
                        offer(row + 1, column + 1, here + price, (row, column), node)
                if column < columns:
                    price = here + _weight(spec[column])
                    offer(row, column + 1, price, (row, column), Missing(spec[column]))
                if row < rows:
                    price = here + _weight(user[row])
                    offer(row + 1, column, price, (row, column), Extra(user[row]))
                    for length, price, around in self._around(user[row], spec[column:]):
                        offer(row + 1, column + length, here + price, (row, column), around)
        nodes: list[Node] = []
        at = (rows, columns)
        while at != (0, 0):
            nodes.append(how[at])
            at = before[at]
        return float(table[rows, columns]), self._moves(nodes[::-1])

    def _around(self, item: Item, spec: Chain) -> Iterator[tuple[int, float, Node]]:
        """A sum with what it takes, as the layers inside it."""
        if not isinstance(item, Fork) or item.join != "sum" or len(item.branches) != 2:
            return
        if () not in item.branches:
            return
        (inside,) = [branch for branch in item.branches if branch] or [()]
        lengths = {1, len(inside)} if inside else set()
        for length in sorted(lengths):
            if length <= len(spec) and not any(
                isinstance(each, Fork) and each.join == "sum" for each in spec[:length]
            ):
                price, nodes = self.chains(inside, spec[:length])
                yield length, price + AROUND, Around(item, nodes)

    def _pair(self, user: Item, spec: Item) -> tuple[float, Node | None]:
        key = (user, spec)
        if key not in self._known:
            self._known[key] = self._paired(user, spec)
        return self._known[key]

    def _paired(self, user: Item, spec: Item) -> tuple[float, Node | None]:
        match user, spec:
            case Step(), Step():
                price = _step_cost(user, spec)
                return price, Pair(user, spec) if price < 2 * MISSING else None
            case Fork(), Fork() if user.join == spec.join:
                return self._forks(user, spec)
            case Head(), Head():
                price, inside = self.chains(user.chain, spec.chain)
                return price, HeadPair(user, spec, inside)
            case _:
                return np.inf, None

    def _forks(self, user: Fork, spec: Fork) -> tuple[float, Node | None]:
        """The best matching of the branches of two forks."""
        many, few = len(user.branches), len(spec.branches)
        found = [
            [self.chains(branch, other) for other in spec.branches] for branch in user.branches
        ]

        @cache
        def best(number: int, taken: int) -> tuple[float, tuple[tuple[int, int], ...]]:
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
                total += found[number][other][0] + OTHER_ORDER * (number != other)
                if total < least[0] - 1e-9:
                    least = (total, ((number, other), *pairs))
            return least

        total, pairs = best(0, 0)
        if total >= _weight(user) + _weight(spec):
            return np.inf, None
        branches = tuple(
            (number, other, found[number][other][1])
            for number, other in sorted(pairs, key=lambda pair: pair[1])
        )
        mine, theirs = {number for number, _ in pairs}, {other for _, other in pairs}
        more = tuple(number for number in range(many) if number not in mine)
        without = tuple(other for other in range(few) if other not in theirs)
        return total, ForkPair(user, spec, branches, more, without)

    def _moves(self, nodes: list[Node]) -> Nodes:
        """What is missing here and too much there has moved; two pairs that fit better crosswise
        have changed places.
        """
        found = self._crossed(nodes)
        for at, node in enumerate(found):
            if not isinstance(node, Missing) or node.moved is not None:
                continue
            fitting = [
                (self._pair(other.user, node.spec)[0], place)
                for place, other in enumerate(found)
                if isinstance(other, Extra) and not other.moved
            ]
            price, place = min(fitting, default=(np.inf, 0))
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
            straight = self._pair(first.user, first.spec)[0]
            if straight <= MOVED or first in partners:
                continue
            for second in pairs[number + 1 :]:
                both = straight + self._pair(second.user, second.spec)[0]
                across = (
                    self._pair(first.user, second.spec)[0] + self._pair(second.user, first.spec)[0]
                )
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
    for node in nodes:
        match node:
            case Pair():
                yield node
            case ForkPair(branches=branches):
                for _, _, inside in branches:
                    yield from aligned(inside)
            case HeadPair(inside=inside) | Around(inside=inside):
                yield from aligned(inside)
            case Missing(spec=spec, moved=moved) if moved is not None:
                yield from aligned((pair_of(moved, spec),))


def pair_of(user: Item, spec: Item) -> Node:
    """The alignment of two items that belong together."""
    node = _Aligner()._pair(user, spec)[1]
    assert node is not None
    return node
