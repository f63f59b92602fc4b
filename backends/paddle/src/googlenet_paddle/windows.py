"""Paddle's convolutions, pools and paddings in neutral terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from googlenet.arrays import Array
from googlenet.backend.contractions import untransposed

from .nodes import Layout, Node, Padding, Piece, Translated


def layout_of(node: Node) -> Layout:
    """The axes of the maps that an operation takes."""
    return "last" if node.attribute("data_format") == "NHWC" else "first"


def _extent(node: Node, role: str) -> tuple[int, int]:
    """Height and width of an input."""
    shape = node.given(role)
    return (shape[1], shape[2]) if layout_of(node) == "last" else (shape[2], shape[3])


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return (values[0], values[-1])


def _padding(node: Node, extent: tuple[int, int], kernel: tuple[int, int]) -> Padding:
    """((top, bottom), (left, right)), which "SAME" computes from the map, with more behind."""
    match node.attribute("padding_algorithm"):
        case "VALID":
            return ((0, 0), (0, 0))
        case "SAME":
            strides = _pair(node.numbers("strides"))
            sides = []
            for size, width, stride in zip(extent, kernel, strides, strict=True):
                total = max((-(-size // stride) - 1) * stride + width - size, 0)
                sides.append((total // 2, total - total // 2))
            return (sides[0], sides[1])
    values = node.numbers("paddings")
    if len(values) == 4:
        return ((values[0], values[1]), (values[2], values[3]))
    height, width = _pair(values)
    return ((height, height), (width, width))


def conv(node: Node) -> Translated | None:
    """A convolution."""
    weight = node.array("filter")
    if weight is None or weight.ndim != 4:
        return None
    is_same = node.attribute("padding_algorithm") == "SAME"
    # Paddle leaves no gaps in the kernel then, whatever dilation was asked for.
    dilation = (1, 1) if is_same else _pair(node.numbers("dilations"))
    kernel = (weight.shape[2], weight.shape[3])
    attributes = {
        "stride": _pair(node.numbers("strides")),
        "padding": _padding(node, _extent(node, "input"), kernel),
        "dilation": dilation,
        "groups": int(node.number("groups")),
    }
    piece = Piece("conv", attributes, {"weight": weight})
    return Translated((node.value("input"),), (piece,), layout_of(node))


def conv_transpose(node: Node) -> Translated | None:
    """A transposed convolution of single pixels, which is a convolution: any other is foreign."""
    weight, groups = node.array("filter"), int(node.number("groups"))
    if weight is None or weight.shape[2:] != (1, 1):
        return None
    is_plain = {*node.numbers("strides")} == {1} and _padding(node, _extent(node, "x"), (1, 1))
    if is_plain != ((0, 0), (0, 0)) or any(node.numbers("output_padding")):
        return None
    weight = node.constants.derived(
        weight, f"transposed {groups}", lambda array: untransposed(array, groups)
    )
    attributes = {"stride": (1, 1), "padding": is_plain, "dilation": (1, 1), "groups": groups}
    piece = Piece("conv", attributes, {"weight": weight})
    return Translated((node.value("x"),), (piece,), layout_of(node))


def unfold(node: Node) -> Translated:
    """Windows as columns."""
    top, left, bottom, right = node.numbers("paddings")
    attributes = {
        "kernel_size": _pair(node.numbers("kernel_sizes")),
        "stride": _pair(node.numbers("strides")),
        "padding": ((top, bottom), (left, right)),
        "dilation": _pair(node.numbers("dilations")),
    }
    return Translated((node.value("x"),), (Piece("unfold", attributes),), "first")


def fold(node: Node) -> Translated | None:
    """Columns of single pixels as a map: any other is foreign."""
    settings = [node.numbers(each) for each in ("kernel_sizes", "strides", "paddings")]
    if any({*numbers} != {expected} for numbers, expected in zip(settings, (1, 1, 0), strict=True)):
        return None
    piece = Piece("reshape", {"shape": node.shape[1:]})
    return Translated((node.value("x"),), (piece,), "native")


def pool(node: Node) -> Translated | None:
    """An average or max pool."""
    if len(node.given("x")) != 4:
        return None
    x, extent, layout = (node.value("x"),), _extent(node, "x"), layout_of(node)
    kernel, is_max = _pair(node.numbers("kernel_size")), node.attribute("pooling_type") == "max"
    if node.attribute("adaptive"):
        if is_max:
            return _adaptive_max(x, extent, kernel, layout)
        return Translated(x, (Piece("adaptive_avg_pool", {"output_size": kernel}),), layout)
    stride, padding = _pair(node.numbers("strides")), _padding(node, extent, kernel)
    if node.attribute("global_pooling"):
        kernel, padding = extent, ((0, 0), (0, 0))
    size = (node.shape[1], node.shape[2]) if layout == "last" else (node.shape[2], node.shape[3])
    ceil_mode = bool(node.attribute("ceil_mode"))
    if ceil_mode and size != _rounded_up(extent, kernel, stride, padding):
        # Paddle keeps a last window that begins beyond the map, which is one of more padding.
        reaching, ceil_mode = _reaching(extent, kernel, stride, padding, size), False
    else:
        reaching = padding
    window: dict[str, Any] = {"kernel_size": kernel, "stride": stride}
    window |= {"padding": reaching, "ceil_mode": ceil_mode}
    if is_max:
        return Translated(x, (Piece("max_pool", {**window, "dilation": (1, 1)}),), layout)
    if node.attribute("exclusive"):
        return Translated(x, (Piece("avg_pool", {**window, "count_include_pad": False}),), layout)
    # The divisor that Paddle takes has the padding at the top for that at the bottom too, and the
    # left for the right.
    leading = ((padding[0][0],) * 2, (padding[1][0],) * 2)
    divisor = _counts(extent, kernel, stride, padding, size, within=leading)
    counted = _counts(extent, kernel, stride, padding, size, within=reaching)
    if (divisor == counted).all():
        return Translated(x, (Piece("avg_pool", {**window, "count_include_pad": True}),), layout)
    pool = Piece("avg_pool", {**window, "count_include_pad": False})
    inside = _counts(extent, kernel, stride, padding, size, within=((0, 0), (0, 0)))
    with np.errstate(divide="ignore", invalid="ignore"):  # a window beyond the map has nothing
        other = (inside / divisor)[None, None]
    if layout == "last":
        other = other.transpose(0, 2, 3, 1)
    return Translated(x, (pool, Piece("affine", {"product": True}, {"other": other})), layout)


def _counts(
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    size: tuple[int, int],
    within: Padding,
) -> Array:
    """How many elements of each of `size` windows are in the map or the padding `within`."""
    axes = []
    for axis in range(2):
        begin = np.arange(size[axis]) * stride[axis] - padding[axis][0]
        end = np.minimum(begin + kernel[axis], extent[axis] + within[axis][1])
        axes.append(np.maximum(end - np.maximum(begin, -within[axis][0]), 0))
    counts: Array = np.outer(*axes).astype(np.float64)
    return counts


def _rounded_up(
    extent: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> tuple[int, int]:
    """How many windows there are if each must begin inside the map or the padding before it."""
    found = []
    for axis in range(2):
        before, after = padding[axis]
        room = extent[axis] + before + after - kernel[axis]
        count = -(-room // stride[axis]) + 1
        found.append(count - ((count - 1) * stride[axis] >= extent[axis] + before))
    return (found[0], found[1])


def _reaching(
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    size: tuple[int, int],
) -> Padding:
    """The padding with which exactly `size` windows fit."""
    sides = []
    for axis in range(2):
        before = padding[axis][0]
        end = (size[axis] - 1) * stride[axis] + kernel[axis] - extent[axis] - before
        sides.append((before, max(end, 0)))
    return (sides[0], sides[1])


def whole(extent: tuple[int, int], size: tuple[int, int]) -> Piece:
    """A max pool of windows that are `size` equal parts of a map."""
    window = (extent[0] // size[0], extent[1] // size[1])
    attributes = {
        "kernel_size": window,
        "stride": window,
        "padding": ((0, 0), (0, 0)),
        "ceil_mode": False,
        "dilation": (1, 1),
    }
    return Piece("max_pool", attributes)


def _adaptive_max(
    x: tuple[Any, ...], extent: tuple[int, int], size: tuple[int, int], layout: Layout
) -> Translated | None:
    """An adaptive max pool, if its windows are all alike."""
    if extent[0] % size[0] or extent[1] % size[1]:
        return None
    return Translated(x, (whole(extent, size),), layout)


def indexed_pool(node: Node) -> Translated | None:
    """A max pool that also says where its maxima are."""
    if len(node.given("x")) != 4:
        return None
    x, extent, kernel = (node.value("x"),), _extent(node, "x"), _pair(node.numbers("kernel_size"))
    if node.attribute("adaptive"):
        return _adaptive_max(x, extent, kernel, "first")
    height, width = _pair(node.numbers("paddings"))
    padding = ((height, height), (width, width))
    stride, size = _pair(node.numbers("strides")), (node.shape[2], node.shape[3])
    if node.attribute("global_pooling"):
        kernel, padding = extent, ((0, 0), (0, 0))
    window = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": _reaching(extent, kernel, stride, padding, size),
        "ceil_mode": False,
        "dilation": (1, 1),
    }
    return Translated(x, (Piece("max_pool", window),), "first")


def pad(node: Node) -> Translated | None:
    """A padding of any axes; a map's are (N, C, H, W), as Paddle knows no other here."""
    values = node.numbers("paddings")
    if len(values) != 8 or any(values[:4]):
        return None
    padding = ((values[4], values[5]), (values[6], values[7]))
    attributes = {"padding": padding, "value": node.number("pad_value")}
    return Translated((node.value("x"),), (Piece("pad", attributes),), "first")
