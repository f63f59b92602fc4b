"""Pools and means."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from .calls import RESHAPES, Call, Pads, Piece, Tensor, Translated, is_map, pair_of, reshape
from .layers import explicit, symmetric


def _count(size: int, kernel: int, stride: int, pads: tuple[int, int], ceil_mode: bool) -> int:
    """How many windows an axis has: one that would begin in the padding behind is left out."""
    room = size + sum(pads) - kernel
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - (ceil_mode and (count - 1) * stride >= size + pads[0])


def _rounding(
    size: Sequence[int], out: Sequence[int], reach: Sequence[int], stride: Any, padding: Pads
) -> bool | None:
    """Whether windows round up, told from how many there are; None if neither fits."""
    for ceil_mode in (False, True):
        counts = [
            _count(size[axis], reach[axis], stride[axis], padding[axis], ceil_mode)
            for axis in range(2)
        ]
        if counts == list(out):
            return ceil_mode
    return None


def _max_pool(
    call: Call, kernel: Any, stride: Any, padding: Pads, dilation: Any = (1, 1)
) -> Translated:
    """A max pool on a map, or on one with an axis of one in its middle."""
    kernel, stride, dilation = pair_of(kernel), pair_of(stride), pair_of(dilation)
    size, out = call.args[0].shape[-2:], call.shape[-2:]
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in range(2)]
    ceil_mode = _rounding(size, out, reach, stride, padding)
    if ceil_mode is None:  # −∞ around costs nothing
        ceil_mode, sides = False, []
        for axis in range(2):
            end = (out[axis] - 1) * stride[axis] + reach[axis] - size[axis] - padding[axis][0]
            sides.append((padding[axis][0], max(end, 0)))
        padding = (sides[0], sides[1])
    attributes = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "dilation": dilation,
    }
    return _flat(call, Piece("max_pool", attributes))


def _avg_pool(
    call: Call, kernel: Any, stride: Any, padding: Pads, included: bool, divisor: Any = None
) -> Translated:
    kernel, stride = pair_of(kernel), pair_of(stride)
    x, uncut = call.args[0], _uncut(call, call.args[0])
    for given in (uncut, x):
        if given is None:
            continue
        ceil_mode = _rounding(given.shape[-2:], call.shape[-2:], kernel, stride, padding)
        if ceil_mode is None or (
            given is uncut and (ceil_mode or not _ends(call, x, kernel, stride, padding))
        ):
            continue
        attributes = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "ceil_mode": ceil_mode,
        }
        if divisor in (None, 0):
            piece = Piece("avg_pool", {**attributes, "count_include_pad": included})
        elif divisor == 1:
            piece = Piece("sum_pool", attributes)
        else:
            return None
        return _flat(call, replace(piece, inputs=(given,)))
    return None


def _ends(call: Call, x: Tensor, kernel: Any, stride: Any, padding: Pads) -> bool:
    """Whether the last windows end where `x` does, so that what was cut off before does not
    matter.
    """
    return all(
        (call.shape[-2 + axis] - 1) * stride[axis] + kernel[axis] - padding[axis][0]
        <= x.shape[-2 + axis]
        for axis in range(2)
    )


def _uncut(call: Call, x: Tensor) -> Tensor | None:
    """The map from which rows below and columns to the right were cut off to give `x`."""
    before = call.before(x)
    if before is not None and before.kind in RESHAPES and is_map(before.args[0]):
        x = before.args[0]
        before = call.before(x)
    if before is None or before.kind != "StridedSlice" or not is_map(before.args[0]):
        return None
    begin, _, strides = before.args[1:4]
    if any(begin) or any(each != 1 for each in strides) or len(before.shape) != 4:
        return None
    uncut: Tensor = before.args[0]
    return uncut if uncut.shape[:2] == before.shape[:2] else None


def _flat(call: Call, piece: Piece) -> Translated:
    """A pool of maps that have an axis of one in their middle, as a pool without that axis."""
    x = call.args[0] if piece.inputs is None else piece.inputs[0]
    if len(call.shape) == 4:
        return piece
    if len(call.shape) != 5 or call.shape[2] != 1:
        return None
    out = (*call.shape[:2], *call.shape[3:])
    pieces = [replace(piece, shape=out, inputs=None), reshape(call.shape)]
    if len(x.shape) == 4:
        return [replace(pieces[0], inputs=(x,)), pieces[1]]
    flat = (*x.shape[:2], *x.shape[3:])
    return [replace(reshape(flat), inputs=(x,)), *pieces]


def _max_pool_2d(call: Call) -> Translated:
    found = call.attributes
    if not is_map(call.args[0]) or found.get("format", "NCHW") != "NCHW":
        return None
    kernel, stride = found["kernel_size"][2:], found["strides"][2:]
    padding = explicit(found["pad_mode"], (), call.args[0].shape[2:], kernel, stride, (1, 1))
    return _max_pool(call, kernel, stride, padding)


def _max_pool_v2(call: Call) -> Translated:
    found = call.attributes
    if not is_map(call.args[0]):
        return None
    kernel, stride, pads, dilation = (
        pair_of(found[each][-2:]) for each in ("kernel_size", "strides", "pads", "dilation")
    )
    return _max_pool(call, kernel, stride, symmetric(pads), dilation)


def _max_pool_with_mask(call: Call) -> Translated:
    if not is_map(call.args[0]):
        return None
    kernel, stride, padding, dilation = call.args[1:5]
    return _max_pool(call, kernel, stride or kernel, symmetric(padding), dilation)


def _max_pool_3d(call: Call) -> Translated:
    found = call.attributes
    kernel, stride = found["kernel_size"][-3:], found["strides"][-3:]
    sides = _sides_3d(call, kernel, stride)
    return None if sides is None else _max_pool(call, kernel[1:], stride[1:], sides)


def _max_pool_3d_argmax(call: Call) -> Translated:
    found = call.attributes
    kernel, stride, pads, dilation = (
        found[each] for each in ("ksize", "strides", "pads", "dilation")
    )
    if not _is_flat(call, kernel, pads[0]):
        return None
    return _max_pool(call, kernel[1:], stride[1:], symmetric(pads[1:]), dilation[1:])


def _avg_pool_3d(call: Call) -> Translated:
    found = call.attributes
    kernel, stride = found["kernel_size"][-3:], found["strides"][-3:]
    sides = _sides_3d(call, kernel, stride)
    if sides is None:
        return None
    included = bool(found["count_include_pad"])
    return _avg_pool(call, kernel[1:], stride[1:], sides, included, found["divisor_override"])


def _is_flat(call: Call, kernel: Sequence[int], front: int) -> bool:
    """Whether a pool of volumes (N, C, 1, H, W) is one of maps: it does nothing along the 1."""
    x = call.args[0]
    return isinstance(x, Tensor) and x.shape[2:3] == (1,) and kernel[0] == 1 and front == 0


def _sides_3d(call: Call, kernel: Sequence[int], stride: Sequence[int]) -> Pads | None:
    found = call.attributes
    sides = found["pad_list"]
    if not _is_flat(call, kernel, sides[0]):
        return None
    mode, size = found["pad_mode"], call.args[0].shape[3:]
    return explicit(mode, sides[2:], size, kernel[1:], stride[1:], (1, 1))


def _avg_pool_2d(call: Call) -> Translated:
    """`ops.AvgPool`: what is around a map never counts."""
    x, kernel, stride, mode = call.args[:4]
    if not is_map(x) or call.arg(4) not in (0, None) or mode not in _PAD_MODES:
        return None
    kernel, stride = kernel[-2:], stride[-2:]
    padding = explicit(_PAD_MODES[mode], (), x.shape[2:], kernel, stride, (1, 1))
    return _avg_pool(call, kernel, stride, padding, padding == _NO_PADDING)


_NO_PADDING: Final = ((0, 0), (0, 0))


_PAD_MODES: Final = {1: "same", 2: "valid"}


def _avg_pool_ext(call: Call) -> Translated:
    x, kernel, stride, padding, _, included, divisor = call.args
    if not is_map(x):
        return None
    return _avg_pool(call, kernel, stride or kernel, symmetric(padding), bool(included), divisor)


def _adaptive_avg_pool(call: Call) -> Translated:
    if not is_map(call.args[0]):
        return None
    return Piece("adaptive_avg_pool", {"output_size": pair_of(call.shape[2:])})


def _largest(call: Call) -> Translated:
    """The maximum over all pixels of a map."""
    x, axes, keepdims = (*call.args, None, None)[:3]
    if not is_map(x):
        return None
    axes = (axes,) if isinstance(axes, int) else axes or ()
    if {axis % 4 for axis in axes} != {2, 3}:
        return None
    pool = Piece("adaptive_max_pool", {"output_size": (1, 1)}, inputs=(x,))
    return pool if keepdims else [replace(pool, shape=(*x.shape[:2], 1, 1)), reshape(call.shape)]


def _adaptive_max_pool(call: Call) -> Translated:
    """The maxima, which come before where they are."""
    if not is_map(call.args[0]):
        return None
    return Piece("adaptive_max_pool", {"output_size": pair_of(call.shape[2:])})


def _mean(call: Call) -> Translated:
    x, axes, keepdims = call.args[:3]
    if not isinstance(x, Tensor):
        return None
    axes = (axes,) if isinstance(axes, int) else axes or tuple(range(len(x.shape)))
    axes, keepdims = tuple(axis % len(x.shape) for axis in axes), bool(keepdims)
    before = call.before(x)
    if before is not None and before.kind in ("ReduceMean", "MeanExt"):  # one axis after another
        inner = _mean(before)
        if isinstance(inner, Piece) and inner.attributes["keepdims"] is keepdims:
            first: tuple[int, ...] = inner.attributes["axes"]
            given = before.args[0] if inner.inputs is None else inner.inputs[0]
            left = [axis for axis in range(len(given.shape)) if keepdims or axis not in first]
            every = sorted({*first, *(left[axis] for axis in axes)})
            return Piece("mean", {"axes": tuple(every), "keepdims": keepdims}, inputs=(given,))
    return Piece("mean", {"axes": axes, "keepdims": keepdims})


def _total(call: Call) -> Translated:
    """A sum is so many times the mean."""
    x, axes, keepdims = (*call.args, None, None)[:3]
    if not isinstance(x, Tensor):
        return None
    axes = (axes,) if isinstance(axes, int) else axes or tuple(range(len(x.shape)))
    axes = tuple(axis % len(x.shape) for axis in axes)
    count = math.prod(x.shape[axis] for axis in axes)
    found = Piece("mean", {"axes": axes, "keepdims": bool(keepdims)}, shape=call.shape)
    return [found, Piece("mul", {"factor": float(count)})]


#: What these operations are, by name.
KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    "MaxPool": _max_pool_2d,
    "MaxPoolWithArgmax": _max_pool_2d,
    "MaxPoolWithArgmaxV2": _max_pool_v2,
    "MaxPoolWithMask": _max_pool_with_mask,
    "MaxPoolWithIndices": _max_pool_with_mask,
    "MaxPool3D": _max_pool_3d,
    "MaxPool3DWithArgmax": _max_pool_3d_argmax,
    "AvgPool": _avg_pool_2d,
    "AvgPool2D": _avg_pool_ext,
    "AvgPool3D": _avg_pool_3d,
    "AdaptiveAvgPool2D": _adaptive_avg_pool,
    "AdaptiveAvgPool2DExt": _adaptive_avg_pool,
    "AdaptiveMaxPool2D": _adaptive_max_pool,
    "ReduceMean": _mean,
    "MeanExt": _mean,
    "ReduceSum": _total,
    "SumExt": _total,
    "ReduceMax": _largest,
    "AMax": _largest,
    "AmaxExt": _largest,
}
