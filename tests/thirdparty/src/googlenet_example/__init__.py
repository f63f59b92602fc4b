"""A backend on NumPy and SciPy, as a third party would write it: forward passes alone, through the
public names of googlenet only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from googlenet import Network, check_params, fold
from googlenet.backend.checks import check_images, check_taps
from googlenet.backend.geometry import average_divisor, extent_padding, window_count
from googlenet.spec.layers import (
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    Residual,
    Scale,
    Sequential,
)
from googlenet.spec.traversal import join

from .files import file_suffix, save

__all__ = [
    "build",
    "capabilities",
    "file_suffix",
    "forward",
    "name",
    "params_of",
    "save",
    "unbiased_running_variance",
]

name = "example"
capabilities = frozenset()
unbiased_running_variance = False


@dataclass
class Model:
    network: Network
    params: dict

    def __call__(self, images, taps=frozenset()):
        found = {}

        def leaf(site):
            return lambda x: tap(site.path, _leaf(site, x, self.params))

        def compose(site, children):
            return lambda x: _compose(site, children, x, tap, found)

        def tap(path, y):
            if path in taps:
                found[path] = y
            return y

        run = fold(self.network, leaf, compose)
        return {"logits": run(images), **found}


def build(network, params, *, device=None):
    return Model(
        network, {path: array.copy() for path, array in check_params(network, params).items()}
    )


def params_of(model):
    return {path: array.copy() for path, array in model.params.items()}


def forward(model, images, *, train=False, taps=()):
    return model(check_images(model.network, images), check_taps(model.network, taps))


def _compose(site, children, x, tap, found):
    match site.layer:
        case Sequential():
            for child in children.values():
                x = child(x)
            y = x
        case Concat():
            y = np.concatenate([child(x) for child in children.values()], axis=1)
        case Residual(scale=scale):
            y = children["shortcut"](x) + np.float32(scale) * children["body"](x)
        case Aux():
            found[site.path.rpartition(".")[2]] = children["head"](x)
            return x
    return tap(site.path, y)


def _leaf(site, x, params):
    def param(name):
        return params[join(site.path, name)]

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
            return y + param("bias")[:, None, None] if bias else y
        case MaxPool() as layer:
            x = _pad(x, extent_padding(layer, site.in_shape, window_count(site)), -np.inf)
            return _windows(x, layer).max((-2, -1))
        case AvgPool() as layer:
            count = window_count(site)
            x = _pad(x, extent_padding(layer, site.in_shape, count), 0)
            return _windows(x, layer).sum((-2, -1)) / average_divisor(
                layer, site.in_shape, count
            ).astype(x.dtype)
        case AdaptiveAvgPool((rows, columns)):
            height, width = x.shape[2:]
            spans = [(i * height // rows, -(-(i + 1) * height // rows)) for i in range(rows)]
            across = [
                (j * width // columns, -(-(j + 1) * width // columns)) for j in range(columns)
            ]
            return np.stack(
                [
                    np.stack([x[:, :, a:b, c:d].mean((2, 3)) for c, d in across], -1)
                    for a, b in spans
                ],
                -2,
            )
        case GlobalAvgPool():
            return x.mean((2, 3))
        case BatchNorm(eps, _, scale):
            shape = (-1, 1, 1)
            normal = (x - param("running_mean").reshape(shape)) / np.sqrt(
                param("running_var") + np.float32(eps)
            ).reshape(shape)
            return (normal * param("weight").reshape(shape) if scale else normal) + param(
                "bias"
            ).reshape(shape)
        case LocalResponseNorm(size, alpha, beta, k):
            total = (
                ndimage.uniform_filter1d(x * x, size, axis=1, mode="constant")
                if size <= x.shape[1]
                else _wide(x * x, size) / size
            )
            return x / (k + np.float32(alpha) * total) ** np.float32(beta)
        case Dense(bias=bias):
            y = x.reshape(len(x), -1) @ param("weight").reshape(site.out_shape[0], -1).T
            return y + param("bias") if bias else y
        case ReLU():
            return np.maximum(x, 0)
        case Scale(factor, when):
            return x * np.float32(factor) if when != "train" else x
        case _:
            return x


def _wide(x, size):
    return np.stack(
        [x[:, max(c - size // 2, 0) : c + size // 2 + 1].sum(1) for c in range(x.shape[1])], 1
    )


def _pad(x, padding, value):
    (top, bottom), (left, right) = padding
    x = np.pad(
        x, ((0, 0), (0, 0), (top, max(bottom, 0)), (left, max(right, 0))), constant_values=value
    )
    return x[:, :, : x.shape[2] + min(bottom, 0), : x.shape[3] + min(right, 0)]


def _windows(x, layer):
    windows = np.lib.stride_tricks.sliding_window_view(x, layer.kernel_size, axis=(2, 3))
    return windows[:, :, :: layer.stride[0], :: layer.stride[1]]
