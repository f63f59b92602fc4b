"""Other shapes and parts of values of a TensorFlow graph in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from googlenet.arrays import Array

from .constants import Constant, run
from .graphs import Shape
from .writing import CHANNELS_LAST, Rule, Tensor, Value, Writer


def _reshape(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    x = inputs[0]
    if not isinstance(x, Value):
        return None
    if node.type == "Reshape":
        if not isinstance(inputs[1], Constant):
            return None
        shape = [int(size) for size in inputs[1].array]
        if -1 in shape:
            known = math.prod(size for size in shape if size != -1)
            shape[shape.index(-1)] = math.prod(x.shape) // max(known, 1)
    elif node.type == "Squeeze":
        native = writer.native(x)
        gone = {int(axis) % len(native) for axis in node.get_attr("squeeze_dims")}
        shape = [
            size for axis, size in enumerate(native) if size != 1 or (gone and axis not in gone)
        ]
    else:
        shape = list(writer.native(x))
        place = int(inputs[1].array)
        shape.insert(place if place >= 0 else len(shape) + 1 + place, 1)
    return reshaped(writer, node, x, tuple(shape))


def reshaped(writer: Writer, node: Any, x: Value, shape: Shape) -> Value:
    """A value as a tensor of another shape, its elements in TensorFlow's order."""
    if x.lead is not None:
        if shape == writer.native(x):
            return x
        if shape[:-1] == x.lead:
            return replace(x, lead=None)
        x = writer.apart(x)
    if shape == x.shape:
        return x
    is_map = len(x.shape) == 4
    is_rows = is_map and shape == (math.prod(x.shape[:3]), x.shape[3])
    if is_rows and shape[0] != x.shape[0]:
        return replace(x, lead=x.shape[:3])
    sizes = [(axis, size) for axis, size in enumerate(x.shape) if axis and size != 1]
    if shape[:1] == x.shape[:1] and [s for s in shape[1:] if s != 1] == [s for _, s in sizes]:
        return _with_ones(writer, node, x, shape)
    if is_map and shape == (x.shape[0], math.prod(x.shape[1:3]), x.shape[3]):
        name = writer.ordered(x, CHANNELS_LAST)  # pixels joined, each with its channels
        ours = (shape[0], shape[2], shape[1])
        name = writer.emit(node, "reshape", (name,), ours, {"shape": ours[1:]})
        return Value(name, shape, (0, 2, 1))
    name = writer.ordered(x, tuple(range(len(x.shape))))
    if len(shape) == 2 and shape[0] == x.shape[0]:
        name = writer.emit(node, "flatten", (name,), shape, {"start": 1})
    else:
        name = writer.emit(node, "reshape", (name,), shape, {"shape": shape[1:]})
    return Value(name, shape, tuple(range(len(shape))))


def _with_ones(writer: Writer, node: Any, x: Value, shape: Shape) -> Value:
    """Axes of one element put in or left out: nothing else moves."""
    before = [x.axes[axis] for axis, size in enumerate(x.shape) if axis and size != 1]
    real = [axis for axis, size in enumerate(shape) if axis and size != 1]
    usual = CHANNELS_LAST if len(shape) == 4 else tuple(range(len(shape)))
    if np.argsort(before).tolist() == np.argsort([usual[axis] for axis in real]).tolist():
        axes = usual
    else:
        ones = [axis for axis, size in enumerate(shape) if axis and size == 1]
        ordered = [0, *(real[n] for n in np.argsort(before)), *ones]
        axes = tuple(ordered.index(axis) for axis in range(len(shape)))
    ours = tuple(shape[axis] for axis in np.argsort(axes))
    is_flat = len(shape) == 2 and len(x.shape) > 2
    kind, attributes = ("flatten", {"start": 1}) if is_flat else ("reshape", {"shape": ours[1:]})
    name = writer.emit(node, kind, (x.name,), ours, attributes)
    return Value(name, shape, axes)


def _part(writer: Writer, node: Any, inputs: list[Any]) -> list[Tensor] | None:
    """Parts of a value, perhaps with axes of one element put in or left out; all of it is the value
    itself.
    """
    (x, *more) = [each for each in inputs if isinstance(each, Value)]
    if more or not all(isinstance(each, Value | Constant) for each in inputs):
        return None
    x = writer.apart(x)
    numbers = np.arange(math.prod(x.shape), dtype=np.int32).reshape(x.shape)
    given = [each.tensor if isinstance(each, Constant) else numbers for each in inputs]
    picked = [np.asarray(each) for each in run(node, given)]
    ranges = [_ranges(numbers, each) for each in picked]
    found: list[Tensor] = []
    for part, each in zip(picked, ranges, strict=True):
        if each is None:
            return None
        sliced = _sliced(writer, node, x, each)
        found.append(
            sliced if sliced.shape == part.shape else _with_ones(writer, node, sliced, part.shape)
        )
    return found


def _ranges(numbers: Array, part: Array) -> list[range] | None:
    """What a part has of each axis of `numbers`, in order; None if it is no such part of every
    image.
    """
    if part.size == 0 or part.ndim == 0 or len(part) != len(numbers):
        return None
    found: list[range] = []
    for places in np.unravel_index(part.ravel(), numbers.shape):
        each = np.unique(places)
        step = int(each[1] - each[0]) if len(each) > 1 else 1
        found.append(range(int(each[0]), int(each[-1]) + 1, step))
    whole = numbers[np.ix_(*found)] if all(len(each) for each in found) else numbers[:0]
    if len(found[0]) != len(numbers) or not np.array_equal(whole.ravel(), part.ravel()):
        return None
    sizes = [[size for size in shape[1:] if size != 1] for shape in (whole.shape, part.shape)]
    return found if sizes[0] == sizes[1] else None


def _sliced(writer: Writer, node: Any, x: Value, ranges: list[range]) -> Value:
    """A value cut down to ranges of each of its axes: rows and columns next to each other are a
    padding that takes away.
    """
    shape = list(writer.shape(x.name))
    ours = {x.axes[axis]: each for axis, each in enumerate(ranges)}
    cut = {axis: each for axis, each in ours.items() if len(each) != shape[axis]}
    name = x.name
    borders = {axis: each for axis, each in cut.items() if axis >= 2 and each.step == 1}
    if len(shape) == 4 and borders:
        (top, bottom), (left, right) = (
            (-each.start, each.stop - shape[axis])
            for axis, each in ((axis, borders.get(axis, range(shape[axis]))) for axis in (2, 3))
        )
        shape[2:] = [shape[2] + top + bottom, shape[3] + left + right]
        attributes: dict[str, Any] = {"padding": ((top, bottom), (left, right)), "value": 0.0}
        name = writer.emit(node, "pad", (name,), tuple(shape), attributes)
        cut = {axis: each for axis, each in cut.items() if axis not in borders}
    for axis, each in cut.items():
        shape[axis] = len(each)
        attributes = {"axis": axis, "start": each.start, "stop": each.stop, "step": each.step}
        name = writer.emit(node, "slice", (name,), tuple(shape), attributes)
    return Value(name, tuple(len(each) for each in ranges), x.axes)


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    "ExpandDims": _reshape,
    "GatherNd": _part,
    "GatherV2": _part,
    "Reshape": _reshape,
    "Slice": _part,
    "Squeeze": _reshape,
    "Split": _part,
    "SplitV": _part,
    "StridedSlice": _part,
    "Unpack": _part,
}
