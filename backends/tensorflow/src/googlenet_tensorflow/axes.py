"""What joins values of a TensorFlow graph, pads them or works along axes, in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import tensorflow as tf

from .constants import Constant
from .forms import NO_PADDING, Pair, number_of
from .graphs import Shape
from .shapes import reshaped
from .writing import Rule, Tensor, Value, Writer


def _concat(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    *values, axis = inputs
    if not isinstance(axis, Constant) or not all(isinstance(each, Value) for each in values):
        return None
    first = values[0] = writer.apart(values[0])
    place = int(axis.array) % len(first.shape)
    names = tuple(writer.ordered(writer.apart(each), first.axes) for each in values)
    sizes = [writer.shape(name) for name in names]
    ours = first.axes[place]
    shape = list(sizes[0])
    shape[ours] = sum(size[ours] for size in sizes)
    name = writer.emit(node, "concat", names, tuple(shape), {"axis": ours})
    return Value(name, tuple(shape[each] for each in first.axes), first.axes)


def _stack(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    """Values put together along a new axis."""
    if not all(isinstance(each, Value) for each in inputs):
        return None
    shape = list(writer.native(inputs[0]))
    place = int(node.get_attr("axis")) % (len(shape) + 1)
    if place == 0:
        return None
    shape.insert(place, 1)
    each = [reshaped(writer, node, value, tuple(shape)) for value in inputs]
    return _concat(writer, node, [*each, Constant(tf.constant(place))])


def _pad(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    x, padding, *value = inputs
    if not isinstance(x, Value) or x.lead is not None or len(x.shape) != 4:
        return None
    if not all(isinstance(each, Constant) for each in (padding, *value)):
        return None
    sides: list[Pair] = [(0, 0)] * 4
    for ours, (before, after) in zip(x.axes, padding.array.tolist(), strict=True):
        sides[ours] = (int(before), int(after))
    if not any(map(any, sides)):
        return x
    if any(map(any, sides[:2])):
        return None
    given = writer.shape(x.name)
    shape = tuple(size + sum(side) for size, side in zip(given, sides, strict=True))
    number = number_of(value[0]) if value else 0.0
    name, around = x.name, (sides[2], sides[3])
    before = writer.ops.get(name)
    if before is not None and before.kind == "pad" and before.attributes["value"] == number:
        inner = before.attributes["padding"]
        if min(map(min, (*inner, *around))) >= 0:  # one padding around another
            (name,) = before.inputs
            (top, bottom), (left, right) = (
                (a + c, b + d) for (a, b), (c, d) in zip(inner, around, strict=True)
            )
            around = ((top, bottom), (left, right))
    attributes = {"padding": around, "value": number}
    name = writer.emit(node, "pad", (name,), shape, attributes)
    return Value(name, tuple(shape[axis] for axis in x.axes), x.axes)


def _reduced(kind: str) -> Rule:
    """A mean, sum or maximum over axes."""

    def rule(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
        x, axes = inputs
        if not isinstance(x, Value) or not isinstance(axes, Constant):
            return None
        x = writer.apart(x)
        rank = len(x.shape)
        over = sorted({int(axis) % rank for axis in axes.array.reshape(-1)})
        ours = tuple(sorted(x.axes[axis] for axis in over))
        keeps = bool(node.get_attr("keep_dims"))
        given = writer.shape(x.name)
        if not over:
            return x
        op = writer.ops.get(x.name)
        if kind == "mean" and op is not None and op.kind == "mean" and not keeps:
            both = _more_axes(writer, node, x, op, over)
            if both is not None:
                return both
        count = math.prod(given[axis] for axis in ours)
        name = x.name
        shape, order = _without(given, x.axes, over, keeps)
        if kind == "max":
            if ours != (2, 3) or rank != 4:
                attributes = {"axes": ours, "keepdims": keeps}
                name = writer.emit(node, "tf.Max", (name,), shape, attributes)
                return Value(name, tuple(shape[axis] for axis in order), order)
            window = {"kernel_size": given[2:], "stride": given[2:], "padding": NO_PADDING}
            more = {"ceil_mode": False, "dilation": (1, 1)}
            pixel = (*given[:2], 1, 1)
            name = writer.emit(node, "max_pool", (name,), pixel, {**window, **more})
            if not keeps:
                name = writer.emit(node, "flatten", (name,), shape, {"start": 1})
        else:
            name = writer.emit(node, "mean", (name,), shape, {"axes": ours, "keepdims": keeps})
        if kind == "sum":
            name = writer.emit(node, "mul", (name,), shape, {"factor": float(count)})
            writer.sums.add(name)
        return Value(name, tuple(shape[axis] for axis in order), order)

    return rule


def _more_axes(writer: Writer, node: Any, x: Value, op: Any, over: Sequence[int]) -> Value | None:
    """The mean of a mean, as one over the axes of both."""
    if op.attributes["keepdims"]:
        return None
    (before,) = op.inputs
    gone = op.attributes["axes"]
    left = [axis for axis in range(len(writer.shape(before))) if axis not in gone]
    axes = tuple(sorted((*gone, *(left[x.axes[axis]] for axis in over))))
    shape, order = _without(writer.shape(x.name), x.axes, over, False)
    attributes = {"axes": axes, "keepdims": False}
    name = writer.emit(node, "mean", (before,), shape, attributes)
    return Value(name, tuple(shape[axis] for axis in order), order)


def _without(
    given: Shape, axes: tuple[int, ...], over: Sequence[int], keeps: bool
) -> tuple[Shape, tuple[int, ...]]:
    """The shape without axes `over` of the tensor, and the order of those that are left."""
    gone = {axes[axis] for axis in over}
    if keeps:
        return tuple(1 if axis in gone else size for axis, size in enumerate(given)), axes
    left = [axis for axis in range(len(given)) if axis not in gone]
    shape = tuple(given[axis] for axis in left)
    return shape, tuple(left.index(axis) for axis in axes if axis not in gone)


def _transpose(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    x, order = inputs
    if not isinstance(x, Value) or not isinstance(order, Constant) or x.lead is not None:
        return None
    moves = [int(axis) for axis in order.array]
    if moves[0] != 0:
        name = writer.ordered(x, tuple(range(len(x.shape))))
        shape = tuple(x.shape[axis] for axis in moves)
        name = writer.emit(node, "transpose", (name,), shape, {"axes": tuple(moves)})
        return Value(name, shape, tuple(range(len(shape))))
    return Value(
        x.name, tuple(x.shape[axis] for axis in moves), tuple(x.axes[axis] for axis in moves)
    )


def _along(kind: str) -> Rule:
    """An operation along the last axis."""

    def rule(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
        (x,) = inputs
        if not isinstance(x, Value):
            return None
        return writer.same(node, kind, x, {"axis": x.axes[-1]})

    return rule


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    "ConcatV2": _concat,
    "LogSoftmax": _along("log_softmax"),
    "Max": _reduced("max"),
    "Mean": _reduced("mean"),
    "Pack": _stack,
    "Pad": _pad,
    "PadV2": _pad,
    "Softmax": _along("softmax"),
    "Sum": _reduced("sum"),
    "Transpose": _transpose,
}
