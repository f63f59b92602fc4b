"""Each leaf of the spec as MindSpore spells it. Maps are (N, C, H, W)."""

from __future__ import annotations

from typing import assert_never

from mindspore import nn

from googlenet import spec
from googlenet.backend.call import Argument, Call, Chain, options
from googlenet.backend.geometry import (
    counted_padding,
    covering_padding,
    explicit_padding,
    is_symmetric,
    leading,
    same_as,
    scalar,
)
from googlenet.backend.shared import scale_factors

from . import modules


def leaf(site: spec.LeafSite) -> Chain:
    """The native layer of a leaf, as data; MindSpore needs one call for each."""
    return (_call(site),)


def _call(site: spec.LeafSite) -> Call:
    match site.layer:
        case spec.Conv() as conv:
            return _conv(site, conv)
        case spec.BatchNorm(eps, momentum, scale):
            target = nn.BatchNorm2d if scale else modules.UnscaledBatchNorm2d
            return Call(target, (site.in_shape[0], eps, 1 - momentum))
        case spec.LocalResponseNorm(size, alpha, beta, k):
            return Call(modules.LocalResponseNorm2d, (site.in_shape[0], size, alpha, beta, k))
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
            return Call(nn.Dropout, kwargs={"p": rate})
        case spec.Dense(out_features, bias):
            settings = options(has_bias=(bias, True))
            if len(site.in_shape) == 1:
                return Call(nn.Dense, (*site.in_shape, out_features), settings)
            return Call(modules.MapDense, (site.in_shape, out_features), settings)
        case spec.Scale() as scale:
            return Call(modules.Scaled, scale_factors(scale))
        case _:
            assert_never(site.layer)


def _conv(site: spec.LeafSite, layer: spec.Conv) -> Call:
    (top, bottom), (left, right) = padding = explicit_padding(layer)
    sides = (top, bottom, left, right)
    # Without a mode MindSpore pads as SAME does.
    around: dict[str, Argument] = (
        {"pad_mode": "valid"}
        if padding == spec.NO_PADDING
        else {"pad_mode": "pad", "padding": top if len(set(sides)) == 1 else sides}
    )
    settings = options(
        stride=(scalar(layer.stride), 1), group=(layer.groups, 1), has_bias=(layer.bias, False)
    )
    arguments = (site.in_shape[0], layer.out_channels, scalar(layer.kernel_size))
    return Call(nn.Conv2d, arguments, {**around, **settings})


def _max_pool(site: spec.LeafSite, layer: spec.MaxPool) -> Call:
    window, padding = (scalar(layer.kernel_size), scalar(layer.stride)), explicit_padding(layer)
    if padding == spec.NO_PADDING and not layer.ceil_mode:
        return Call(nn.MaxPool2d, window)
    covering = covering_padding(site, layer)
    if same_as(site, layer) == (covering if layer.ceil_mode else padding):
        return Call(nn.MaxPool2d, window, {"pad_mode": "same"})
    if is_symmetric(layer):
        settings = options(padding=(leading(padding), 0), ceil_mode=(layer.ceil_mode, False))
        return Call(modules.SymmetricMaxPool2d, window, settings)
    return Call(modules.PaddedMaxPool2d, (*window, covering))


def _avg_pool(site: spec.LeafSite, layer: spec.AvgPool) -> Call:
    window, padding = (scalar(layer.kernel_size), scalar(layer.stride)), explicit_padding(layer)
    if padding == spec.NO_PADDING and not layer.ceil_mode:
        return Call(nn.AvgPool2d, window)
    if is_symmetric(layer):
        settings = options(
            padding=(leading(padding), 0),
            ceil_mode=(layer.ceil_mode, False),
            count_include_pad=(layer.count_include_pad, True),
        )
        return Call(nn.AvgPool2d, window, {"pad_mode": "pad", **settings})
    counted = counted_padding(site, layer)
    return Call(modules.PaddedAvgPool2d, (*window, counted, layer.count_include_pad))
