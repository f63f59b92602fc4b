"""Each leaf of the spec as ONNX spells it. Maps are (N, C, H, W)."""

from __future__ import annotations

import math
from typing import assert_never

from googlenet import spec
from googlenet.backend.call import Call, Chain, options
from googlenet.backend.geometry import (
    counted_padding,
    covering_padding,
    explicit_padding,
    is_symmetric,
    window_count,
)
from googlenet.backend.shared import scale_factors

from . import modules


def leaf(site: spec.LeafSite) -> Chain:
    """The operators of a leaf, as data: ONNX flattens and cuts in operators of their own."""
    match site.layer:
        case spec.Conv() as conv:
            return (_conv(site, conv),)
        case spec.BatchNorm(eps, momentum, scale):
            # ONNX's momentum is the weight of the old statistics.
            settings = options(
                epsilon=(eps, 1e-5), momentum=(1 - momentum, 0.9), scale=(scale, True)
            )
            return (Call(modules.BatchNormalization, (site.in_shape[0],), settings),)
        case spec.LocalResponseNorm(size, alpha, beta, k):
            settings = options(alpha=(alpha, 1e-4), beta=(beta, 0.75), bias=(k, 1.0))
            return (Call(modules.LRN, (size,), settings),)
        case spec.MaxPool() as pool:
            return (_max_pool(site, pool),)
        case spec.AvgPool() as pool:
            return _avg_pool(site, pool)
        case spec.AdaptiveAvgPool(output_size):
            return (_adaptive(site, output_size),)
        case spec.GlobalAvgPool():
            return Call(modules.GlobalAveragePool), Call(modules.Flatten)
        case spec.ReLU():
            return (Call(modules.Relu),)
        case spec.Dropout(rate):
            return (Call(modules.Dropout, (rate,)),)
        case spec.Dense(out_features, bias):
            features = (math.prod(site.in_shape), out_features)
            dense = Call(modules.Gemm, features, options(bias=(bias, True)))
            return (dense,) if len(site.in_shape) == 1 else (Call(modules.Flatten), dense)
        case spec.Scale() as scale:
            _, factor = scale_factors(scale)
            return (Call(modules.Identity) if factor == 1 else Call(modules.Mul, (factor,)),)
        case _:
            assert_never(site.layer)


def _conv(site: spec.LeafSite, layer: spec.Conv) -> Call:
    settings = options(
        strides=(layer.stride, (1, 1)),
        pads=(_pads(explicit_padding(layer)), (0, 0, 0, 0)),
        group=(layer.groups, 1),
        bias=(layer.bias, True),
    )
    arguments = (site.in_shape[0], layer.out_channels, layer.kernel_size)
    return Call(modules.Conv, arguments, settings)


def _max_pool(site: spec.LeafSite, layer: spec.MaxPool) -> Call:
    padding, rounds_up = explicit_padding(layer), layer.ceil_mode
    if not is_symmetric(layer) or _is_cut(site, layer):
        padding, rounds_up = covering_padding(site, layer), False
    settings = options(
        strides=(layer.stride, (1, 1)),
        pads=(_pads(padding), (0, 0, 0, 0)),
        ceil_mode=(int(rounds_up), 0),
    )
    return Call(modules.MaxPool, (layer.kernel_size,), settings)


def _avg_pool(site: spec.LeafSite, layer: spec.AvgPool) -> Chain:
    padding = explicit_padding(layer)
    if _is_cut(site, layer):
        padding = counted_padding(site, layer)
    (top, bottom), (left, right) = padding
    settings = options(
        strides=(layer.stride, (1, 1)),
        pads=((top, left, max(bottom, 0), max(right, 0)), (0, 0, 0, 0)),
        ceil_mode=(int(layer.ceil_mode), 0),
        count_include_pad=(int(layer.count_include_pad), 0),
    )
    pool = Call(modules.AveragePool, (layer.kernel_size,), settings)
    if min(bottom, right) >= 0:
        return (pool,)
    return Call(modules.Pad, ((0, 0, min(bottom, 0), min(right, 0)),)), pool


def _is_cut(site: spec.LeafSite, layer: spec.MaxPool | spec.AvgPool) -> bool:
    """Whether a pool that rounds up leaves out a last window, which would begin behind the input:
    onnxruntime does so, too, but ONNX's shape inference only since opset 22.
    """
    sizes = zip(
        site.in_shape[1:],
        explicit_padding(layer),
        layer.kernel_size,
        layer.stride,
        window_count(site),
        strict=True,
    )
    return layer.ceil_mode and any(
        -(-(size + sum(padding) - kernel) // stride) + 1 > count
        for size, padding, kernel, stride, count in sizes
    )


def _adaptive(site: spec.LeafSite, output_size: spec.Pair) -> Call:
    """Windows of one size where that fits, as exporters have it; else ONNX has no operator."""
    _, height, width = site.in_shape
    if output_size == (1, 1):
        return Call(modules.GlobalAveragePool)
    if height % output_size[0] or width % output_size[1]:
        return Call(modules.AdaptiveAveragePool, ((height, width), output_size))
    window = (height // output_size[0], width // output_size[1])
    return Call(modules.AveragePool, (window,), options(strides=(window, (1, 1))))


def _pads(padding: spec.ExplicitPadding) -> tuple[int, int, int, int]:
    """ONNX's order: all beginnings, then all ends."""
    (top, bottom), (left, right) = padding
    return top, left, bottom, right
