"""Dense layers, also as products of matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .calls import (
    Call,
    Found,
    Translated,
    Translator,
    is_value,
    one,
)


def _linear(call: Call) -> Found:
    arrays = call.arrays(weight=call["weight"], bias=call["bias"])
    return None if arrays is None else one(call, "dense", arrays)


def _addmm(call: Call) -> Found:
    """bias + x @ weight."""
    x, weight, bias = call["mat1"], call.held.get(call["mat2"]), call.held.get(call["self"])
    if weight is None or bias is None or not is_value(call, x):
        return None
    if bias.shape != (call.shape[1],) or (call["alpha"], call["beta"]) != (1, 1):
        return None
    return [Translated("dense", (x,), {}, {"weight": weight.T, "bias": bias})]


def _matmul(call: Call) -> Found:
    """x @ weight, as some write a dense layer without a bias."""
    x, weight = call["self"], call.held.get(call.get("other", "mat2"))
    if weight is None or weight.ndim != 2 or not is_value(call, x):
        return None
    return [Translated("dense", (x,), {}, {"weight": weight.T})]


def _einsum(call: Call) -> Found:
    """A dense layer without a bias, as some write one."""
    if len(call["tensors"]) != 2 or "." in call["equation"]:
        return None
    x, weight = call["tensors"]
    taken, _, result = call["equation"].replace(" ", "").partition("->")
    rows, columns = taken.split(",")
    if not is_value(call, x):
        x, weight, rows, columns = weight, x, columns, rows
    array = call.held.get(weight)
    if array is None or not is_value(call, x) or len({*rows, *columns}) != 3:
        return None
    if len(rows) != 2 or len(columns) != 2 or len(result) != 2 or result[0] != rows[0]:
        return None
    if columns == result[1] + rows[1]:
        return [Translated("dense", (x,), {}, {"weight": array})]
    if columns == rows[1] + result[1]:
        return [Translated("dense", (x,), {}, {"weight": array.T})]
    return None


#: What reads each operation, by its name without `aten.`.
DENSE: Final[Mapping[str, Translator]] = {
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "addmm": _addmm,
    "einsum": _einsum,
}
