"""Each leaf of the spec in NumPy and SciPy. Maps are (N, C, H, W)."""

from __future__ import annotations

from typing import assert_never

import numpy as np
from scipy import ndimage

from googlenet import Params
from googlenet.arrays import Array
from googlenet.backend.geometry import average_divisor, extent_padding, window_count
from googlenet.spec.layers import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    ExplicitPadding,
    GlobalAvgPool,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    Scale,
)
from googlenet.spec.traversal import LeafSite, join


def leaf(site: LeafSite, x: Array, params: Params) -> Array:
    """What the leaf gives for its input x; `params` are all of the model's."""

    def param(name: str) -> Array:
        return params[join(site.path, name)]

    y: Array
    match site.layer:
        case Conv(groups=groups, bias=bias) as layer:
            x = _pad(x, extent_padding(layer, site.in_shape, window_count(site)), 0)
            parts = zip(
                np.split(_windows(x, layer), groups, axis=1),
                np.split(param("weight"), groups),
                strict=True,
            )
            y = np.concatenate(
                [np.tensordot(w, part, ((1, 2, 3), (1, 4, 5))) for part, w in parts]
            ).swapaxes(0, 1)
            y = y + param("bias")[:, None, None] if bias else y
        case MaxPool() as layer:
            x = _pad(x, extent_padding(layer, site.in_shape, window_count(site)), -np.inf)
            y = _windows(x, layer).max((-2, -1))
        case AvgPool() as layer:
            count = window_count(site)
            x = _pad(x, extent_padding(layer, site.in_shape, count), 0)
            divisor = average_divisor(layer, site.in_shape, count)
            y = _windows(x, layer).sum((-2, -1)) / divisor.astype(x.dtype)
        case AdaptiveAvgPool((rows, columns)):
            height, width = x.shape[2:]
            spans = [(i * height // rows, -(-(i + 1) * height // rows)) for i in range(rows)]
            across = [
                (j * width // columns, -(-(j + 1) * width // columns)) for j in range(columns)
            ]
            means = [[x[:, :, a:b, c:d].mean((2, 3)) for c, d in across] for a, b in spans]
            y = np.stack([np.stack(row, -1) for row in means], -2)
        case GlobalAvgPool():
            y = x.mean((2, 3))
        case BatchNorm(eps, _, scale):
            mean, var, shift = (
                param(name).reshape(-1, 1, 1) for name in ("running_mean", "running_var", "bias")
            )
            y = (x - mean) / np.sqrt(var + np.float32(eps))
            y = (y * param("weight").reshape(-1, 1, 1) if scale else y) + shift
        case LocalResponseNorm(size, alpha, beta, k):
            total = (
                ndimage.uniform_filter1d(x * x, size, axis=1, mode="constant")
                if size <= x.shape[1]
                else _wide(x * x, size) / size
            )
            y = x / (k + np.float32(alpha) * total) ** np.float32(beta)
        case Dense(bias=bias):
            y = x.reshape(len(x), -1) @ param("weight").reshape(site.out_shape[0], -1).T
            y = y + param("bias") if bias else y
        case ReLU():
            y = np.maximum(x, 0)
        case Scale(factor, when):
            y = x * np.float32(factor) if when != "train" else x
        case Dropout():
            y = x
        case _:
            assert_never(site.layer)
    return y


def _wide(x: Array, size: int) -> Array:
    near = [x[:, max(c - size // 2, 0) : c + size // 2 + 1] for c in range(x.shape[1])]
    return np.stack([channels.sum(1) for channels in near], 1)


def _pad(x: Array, padding: ExplicitPadding, value: float) -> Array:
    (top, bottom), (left, right) = padding
    x = np.pad(
        x, ((0, 0), (0, 0), (top, max(bottom, 0)), (left, max(right, 0))), constant_values=value
    )
    return x[:, :, : x.shape[2] + min(bottom, 0), : x.shape[3] + min(right, 0)]


def _windows(x: Array, layer: Conv | MaxPool | AvgPool) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, layer.kernel_size, axis=(2, 3))
    return windows[:, :, :: layer.stride[0], :: layer.stride[1]]
