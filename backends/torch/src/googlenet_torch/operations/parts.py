"""Parts of a value, and a value repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.fx import Node

from .calls import (
    Call,
    Found,
    Translated,
    Translator,
    one,
    own_name,
)


def part(x: Node, axis: int, start: int, stop: int, step: int = 1) -> list[Translated]:
    """Some of a value's elements along one axis; nothing where they are all of them."""
    sizes = [int(size) for size in x.meta["val"].shape]
    if (start, stop, step) == (0, sizes[axis], 1):
        return [Translated("identity", (x,), shape=tuple(sizes))]
    shape = (*sizes[:axis], len(range(start, stop, step)), *sizes[axis + 1 :])
    attributes = {"axis": axis, "start": start, "stop": stop, "step": step}
    return [Translated("slice", (x,), attributes, shape=shape)]


def _select(call: Call) -> Found:
    """One element along an axis, which is left out."""
    axis = int(call["dim"]) % call.rank
    if axis == 0:
        return None
    index = int(call["index"]) % int(call.x.meta["val"].shape[axis])
    moved = Translated("reshape", (call.x,), {"shape": call.shape[1:]})
    return [*part(call.x, axis, index, index + 1), moved]


def _slice(call: Call) -> Found:
    axis = int(call["dim"]) % call.rank
    size = int(call.x.meta["val"].shape[axis])
    start, stop, step = slice(call["start"], call["end"], call["step"]).indices(size)
    if axis == 0 and (start, stop, step) != (0, size, 1):
        return None
    return part(call.x, axis, start, stop, step)


def _narrow(call: Call) -> Found:
    axis, start = int(call["dim"]) % call.rank, call["start"]
    if axis == 0 or not isinstance(start, int):
        return None
    start %= int(call.x.meta["val"].shape[axis])
    return part(call.x, axis, start, start + int(call["length"]))


def piece(several: Node, index: int, shape: tuple[int, ...]) -> Found:
    """One of the parts that `chunk`, `split`, `tensor_split` or `unbind` gives: `index` counts
    them, and `shape` is its own. None for any other operation with several results.
    """
    name, target = own_name(several.target).removeprefix("aten."), several.target
    if name not in PARTING or not isinstance(target, torch._ops.OpOverload):
        return None
    given: dict[str, Any] = dict(
        zip((each.name for each in target._schema.arguments), several.args, strict=False)
    )
    given |= several.kwargs
    x: Any = several.args[0]
    sizes = [each.shape for each in several.meta["val"]]
    axis = int(given.get("dim", PARTING[name])) % len(x.meta["val"].shape)
    if axis == 0:
        return None
    if name == "unbind":
        moved = Translated("reshape", (x,), {"shape": shape[1:]}, shape=shape)
        return [*part(x, axis, index, index + 1), moved]
    start = sum(int(size[axis]) for size in sizes[:index])
    return part(x, axis, start, start + int(sizes[index][axis]))


#: Operations that give a value in parts, one after the other, with the axis unless they are told.
PARTING: Final = {
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "tensor_split", "unbind", "vsplit"), 0),
    "hsplit": 1,
    "dsplit": 2,
}


def _expand(call: Call) -> Found:
    """An axis of one element is repeated, as in a product with ones."""
    if tuple(call.x.meta["val"].shape) == call.shape:
        return one(call, "identity")
    if call.rank != len(call.shape) or call.x.meta["val"].shape[0] != call.shape[0]:
        return None
    ones = torch.ones((1, *call.shape[1:]), dtype=call.dtype).numpy()
    return one(call, "affine", {"other": ones}, product=True)


#: What reads each operation, by its name without `aten.`.
PARTS: Final[Mapping[str, Translator]] = {
    "select": _select,
    "slice": _slice,
    "narrow": _narrow,
    "expand": _expand,
    "expand_as": _expand,
}
