"""Sums, products and quotients, of values and with constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from torch.fx import Node

from googlenet.arrays import Array

from .calls import (
    Call,
    Found,
    Translated,
    Translator,
    is_value,
    own_name,
)


def unexpanded(node: Node) -> Node:
    """The value whose axes of one element `node` repeats, as a sum or product does by itself."""
    while node.op == "call_function" and own_name(node.target) in ("aten.expand", "aten.expand_as"):
        before: Any = node.args[0]
        if len(before.meta["val"].shape) != len(node.meta["val"].shape):
            break
        node = before
    return node


def _together(call: Call, first: Node, second: Node) -> tuple[Node, Node]:
    """Two values that are added or multiplied, not repeated by themselves if they need not be."""
    plain = unexpanded(first), unexpanded(second)
    shapes = [tuple(map(int, each.meta["val"].shape)) for each in plain]
    return plain if np.broadcast_shapes(*shapes) == call.shape else (first, second)


def _with_constant(x: Node, other: Array, *, product: bool = False, sign: float = 1) -> Found:
    """A constant that is added to x, or to −x, or multiplied."""
    steps = [Translated("mul", (x,), {"factor": sign})] if sign != 1 else []
    return [*steps, Translated("affine", (x,), {"product": product}, {"other": other})]


def _sum(call: Call) -> Found:
    return _added(call, call["self"], call["other"], float(call.get("alpha") or 1))


def _difference(call: Call) -> Found:
    return _added(call, call["self"], call["other"], -float(call.get("alpha") or 1))


def _reversed_difference(call: Call) -> Found:
    if call["alpha"] != 1:
        return None
    return _added(call, call["other"], call["self"], -1.0)


def _added(call: Call, first: Any, second: Any, factor: float) -> Found:
    """`first + factor · second`."""
    if is_value(call, first) and is_value(call, second):
        return [Translated("add", _together(call, first, second), {"factor": factor})]
    constant = call.constant(second if is_value(call, first) else first)
    if constant is None:
        return None
    if is_value(call, first):
        other = constant if factor == 1 else constant * constant.dtype.type(factor)
        return _with_constant(first, other)
    return _with_constant(second, constant, sign=factor)


def _product(call: Call) -> Found:
    first, second = call["self"], call["other"]
    if is_value(call, first) and is_value(call, second):
        return [Translated("multiply", _together(call, first, second))]
    if not is_value(call, first):
        first, second = second, first
    if isinstance(second, int | float):
        return [Translated("mul", (first,), {"factor": float(second)})]
    constant = call.constant(second)
    return None if constant is None else _with_constant(first, constant, product=True)


def _quotient(call: Call) -> Found:
    first, second = call["self"], call["other"]
    constant = call.constant(second)
    if call.get("rounding_mode") or constant is None or not constant.all():
        return None
    if isinstance(second, int | float):
        return [Translated("mul", (first,), {"factor": 1 / float(second)})]
    return _with_constant(first, 1 / constant.astype(np.float64), product=True)


#: What reads each operation, by its name without `aten.`.
ARITHMETIC: Final[Mapping[str, Translator]] = {
    "add": _sum,
    "sub": _difference,
    "subtract": _difference,
    "rsub": _reversed_difference,
    "mul": _product,
    "multiply": _product,
    "div": _quotient,
    "divide": _quotient,
    "true_divide": _quotient,
}
