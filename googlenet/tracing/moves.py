"""What only moves the elements of a value about, or takes some, and the layers that take them in
whatever order: flattening a map for a dense layer gives that layer the map's axes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from ..backend.graph import Op
from ..errors import TraceError
from ..spec.layers import (
    NO_PADDING,
    AdaptiveAvgPool,
    Conv,
    Dense,
)
from .layers import map_layer
from .paddings import pad
from .state import State
from .tree import Foreign
from .views import View, plain

#: The kinds of operations that compute nothing: their result is what they are given, perhaps in
#: another shape or order.
MOVES: Final = ("identity", "flatten", "reshape", "transpose")


def computes_nothing(op: Op) -> bool:
    """Whether the result is what is given, perhaps in another shape or order."""
    if op.kind == "concat":
        return len(op.inputs) == 1 and not op.arrays
    if op.kind == "mul":
        return bool(op.attributes["factor"] == 1)
    return op.kind in MOVES or (op.kind == "pad" and op.attributes["padding"] == NO_PADDING)


def transpose(state: State, op: Op, name: str) -> None:
    """The same elements with the axes in another order; the batch stays where it is."""
    axes = tuple(axis % len(op.shape) for axis in op.attributes["axes"])
    if axes[0] != 0:
        raise TraceError(
            f"{op.place}: 'transpose' moves the batch to another axis: the first axis of the"
            " result is not the batch"
        )
    order = tuple(axis - 1 for axis in axes[1:])
    view = state.views[name].transposed(order, op.place)
    if view is None:  # of a view that is reshaped already
        value = state.plain(name)
        view = plain(value, state.views[name].shape).transposed(order, op.place)
        assert view is not None
    state.views[op.name] = view


def part(state: State, op: Op, name: str) -> None:
    """A part of a value along one axis. Rows or columns cut off at the edges are a padding that
    takes away.
    """
    found, view = op.attributes, state.views[name]
    axis = found["axis"] % len(op.shape)
    start, stop, step = found["start"], found["stop"], found["step"]
    if axis == 0:
        raise TraceError(f"{op.place}: takes some of the images of a batch")
    size = view.shape[axis - 1]
    if (start, stop, step) == (0, size, 1):
        state.views[op.name] = view
        return
    if view.is_plain and len(view.shape) == 3 and axis > 1 and step == 1:
        sides = [(0, 0), (0, 0)]
        sides[axis - 2] = (-start, stop - size)
        cut = {"padding": (sides[0], sides[1]), "value": 0.0}
        pad(state, replace(op, kind="pad", attributes=cut), name)
        return
    view = state.view(name)
    if view.shape != view.sizes:
        state.foreign(op)
        return
    own = view.axes[axis - 1]
    base = (*view.base[:own], op.shape[axis], *view.base[own + 1 :])
    layer = Foreign("slice", {**found, "axis": own + 1})
    state.add(op, view.value, layer, {}, view.of(op.name, base, op.shape[1:]))


def dense(state: State, op: Op, name: str) -> None:
    """A dense layer of all elements of an image, or, along the channels, a convolution."""
    if _of_windows(state, op, name):
        return
    view, weight = state.view(name), op.arrays["weight"]
    out, is_map = len(weight), len(view.base) == 3
    pixels = view.with_channels_last() if is_map and len(view.shape) > 1 else None
    is_vector = math.prod(view.shape[:-1]) == 1 and len(view.base) in (1, 3)
    if is_vector and (pixels is None or len(view.shape) < 3):
        given = view.reshaped(view.shape[-1:], view.place)
        arrays = {**op.arrays, "weight": state.restore(weight, given)}
        result = plain(op.name, (out,)).reshaped(op.shape[1:], op.place)
        state.add(op, view.value, Dense(out, "bias" in arrays), arrays, result)
    elif len(op.shape) == 2:
        layer = Dense(out, "bias" in op.arrays)
        state.add(op, state.plain(name), layer, op.arrays)
    elif pixels is not None:
        channels = plain("", (view.base[0], 1, 1)).reshaped((view.base[0],), "")
        arrays = {**op.arrays, "weight": state.restore(weight, channels)}
        conv = Conv(out, (1, 1), (1, 1), NO_PADDING, 1, "bias" in arrays)
        state.add(
            op, view.value, conv, arrays, pixels.of(op.name, (out, *view.base[1:]), op.shape[1:])
        )
    else:
        state.foreign(op)


def _of_windows(state: State, op: Op, name: str) -> bool:
    """Whether a dense layer is given each window of a map, which is a convolution."""
    view = state.views[name]
    columns = view.with_channels_last() if view.value in state.windows else None
    if columns is None:
        return False
    unfolded, weight = state.windows[view.value], op.arrays["weight"]
    (before,), found = unfolded.inputs, unfolded.attributes
    channels, *given = state.views[before].shape
    numbers = (found[each] for each in ("kernel_size", "stride", "padding", "dilation"))
    sizes = zip(*numbers, given, strict=True)
    height, width = (
        (size + sum(sides) - gap * (length - 1) - 1) // step + 1
        for length, step, sides, gap, size in sizes
    )
    window = plain("", (channels, *found["kernel_size"])).reshaped(view.shape[-1:], "")
    attributes = {each: found[each] for each in ("stride", "padding", "dilation")}
    conv = replace(
        op,
        kind="conv",
        inputs=unfolded.inputs,
        shape=(op.shape[0], len(weight), height, width),
        attributes={**attributes, "groups": 1},
        arrays={**op.arrays, "weight": state.restore(weight, window)},
    )
    map_layer(state, conv, before)
    state.views[op.name] = View(op.name, conv.shape[1:], (1, 2, 0), op.shape[1:], op.place)
    return True


def mean(state: State, op: Op, name: str) -> None:
    """The mean over all pixels of a map is a pool."""
    view, found = state.view(name), op.attributes
    groups = view.groups()
    axes = {axis % (len(view.shape) + 1) - 1 for axis in found["axes"]}
    if groups is not None and len(view.base) == 3 and -1 not in axes:
        over = {axis for each in axes for axis in groups[each] if view.base[axis] != 1}
        if over == {axis for axis in (1, 2) if view.base[axis] != 1}:
            base = (view.base[0], 1, 1)
            pooled = plain(op.name, base).reshaped(op.shape[1:], op.place)
            state.add(op, view.value, AdaptiveAvgPool((1, 1)), {}, pooled)
            return
    state.foreign(op)
