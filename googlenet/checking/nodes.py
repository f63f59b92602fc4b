"""An alignment: what of a user's model is what of the spec, in the order of execution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ..tracing.tree import Chain, Fork, Head, Item, Step, Tangle


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
    """What the user's model has and the spec has not; `moved` is whether it has it elsewhere."""

    user: Item
    moved: bool = False


@dataclass(frozen=True, eq=False)
class Missing:
    """What the spec has and the user's model has not, or (`moved`) has elsewhere in the chain."""

    spec: Item
    moved: Item | None = None


@dataclass(frozen=True, eq=False)
class Around:
    """A sum or product of the user's that adds something to the result of some layers, as what they
    take, or multiplies it: the layers alone, its branch `number`, are `inside`.
    """

    user: Fork
    inside: Nodes
    number: int


@dataclass(frozen=True, eq=False)
class Tangled:
    """What the user's model has in the place of some of the spec's layers, one after the other,
    whose branches do not fork and join as a whole.
    """

    user: Tangle
    spec: Chain


Node: TypeAlias = "Pair | ForkPair | HeadPair | Extra | Missing | Around | Tangled"
Nodes: TypeAlias = "tuple[Node, ...]"


def walk(nodes: Nodes) -> Iterator[Node]:
    """Every node in the order of the spec, each before those inside it."""
    for node in nodes:
        yield node
        match node:
            case ForkPair(branches=branches):
                for _, _, inside in branches:
                    yield from walk(inside)
            case HeadPair(inside=inside) | Around(inside=inside):
                yield from walk(inside)


def tangles(nodes: Nodes) -> Iterator[Tangled]:
    """What cannot be compared layer by layer: it takes the spec's weights in their order."""
    return (node for node in walk(nodes) if isinstance(node, Tangled))
