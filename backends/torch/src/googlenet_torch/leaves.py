"""Each leaf of the spec as PyTorch spells it. Maps are (N, C, H, W)."""

from __future__ import annotations

from typing import assert_never

from torch import nn

from googlenet import spec
from googlenet.backend.call import Call, Chain, options
from googlenet.backend.geometry import (
    counted_padding,
    covering_padding,
    explicit_padding,
    is_symmetric,
    leading,
    scalar,
)
from googlenet.backend.shared import scale_factors

from . import modules


def leaf(site: spec.LeafSite) -> Chain:
    """The native layer of a leaf, as data; PyTorch needs one call for each."""
    return (_call(site),)


def _call(site: spec.LeafSite) -> Call:
    match site.layer:
        case spec.Conv() as conv:
            return _conv(site, conv)
        case spec.BatchNorm(eps, momentum, scale):
            target = nn.BatchNorm2d if scale else modules.UnscaledBatchNorm2d
            return Call(target, (site.in_shape[0], eps, momentum))
        case spec.LocalResponseNorm(size, alpha, beta, k):
            return Call(nn.LocalResponseNorm, (size, alpha, beta, k))
        case spec.MaxPool() as pool:
            return _max_pool(site, pool)
        case spec.AvgPool() as pool:
            return _avg_pool(site, pool)
        case spec.AdaptiveAvgPool(output_size):
            return Call(nn.AdaptiveAvgPool2d, (output_size,))
        case spec.GlobalAvgPool():
            return Call(modules.GlobalAvgPool2d)
        case spec.ReLU():
            return Call(nn.ReLU)
        case spec.Dropout(rate):
            return Call(nn.Dropout, (rate,))
        case spec.Dense(out_features, bias):
            if len(site.in_shape) == 1:
                return Call(nn.Linear, (*site.in_shape, out_features), options(bias=(bias, True)))
            return Call(
                modules.MapLinear, (site.in_shape, out_features), options(bias=(bias, True))
            )
        case spec.Scale() as scale:
            return Call(modules.Scaled, scale_factors(scale))
        case _:
            assert_never(site.layer)


def _conv(site: spec.LeafSite, layer: spec.Conv) -> Call:
    settings = options(
        stride=(scalar(layer.stride), 1), groups=(layer.groups, 1), bias=(layer.bias, True)
    )
    arguments = (site.in_shape[0], layer.out_channels, scalar(layer.kernel_size))
    padding = explicit_padding(layer)
    if is_symmetric(layer):
        return Call(nn.Conv2d, arguments, settings | options(padding=(leading(padding), 0)))
    return Call(modules.PaddedConv2d, arguments, {"padding_around": padding, **settings})


def _max_pool(site: spec.LeafSite, layer: spec.MaxPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    if is_symmetric(layer):
        padding = leading(explicit_padding(layer))
        settings = options(padding=(padding, 0), ceil_mode=(layer.ceil_mode, False))
        return Call(nn.MaxPool2d, window, settings)
    return Call(modules.PaddedMaxPool2d, (*window, covering_padding(site, layer)))


def _avg_pool(site: spec.LeafSite, layer: spec.AvgPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    if is_symmetric(layer):
        settings = options(
            padding=(leading(explicit_padding(layer)), 0),
            ceil_mode=(layer.ceil_mode, False),
            count_include_pad=(layer.count_include_pad, True),
        )
        return Call(nn.AvgPool2d, window, settings)
    padding = counted_padding(site, layer)
    return Call(modules.PaddedAvgPool2d, (*window, padding, layer.count_include_pad))
