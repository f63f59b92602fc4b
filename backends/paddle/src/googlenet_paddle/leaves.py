"""Each leaf of the spec as Paddle spells it. Maps are (N, C, H, W)."""

from __future__ import annotations

from typing import assert_never

from paddle import nn

from googlenet import spec
from googlenet.backend.call import Argument, Call, Chain, options
from googlenet.backend.geometry import (
    counted_padding,
    covering_padding,
    explicit_padding,
    extent_padding,
    is_symmetric,
    leading,
    scalar,
    window_count,
)
from googlenet.backend.shared import scale_factors

from . import modules


def leaf(site: spec.LeafSite) -> Chain:
    """The native layer of a leaf, as data; Paddle needs one call for each."""
    return (_call(site),)


def _call(site: spec.LeafSite) -> Call:
    match site.layer:
        case spec.Conv() as conv:
            return _conv(site, conv)
        case spec.BatchNorm(eps, momentum, scale):
            target = nn.BatchNorm2D if scale else modules.UnscaledBatchNorm2D
            # Paddle's momentum is the weight of the old statistics.
            return Call(target, (site.in_shape[0], 1 - momentum, eps))
        case spec.LocalResponseNorm(size, alpha, beta, k):
            return Call(nn.LocalResponseNorm, (size, alpha, beta, k))
        case spec.MaxPool() as pool:
            return _max_pool(site, pool)
        case spec.AvgPool() as pool:
            return _avg_pool(site, pool)
        case spec.AdaptiveAvgPool(output_size):
            return Call(nn.AdaptiveAvgPool2D, (output_size,))
        case spec.GlobalAvgPool():
            return Call(modules.GlobalAvgPool2D)
        case spec.ReLU():
            return Call(nn.ReLU)
        case spec.Dropout(rate):
            return Call(nn.Dropout, (rate,))
        case spec.Dense(out_features, bias):
            settings = options(bias_attr=(None if bias else False, None))
            if len(site.in_shape) == 1:
                return Call(nn.Linear, (*site.in_shape, out_features), settings)
            return Call(modules.MapLinear, (site.in_shape, out_features), settings)
        case spec.Scale() as scale:
            return Call(modules.Scaled, scale_factors(scale))
        case _:
            assert_never(site.layer)


def _conv(site: spec.LeafSite, layer: spec.Conv) -> Call:
    settings = options(
        stride=(scalar(layer.stride), 1),
        padding=(_sides(explicit_padding(layer)), 0),
        groups=(layer.groups, 1),
        bias_attr=(None if layer.bias else False, None),
    )
    arguments = (site.in_shape[0], layer.out_channels, scalar(layer.kernel_size))
    return Call(nn.Conv2D, arguments, settings)


def _max_pool(site: spec.LeafSite, layer: spec.MaxPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    if _is_native(site, layer):
        settings = options(
            padding=(leading(explicit_padding(layer)), 0), ceil_mode=(layer.ceil_mode, False)
        )
        return Call(nn.MaxPool2D, window, settings)
    return Call(nn.MaxPool2D, window, options(padding=(_sides(_reaching(site, layer)), 0)))


def _avg_pool(site: spec.LeafSite, layer: spec.AvgPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    if _is_native(site, layer):
        settings = options(
            padding=(leading(explicit_padding(layer)), 0),
            ceil_mode=(layer.ceil_mode, False),
            exclusive=(not layer.count_include_pad, True),
        )
        return Call(nn.AvgPool2D, window, settings)
    if not layer.count_include_pad:
        padding = _sides(_reaching(site, layer))
        return Call(nn.AvgPool2D, window, options(padding=(padding, 0)))
    # If padding counts, Paddle's divisor uses the bottom's for the top's and the right's for the
    # left's.
    counted = counted_padding(site, layer) if layer.ceil_mode else explicit_padding(layer)
    settings = options(ceil_mode=(layer.ceil_mode, False))
    return Call(modules.PaddedAvgPool2D, (*window, counted, True), settings)


def _reaching(site: spec.LeafSite, layer: spec.MaxPool | spec.AvgPool) -> spec.ExplicitPadding:
    """The padding with which windows that round down are the layer's own."""
    return covering_padding(site, layer) if layer.ceil_mode else explicit_padding(layer)


def _is_native(site: spec.LeafSite, layer: spec.MaxPool | spec.AvgPool) -> bool:
    """Whether Paddle rounds as the spec does: its `ceil_mode` keeps a last window that starts
    beyond the input.
    """
    reach = extent_padding(layer, site.in_shape, window_count(site))
    sides = zip(reach, explicit_padding(layer), strict=True)
    dropped = any(end < after for (_, end), (_, after) in sides)
    return is_symmetric(layer) and not (layer.ceil_mode and dropped)


def _sides(padding: spec.ExplicitPadding) -> Argument:
    """((top, bottom), (left, right)) as Paddle's layers take it: as people write it, or all four if
    the sides differ.
    """
    (top, bottom), (left, right) = padding
    return leading(padding) if (top, left) == (bottom, right) else (top, bottom, left, right)
