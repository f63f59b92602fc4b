"""Each leaf of the spec as Gluon spells it. Maps are (N, C, H, W)."""

from __future__ import annotations

import math
from typing import assert_never

from mxnet.gluon import nn

from googlenet import spec
from googlenet.backend.call import Call, Chain, options
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
    """The native layer of a leaf, as data; Gluon needs one call for each."""
    return (_call(site),)


def _call(site: spec.LeafSite) -> Call:
    match site.layer:
        case spec.Conv() as conv:
            return _conv(site, conv)
        case spec.BatchNorm(eps, momentum, scale):
            settings = options(
                momentum=(1 - momentum, 0.9), epsilon=(eps, 1e-5), scale=(scale, True)
            )
            return Call(nn.BatchNorm, (), settings | {"in_channels": site.in_shape[0]})
        case spec.LocalResponseNorm(size, alpha, beta, k):
            return Call(modules.LRN, (size, alpha, beta, k))
        case spec.MaxPool() as pool:
            return _max_pool(site, pool)
        case spec.AvgPool() as pool:
            return _avg_pool(site, pool)
        case spec.AdaptiveAvgPool(output_size):
            return Call(modules.AdaptiveAvgPool2D, (output_size,))
        case spec.GlobalAvgPool():
            return Call(modules.GlobalAvgPool2D)
        case spec.ReLU():
            return Call(nn.Activation, ("relu",))
        case spec.Dropout(rate):
            return Call(nn.Dropout, (rate,))
        case spec.Dense(out_features, bias):  # it flattens a map itself, in the order C, H, W
            settings = {**options(use_bias=(bias, True)), "in_units": math.prod(site.in_shape)}
            return Call(nn.Dense, (out_features,), settings)
        case spec.Scale() as scale:
            return Call(modules.Scaled, scale_factors(scale))
        case _:
            assert_never(site.layer)


def _conv(site: spec.LeafSite, layer: spec.Conv) -> Call:
    arguments = (layer.out_channels, scalar(layer.kernel_size))
    settings = options(
        strides=(scalar(layer.stride), 1), groups=(layer.groups, 1), use_bias=(layer.bias, True)
    )
    settings["in_channels"] = site.in_shape[0]
    padding = explicit_padding(layer)
    if is_symmetric(layer):
        return Call(nn.Conv2D, arguments, options(padding=(leading(padding), 0)) | settings)
    return Call(modules.PaddedConv2D, arguments, {"padding_around": padding, **settings})


def _max_pool(site: spec.LeafSite, layer: spec.MaxPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    if _is_native(site, layer):
        padding = leading(explicit_padding(layer))
        settings = options(padding=(padding, 0), ceil_mode=(layer.ceil_mode, False))
        return Call(nn.MaxPool2D, window, settings)
    return Call(modules.PaddedMaxPool2D, (*window, covering_padding(site, layer)))


def _avg_pool(site: spec.LeafSite, layer: spec.AvgPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    if _is_native(site, layer):
        settings = options(
            padding=(leading(explicit_padding(layer)), 0),
            ceil_mode=(layer.ceil_mode, False),
            count_include_pad=(layer.count_include_pad, True),
        )
        return Call(nn.AvgPool2D, window, settings)
    # Never negative: windows round down, so that what none of them reads need not be cut off.
    (top, bottom), (left, right) = counted_padding(site, layer)
    padding = (top, max(bottom, 0)), (left, max(right, 0))
    reach = extent_padding(layer, site.in_shape, window_count(site))
    over = tuple(max(end - after, 0) for (_, end), (_, after) in zip(reach, padding, strict=True))
    counted = {"count_include_pad": layer.count_include_pad}
    return Call(
        modules.PaddedAvgPool2D, (*window, padding), counted | options(overhang=(over, (0, 0)))
    )


def _is_native(site: spec.LeafSite, layer: spec.MaxPool | spec.AvgPool) -> bool:
    """Whether Gluon's own pooling does the same: with `ceil_mode` it keeps a last window that sees
    only padding, and refuses a kernel larger than the padded map.
    """
    if not is_symmetric(layer) or not layer.ceil_mode:
        return is_symmetric(layer)
    sides = zip(
        site.in_shape[1:], explicit_padding(layer), layer.kernel_size, layer.stride, strict=True
    )
    return all(
        count == math.ceil((size + 2 * pad - kernel) / stride) + 1 and kernel <= size + 2 * pad
        for count, (size, (pad, _), kernel, stride) in zip(window_count(site), sides, strict=True)
    )
