"""Each leaf of the spec as Flax spells it. Maps are (N, H, W, C)."""

from __future__ import annotations

from typing import assert_never

from flax import nnx

from googlenet import spec
from googlenet.backend.call import Call, Chain, options
from googlenet.backend.geometry import (
    counted_padding,
    covering_padding,
    explicit_padding,
    same_as,
    scalar,
)
from googlenet.backend.shared import scale_factors

from . import modules


def leaf(site: spec.LeafSite) -> Chain:
    """The native layer of a leaf, as data; Flax needs one call for each. `rngs`, which those with
    weights or random numbers take too, is added where they are built.
    """
    return (_call(site),)


def _call(site: spec.LeafSite) -> Call:
    match site.layer:
        case spec.Conv() as conv:
            return _conv(site, conv)
        case spec.BatchNorm(eps, momentum, scale):
            # Flax's momentum is the weight of the old statistics. Its fast variance, E[x²] − E[x]²,
            # loses digits where the mean is large.
            settings = options(momentum=(1 - momentum, 0.99), epsilon=(eps, 1e-5))
            settings |= options(use_scale=(scale, True), use_fast_variance=(False, True))
            return Call(nnx.BatchNorm, (site.in_shape[0],), settings)
        case spec.LocalResponseNorm(size, alpha, beta, k):
            return Call(modules.LocalResponseNorm, (size, alpha, beta, k))
        case spec.MaxPool() as pool:
            return _max_pool(site, pool)
        case spec.AvgPool() as pool:
            return _avg_pool(site, pool)
        case spec.AdaptiveAvgPool(output_size):
            return Call(modules.AdaptiveAvgPool, (output_size,))
        case spec.GlobalAvgPool():
            return Call(modules.GlobalAvgPool)
        case spec.ReLU():
            return Call(modules.ReLU)
        case spec.Dropout(rate):
            return Call(nnx.Dropout, (rate,))
        case spec.Dense(out_features, bias):
            settings = options(use_bias=(bias, True))
            if len(site.in_shape) == 1:
                return Call(nnx.Linear, (*site.in_shape, out_features), settings)
            channels, height, width = site.in_shape
            return Call(modules.MapLinear, ((height, width, channels), out_features), settings)
        case spec.Scale() as scale:
            return Call(modules.Scaled, scale_factors(scale))
        case _:
            assert_never(site.layer)


def _conv(site: spec.LeafSite, layer: spec.Conv) -> Call:
    padding = explicit_padding(layer)
    # Only with stride 1 does "SAME" mean the same padding for every size of input.
    same = layer.stride == (1, 1) and padding == same_as(site, layer)
    settings = options(
        strides=(scalar(layer.stride), 1),
        padding=("SAME" if same else _said(padding), "SAME"),
        feature_group_count=(layer.groups, 1),
        use_bias=(layer.bias, True),
    )
    return Call(nnx.Conv, (site.in_shape[0], layer.out_channels, layer.kernel_size), settings)


def _max_pool(site: spec.LeafSite, layer: spec.MaxPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    padding = covering_padding(site, layer) if layer.ceil_mode else explicit_padding(layer)
    return Call(modules.MaxPool, window, options(padding=(_sides(padding), 0)))


def _avg_pool(site: spec.LeafSite, layer: spec.AvgPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    over = layer.ceil_mode and covering_padding(site, layer) != explicit_padding(layer)
    padding = counted_padding(site, layer) if over else explicit_padding(layer)
    settings = options(
        padding=(_sides(padding), 0),
        count_include_pad=(layer.count_include_pad, True),
        ceil_mode=(over, False),
    )
    return Call(modules.AvgPool, window, settings)


def _said(padding: spec.ExplicitPadding) -> str | int | spec.ExplicitPadding:
    """A convolution's padding in Flax's shortest words."""
    return "VALID" if padding == spec.NO_PADDING else _sides(padding)


def _sides(padding: spec.ExplicitPadding) -> int | spec.ExplicitPadding:
    """One number, if all four sides have the same padding."""
    (top, bottom), (left, right) = padding
    return top if top == bottom == left == right else padding
