"""Forward and backward of every leaf in NumPy, in any floating dtype.

Maps are (N, H, W, C) inside the reference: channels last makes a convolution one matrix product.
Each function returns its output and a function from the output's gradient to the input's; those
with weights also return the gradients of their weights. The formulas are those of `googlenet.spec`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..arrays import Array
from ..backend.geometry import average_divisor, explicit_padding, extent
from ..spec.layers import (
    AvgPool,
    BatchNorm,
    Conv,
    ExplicitPadding,
    LocalResponseNorm,
    MaxPool,
    Pair,
)

Backward: TypeAlias = Callable[[Array], Array]
WeightedBackward: TypeAlias = Callable[[Array], tuple[Array, dict[str, Array]]]
Dot: TypeAlias = Callable[[Array, Array], Array]
Rounding: TypeAlias = Callable[[Array], Array]


def as_it_is(x: Array) -> Array:
    """`x` itself."""
    return x


def round_float32(x: Array) -> Array:
    """`x` rounded to the nearest float32, in its own dtype; subnormal numbers, which some
    processors' modes drop, become 0.
    """
    kept = x.astype(np.float32).astype(x.dtype)
    return np.where(np.abs(kept) < np.finfo(np.float32).tiny, 0.0, kept)


@dataclass
class Choice:
    """Which side of 0 each element of a ReLU is on, or which element of each window wins: where
    gradients jump.

    `made` is what the backward pass decided; `fixed`, if given, is decided already: the positive
    elements of a ReLU, or each window's winner as its position in row-major order.
    """

    fixed: Array | None = None
    made: Array | None = None


def pad(x: Array, padding: ExplicitPadding, end: Pair, value: float) -> Array:
    """x (N, H, W, C) with `padding` around it, then grown or cut at the bottom and right to `end`
    (height, width).
    """
    (top, _), (left, _) = padding
    batch, height, width, channels = x.shape
    if (top, left) == (0, 0) and end == (height, width):
        return x
    padded = np.full((batch, *end, channels), value, x.dtype)
    inside = padded[:, top : top + height, left : left + width]
    inside[...] = x[:, : inside.shape[1], : inside.shape[2]]
    return padded


def unpad(dx: Array, padding: ExplicitPadding, size: Pair) -> Array:
    """The adjoint of `pad`: the gradient of x (N, H, W, C), zero where x was cut off."""
    (top, _), (left, _) = padding
    height, width = size
    inside = dx[:, top : top + height, left : left + width]
    if inside.shape[1:3] == size:
        return inside
    grown = np.zeros((dx.shape[0], height, width, dx.shape[3]), dx.dtype)
    grown[:, : inside.shape[1], : inside.shape[2]] = inside
    return grown


def windows(x: Array, count: Pair, kernel: Pair, stride: Pair) -> Array:
    """A read-only view (N, H', W', kh, kw, C) of the windows of x (N, H, W, C)."""
    n, h, w, c = x.strides
    strides = (n, h * stride[0], w * stride[1], h, w, c)
    return as_strided(x, (x.shape[0], *count, *kernel, x.shape[3]), strides, writeable=False)


def offsets(kernel: Pair, stride: Pair, count: Pair) -> list[tuple[slice, slice]]:
    """For each kernel position in row-major order, where the `count` windows have that element in
    the padded input.
    """
    (kh, kw), (sh, sw), (rows, columns) = kernel, stride, count
    vertical = [slice(u, u + (rows - 1) * sh + 1, sh) for u in range(kh)]
    horizontal = [slice(v, v + (columns - 1) * sw + 1, sw) for v in range(kw)]
    return [(rows_at, columns_at) for rows_at in vertical for columns_at in horizontal]


def conv(
    x: Array, layer: Conv, weight: Array, bias: Array | None, count: Pair, dot: Dot
) -> tuple[Array, WeightedBackward]:
    """Convolution as one matrix product per group: the windows (N·H'·W', kh·kw·C) times the kernel
    (kh·kw·C, O).

    `weight` is (kh, kw, C / groups, O), `bias` (O,); `count` is (H', W').
    """
    batch, kernel, stride, groups = x.shape[0], layer.kernel_size, layer.stride, layer.groups
    padding, end = explicit_padding(layer), extent(count, layer.kernel_size, layer.stride)
    inputs, outputs = x.shape[3] // groups, layer.out_channels // groups
    pointwise = kernel == stride == (1, 1)

    def columns(group: int) -> Array:
        part = x if groups == 1 else x[..., group * inputs : (group + 1) * inputs]
        part = pad(part, padding, end, 0.0)
        if not pointwise:
            part = windows(part, count, kernel, stride)
        return part.reshape(-1, math.prod(kernel) * inputs)

    def kernel_of(group: int) -> Array:
        return weight[..., group * outputs : (group + 1) * outputs].reshape(-1, outputs)

    parts = [dot(columns(group), kernel_of(group)) for group in range(groups)]
    y = parts[0] if groups == 1 else np.concatenate(parts, axis=1)
    if bias is not None:
        y += bias
    y = y.reshape(batch, *count, layer.out_channels)

    def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
        dx, dweight = np.empty_like(x), np.empty_like(weight)
        for group in range(groups):
            dpart = dy[..., group * outputs : (group + 1) * outputs].reshape(-1, outputs)
            dweight[..., group * outputs : (group + 1) * outputs] = dot(
                columns(group).T, dpart
            ).reshape(*kernel, inputs, outputs)
            dwindows = dot(dpart, kernel_of(group).T).reshape(
                batch, *count, math.prod(kernel), inputs
            )
            dpadded = np.zeros((batch, *end, inputs), x.dtype)
            for position, (rows, cols) in enumerate(offsets(kernel, stride, count)):
                dpadded[:, rows, cols] += dwindows[..., position, :]
            dx[..., group * inputs : (group + 1) * inputs] = unpad(
                dpadded, padding, (x.shape[1], x.shape[2])
            )
        return dx, (
            {"weight": dweight}
            if bias is None
            else {
                "weight": dweight,
                "bias": dy.sum((0, 1, 2)),
            }
        )

    return y, backward


def dense(x: Array, weight: Array, bias: Array | None, dot: Dot) -> tuple[Array, WeightedBackward]:
    """`x · weight + bias` with x flattened from (N, H, W, C) or (N, C), and weight (inputs, O) in
    the same order.
    """
    flat = x.reshape(x.shape[0], -1)
    y = dot(flat, weight)
    if bias is not None:
        y += bias

    def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
        dx = dot(dy, weight.T).reshape(x.shape)
        dweight = dot(flat.T, dy)
        return dx, {"weight": dweight} if bias is None else {"weight": dweight, "bias": dy.sum(0)}

    return y, backward


def relu(x: Array, choice: Choice) -> tuple[Array, Backward]:
    """`max(x, 0)`, of any shape; the gradient passes where the result is positive, or where the
    choice says so.
    """
    y = np.maximum(x, 0)

    def backward(dy: Array) -> Array:
        choice.made = y > 0 if choice.fixed is None else choice.fixed
        return dy * choice.made

    return y, backward


def max_pool(x: Array, layer: MaxPool, count: Pair, choice: Choice) -> tuple[Array, Backward]:
    """The maximum of each window; the gradient goes to the first in row-major order, or where the
    choice says.
    """
    kernel, stride, padding = layer.kernel_size, layer.stride, explicit_padding(layer)
    padded = pad(x, padding, extent(count, kernel, stride), -np.inf)
    # The maximum over rows, then over columns: kh + kw passes instead of kh · kw.
    tall = _reduce(
        np.maximum,
        padded,
        [np.s_[:, rows] for rows, _ in offsets((kernel[0], 1), (stride[0], 1), (count[0], 1))],
    )
    y = _reduce(
        np.maximum,
        tall,
        [np.s_[:, :, cols] for _, cols in offsets((1, kernel[1]), (1, stride[1]), (1, count[1]))],
    )

    def backward(dy: Array) -> Array:
        places = offsets(kernel, stride, count)
        choice.made = winner = winners(x, layer, count) if choice.fixed is None else choice.fixed
        dpadded = np.zeros_like(padded)
        for position, (rows, cols) in enumerate(places):
            dpadded[:, rows, cols] += dy * (winner == position)
        return unpad(dpadded, padding, (x.shape[1], x.shape[2]))

    return y, backward


def _reduce(function: Any, x: Array, places: list[Any]) -> Array:
    if len(places) == 1:
        return np.array(x[places[0]])
    y: Array = function(x[places[0]], x[places[1]])
    for place in places[2:]:
        function(y, x[place], out=y)
    return y


def winners(x: Array, layer: MaxPool, count: Pair) -> Array:
    """The position (N, H', W', C) of each window's first maximum, in row-major order of the kernel;
    x is (N, H, W, C).
    """
    padded = pad(
        x, explicit_padding(layer), extent(count, layer.kernel_size, layer.stride), -np.inf
    )
    first, *others = (
        padded[:, rows, cols] for rows, cols in offsets(layer.kernel_size, layer.stride, count)
    )
    best, winner = first, np.zeros(first.shape, np.int16)
    for position, value in enumerate(others, start=1):
        ahead = value > best
        best, winner = np.where(ahead, value, best), np.where(ahead, np.int16(position), winner)
    return winner


def chosen(x: Array, layer: MaxPool, count: Pair, at: tuple[Array, ...], position: Array) -> Array:
    """The element of x (N, H, W, C) at `position` (k,) of each window `at` (n, row, column,
    channel), k of each; −∞ in the padding.
    """
    n, row, column, channel = at
    (top, _), (left, _) = explicit_padding(layer)
    below, right = np.divmod(position.astype(np.intp), layer.kernel_size[1])
    y = row * layer.stride[0] + below - top
    z = column * layer.stride[1] + right - left
    inside = (y >= 0) & (y < x.shape[1]) & (z >= 0) & (z < x.shape[2])
    found = np.full(position.shape, -np.inf, x.dtype)
    found[inside] = x[n[inside], y[inside], z[inside], channel[inside]]
    return found


def avg_pool(x: Array, layer: AvgPool, count: Pair) -> tuple[Array, Backward]:
    """The mean of each window over the elements that the divisor counts."""
    kernel, stride, padding = layer.kernel_size, layer.stride, explicit_padding(layer)
    end = extent(count, kernel, stride)
    padded = pad(x, padding, end, 0.0)
    places = offsets(kernel, stride, count)
    divisor = average_divisor(layer, (x.shape[3], *x.shape[1:3]), count).astype(x.dtype)[
        None, :, :, None
    ]
    y = _reduce(np.add, padded, [(slice(None), *place) for place in places]) / divisor

    def backward(dy: Array) -> Array:
        dpadded = np.zeros_like(padded)
        share = dy / divisor
        for rows_at, columns_at in places:
            dpadded[:, rows_at, columns_at] += share
        return unpad(dpadded, padding, (x.shape[1], x.shape[2]))

    return y, backward


def adaptive_avg_pool(x: Array, output_size: Pair) -> tuple[Array, Backward]:
    """The mean over nearly equal windows: two products with averaging matrices, one per axis."""
    down, across = (
        _averaging(size, out).astype(x.dtype)
        for size, out in zip(x.shape[1:3], output_size, strict=True)
    )
    y = np.einsum("ih,nhwc,jw->nijc", down, x, across, optimize=True)
    return y, lambda dy: np.einsum("ih,nijc,jw->nhwc", down, dy, across, optimize=True)


def _averaging(size: int, out: int) -> Array:
    matrix = np.zeros((out, size))
    for i in range(out):
        start, stop = i * size // out, -(-(i + 1) * size // out)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix


def global_avg_pool(x: Array) -> tuple[Array, Backward]:
    """(N, H, W, C) → (N, C)."""
    area = x.shape[1] * x.shape[2]
    return x.mean((1, 2)), lambda dy: np.broadcast_to(dy[:, None, None, :] / area, x.shape)


def local_response_norm(x: Array, layer: LocalResponseNorm) -> tuple[Array, Backward]:
    """`x / base^beta` with `base = k + alpha / size · Σ x²` over the neighbouring channels."""
    base = layer.k + layer.alpha / layer.size * _sum_channels(x * x, layer.size)
    scale = base**-layer.beta
    y = x * scale

    def backward(dy: Array) -> Array:
        inner = _sum_channels(dy * x * scale / base, layer.size)
        return dy * scale - 2 * layer.alpha * layer.beta / layer.size * x * inner

    return y, backward


def _sum_channels(x: Array, size: int) -> Array:
    """The sum over the `size` channels centred on each, cut off at the ends."""
    total = x.copy()
    for distance in range(1, min(size // 2, x.shape[3] - 1) + 1):
        total[..., distance:] += x[..., :-distance]
        total[..., :-distance] += x[..., distance:]
    return total


def batch_norm(
    x: Array,
    layer: BatchNorm,
    weight: Array | None,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    train: bool,
    rounding: Rounding = as_it_is,
) -> tuple[Array, WeightedBackward]:
    """Normalise with the `mean` and biased `var` given; in training mode they are x's own, and the
    gradient passes through them. `rounding` is applied to var + eps.
    """
    inverse = 1 / np.sqrt(rounding(var + x.dtype.type(layer.eps)))
    normal = (x - mean) * inverse
    y = (normal if weight is None else normal * weight) + bias

    def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
        grads = {} if weight is None else {"weight": (dy * normal).sum((0, 1, 2))}
        grads["bias"] = dy.sum((0, 1, 2))
        dnormal = dy if weight is None else dy * weight
        if train:
            dnormal = (
                dnormal - dnormal.mean((0, 1, 2)) - normal * (dnormal * normal).mean((0, 1, 2))
            )
        return dnormal * inverse, grads

    return y, backward
