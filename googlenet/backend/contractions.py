"""Products with a weight and sums that are written with letters for the axes, in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

from ..arrays import Array
from ..spec.layers import Shape


@dataclass(frozen=True)
class Stage:
    """One neutral operation on the result of the one before, and the shape of its result. A
    "dense" one has the weight that `Contraction.matrix` gives.
    """

    kind: str
    attributes: Mapping[str, Any]
    shape: Shape


@dataclass(frozen=True)
class Contraction:
    """What an equation computes of a value: `stages`; the weight's axes in the order `axes`, then
    in the shape `rows` (O, I), are the weight of a dense layer.
    """

    stages: tuple[Stage, ...]
    axes: tuple[int, ...] = ()
    rows: tuple[int, int] = (0, 0)

    def matrix(self, weight: Array) -> Array:
        """The weight (O, I) of the dense layer, which is `weight` itself if nothing moves."""
        is_same = self.axes == tuple(range(weight.ndim)) and self.rows == weight.shape
        return weight if is_same else weight.transpose(self.axes).reshape(self.rows)


def terms_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str] | None:
    """The letters of each operand and of the result, those that "..." stands for as well; None for
    an equation that has a letter twice in one of them.
    """
    taken, arrow, result = equation.replace(" ", "").partition("->")
    terms = taken.split(",")
    if len(terms) != len(ranks):
        return None
    free = [each for each in reversed(ascii_letters) if each not in equation]
    most = max(
        (rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if "." in term),
        default=0,
    )
    dots = "".join(free[:most])
    for number, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        count = rank - len(term) + 3
        terms[number] = term.replace("...", dots[most - count :])
    if not arrow:
        every = "".join(terms)
        result = "..." if dots else ""
        result += "".join(sorted(each for each in {*every} - {*dots} if every.count(each) == 1))
    result = result.replace("...", dots)
    if any(len({*each}) != len(each) for each in (*terms, result)):
        return None
    return terms, result


def matrix_product(
    rank: int, weight_rank: int, flipped: tuple[bool, bool], *, is_first: bool
) -> tuple[str, str, str] | None:
    """The letters of a value with `rank` axes, of a weight of one or two, and of their product as
    matrices. The value is the first operand if `is_first`; `flipped` says which operands have
    their last two axes the other way round.
    """
    if rank < 2 or weight_rank > 2:
        return None
    lead = ascii_letters[: rank - 2]
    first, second = (
        pair[::-1] if each else pair for pair, each in zip(("XY", "YZ"), flipped, strict=True)
    )
    given, weight = (first, second) if is_first else (second, first)
    if weight_rank == 1:
        weight = "Y"
    result = "".join(each for each in "XZ" if each in given + weight)
    return lead + given, weight, lead + result


def product(given: str, weight: str, result: str, sizes: Mapping[str, int]) -> Contraction | None:
    """The product of a value and a weight, summed over the letters that the `result` lacks: a dense
    layer along what both have. None if it is anything else.
    """
    summed = [each for each in weight if each in given]
    made = [each for each in result if each in weight]
    kept = [each for each in given if each not in summed]
    if not summed or {*result} != {*kept, *made} or {*made} & {*given}:
        return None
    if {*weight} != {*summed, *made}:
        return None
    size = math.prod(sizes[each] for each in summed)
    out = math.prod(sizes[each] for each in made)
    stages = _Stages(given, sizes)
    stages.ordered([*kept, *summed])
    lead = tuple(sizes[each] for each in kept)
    stages.shaped((*lead, size))
    stages.found.append(Stage("dense", {}, (*lead, out)))
    stages.letters = [*kept, *made]
    stages.shaped(tuple(sizes[each] for each in stages.letters), (*lead, out))
    stages.ordered(result)
    axes = tuple(weight.index(each) for each in (*made, *summed))
    return Contraction(tuple(stages.found), axes, (out, size))


def total(given: str, result: str, sizes: Mapping[str, int]) -> Contraction | None:
    """A sum over the letters that the `result` lacks: a mean times a number."""
    if not {*result} <= {*given}:
        return None
    stages = _Stages(given, sizes)
    axes = tuple(axis for axis, each in enumerate(given) if each not in result)
    if axes:
        stages.letters = [each for each in given if each in result]
        shape = tuple(sizes[each] for each in stages.letters)
        count = math.prod(sizes[each] for each in given if each not in result)
        stages.found.append(Stage("mean", {"axes": axes, "keepdims": False}, shape))
        stages.found.append(Stage("mul", {"factor": float(count)}, shape))
    stages.ordered(result)
    return Contraction(tuple(stages.found))


def untransposed(weight: Array, groups: int = 1) -> Array:
    """The weight (O, I / groups, 1, 1) of the convolution that a transposed one of single pixels
    is, from its own (I, O / groups, 1, 1).
    """
    inside, outside = weight.shape[:2]
    parts = weight.reshape(groups, inside // groups, outside, 1, 1)
    return parts.swapaxes(1, 2).reshape(groups * outside, inside // groups, 1, 1)


class _Stages:
    def __init__(self, letters: Sequence[str], sizes: Mapping[str, int]) -> None:
        self.letters, self._sizes = list(letters), sizes
        self.found: list[Stage] = []

    def ordered(self, letters: Sequence[str]) -> None:
        """The axes in another order."""
        axes = tuple(self.letters.index(each) for each in letters)
        self.letters = list(letters)
        if axes != tuple(range(len(axes))):
            shape = tuple(self._sizes[each] for each in letters)
            self.found.append(Stage("transpose", {"axes": axes}, shape))

    def shaped(self, shape: Shape, before: Shape | None = None) -> None:
        """The same elements in another shape."""
        if shape != (before or tuple(self._sizes[each] for each in self.letters)):
            self.found.append(Stage("reshape", {"shape": shape[1:]}, shape))
