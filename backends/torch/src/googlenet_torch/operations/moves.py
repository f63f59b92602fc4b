"""What only moves the elements of a value about, or joins values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch

from .calls import (
    WIDE,
    Call,
    Found,
    Translated,
    Translator,
    one,
    simple,
)


def reshape(call: Call) -> Found:
    """The same elements in the shape of the result."""
    return one(call, "reshape", shape=call.shape[1:])


def _flatten(call: Call) -> Found:
    start, end = (int(call[name]) % max(call.rank, 1) for name in ("start_dim", "end_dim"))
    return one(call, "flatten", start=start) if end == call.rank - 1 else reshape(call)


def _permute(call: Call) -> Found:
    return one(call, "transpose", axes=tuple(int(axis) for axis in call["dims"]))


def _reverse(call: Call) -> Found:
    return one(call, "transpose", axes=tuple(reversed(range(call.rank))))


def _turn(call: Call) -> Found:
    """Each matrix of a stack transposed."""
    axes = tuple(range(call.rank))
    return one(call, "transpose", axes=(*axes[:-2], axes[-1], axes[-2]))


def _swap(call: Call) -> Found:
    axes = list(range(call.rank))
    first, second = (int(call.get(*names)) for names in (("dim0", "axis0"), ("dim1", "axis1")))
    axes[first], axes[second] = axes[second], axes[first]
    return one(call, "transpose", axes=tuple(axes))


def _move_axis(call: Call) -> Found:
    source, target = (
        [int(axis) % call.rank for axis in ([found] if isinstance(found, int) else found)]
        for found in (call["source"], call["destination"])
    )
    axes = [axis for axis in range(call.rank) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        axes.insert(place, axis)
    return one(call, "transpose", axes=tuple(axes))


def _pad(call: Call) -> Found:
    sides = [int(side) for side in call["pad"]]
    constant = (call.get("mode") or "constant") == "constant"
    if not constant or len(sides) not in (2, 4) or call.rank != 4:
        return None
    left, right, top, bottom = [*sides, 0, 0][:4]
    value = float(call.get("value") or 0)
    return one(call, "pad", padding=((top, bottom), (left, right)), value=value)


def _cast(call: Call) -> Found:
    """To float32 and float64, where only rounding differs, or of what holds or not, as 1 and 0."""
    given = call.x.meta["val"].dtype
    is_wide = call.dtype in WIDE and given in (*WIDE, torch.bool)
    return one(call, "identity") if is_wide else None


def _concat(call: Call) -> Found:
    inputs = tuple(call["tensors"])
    return [Translated("concat", inputs, {"axis": int(call["dim"])})]


#: What reads each operation, by its name without `aten.`.
MOVES: Final[Mapping[str, Translator]] = {
    **dict.fromkeys(("view", "reshape", "squeeze", "unsqueeze", "unflatten"), reshape),
    **dict.fromkeys(("view_as", "reshape_as"), reshape),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _swap),
    **dict.fromkeys(("movedim", "moveaxis"), _move_axis),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concat),
    **dict.fromkeys(("contiguous", "clone", "detach", "alias"), simple("identity")),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _cast),
    **dict.fromkeys(("t", "numpy_T"), _reverse),
    "mT": _turn,
    "flatten": _flatten,
    "permute": _permute,
    "pad": _pad,
    "constant_pad_nd": _pad,
}
