"""What a graph is in the spec's terms: a tree of its layers, which may also hold foreign ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ..arrays import Array
from ..backend.graph import Origin
from ..spec.layers import Leaf, Shape

#: How the results of branches are joined.
Join: TypeAlias = Literal["concat", "sum", "product", "other"]


@dataclass(frozen=True, eq=False)
class Foreign:
    """An operation that the spec has no layer for: its `kind`, the framework's own name where the
    graph does not know it either, and its attributes.
    """

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Step:
    """One layer of a user's model: the spec's, or a foreign one; its arrays by role, in the spec's
    axes; the shape of its result without the batch, and where it is in the user's code; and where
    its arrays are from, and in which line of which file it is called, as far as that is known.
    """

    layer: Leaf | Foreign
    arrays: Mapping[str, Array]
    out_shape: Shape
    place: str
    origins: Mapping[str, Origin] = field(default_factory=dict)
    called: tuple[str, int] | None = None


@dataclass(frozen=True, eq=False)
class Fork:
    """Branches from one value whose results are joined: concatenated along the channels, added up,
    or multiplied. What is added or multiplied may have one element along an axis, or lack the last
    axes, where others have more: (C,) and (C, H, W). Any other operation of several values is the
    foreign layer `by`.
    """

    join: Join
    branches: tuple[Chain, ...]
    out_shape: Shape
    place: str
    by: Step | None = None
    called: tuple[str, int] | None = None


@dataclass(frozen=True, eq=False)
class Knot:
    """A layer of a tangle, or a join without branches, and the numbers of what it is given: 0 is
    what the tangle is given, n the result of the n-th knot.
    """

    item: Step | Fork
    inputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tangle:
    """Layers whose branches do not fork and join as a whole: each knot after those that it needs,
    the result last.
    """

    knots: tuple[Knot, ...]
    out_shape: Shape
    place: str


@dataclass(frozen=True, eq=False)
class Head:
    """A further output, computed by `chain` from where it stands in the main path; `number` counts
    the model's outputs as it returns them, the logits 0.
    """

    chain: Chain
    number: int


Item: TypeAlias = "Step | Fork | Tangle | Head"
Chain: TypeAlias = "tuple[Item, ...]"


def steps(chain: Chain) -> Iterator[Step]:
    """Every layer, in the order of the tree."""
    for item in chain:
        match item:
            case Step():
                yield item
            case Fork(branches=branches, by=by):
                for branch in branches:
                    yield from steps(branch)
                if by is not None:
                    yield by
            case Tangle(knots=knots):
                yield from steps(tuple(knot.item for knot in knots))
            case Head(chain=inside):
                yield from steps(inside)


def flat(chain: Chain) -> Chain:
    """`chain` with one concatenation for one of concatenations: a branch that is another, and
    nothing else, is its branches.
    """
    found: list[Item] = []
    for item in chain:
        match item:
            case Fork(join=join):
                branches: list[Chain] = []
                for branch in map(flat, item.branches):
                    match branch:
                        case (Fork(join="concat", branches=inside),) if join == "concat":
                            branches += inside
                        case _:
                            branches.append(branch)
                is_same = len(branches) == len(item.branches) and all(
                    len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
                    for one, other in zip(branches, item.branches, strict=True)
                )
                found.append(item if is_same else replace(item, branches=tuple(branches)))
            case Head(chain=inside):
                found.append(replace(item, chain=flat(inside)))
            case _:
                found.append(item)
    return tuple(found)
