"""Convolutions and pools of a TensorFlow graph in neutral terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.backend.graph import Op

from .constants import Constant
from .forms import NO_PADDING, Padding, Pair, axes_of
from .graphs import Shape
from .writing import CHANNELS_LAST, Rule, Tensor, Tiled, Value, Writer


def _spatial(node: Any, values: Sequence[int]) -> Pair:
    """The two of four numbers, in the node's order of axes, that are a map's height and width."""
    first = 1 if axes_of(node) == CHANNELS_LAST else 2
    return (int(values[first]), int(values[first + 1]))


def _explicit(node: Any, kernel: Pair, stride: Pair, size: Pair) -> Padding:
    """The padding around a map of `size`; SAME is one for each size, more of it behind."""
    word = tf.compat.as_str(node.get_attr("padding"))
    if word == "VALID":
        return NO_PADDING
    if word == "EXPLICIT":
        sides = [int(each) for each in node.get_attr("explicit_paddings")]
        first = 2 if axes_of(node) == CHANNELS_LAST else 4
        top, bottom, left, right = sides[first : first + 4]
        return ((top, bottom), (left, right))
    whole = [
        max((-(-size[axis] // stride[axis]) - 1) * stride[axis] + kernel[axis] - size[axis], 0)
        for axis in (0, 1)
    ]
    height, width = whole
    return ((height // 2, height - height // 2), (width // 2, width - width // 2))


def _size(shape: Shape, kernel: Pair, stride: Pair, padding: Padding) -> Pair:
    """How many windows there are in a map (N, C, H, W)."""
    down, across = (
        (shape[2 + axis] + sum(padding[axis]) - kernel[axis]) // stride[axis] + 1 for axis in (0, 1)
    )
    return (down, across)


def _conv(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    x, weight = inputs
    if isinstance(x, Tiled):
        return replace(x, node=node, rest=(weight,)) if x.node is None else None
    if not isinstance(x, Value) or not isinstance(weight, Constant) or not axes_of(node):
        return None
    return _convolved(writer, node, x, weight, None, None)


def _convolved(
    writer: Writer,
    node: Any,
    x: Value,
    weight: Constant,
    dilation: Pair | None,
    padding: Padding | None,
) -> Value:
    """A convolution of a map; its `dilation` and `padding` are the node's where they are None."""
    axes = axes_of(node)
    name = writer.ordered(writer.apart(x), axes)
    given = writer.shape(name)
    deep = node.type == "DepthwiseConv2dNative"
    stride = _spatial(node, node.get_attr("strides"))
    dilation = dilation or _spatial(node, node.get_attr("dilations"))
    height, width, inside, outside = weight.array.shape
    kernel = ((height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
    if padding is None:
        padding = _explicit(node, kernel, stride, (given[2], given[3]))
    writer.by_parameter(weight)
    if deep:
        groups, channels = inside, inside * outside
        held = writer.array(
            weight,
            "depthwise",
            lambda array: array.transpose(2, 3, 0, 1).reshape(channels, 1, height, width),
        )
    else:
        groups, channels = given[1] // inside, outside
        held = writer.array(weight, "conv", lambda array: array.transpose(3, 2, 0, 1))
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    shape = (given[0], channels, *_size(given, kernel, stride, padding))
    found = writer.emit(node, "conv", (name,), shape, attributes, {"weight": held})
    return Value(found, tuple(shape[axis] for axis in axes), axes)


def _conv_transpose(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    """A transposed convolution of single pixels, which is a convolution: any other is foreign."""
    _, weight, x = inputs
    if not isinstance(x, Value) or not isinstance(weight, Constant) or not axes_of(node):
        return None
    axes = axes_of(node)
    name = writer.ordered(writer.apart(x), axes)
    batch, inside, *size = writer.shape(name)
    height, width, outside, given = weight.array.shape
    stride = _spatial(node, node.get_attr("strides"))
    result = tuple(map(int, node.outputs[0].shape[axes.index(2) : axes.index(3) + 1]))
    if (height, width, *stride) != (1, 1, 1, 1) or given != inside or result != tuple(size):
        return None
    writer.by_parameter(weight)
    held = writer.array(weight, "transposed", lambda array: array.transpose(2, 3, 0, 1))
    attributes = {"stride": stride, "padding": NO_PADDING, "dilation": (1, 1), "groups": 1}
    shape = (batch, outside, *size)
    found = writer.emit(node, "conv", (name,), shape, attributes, {"weight": held})
    return Value(found, tuple(shape[axis] for axis in axes), axes)


def _max_pool(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    return _pooled(writer, node, inputs, "max_pool")


def _avg_pool(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    return _pooled(writer, node, inputs, "avg_pool")


def _pooled(writer: Writer, node: Any, inputs: list[Any], kind: str) -> Tensor | None:
    x, *rest = inputs
    if isinstance(x, Tiled):
        return replace(x, node=node) if x.node is None else None
    if not isinstance(x, Value) or not axes_of(node):
        return None
    if not all(isinstance(each, Constant) for each in rest):
        return None
    sizes = [each.array for each in rest] or [node.get_attr("ksize"), node.get_attr("strides")]
    channel = 3 if axes_of(node) == CHANNELS_LAST else 1
    if any(int(each[axis]) != 1 for each in sizes for axis in (0, channel)):
        return None  # a pool across channels or images
    kernel, stride = (_spatial(node, each) for each in sizes)
    return _windows(writer, node, x, kind, kernel, stride, None, (1, 1))


def _windows(
    writer: Writer,
    node: Any,
    x: Value,
    kind: str,
    kernel: Pair,
    stride: Pair,
    padding: Padding | None,
    dilation: Pair,
) -> Value:
    axes = axes_of(node)
    name = writer.ordered(writer.apart(x), axes)
    given = writer.shape(name)
    if padding is None:
        padding = _explicit(node, kernel, stride, (given[2], given[3]))
    over = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    size = _size(given, over, stride, padding)
    if padding == NO_PADDING:
        name = _uncropped(writer, name, over, stride, size)
    attributes: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "ceil_mode": False,
    }
    more = (
        {"dilation": dilation}
        if kind == "max_pool"
        else {"count_include_pad": padding == NO_PADDING}
    )
    shape = (*given[:2], *size)
    found = writer.emit(node, kind, (name,), shape, {**attributes, **more})
    return Value(found, tuple(shape[axis] for axis in axes), axes)


def _uncropped(writer: Writer, name: str, kernel: Pair, stride: Pair, size: Pair) -> str:
    """The map before its last rows and columns were cut off, perhaps before a padding as well, if
    no window reaches them: `name` otherwise.
    """
    op = writer.ops.get(name)
    padded = op if op is not None and op.kind == "pad" and _least(op) >= 0 else None
    padding: Padding = NO_PADDING
    if padded is not None:
        padding, op = padded.attributes["padding"], writer.ops.get(padded.inputs[0])
    if op is None or op.kind != "pad" or _least(op) >= 0:
        return name
    (before,), cut = op.inputs, op.attributes["padding"]
    given = writer.shape(before)
    behind = [cut[axis][1] < 0 and padding[axis][1] > 0 for axis in (0, 1)]
    ahead = [cut[axis][0] != 0 or cut[axis][1] > 0 for axis in (0, 1)]
    if any(behind) or any(ahead) or _size(given, kernel, stride, padding) != size:
        return name
    if padded is None:
        return before
    height, width = (given[2 + axis] + sum(padding[axis]) for axis in (0, 1))
    return writer.emit(
        f"{name}.whole", "pad", (before,), (*given[:2], height, width), padded.attributes
    )


def _least(op: Op) -> int:
    """The smallest number of a padding, negative where it cuts off."""
    return min(int(side) for sides in op.attributes["padding"] for side in sides)


def _space_to_batch(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    x, block, padding = inputs
    if not isinstance(x, Value) or len(x.shape) != 4 or block.array.size != 2:
        return None
    return Tiled(x, _pair(block.array), _two_by_two(padding))


def _batch_to_space(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    """A convolution or max pool between cutting a map into several and joining them is one with
    gaps between what its windows see.
    """
    tiled, block, crops = inputs
    if not isinstance(tiled, Tiled) or tiled.node is None or _pair(block.array) != tiled.block:
        return None
    padding = _joined_padding(tiled, crops)
    inner = tiled.node
    if inner.type == "MaxPool" and padding == NO_PADDING:  # TensorFlow pads with zeros here
        kernel = _spatial(inner, inner.get_attr("ksize"))
        return _windows(
            writer, inner, tiled.value, "max_pool", kernel, (1, 1), padding, tiled.block
        )
    if padding is not None and tiled.rest:
        (weight,) = tiled.rest
        return _convolved(writer, inner, tiled.value, weight, tiled.block, padding)
    shape = tuple(int(size) for size in node.outputs[0].shape)
    ours = tuple(shape[axis] for axis in np.argsort(CHANNELS_LAST))
    attributes = {"dilation": tiled.block}
    name = writer.canonical(tiled.value)
    return Value(
        writer.emit(inner, f"tf.{inner.type}", (name,), ours, attributes), shape, CHANNELS_LAST
    )


def _joined_padding(tiled: Tiled, crops: Constant) -> Padding | None:
    """The padding around the whole map; None if what is done to the parts is no plain window."""
    inner = tiled.node
    if tf.compat.as_str(inner.get_attr("padding")) != "VALID" or not axes_of(inner):
        return None
    if _spatial(inner, inner.get_attr("strides")) != (1, 1):
        return None
    cut = _two_by_two(crops)
    top, bottom, left, right = (
        tiled.padding[axis][side] - cut[axis][side] for axis in (0, 1) for side in (0, 1)
    )
    return ((top, bottom), (left, right)) if min(top, bottom, left, right) >= 0 else None


def _pair(array: Array) -> Pair:
    first, second = (int(each) for each in array)
    return (first, second)


def _two_by_two(constant: Constant) -> Padding:
    (top, bottom), (left, right) = ((int(a), int(b)) for a, b in constant.array)
    return ((top, bottom), (left, right))


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    "AvgPool": _avg_pool,
    "BatchToSpaceND": _batch_to_space,
    "Conv2D": _conv,
    "Conv2DBackpropInput": _conv_transpose,
    "DepthwiseConv2dNative": _conv,
    "MaxPool": _max_pool,
    "MaxPoolV2": _max_pool,
    "SpaceToBatchND": _space_to_batch,
}
