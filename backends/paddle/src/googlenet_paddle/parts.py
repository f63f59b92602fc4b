"""What Paddle takes of a value, in neutral terms: slices of it, and the parts it is split into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from .nodes import Node, Piece, Translated

#: Operations that split a value into a list of parts.
SPLITTING: Final = ("split", "split_with_num", "unbind", "unstack")


def sliced(node: Node) -> Translated | None:
    """`x[:, a:b]`, which may leave out axes of one element."""
    starts, ends = node.numbers("starts"), node.numbers("ends")
    axes = node.numbers("axes")
    ranges = {axis: slice(*each) for axis, *each in zip(axes, starts, ends, strict=True)}
    return _cut(node, node.value("input"), ranges, node.numbers("decrease_axis"))


def strided(node: Node) -> Translated | None:
    """`x[:, a:b:step]`."""
    given = (node.numbers(role) for role in ("axes", "starts", "ends", "strides"))
    ranges = {axis: slice(*each) for axis, *each in zip(*given, strict=True)}
    return _cut(node, node.value("x"), ranges)


def cropped(node: Node) -> Translated | None:
    """A box of a value."""
    offsets, shape = node.numbers("offsets"), node.shape
    ranges = {axis: slice(at, at + shape[axis]) for axis, at in enumerate(offsets)}
    return _cut(node, node.value("x"), ranges)


def selected(node: Node) -> Translated | None:
    """The elements of an axis whose numbers are listed, if these are equally far apart."""
    (axis,), index = node.numbers("axis"), node.array("index")
    if index is None or index.ndim != 1:
        return None
    return picked(node, node.value("x"), axis, index.tolist())


def picked(node: Node, value: Any, axis: int, numbers: Sequence[int]) -> Translated | None:
    """The elements `numbers` of an axis; those that are not equally far apart are no slice, and
    keep Paddle's name.
    """
    size = node.constants.shape(value)[axis]
    wanted = [each % size for each in numbers]
    steps = set(np.diff(wanted).tolist()) or {1}
    if wanted and len(steps) == 1 and min(steps) > 0:
        found = _cut(node, value, {axis: slice(wanted[0], wanted[-1] + 1, steps.pop())})
        if found is not None:
            return found
    attributes = {"axis": axis, "index": tuple(wanted)}
    return Translated((value,), (Piece("pd_op.gather", attributes),), "native")


def part(node: Node, number: int) -> Translated | None:
    """One of the parts that an operation of `SPLITTING` gives."""
    if node.name in ("unbind", "unstack"):
        value = node.value("input" if node.name == "unbind" else "x")
        (axis,) = node.numbers("axis")
        return _cut(node, value, {axis: slice(number, number + 1)}, (axis,))
    (axis,) = node.numbers("axis")
    size = node.given("x")[axis]
    if node.name == "split":
        sections = list(node.numbers("sections"))
        sections = [size - sum(sections) - 1 if each == -1 else each for each in sections]
    else:
        (count,) = node.numbers("num")
        sections = [size // count] * count
    start = sum(sections[:number])
    return _cut(node, node.value("x"), {axis: slice(start, start + sections[number])})


def _cut(
    node: Node, value: Any, ranges: Mapping[int, slice], dropped: tuple[int, ...] = ()
) -> Translated | None:
    """The elements of a value in `ranges` by axis, then without the axes `dropped`; None if they go
    backwards or are of some images only.
    """
    given = node.constants.shape(value)
    shape = list(given)
    pieces = []
    for axis, each in ranges.items():
        axis %= len(given)
        kept = range(given[axis])[each]
        if kept.step < 1 or not kept:
            return None
        if len(kept) == given[axis]:
            continue
        if axis == 0:
            return None
        shape[axis] = len(kept)
        attributes = {"axis": axis, "start": kept.start, "stop": kept.stop, "step": kept.step}
        pieces.append(Piece("slice", attributes, shape=tuple(shape)))
    left_out = {axis % len(given) for axis in dropped}
    if 0 in left_out:
        return None
    if left_out:
        shape = [size for axis, size in enumerate(shape) if axis not in left_out]
        pieces.append(Piece("reshape", {"shape": tuple(shape[1:])}, shape=tuple(shape)))
    pieces = pieces or [Piece("identity")]
    return Translated((value,), tuple(pieces), "native" if left_out else "any")
