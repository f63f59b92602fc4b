"""Layers that take a map as it is, and what works element by element."""

from __future__ import annotations

import numpy as np

from ..backend.graph import Op
from ..errors import SpecError
from ..rounding import EPS
from ..spec.layers import (
    NO_PADDING,
    Conv,
    ExplicitPadding,
    Scale,
)
from .constants import is_divisor
from .made import checked, fits, made
from .paddings import added, padded
from .state import State
from .tree import Foreign
from .views import View


def elementwise(state: State, op: Op, name: str) -> None:
    """What does not care for the order of axes."""
    if op.kind == "mul" and is_divisor(state, op, name, np.asarray(op.attributes["factor"])):
        return
    view = state.view(name)
    if op.kind == "mul" and _cancels(state, op, view):
        return
    if op.shape[1:] != view.shape:
        state.foreign(op)
        return
    layer = made(op) or Foreign(op.kind, dict(op.attributes))
    if op.kind == "mul":
        state.written.add(op.name)
    state.add(op, view.value, layer, op.arrays, view.of(op.name))


def _cancels(state: State, op: Op, view: View) -> bool:
    """Whether a factor takes back the one before it: a sum that is divided by its count is the mean
    that it was told as.
    """
    value = state.values.get(view.value)
    if value is None or value.step is None or state.uses.get(view.value, 0) > 1:
        return False
    layer = value.step.layer
    if not isinstance(layer, Scale) or view.value not in state.written:
        return False
    # Each may be rounded to float32, in which a model has its numbers.
    if not abs(layer.factor * op.attributes["factor"] - 1) <= EPS:
        return False
    (before,) = value.inputs
    del state.values[view.value]
    state.views[op.name] = view.of(before)
    return True


def map_layer(state: State, op: Op, name: str) -> None:
    """A layer that takes a map as it is: with the padding before it, if that is the same."""
    around, layer = padded(state, op, name), None
    if around is not None:
        before, padding = around
        layer = checked(state, op, before, padding)
    if layer is None:
        before = state.plain(name)
        layer = checked(state, op, before, NO_PADDING)
    if layer is not None:
        state.add(op, before, layer, op.arrays)
    elif around is not None and (gaps := _with_gaps(state, op, *around)) is not None:
        state.add(op, around[0], gaps, op.arrays)
    else:
        state.foreign(op)


def _with_gaps(state: State, op: Op, before: str, padding: ExplicitPadding) -> Foreign | None:
    """A convolution with gaps in its kernel, and with a further `padding`."""
    if op.kind != "conv":
        return None
    found = {**op.attributes, "padding": added(op.attributes["padding"], padding)}
    weight, dilation = op.arrays["weight"], found["dilation"]
    height, width = (
        (size - 1) * gap + 1 for size, gap in zip(weight.shape[2:], dilation, strict=True)
    )
    wide = (height, width), found["stride"], found["padding"], found["groups"]
    try:
        layer = Conv(len(weight), *wide, False)
        right = fits(layer, state.shape(before), op.shape[1:])
    except SpecError:  # a number that the spec does not allow
        return None
    return Foreign(op.kind, found) if right else None
