"""Paddings that stand apart, which go into the convolution or pool behind them."""

from __future__ import annotations

import math
from functools import partial

from ..backend.graph import Op
from ..spec.layers import (
    NO_PADDING,
    AdaptiveAvgPool,
    AvgPool,
    Dropout,
    ExplicitPadding,
    LocalResponseNorm,
    MaxPool,
    Pair,
    ReLU,
)
from .state import State
from .tree import Foreign
from .views import plain


def pad(state: State, op: Op, name: str) -> None:
    """A padding, which waits for the layer behind it; one around another is one."""
    view, padding = state.views[name], op.attributes["padding"]
    number = float(op.attributes["value"])
    waiting = view.is_plain and view.value in state.pads
    first, inner, same, _ = state.pads[view.value] if waiting else ("", NO_PADDING, number, op)
    if waiting and same == number and _is_around(padding) and _is_around(inner):
        before, padding = first, added(inner, padding)
    else:
        before = state.plain(name)
    state.pads[op.name] = (before, padding, number, op)
    state.views[op.name] = plain(op.name, op.shape[1:])


def unpadded(state: State, op: Op, name: str, value: float) -> tuple[str, ExplicitPadding] | None:
    """The value before a padding by `value`, and what `op`, which takes windows, has to add to
    its own; None if there is no such padding, or if it takes away what windows would read.
    """
    view = state.views[name]
    if not view.is_plain or view.value not in state.pads:
        return None
    before, padding, found, _ = state.pads[view.value]
    for (first, last), end, size in zip(padding, _ends(op), view.shape[1:], strict=True):
        if first < 0 or (last < 0 and end > size):  # what is cut off would be read
            return None
    (top, bottom), (left, right) = padding
    around = ((top, max(bottom, 0)), (left, max(right, 0)))
    return (before, around) if found == value or around == NO_PADDING else None


def padded(state: State, op: Op, name: str) -> tuple[str, ExplicitPadding] | None:
    """The value before the padding that a layer can take with its own, and that padding."""
    found = op.attributes
    match op.kind:
        case "conv":
            return unpadded(state, op, name, 0.0)
        case "avg_pool" if found["padding"] == NO_PADDING or found["count_include_pad"]:
            return unpadded(state, op, name, 0.0)
        case "max_pool":
            padded = unpadded(state, op, name, -math.inf)
            if padded is not None:
                return padded
            padded = unpadded(state, op, name, 0.0)
            return padded if padded is not None and is_positive(state, padded[0]) else None
    return None


def is_positive(state: State, value: str) -> bool:
    """Whether no element of a value can be negative: then zeros around it never win."""
    if value not in state.positive:
        state.positive[value] = _is_positive(state, value)
    return state.positive[value]


def _is_positive(state: State, value: str) -> bool:
    found = state.values.get(value)
    if found is None:
        return False
    if found.step is None:
        return all(map(partial(is_positive, state), found.inputs))
    layer = found.step.layer
    if isinstance(layer, ReLU):
        return True
    if isinstance(layer, Foreign):
        if layer.kind == "clip" and layer.attributes["low"] >= 0:
            return True
        if layer.kind in ("sigmoid", "softmax", "softplus"):
            return True
        if layer.kind not in ("reshape", "transpose", "slice"):
            return False
    kept = (MaxPool, AvgPool, AdaptiveAvgPool, Dropout, LocalResponseNorm, Foreign)
    return isinstance(layer, kept) and is_positive(state, found.inputs[0])


def _ends(op: Op) -> Pair:
    """Where the last windows of an operation end, counted from the beginning of its map."""
    found = op.attributes
    kernel = found.get("kernel_size") or op.arrays["weight"].shape[2:]
    dilation = found.get("dilation", (1, 1))
    below, beside = (
        (op.shape[2 + axis] - 1) * found["stride"][axis]
        + (kernel[axis] - 1) * dilation[axis]
        + 1
        - found["padding"][axis][0]
        for axis in range(2)
    )
    return below, beside


def added(first: ExplicitPadding, second: ExplicitPadding) -> ExplicitPadding:
    """One padding around another."""
    (a, b), (c, d) = first
    (e, f), (g, h) = second
    return ((a + e, b + f), (c + g, d + h))


def _is_around(padding: ExplicitPadding) -> bool:
    """Whether a padding adds on every side; a negative one takes away."""
    return all(side >= 0 for sides in padding for side in sides)
