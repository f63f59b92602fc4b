"""What a window layer reads of its input: for adapters whose framework cannot express a padding or
rounding natively.

Any pooling is exactly: pad by `extent_padding` (−∞ for a maximum, 0 for a sum), then take windows
without padding; an average then divides by `average_divisor`. Two more paddings suit frameworks
that do their own rounding: `covering_padding` where windows round down, as for a maximum, and
`counted_padding` where they round up, for an average that must distinguish padding from overhang.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..spec.layers import AvgPool, Conv, ExplicitPadding, MaxPool, Pair, Shape
from ..spec.shapes import same_padding
from ..spec.traversal import LeafSite


def explicit_padding(layer: Conv | MaxPool | AvgPool) -> ExplicitPadding:
    """The padding of a leaf that `walk` has resolved. Raises `TypeError` for SAME, which `walk`
    never returns.
    """
    if isinstance(layer.padding, str):
        raise TypeError(
            "SAME padding must not reach a backend: walk resolves it for the input's size"
        )
    return layer.padding


def window_count(site: LeafSite) -> Pair:
    """(H', W') of a layer that yields a map."""
    _, height, width = site.out_shape
    return height, width


def extent(count: Pair, kernel: Pair, stride: Pair) -> Pair:
    """The height and width that `count` windows cover: all that a layer reads of
    its padded input.
    """
    height, width = ((n - 1) * s + k for n, k, s in zip(count, kernel, stride, strict=True))
    return height, width


def extent_padding(
    layer: Conv | MaxPool | AvgPool, in_shape: Shape, count: Pair
) -> ExplicitPadding:
    """((top, bottom), (left, right)) that makes an input (C, H, W) exactly as large as its windows
    cover.

    Bottom and right are larger than the layer's padding where `ceil_mode` hangs over, and negative
    (rows to cut off) where the last window ends before the input does.
    """
    (top, _), (left, _) = explicit_padding(layer)
    height, width = extent(count, layer.kernel_size, layer.stride)
    return (top, height - in_shape[1] - top), (left, width - in_shape[2] - left)


def covering_padding(site: LeafSite, layer: MaxPool | AvgPool) -> ExplicitPadding:
    """((top, bottom), (left, right)) with which windows that round down are the layer's own: never
    negative. What is added beyond the layer's padding must not count.
    """
    (top, bottom), (left, right) = extent_padding(layer, site.in_shape, window_count(site))
    return (top, max(bottom, 0)), (left, max(right, 0))


def counted_padding(site: LeafSite, layer: AvgPool) -> ExplicitPadding:
    """((top, bottom), (left, right)) with which windows that round up are the layer's own: its
    padding, less what no window reads (negative where rows or columns of the input are not read).
    """
    reach = extent_padding(layer, site.in_shape, window_count(site))
    (top, bottom), (left, right) = (
        (before, min(after, end))
        for (before, after), (_, end) in zip(explicit_padding(layer), reach, strict=True)
    )
    return (top, bottom), (left, right)


def same_as(site: LeafSite, layer: Conv | MaxPool | AvgPool) -> ExplicitPadding:
    """The padding that SAME means for a window layer at its input's size."""
    rows, columns = (
        same_padding(size, kernel, stride)
        for size, kernel, stride in zip(
            site.in_shape[1:], layer.kernel_size, layer.stride, strict=True
        )
    )
    return rows, columns


def scalar(pair: Pair) -> int | Pair:
    """3 for (3, 3), as people write it; (1, 7) stays as it is."""
    return pair[0] if pair[0] == pair[1] else pair


def leading(padding: ExplicitPadding) -> int | Pair:
    """A symmetric padding as frameworks take it: 1 for ((1, 1), (1, 1)), (0, 3) if axes differ."""
    (top, _), (left, _) = padding
    return scalar((top, left))


def average_divisor(layer: AvgPool, in_shape: Shape, count: Pair) -> npt.NDArray[np.int64]:
    """How many elements each window counts, (H', W'): those of the input, and perhaps the padding,
    but never the overhang.
    """

    def along(size: int, padding: Pair, n: int, kernel: int, stride: int) -> npt.NDArray[np.int64]:
        start = np.arange(n) * stride
        low, high = (
            (0, sum(padding) + size) if layer.count_include_pad else (padding[0], padding[0] + size)
        )
        counted: npt.NDArray[np.int64] = np.minimum(start + kernel, high) - np.maximum(start, low)
        return counted

    axes = zip(
        in_shape[1:], explicit_padding(layer), count, layer.kernel_size, layer.stride, strict=True
    )
    rows, columns = (along(*axis) for axis in axes)
    divisor: npt.NDArray[np.int64] = np.multiply.outer(rows, columns)
    return divisor


def is_symmetric(layer: Conv | MaxPool | AvgPool) -> bool:
    """Whether the padding is the same before and after, so that a framework's own integer padding
    can express it.
    """
    return all(before == after for before, after in explicit_padding(layer))
