"""Several values that are joined: concatenated, added, multiplied, or by something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from ..backend.graph import Op
from ..errors import TraceError
from ..spec.layers import (
    Scale,
)
from .made import short
from .state import State
from .structure import Value
from .tree import Foreign, Fork, Join, Step
from .views import View, plain

#: The kinds of operations that join several values as the spec does, and what they do.
JOINS: Final[Mapping[str, Join]] = {"concat": "concat", "add": "sum", "multiply": "product"}


def join(state: State, op: Op) -> None:
    """Values that are concatenated, added or multiplied."""
    views = [state.view(name) for name in op.inputs]
    if op.kind == "multiply" and _is_silu(state, op, views):
        return
    view = _joined(state, op, views)
    if view is not None:
        inputs = tuple(each.value for each in views)
    elif op.kind == "concat":
        if op.attributes["axis"] % len(op.shape) != 1:
            join_by(state, op)
            return
        inputs, view = tuple(map(state.placed, views)), plain(op.name, op.shape[1:])
    else:
        inputs, view = _broadcast(state, op, views)
    factor = op.attributes.get("factor", 1.0)
    if op.kind == "add" and factor != 1.0:
        inputs = (inputs[0], _scaled(state, op, inputs[1], factor))
    state.views[op.name] = view
    fork = Fork(JOINS[op.kind], (), view.base, op.place, called=op.called)
    state.values[op.name] = Value(op.name, inputs, None, fork)


def join_by(state: State, op: Op) -> None:
    """An operation of several values that no layer of the spec joins."""
    if op.kind == "concat" and op.attributes["axis"] % len(op.shape) == 0:
        raise TraceError(f"{op.place}: concatenates along the batch")
    if not op.inputs:
        raise TraceError(f"{op.place}: '{op.kind}' makes a value of nothing in the images")
    step = Step(
        Foreign(op.kind, dict(op.attributes)), op.arrays, op.shape[1:], op.place, op.origins
    )
    state.views[op.name] = plain(op.name, op.shape[1:])
    inputs = tuple(map(state.plain, op.inputs))
    fork = Fork("other", (), op.shape[1:], op.place, step, op.called)
    state.values[op.name] = Value(op.name, inputs, None, fork)


def _is_silu(state: State, op: Op, views: list[View]) -> bool:
    """Whether a product is that of a value with its own sigmoid, which is one activation."""
    for x, gate in (views, views[::-1]):
        found = state.values.get(gate.value)
        step = found.step if found is not None else None
        if step is None or state.uses.get(gate.value, 0) > 1 or found is None:
            continue
        is_own = found.inputs == (x.value,) and gate.is_like(x)
        if is_own and isinstance(step.layer, Foreign) and step.layer.kind == "sigmoid":
            state.add(op, x.value, Foreign("silu"), {}, x.of(op.name))
            return True
    return False


def _broadcast(state: State, op: Op, views: list[View]) -> tuple[tuple[str, ...], View]:
    """The values of a sum or product whose shapes or axes are not the same, and the view of
    its result: that of the first value of the whole's size.
    """
    shape = op.shape[1:]
    axes = [len(view.shape) + 1 for view in views]
    if set(axes) != {len(op.shape)}:
        raise TraceError(
            f"{op.place}: '{op.kind}' of values with {' and '.join(map(str, axes))} axes sets"
            " the images of one against the pixels of the other; both must have the same axes,"
            " the batch first"
        )
    full = next((view for view in views if view.shape == view.sizes == shape), None)
    if full is None:
        return tuple(map(state.placed, views)), plain(op.name, shape)
    order = tuple(int(axis) for axis in np.argsort(full.axes))
    inputs = tuple(
        view.value if full.is_like(view) else _ordered(state, view, order, op) for view in views
    )
    return inputs, full.of(op.name)


def _ordered(state: State, view: View, order: tuple[int, ...], op: Op) -> str:
    """The value of a view whose axes are put in another order; a vector stands for a map of
    one pixel.
    """
    moved = view.transposed(order, op.place)
    if moved is None:  # of a view that is reshaped already
        moved = plain(state.placed(view), view.shape).transposed(order, op.place)
        assert moved is not None
    is_vector = moved.is_in_order and len(moved.base) == 1
    if is_vector and moved.shape == (*moved.base, *(1,) * (len(moved.shape) - 1)):
        return moved.value
    return state.placed(moved)


def _joined(state: State, op: Op, views: list[View]) -> View | None:
    """The view of a join of the values themselves, if they are all moved in the same way."""
    first = views[0]
    axes = first.axes if not first.is_in_order else None
    if any((view.axes if not view.is_in_order else None) != axes for view in views):
        return None
    if op.kind != "concat":
        alike = all(view.base == first.base and view.shape == first.shape for view in views)
        return first.of(op.name) if alike else None
    axis = op.attributes["axis"] % len(op.shape) - 1
    for view in views:
        groups = view.groups()
        if axis < 0 or groups is None or view.base[1:] != first.base[1:]:
            return None
        if groups[axis][:1] != (0,):  # channels must come first in what is joined
            return None
        if view.shape[:axis] + view.shape[axis + 1 :] != (
            first.shape[:axis] + first.shape[axis + 1 :]
        ):
            return None
    base = (sum(view.base[0] for view in views), *first.base[1:])
    return first.of(op.name, base, op.shape[1:])


def _scaled(state: State, op: Op, value: str, factor: float) -> str:
    scaled = f"{op.name} factor"
    step = Step(Scale(short(factor), "always"), {}, state.shape(value), op.place, called=op.called)
    state.values[scaled] = Value(scaled, (value,), step, None)
    return scaled
