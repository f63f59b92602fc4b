"""Each leaf of the spec as Keras spells it, on TensorFlow. Maps are (N, H, W, C)."""

from __future__ import annotations

from typing import assert_never

import keras

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
    """The native layers of a leaf, as data: Keras pads and flattens in separate layers."""
    match site.layer:
        case spec.Conv() as conv:
            return _conv(site, conv)
        case spec.BatchNorm(eps, momentum, scale):
            # Keras's momentum is the weight of the old statistics.
            settings = options(momentum=(1 - momentum, 0.99), epsilon=(eps, 1e-3))
            return (
                Call(keras.layers.BatchNormalization, (), settings | options(scale=(scale, True))),
            )
        case spec.LocalResponseNorm(size, alpha, beta, k):
            return (Call(modules.LocalResponseNormalization, (size, alpha, beta, k)),)
        case spec.MaxPool() as pool:
            return (_max_pool(site, pool),)
        case spec.AvgPool() as pool:
            return (_avg_pool(site, pool),)
        case spec.AdaptiveAvgPool(output_size):
            return _adaptive(site, output_size)
        case spec.GlobalAvgPool():
            return (Call(keras.layers.GlobalAveragePooling2D),)
        case spec.ReLU():
            return (Call(keras.layers.ReLU),)
        case spec.Dropout(rate):
            return (Call(keras.layers.Dropout, (rate,)),)
        case spec.Dense(out_features, bias):
            dense = Call(keras.layers.Dense, (out_features,), options(use_bias=(bias, True)))
            return (dense,) if len(site.in_shape) == 1 else (Call(keras.layers.Flatten), dense)
        case spec.Scale() as scale:
            return (Call(modules.Scaled, scale_factors(scale)),)
        case _:
            assert_never(site.layer)


def _conv(site: spec.LeafSite, layer: spec.Conv) -> Chain:
    window = (layer.out_channels, scalar(layer.kernel_size))
    settings = options(
        strides=(scalar(layer.stride), 1), groups=(layer.groups, 1), use_bias=(layer.bias, True)
    )
    padding = explicit_padding(layer)
    said = _said(site, layer, padding)
    if said is not None:
        return (Call(keras.layers.Conv2D, window, settings | options(padding=(said, "valid"))),)
    return Call(keras.layers.ZeroPadding2D, (padding,)), Call(keras.layers.Conv2D, window, settings)


def _max_pool(site: spec.LeafSite, layer: spec.MaxPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    padding = _rounding_down(site, layer)
    said = _said(site, layer, padding)
    if said is not None:
        return Call(keras.layers.MaxPooling2D, window, options(padding=(said, "valid")))
    return Call(modules.PaddedMaxPooling2D, (*window, padding))


def _avg_pool(site: spec.LeafSite, layer: spec.AvgPool) -> Call:
    window = (scalar(layer.kernel_size), scalar(layer.stride))
    said = _said(site, layer, _rounding_down(site, layer))
    # TensorFlow's own average never counts padding.
    uncounted = not layer.count_include_pad or explicit_padding(layer) == spec.NO_PADDING
    if said is not None and uncounted:
        return Call(keras.layers.AveragePooling2D, window, options(padding=(said, "valid")))
    padding = counted_padding(site, layer)
    return Call(modules.PaddedAveragePooling2D, (*window, padding, layer.count_include_pad))


def _adaptive(site: spec.LeafSite, output_size: tuple[int, int]) -> Chain:
    """Means over windows that cover the map. In a graph Keras's own layer fails along an axis that
    has one pixel, or is to have one: docs/framework-bugs.md.
    """
    sizes = list(zip(site.in_shape[1:], output_size, strict=True))
    usual = [1 not in each for each in sizes]
    if all(usual):
        return (Call(keras.layers.AdaptiveAveragePooling2D, (output_size,)),)
    if output_size == (1, 1):
        return (Call(keras.layers.GlobalAveragePooling2D, (), {"keepdims": True}),)
    # One pixel is repeated, and all pixels become their mean; two are enough for Keras's own.
    few = 2 if any(usual) else 1
    repeats = tuple(max(after, few) if before == 1 else 1 for before, after in sizes)
    given = [before * repeat for (before, _), repeat in zip(sizes, repeats, strict=True)]
    windows = tuple(
        size if after == 1 else 1 for size, (_, after) in zip(given, sizes, strict=True)
    )
    between = tuple(
        after if own else size for size, (_, after), own in zip(given, sizes, usual, strict=True)
    )
    chain = [
        Call(keras.layers.UpSampling2D, (repeats,)) if repeats != (1, 1) else None,
        Call(keras.layers.AdaptiveAveragePooling2D, (between,)) if any(usual) else None,
        Call(keras.layers.AveragePooling2D, (windows,)) if windows != (1, 1) else None,
    ]
    return tuple(each for each in chain if each is not None)


def _rounding_down(site: spec.LeafSite, layer: spec.MaxPool | spec.AvgPool) -> spec.ExplicitPadding:
    """The padding with which windows that round down, as Keras's always do, match the layer's."""
    return covering_padding(site, layer) if layer.ceil_mode else explicit_padding(layer)


def _said(
    site: spec.LeafSite,
    layer: spec.Conv | spec.MaxPool | spec.AvgPool,
    padding: spec.ExplicitPadding,
) -> str | None:
    """Keras's word for a padding, or None if it has none for this size of input: with a stride,
    "same" is not symmetric at every size.
    """
    if padding == spec.NO_PADDING:
        return "valid"
    return "same" if padding == same_as(site, layer) else None
