"""Parts of a value: indexing, splits, chunks, elements gathered at even distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np

from googlenet.arrays import Array

from .calls import Call, Piece, Tensor, Translated, reshape

#: What is taken of each axis: (start, stop, step), nothing negative.
Cuts: TypeAlias = "Mapping[int, tuple[int, int, int]]"


def _taken(call: Call, x: Any, cuts: Cuts) -> Translated:
    """So much of `x`, one axis after another, in the shape of the result."""
    if not isinstance(x, Tensor):
        return None
    pieces: list[Piece] = []
    shape = list(x.shape)
    for axis, (start, stop, step) in sorted(cuts.items()):
        stop = min(stop, shape[axis])
        if (start, stop, step) == (0, shape[axis], 1):
            continue
        if axis == 0 or not 0 <= start < stop or step < 1:
            return None
        shape[axis] = -(-(stop - start) // step)
        found = {"axis": axis, "start": start, "stop": stop, "step": step}
        pieces.append(Piece("slice", found, shape=tuple(shape)))
    if tuple(shape) != call.shape:
        if shape[0] != call.shape[0] or np.prod(shape) != np.prod(call.shape):
            return None
        pieces.append(reshape(call.shape))
    first, *others = pieces or [Piece("identity")]
    return [replace(first, inputs=(x,)), *others]


def _strided_slice(call: Call) -> Translated:
    """`x[:, 2:8:2]` and `x[:, 3]`: the bits of masks say which ends were not given, and which axes
    are gone.
    """
    x, begin, end, strides = call.args[:4]
    first, last, ellipsis, new, gone = (*call.args[4:9], 0, 0, 0, 0, 0)[:5]
    if not isinstance(x, Tensor) or any(isinstance(each, Tensor) for each in call.args[1:4]):
        return None
    if ellipsis or new:
        return None
    cuts = {}
    for axis, (start, stop, step) in enumerate(zip(begin, end, strides, strict=True)):
        size = x.shape[axis]
        if gone >> axis & 1:
            cuts[axis] = (start % size, start % size + 1, 1)
        elif step > 0:
            given = (None if first >> axis & 1 else start, None if last >> axis & 1 else stop)
            cuts[axis] = slice(*given, step).indices(size)
        else:
            return None
    return _taken(call, x, cuts)


def _slice(call: Call) -> Translated:
    """Starts and sizes of all axes."""
    x, begin, sizes = call.args[:3]
    if isinstance(begin, Tensor) or isinstance(sizes, Tensor):
        return None
    both = enumerate(zip(begin, sizes, strict=True))
    return _taken(call, x, {axis: (start, start + size, 1) for axis, (start, size) in both})


def _narrow(call: Call) -> Translated:
    x, axis, start, length = call.args[:4]
    axis %= len(x.shape)
    start %= x.shape[axis]
    return _taken(call, x, {axis: (start, start + length, 1)})


def _select(call: Call) -> Translated:
    x, axis, place = call.args[:3]
    axis %= len(x.shape)
    place %= x.shape[axis]
    return _taken(call, x, {axis: (place, place + 1, 1)})


def _part(axis_of: Callable[[Call], Any]) -> Callable[[Call], Translated]:
    """One of the parts next to each other along an axis; an axis that is gone was of one element in
    each.
    """

    def translated(call: Call) -> Translated:
        x, axis, item = call.args[0], axis_of(call), call.item or 0
        if not isinstance(x, Tensor) or not isinstance(axis, int):
            return None
        axis %= len(x.shape)
        every: Sequence[Any] = call.node.shape
        sizes = [each[axis] if len(each) == len(x.shape) else 1 for each in every]
        start = sum(sizes[:item])
        return _taken(call, x, {axis: (start, start + sizes[item], 1)})

    return translated


def _progression(places: Array) -> tuple[int, int, int] | None:
    """Places at even distances, as (start, stop, step)."""
    flat = [int(each) for each in places.ravel()]
    if not flat or flat[0] < 0:
        return None
    step = flat[1] - flat[0] if len(flat) > 1 else 1
    if step < 1 or flat != list(range(flat[0], flat[0] + step * len(flat), step)):
        return None
    return flat[0], flat[-1] + 1, step


def _gather(call: Call) -> Translated:
    """Elements of one axis, by their numbers."""
    x, places, axis = call.args[:3]
    if not isinstance(x, Tensor) or not isinstance(places, np.ndarray) or call.arg(3):
        return None
    if places.ndim > 1 or places.dtype.kind not in "iu" or not isinstance(axis, int):
        return None
    axis %= len(x.shape)
    found = _progression(np.where(places < 0, places + x.shape[axis], places))
    return None if found is None else _taken(call, x, {axis: found})


def _gather_d(call: Call) -> Translated:
    """As `x.take`: the same numbers for whatever else there is."""
    x, axis, places = call.args[:3]
    if not isinstance(x, Tensor) or not isinstance(places, np.ndarray):
        return None
    axis %= len(x.shape)
    rest = tuple(size for other, size in enumerate(x.shape) if other != axis)
    lines = np.moveaxis(places, axis, -1)
    if lines.shape[:-1] != rest:
        return None
    lines = lines.reshape(-1, lines.shape[-1])
    found = _progression(lines[0]) if (lines == lines[0]).all() else None
    return None if found is None else _taken(call, x, {axis: found})


def _gather_nd(call: Call) -> Translated:
    """As `x[:, [0, 2, 4]]`: pairs of an image and a channel, the same channels of each image."""
    x, places = call.args[:2]
    if not isinstance(x, Tensor) or not isinstance(places, np.ndarray) or places.ndim != 3:
        return None
    images = np.arange(x.shape[0])[:, None]
    if places.shape[::2] != (x.shape[0], 2) or (places[..., 0] != images).any():
        return None
    channels = places[..., 1]
    if (channels != channels[0]).any():
        return None
    found = _progression(np.where(channels[0] < 0, channels[0] + x.shape[1], channels[0]))
    return None if found is None else _taken(call, x, {1: found})


#: Operations that give several parts, each of which is one by itself.
SEVERAL: Final[Mapping[str, Callable[[Call], Translated]]] = {
    "Split": _part(lambda call: call.args[1]),
    "SplitTensor": _part(lambda call: call.args[2]),
    "SplitTensorView": _part(lambda call: call.args[2]),
    "SplitWithSize": _part(lambda call: call.args[2]),
    "SplitWithSizeView": _part(lambda call: call.args[2]),
    "Chunk": _part(lambda call: call.args[2]),
    "ChunkView": _part(lambda call: call.args[2]),
    "Unstack": _part(lambda call: call.attributes.get("axis", 0)),
    "UnstackExtView": _part(lambda call: call.args[1]),
}
#: What these operations are, by name.
KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    **SEVERAL,
    "StridedSlice": _strided_slice,
    "Slice": _slice,
    "Narrow": _narrow,
    "NarrowView": _narrow,
    "SelectExt": _select,
    "SelectExtView": _select,
    "Gather": _gather,
    "GatherD": _gather_d,
    "GatherNd": _gather_nd,
}
