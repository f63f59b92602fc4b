"""Parts of a value: MXNet's slices, splits and indices in neutral terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from googlenet.arrays import Array

from ..nodes import Node, Part, Parts, by_name

#: Where a part of an axis begins and ends, and its step.
Bounds: TypeAlias = tuple[int, int, int]


def _cut(node: Node, bounds: Sequence[Bounds], shape: Sequence[int] | None = None) -> Parts | None:
    """The part of the first input that is within `bounds`, one for each axis, then of `shape` if
    that is another; None if it is of some images only, turned round, or empty.

    Rows and columns that are cut off at the borders of a map are a negative padding.
    """
    sizes = node.given
    wholes = [(0, size, 1) for size in sizes]
    cut = [axis for axis, each in enumerate(bounds) if each != wholes[axis]]
    if 0 in cut or any(step < 1 or not start < stop for start, stop, step in bounds):
        return None
    found: list[Part] = []
    shape = node.shape if shape is None else tuple(shape)
    if cut and len(sizes) == 4 and 1 not in cut and all(step == 1 for *_, step in bounds):
        sides = tuple(
            (-start, stop - size)
            for (start, stop, _), size in zip(bounds[2:], sizes[2:], strict=True)
        )
        sizes = (*sizes[:2], *(stop - start for start, stop, _ in bounds[2:]))
        found = [Part("pad", {"padding": sides, "value": 0.0}, shape=sizes, takes=(0,))]
    else:
        for axis in cut:
            start, stop, step = bounds[axis]
            kept = len(range(start, stop, step))
            sizes = (*sizes[:axis], kept, *sizes[axis + 1 :])
            attributes = {"axis": axis, "start": start, "stop": stop, "step": step}
            takes = None if found else (0,)
            found.append(Part("slice", attributes, shape=sizes, takes=takes))
    if not found:
        found = [Part("identity", shape=sizes, takes=(0,))]
    if sizes != shape:
        found.append(Part("reshape", {"shape": tuple(shape[1:])}, shape=tuple(shape)))
    return found


def _slice(node: Node) -> Parts | None:
    """By the first and last element of each axis, and steps; what is not given is the border."""
    count = len(node.given)
    if node.op == "slice_like":
        return _cut(node, [(0, size, 1) for size in node.shape])
    if node.op == "slice_axis":
        axis = int(node["axis"]) % count
        begins, ends, steps = ([None] * count for _ in range(3))
        begins[axis], ends[axis] = node["begin"], node.get("end", None)
    else:
        begins, ends, steps = (
            (_listed(node, name) + [None] * count)[:count] for name in ("begin", "end", "step")
        )
    return _cut(
        node,
        [
            slice(begin, end, step).indices(size)
            for begin, end, step, size in zip(begins, ends, steps, node.given, strict=True)
        ],
    )


def _listed(node: Node, name: str) -> list[Any]:
    found = node.get(name, ())
    return list(found) if isinstance(found, tuple | list) else [found]


def _split(node: Node) -> Parts | None:
    """One of the parts into which an axis is split, of equal sizes or before given indices."""
    axis = int(node.get("axis", 1)) % len(node.given)
    size = node.given[axis]
    count = int(node.get("num_outputs", 0) or node.get("sections", 0))
    starts = [int(each) for each in _listed(node, "indices")]
    if count:
        starts = [int(part[0]) for part in np.array_split(np.arange(size), count) if len(part)]
    ends = [*starts[1:], size]
    if node.result >= len(starts):
        return None
    bounds = [(0, each, 1) for each in node.given]
    bounds[axis] = (starts[node.result], ends[node.result], 1)
    return _cut(node, bounds)


def _take(node: Node) -> Parts | None:
    """By constant indices along an axis."""
    (indices,) = node.constants or (None,)
    axis = int(node.get("axis", 0)) % len(node.given)
    if indices is None or indices.ndim > 1 or not isinstance(node.inputs[0], Node):
        return None
    size, numbers = node.given[axis], indices.reshape(-1).astype(np.int64)
    if node.get("mode", "clip") == "clip":
        numbers = numbers.clip(0, size - 1)
    found = _steady(numbers % size)
    if found is None:
        return None
    bounds: list[Bounds] = [(0, each, 1) for each in node.given]
    bounds[axis] = found
    return _cut(node, bounds)


def _gather(node: Node) -> Parts | None:
    """By constant indices of several axes, each of which has its own: x[:, [0, 1]]."""
    (indices,) = node.constants or (None,)
    if indices is None or not isinstance(node.inputs[0], Node) or len(indices) != indices.ndim - 1:
        return None
    bounds: list[Bounds] = [(0, each, 1) for each in node.given]
    for axis, each in enumerate(indices):
        rows = np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1).astype(np.int64)
        found = _steady(rows[:, 0] % node.given[axis])
        if found is None or (rows != rows[:, :1]).any():
            return None
        bounds[axis] = found
    return _cut(node, bounds)


def _steady(numbers: Array) -> Bounds | None:
    """Numbers that grow by the same step, as a slice; None if they do not."""
    if not len(numbers):
        return None
    steps = np.diff(numbers)
    step = int(steps[0]) if len(steps) else 1
    if step < 1 or (steps != step).any():
        return None
    return int(numbers[0]), int(numbers[-1]) + 1, step


#: What reads each operation, by its names.
PARTS: Final = by_name(
    {
        ("slice", "_npi_slice", "slice_axis", "slice_like"): _slice,
        ("SliceChannel", "_split_v2", "_npi_hsplit"): _split,
        ("take",): _take,
        ("gather_nd",): _gather,
    }
)
#: Operations with several results, each of which is translated.
SEVERAL: Final = ("SliceChannel", "_split_v2", "_npi_hsplit")
