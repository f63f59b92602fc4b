"""The shape of each layer's output: windows counted, SAME made explicit, branches joined."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import assert_never

from ..errors import ShapeError, SpecError
from .layers import (
    SAME,
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    Leaf,
    LocalResponseNorm,
    MaxPool,
    Pair,
    ReLU,
    Scale,
    Shape,
)


def leaf_shape(layer: Leaf, path: str, in_shape: Shape) -> tuple[Leaf, Shape]:
    """The leaf with explicit padding, and the shape of its output."""
    match layer:
        case Conv() | MaxPool() | AvgPool():
            channels, *size = _map_shape(layer, path, in_shape)
            if layer.padding == SAME:
                top, left = (
                    same_padding(*args)
                    for args in zip(size, layer.kernel_size, layer.stride, strict=True)
                )
                layer = replace(layer, padding=(top, left))
            if isinstance(layer, Conv):
                if channels % layer.groups:
                    raise ShapeError(
                        f"{path}: groups {layer.groups} must divide the number of input channels,"
                        f" {channels}; change one of them"
                    )
                channels = layer.out_channels
            out = tuple(_window_count(layer, path, in_shape, axis) for axis in (0, 1))
            return layer, (channels, *out)
        case AdaptiveAvgPool(output_size):
            return layer, (_map_shape(layer, path, in_shape)[0], *output_size)
        case GlobalAvgPool():
            return layer, _map_shape(layer, path, in_shape)[:1]
        case Dense(out_features):
            return layer, (out_features,)
        case BatchNorm() | LocalResponseNorm():
            return layer, _map_shape(layer, path, in_shape)
        case ReLU() | Dropout() | Scale():
            return layer, in_shape
        case _:
            assert_never(layer)


def _map_shape(layer: Leaf, path: str, in_shape: Shape) -> Shape:
    if len(in_shape) != 3:
        raise ShapeError(
            f"{path}: {type(layer).__name__} needs a (C, H, W) input, got {in_shape}; place it"
            " before the layer that makes it a vector"
        )
    return in_shape


def same_padding(size: int, kernel: int, stride: int) -> Pair:
    """TensorFlow's SAME: ⌈size / stride⌉ outputs, the odd element of padding after the input."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _window_count(layer: Conv | MaxPool | AvgPool, path: str, in_shape: Shape, axis: int) -> int:
    size, kernel, stride = in_shape[1 + axis], layer.kernel_size[axis], layer.stride[axis]
    if isinstance(layer.padding, str):
        raise SpecError(f"{path}: SAME padding must be resolved before windows are counted")
    before, after = layer.padding[axis]
    span = size + before + after - kernel
    ceil_mode = not isinstance(layer, Conv) and layer.ceil_mode
    if span < 0 and not (ceil_mode and span > -stride):
        side = ("height", "width")[axis]
        raise ShapeError(
            f"{path}: the kernel of size {kernel} does not fit the {side} {size} of its input"
            f" {in_shape} with padding {before}+{after}"
        )
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


def concat_shape(path: str, shapes: dict[str, Shape]) -> Shape:
    """(ΣC, H, W) of branches joined at `path`. Raises `ShapeError` unless their maps agree."""
    if (
        any(len(shape) != 3 for shape in shapes.values())
        or len({shape[1:] for shape in shapes.values()}) > 1
    ):
        raise ShapeError(
            f"{path}: branches must end in maps of the same height and width, got {shapes}; align"
            " their strides and padding"
        )
    return (sum(shape[0] for shape in shapes.values()), *next(iter(shapes.values()))[1:])


def sum_shape(path: str, shapes: dict[str, Shape]) -> Shape:
    """The shape of both `body` and `shortcut` at `path`. Raises `ShapeError` if they differ."""
    if shapes["body"] != shapes["shortcut"]:
        raise ShapeError(
            f"{path}: body {shapes['body']} and shortcut {shapes['shortcut']} must have the same"
            " shape; project the shortcut"
        )
    return shapes["body"]


def size_text(size: tuple[int, ...]) -> str:
    """A shape or size in words: (3, 5) as 3×5."""
    return "×".join(map(str, size))
