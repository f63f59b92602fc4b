"""A graph in the spec's terms: each operation a layer, with what belongs to one layer taken
together, and nothing that only moves numbers about.

Paddings that stand apart go into the convolution or pool behind them, a bias that is added into its
convolution; flattening a map for a dense layer gives that layer the map's axes, in whatever order
the map was flattened. What remains and is no layer of the spec is foreign.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Final

import numpy as np

from ..arrays import Array
from ..backend.graph import Graph, Op, Origin
from ..errors import ShapeError, SpecError, TraceError
from ..spec.layers import (
    NO_PADDING,
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    ExplicitPadding,
    Leaf,
    LocalResponseNorm,
    MaxPool,
    Pair,
    ReLU,
    Scale,
    Shape,
)
from ..spec.shapes import leaf_shape
from .evaluate import evaluate
from .foreign import ELEMENTWISE
from .structure import Structure, Value
from .tree import Chain, Foreign, Fork, Join, Step
from .vectors import with_vectors
from .views import View, plain

#: What batch norm's momentum is in a graph of evaluation, which does not say it.
MOMENTUM: Final = 0.1
#: The kinds of operations that join several values.
_JOINS: Final[Mapping[str, Join]] = {"concat": "concat", "add": "sum", "multiply": "product"}
#: The kinds of operations that compute nothing: their result is what they are given, perhaps in
#: another shape or order.
MOVES: Final = ("identity", "flatten", "reshape", "transpose")


def lift(graph: Graph, *, ones: bool = False) -> Chain:
    """The layers of `graph` as a tree. With `ones`, a batch norm whose weights are all 1 has them,
    as one has that was not trained yet, and so has a trained factor; without, the one has none, and
    the other is the number that it is.

    Raises `TraceError` if its first axis is not the batch throughout, or if its branches do not
    fork and join as a whole.
    """
    return _Lifter(graph, ones).tree()


class _Lifter:
    """Reads the operations of a graph in their order.

    Each name that an operation gives stands for a value in some `View`, perhaps the value of
    another operation, as after a flattening.
    """

    def __init__(self, graph: Graph, ones: bool) -> None:
        self._graph, self._ones = graph, ones
        self._views = {graph.input: plain(graph.input, graph.input_shape[1:])}
        self._values: dict[str, Value] = {}
        #: For each value that is padded: the value before, the padding, and by what.
        self._pads: dict[str, tuple[str, ExplicitPadding, float, Op]] = {}
        #: For each sum over windows that nothing has divided yet: the value before its padding, and
        #: that padding.
        self._sums: dict[str, tuple[str, ExplicitPadding, Op]] = {}
        #: What stands for a view in a tree, once something needs it.
        self._moved: dict[tuple[str, tuple[int, ...], Shape], str] = {}
        #: Arrays rearranged, by the identity of the original: what is shared stays so.
        self._restored: dict[tuple[int, View], Array] = {}
        #: The same for biases, by the original and the number of channels.
        self._biases: dict[tuple[int, int], Array] = {}
        self._ops = self._needed()
        self._uses = self._counted()

    def tree(self) -> Chain:
        """The tree of all operations that the outputs need."""
        for op in self._ops:
            if op.shape[:1] != self._graph.input_shape[:1]:
                raise TraceError(
                    f"{op.place}: '{op.kind}' gives {op.shape} for images of"
                    f" {self._graph.input_shape}: its first axis is not the batch"
                )
            self._read(op)
        outputs = [self._output(name) for name in self._graph.outputs]
        values, names = with_vectors(list(self._values.values()), outputs)
        return Structure(self._graph.input, values).tree(names)

    def _needed(self) -> list[Op]:
        needed = set(self._graph.outputs)
        for op in reversed(self._graph.ops):
            if op.name in needed:
                needed.update(op.inputs)
        return [op for op in self._graph.ops if op.name in needed]

    def _counted(self) -> dict[str, int]:
        """How often each value is used, under whatever name."""
        names: dict[str, str] = {}
        uses: dict[str, int] = {}
        for op in self._ops:
            if _computes_nothing(op):
                names[op.name] = names.get(op.inputs[0], op.inputs[0])
                continue
            for name in op.inputs:
                name = names.get(name, name)
                uses[name] = uses.get(name, 0) + 1
        for name in self._graph.outputs:
            name = names.get(name, name)
            uses[name] = uses.get(name, 0) + 1
        return uses

    # Values ---------------------------------------------------------------------------------------

    def _view(self, name: str) -> View:
        """What stands for `name`; a padding or sum that no layer took is a layer by itself."""
        view = self._views[name]
        value = view.value
        if value in self._values:
            return view
        if value in self._pads:
            before, padding, number, op = self._pads[value]
            self._add(op, before, Foreign("pad", {"padding": padding, "value": number}), {})
        elif value in self._sums:
            _, _, op = self._sums[value]
            self._add(op, self._plain(op.inputs[0]), Foreign(op.kind, dict(op.attributes)), {})
        return view

    def _plain(self, name: str) -> str:
        """The value of `name` as it is in the user's code: where that moved it, so does a layer."""
        return self._placed(self._view(name))

    def _placed(self, view: View) -> str:
        """The value that is what `view` shows."""
        if view.is_plain:
            return view.value
        axes = tuple(range(len(view.base))) if view.is_in_order else view.axes
        value, shape = view.value, view.base
        if not view.is_in_order:
            shape = view.sizes
            order = (0, *(axis + 1 for axis in axes))
            value = self._move(value, axes, shape, Foreign("transpose", {"axes": order}), view)
        if shape != view.shape:
            layer = Foreign("reshape", {"shape": view.shape})
            value = self._move(value, axes, view.shape, layer, view)
        return value

    def _move(
        self, value: str, axes: tuple[int, ...], shape: Shape, layer: Foreign, view: View
    ) -> str:
        key = (view.value, axes, shape)
        if key not in self._moved:
            name = f"{value} as {axes} {shape}"
            self._values[name] = Value(name, (value,), Step(layer, {}, shape, view.place), None)
            self._moved[key] = name
        return self._moved[key]

    def _output(self, name: str) -> tuple[str, Shape]:
        """The value of an output, which may lack axes of one element, and its own shape."""
        view = self._view(name)
        return (view.value if view.is_squeezed else self._plain(name)), view.shape

    def _shape(self, value: str) -> Shape:
        """The shape of a value without the batch."""
        if value == self._graph.input:
            return self._graph.input_shape[1:]
        found = self._values[value].step or self._values[value].join
        assert found is not None
        return found.out_shape

    def _add(
        self,
        op: Op,
        before: str,
        layer: Leaf | Foreign,
        arrays: Mapping[str, Array],
        view: View | None = None,
    ) -> None:
        """A layer applied to a value, and the view of its result that the user's code has."""
        view = view or plain(op.name, op.shape[1:])
        self._views[op.name] = view
        origins = {role: origin for role, origin in op.origins.items() if role in arrays}
        step = Step(layer, arrays, view.base, op.place, origins)
        self._values[op.name] = Value(op.name, (before,), step, None)

    def _foreign(self, op: Op) -> None:
        self._add(op, self._plain(op.inputs[0]), Foreign(op.kind, dict(op.attributes)), op.arrays)

    def _restore(self, array: Array, view: View) -> Array:
        """`view.restored`, the same object for the same array."""
        key = (id(array), replace(view, value="", place=""))
        if key not in self._restored:
            self._restored[key] = view.restored(array)
        return self._restored[key]

    # Operations -----------------------------------------------------------------------------------

    def _read(self, op: Op) -> None:
        if op.kind in _JOINS and len(op.inputs) > 1 and not op.arrays:
            self._join(op)
            return
        if len(op.inputs) != 1:
            self._join_by(op)
            return
        (name,) = op.inputs
        match op.kind:
            case "identity" | "concat" | "pad" | "mul" if _computes_nothing(op):
                self._views[op.name] = self._views[name]
            case "flatten" | "reshape":
                self._views[op.name] = self._views[name].reshaped(op.shape[1:], op.place)
            case "transpose":
                self._transpose(op, name)
            case "pad":
                self._pad(op, name)
            case "slice":
                self._slice(op, name)
            case "sum_pool":
                before, padding = self._unpadded(op, name, 0.0) or (self._plain(name), NO_PADDING)
                self._sums[op.name] = (before, _sum(op.attributes["padding"], padding), op)
                self._views[op.name] = plain(op.name, op.shape[1:])
            case "softmax" | "log_softmax" if op.attributes["axis"] % len(op.shape) == 0:
                raise TraceError(f"{op.place}: '{op.kind}' works across the images of a batch")
            case kind if kind in ELEMENTWISE:
                self._elementwise(op, name)
            case "affine":
                self._affine(op, name)
            case "dense":
                self._dense(op, name)
            case "batch_norm":
                self._batch_norm(op, name)
            case "mean":
                self._mean(op, name)
            case _:
                self._map_layer(op, name)

    def _transpose(self, op: Op, name: str) -> None:
        axes = tuple(axis % len(op.shape) for axis in op.attributes["axes"])
        if axes[0] != 0:
            raise TraceError(
                f"{op.place}: 'transpose' moves the batch to another axis: the first axis of the"
                " result is not the batch"
            )
        order = tuple(axis - 1 for axis in axes[1:])
        view = self._views[name].transposed(order, op.place)
        if view is None:  # of a view that is reshaped already
            value = self._plain(name)
            view = plain(value, self._views[name].shape).transposed(order, op.place)
            assert view is not None
        self._views[op.name] = view

    def _slice(self, op: Op, name: str) -> None:
        """A part of a value along one axis. Rows or columns cut off at the edges are a padding that
        takes away.
        """
        found, view = op.attributes, self._views[name]
        axis = found["axis"] % len(op.shape)
        start, stop, step = found["start"], found["stop"], found["step"]
        if axis == 0:
            raise TraceError(f"{op.place}: takes some of the images of a batch")
        size = view.shape[axis - 1]
        if (start, stop, step) == (0, size, 1):
            self._views[op.name] = view
            return
        if view.is_plain and len(view.shape) == 3 and axis > 1 and step == 1:
            sides = [(0, 0), (0, 0)]
            sides[axis - 2] = (-start, stop - size)
            cut = {"padding": (sides[0], sides[1]), "value": 0.0}
            self._pad(replace(op, kind="pad", attributes=cut), name)
            return
        view = self._view(name)
        if view.shape != view.sizes:
            self._foreign(op)
            return
        own = view.axes[axis - 1]
        base = (*view.base[:own], op.shape[axis], *view.base[own + 1 :])
        layer = Foreign("slice", {**found, "axis": own + 1})
        self._add(op, view.value, layer, {}, view.of(op.name, base, op.shape[1:]))

    # Joins ----------------------------------------------------------------------------------------

    def _join(self, op: Op) -> None:
        views = [self._view(name) for name in op.inputs]
        if op.kind == "multiply" and self._is_silu(op, views):
            return
        view = self._joined(op, views)
        if view is not None:
            inputs = tuple(each.value for each in views)
        elif op.kind == "concat":
            if op.attributes["axis"] % len(op.shape) != 1:
                self._join_by(op)
                return
            inputs, view = tuple(map(self._placed, views)), plain(op.name, op.shape[1:])
        else:
            inputs, view = self._broadcast(op, views)
        factor = op.attributes.get("factor", 1.0)
        if op.kind == "add" and factor != 1.0:
            inputs = (inputs[0], self._scaled(op, inputs[1], factor))
        self._views[op.name] = view
        fork = Fork(_JOINS[op.kind], (), view.base, op.place)
        self._values[op.name] = Value(op.name, inputs, None, fork)

    def _join_by(self, op: Op) -> None:
        """An operation of several values that no layer of the spec joins."""
        if op.kind == "concat" and op.attributes["axis"] % len(op.shape) == 0:
            raise TraceError(f"{op.place}: concatenates along the batch")
        if not op.inputs:
            raise TraceError(f"{op.place}: '{op.kind}' makes a value of nothing in the images")
        step = Step(
            Foreign(op.kind, dict(op.attributes)), op.arrays, op.shape[1:], op.place, op.origins
        )
        self._views[op.name] = plain(op.name, op.shape[1:])
        inputs = tuple(map(self._plain, op.inputs))
        fork = Fork("other", (), op.shape[1:], op.place, step)
        self._values[op.name] = Value(op.name, inputs, None, fork)

    def _is_silu(self, op: Op, views: list[View]) -> bool:
        """Whether a product is that of a value with its own sigmoid, which is one activation."""
        for x, gate in (views, views[::-1]):
            found = self._values.get(gate.value)
            step = found.step if found is not None else None
            if step is None or self._uses.get(gate.value, 0) > 1 or found is None:
                continue
            is_own = found.inputs == (x.value,) and gate.is_like(x)
            if is_own and isinstance(step.layer, Foreign) and step.layer.kind == "sigmoid":
                self._add(op, x.value, Foreign("silu"), {}, x.of(op.name))
                return True
        return False

    def _broadcast(self, op: Op, views: list[View]) -> tuple[tuple[str, ...], View]:
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
            return tuple(map(self._placed, views)), plain(op.name, shape)
        order = tuple(int(axis) for axis in np.argsort(full.axes))
        inputs = tuple(
            view.value if full.is_like(view) else self._ordered(view, order, op) for view in views
        )
        return inputs, full.of(op.name)

    def _ordered(self, view: View, order: tuple[int, ...], op: Op) -> str:
        """The value of a view whose axes are put in another order; a vector stands for a map of
        one pixel.
        """
        moved = view.transposed(order, op.place)
        if moved is None:  # of a view that is reshaped already
            moved = plain(self._placed(view), view.shape).transposed(order, op.place)
            assert moved is not None
        is_vector = moved.is_in_order and len(moved.base) == 1
        if is_vector and moved.shape == (*moved.base, *(1,) * (len(moved.shape) - 1)):
            return moved.value
        return self._placed(moved)

    def _joined(self, op: Op, views: list[View]) -> View | None:
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

    def _scaled(self, op: Op, value: str, factor: float) -> str:
        scaled = f"{op.name} factor"
        step = Step(Scale(_short(factor), "always"), {}, self._shape(value), op.place)
        self._values[scaled] = Value(scaled, (value,), step, None)
        return scaled

    # Paddings -------------------------------------------------------------------------------------

    def _pad(self, op: Op, name: str) -> None:
        view, padding = self._views[name], op.attributes["padding"]
        number = float(op.attributes["value"])
        waiting = view.is_plain and view.value in self._pads
        first, inner, same, _ = self._pads[view.value] if waiting else ("", NO_PADDING, number, op)
        if waiting and same == number and _is_around(padding) and _is_around(inner):
            before, padding = first, _sum(inner, padding)
        else:
            before = self._plain(name)
        self._pads[op.name] = (before, padding, number, op)
        self._views[op.name] = plain(op.name, op.shape[1:])

    def _unpadded(self, op: Op, name: str, value: float) -> tuple[str, ExplicitPadding] | None:
        """The value before a padding by `value`, and what `op`, which takes windows, has to add to
        its own; None if there is no such padding, or if it takes away what windows would read.
        """
        view = self._views[name]
        if not view.is_plain or view.value not in self._pads:
            return None
        before, padding, found, _ = self._pads[view.value]
        for (first, last), end, size in zip(padding, _ends(op), view.shape[1:], strict=True):
            if first < 0 or (last < 0 and end > size):  # what is cut off would be read
                return None
        (top, bottom), (left, right) = padding
        around = ((top, max(bottom, 0)), (left, max(right, 0)))
        return (before, around) if found == value or around == NO_PADDING else None

    # Layers ---------------------------------------------------------------------------------------

    def _elementwise(self, op: Op, name: str) -> None:
        if op.kind == "mul" and self._is_divisor(op, name, np.asarray(op.attributes["factor"])):
            return
        view = self._view(name)
        if op.shape[1:] != view.shape:
            self._foreign(op)
            return
        layer = _made(op) or Foreign(op.kind, dict(op.attributes))
        self._add(op, view.value, layer, op.arrays, view.of(op.name))

    def _affine(self, op: Op, name: str) -> None:
        """The sum or product with a constant: a bias, the divisors of a pool, or a factor."""
        other = op.arrays["other"]
        if op.attributes["product"] and self._is_divisor(op, name, other):
            return
        view = self._view(name)
        constant = view.constant(other) if op.shape[1:] == view.shape else None
        if constant is None:
            if other.ndim == len(op.shape) and len(other) != 1:
                raise TraceError(
                    f"{op.place}: takes a constant for {len(other)} images, which does not fit"
                    " batches of other sizes"
                )
            self._foreign(op)
        elif not self._is_bias(op, view, constant):
            trained = self._ones and may_be_trained(
                constant, op.origins.get("other"), product=op.attributes["product"]
            )
            factor = None if trained else _factor(op, constant)
            layer = factor or Foreign(op.kind, dict(op.attributes))
            arrays = {} if isinstance(layer, Scale) else {"other": constant}
            self._add(op, view.value, layer, arrays, view.of(op.name))

    def _is_bias(self, op: Op, view: View, constant: Array) -> bool:
        """Whether an addition is the bias of the convolution or dense layer before it, which then
        has it.
        """
        value = self._values.get(view.value)
        if value is None or value.step is None or self._uses.get(view.value, 0) > 1:
            return False
        layer, channels = value.step.layer, view.base[0]
        weighted = isinstance(layer, Conv | Dense) or _is_dilated(layer)
        if not weighted or "bias" in value.step.arrays or op.attributes["product"]:
            return False
        if constant.size not in (1, channels) or constant.shape[0] != constant.size:
            return False
        key = (id(op.arrays["other"]), channels)
        if key not in self._biases:
            self._biases[key] = np.array(np.broadcast_to(constant.reshape(-1), channels))
        arrays = {**value.step.arrays, "bias": self._biases[key]}
        origins = dict(value.step.origins)
        if (origin := op.origins.get("other")) is not None:
            origins["bias"] = origin
        if constant.size != channels and origin != "constant":
            origins["bias"] = "tied"  # one number for all channels
        if isinstance(layer, Conv | Dense):
            layer = replace(layer, bias=True)
        step = replace(value.step, layer=layer, arrays=arrays, origins=origins)
        self._values[view.value] = replace(value, step=step)
        self._views[op.name] = view
        return True

    def _is_divisor(self, op: Op, name: str, other: Array) -> bool:
        """Whether a product makes means of sums over windows, which are an average pool then: what
        a framework without asymmetric or uncounted paddings needs two pools for.
        """
        view = self._views[name]
        summed = self._sums.get(view.value)
        if summed is None or not view.is_plain or op.shape[1:] != view.shape:
            return False
        if view.value in self._values:  # something needs the sums
            return False
        before, padding, pool = summed
        found, given = pool.attributes, self._shape(before)
        kernel, stride = found["kernel_size"], found["stride"]
        counted = _counts(given, op.shape[2:], kernel, stride, padding)
        if not counted.all() or (other.size != 1 and other.ndim < 2):
            return False
        rows = other.reshape(-1, *other.shape[-2:]) if other.ndim > 1 else other.reshape(1, 1, 1)
        if rows[0].size not in (1, counted.size) or (rows != rows[0]).any():
            return False  # not the same for each channel
        ones = np.ones((1, 1, *given[1:]))
        for layer in _averages(kernel, stride, padding):
            if not _fits(layer, given, op.shape[1:]):
                continue
            (right,) = evaluate((Step(layer, {}, op.shape[1:], op.place),), ones)
            # Divisions are rounded correctly, so these are the same numbers or others.
            if (rows[0].astype(np.float32) == (right[0, 0] / counted).astype(np.float32)).all():
                self._add(op, before, layer, {})
                return True
        return False

    def _dense(self, op: Op, name: str) -> None:
        """A dense layer of all elements of an image, or, along the channels, a convolution."""
        view, weight = self._view(name), op.arrays["weight"]
        if len(op.shape) == 2 and len(view.base) in (1, 3) and len(view.shape) == 1:
            arrays = {**op.arrays, "weight": self._restore(weight, view)}
            self._add(op, view.value, Dense(len(weight), "bias" in arrays), arrays)
        elif len(op.shape) == 2:
            layer = Dense(len(weight), "bias" in op.arrays)
            self._add(op, self._plain(name), layer, op.arrays)
        elif view.base != view.shape == view.sizes and view.axes[-1] == 0 and len(view.base) == 3:
            channels = plain("", (view.base[0], 1, 1)).reshaped((view.base[0],), "")
            arrays = {**op.arrays, "weight": self._restore(weight, channels)}
            conv = Conv(len(weight), (1, 1), (1, 1), NO_PADDING, 1, "bias" in arrays)
            base = (len(weight), *view.base[1:])
            self._add(op, view.value, conv, arrays, view.of(op.name, base, op.shape[1:]))
        else:
            self._foreign(op)

    def _batch_norm(self, op: Op, name: str) -> None:
        view, found = self._view(name), op.attributes
        groups = view.groups()
        along = groups is not None and groups[0] == (0,) and len(view.base) == 3
        if found["train"] or "running_mean" not in op.arrays or not along:
            self._foreign(op)
            return
        layer = BatchNorm(_short(found["eps"]), MOMENTUM, _is_scaled(op.arrays, self._ones))
        self._add(op, view.value, layer, _norm_arrays(op.arrays, layer), view.of(op.name))

    def _mean(self, op: Op, name: str) -> None:
        """The mean over all pixels of a map is a pool."""
        view, found = self._view(name), op.attributes
        groups = view.groups()
        axes = {axis % (len(view.shape) + 1) - 1 for axis in found["axes"]}
        if groups is not None and len(view.base) == 3 and -1 not in axes:
            over = {axis for each in axes for axis in groups[each] if view.base[axis] != 1}
            if over == {axis for axis in (1, 2) if view.base[axis] != 1}:
                base = (view.base[0], 1, 1)
                pooled = plain(op.name, base).reshaped(op.shape[1:], op.place)
                self._add(op, view.value, AdaptiveAvgPool((1, 1)), {}, pooled)
                return
        self._foreign(op)

    def _map_layer(self, op: Op, name: str) -> None:
        """A layer that takes a map as it is: with the padding before it, if that is the same."""
        padded, layer = self._padded(op, name), None
        if padded is not None:
            before, padding = padded
            layer = self._checked(op, before, padding)
        if layer is None:
            before = self._plain(name)
            layer = self._checked(op, before, NO_PADDING)
        if layer is not None:
            self._add(op, before, layer, op.arrays)
        elif padded is not None and (gaps := self._with_gaps(op, *padded)) is not None:
            self._add(op, padded[0], gaps, op.arrays)
        else:
            self._foreign(op)

    def _padded(self, op: Op, name: str) -> tuple[str, ExplicitPadding] | None:
        """The value before the padding that a layer can take with its own, and that padding."""
        found = op.attributes
        match op.kind:
            case "conv":
                return self._unpadded(op, name, 0.0)
            case "avg_pool" if found["padding"] == NO_PADDING or found["count_include_pad"]:
                return self._unpadded(op, name, 0.0)
            case "max_pool":
                padded = self._unpadded(op, name, -math.inf)
                if padded is not None:
                    return padded
                padded = self._unpadded(op, name, 0.0)
                return padded if padded is not None and self._is_positive(padded[0]) else None
        return None

    def _with_gaps(self, op: Op, before: str, padding: ExplicitPadding) -> Foreign | None:
        """A convolution with gaps in its kernel, and with a further `padding`."""
        if op.kind != "conv":
            return None
        found = {**op.attributes, "padding": _sum(op.attributes["padding"], padding)}
        weight, dilation = op.arrays["weight"], found["dilation"]
        height, width = (
            (size - 1) * gap + 1 for size, gap in zip(weight.shape[2:], dilation, strict=True)
        )
        wide = (height, width), found["stride"], found["padding"], found["groups"]
        try:
            layer = Conv(len(weight), *wide, False)
            fits = _fits(layer, self._shape(before), op.shape[1:])
        except SpecError:  # a number that the spec does not allow
            return None
        return Foreign(op.kind, found) if fits else None

    def _checked(self, op: Op, before: str, padding: ExplicitPadding) -> Leaf | None:
        """The spec's layer with a further `padding`, if it gives what the operation does."""
        try:
            layer = _made(op, padding)
        except SpecError:  # a number that the spec does not allow
            return None
        fits = layer is not None and _fits(layer, self._shape(before), op.shape[1:])
        return layer if fits else None

    def _is_positive(self, value: str) -> bool:
        """Whether no element of a value can be negative: then zeros around it never win."""
        found = self._values.get(value)
        if found is None:
            return False
        if found.step is None:
            return all(map(self._is_positive, found.inputs))
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
        return isinstance(layer, kept) and self._is_positive(found.inputs[0])


def _is_dilated(layer: Leaf | Foreign) -> bool:
    """Whether a layer is a convolution with gaps in its kernel."""
    return isinstance(layer, Foreign) and layer.kind == "conv"


def _made(op: Op, padding: ExplicitPadding = NO_PADDING) -> Leaf | None:
    """The spec's layer, with a `padding` that stood before it; None if there is none.

    Raises `SpecError` for a number that the spec does not allow.
    """
    found = op.attributes
    if found.get("dilation", (1, 1)) != (1, 1):
        return None
    match op.kind:
        case "conv":
            weight = op.arrays["weight"]
            kernel = (int(weight.shape[2]), int(weight.shape[3]))
            padding = _sum(found["padding"], padding)
            bias = "bias" in op.arrays
            return Conv(len(weight), kernel, found["stride"], padding, found["groups"], bias)
        case "local_response_norm":
            size, alpha, beta, k = (found[each] for each in ("size", "alpha", "beta", "k"))
            return LocalResponseNorm(size, _short(alpha), _short(beta), _short(k))
        case "max_pool":
            padding = _sum(found["padding"], padding)
            return MaxPool(found["kernel_size"], found["stride"], padding, found["ceil_mode"])
        case "avg_pool":
            counted = found["count_include_pad"] or padding != NO_PADDING
            padding = _sum(found["padding"], padding)
            kernel, stride = found["kernel_size"], found["stride"]
            return AvgPool(kernel, stride, padding, found["ceil_mode"], counted)
        case "adaptive_avg_pool":
            return AdaptiveAvgPool(found["output_size"])
        case "relu":
            return ReLU()
        case "dropout" if not found["active"] and 0 <= found["rate"] < 1:
            return Dropout(_short(found["rate"]))
        case "mul" if math.isfinite(found["factor"]):
            return Scale(_short(found["factor"]), "always")
        case _:
            return None


def _computes_nothing(op: Op) -> bool:
    """Whether the result is what is given, perhaps in another shape or order."""
    if op.kind == "concat":
        return len(op.inputs) == 1 and not op.arrays
    if op.kind == "mul":
        return bool(op.attributes["factor"] == 1)
    return op.kind in MOVES or (op.kind == "pad" and op.attributes["padding"] == NO_PADDING)


def may_be_trained(constant: Array, origin: Origin | None, *, product: bool) -> bool:
    """Whether what is added or multiplied is a weight: one that changes nothing is, where its
    origin is not known, since nobody writes that.
    """
    nothing = bool((constant == (1 if product else 0)).all())
    return origin == "weight" or (origin is None and nothing)


def _factor(op: Op, constant: Array) -> Scale | None:
    """The product with one number, which is a layer of the spec."""
    if not op.attributes["product"] or constant.size != 1 or not np.isfinite(constant).all():
        return None
    return Scale(_short(constant.item()), "always")


def _fits(layer: Leaf, given: Shape, shape: Shape) -> bool:
    """Whether a layer makes a value of one shape one of another."""
    try:
        return leaf_shape(layer, "", given)[1] == shape
    except (ShapeError, SpecError):
        return False


def _averages(kernel: Pair, stride: Pair, padding: ExplicitPadding) -> Iterator[AvgPool]:
    """The average pools whose windows may read `padding`: what is behind the map may be its padding
    or beyond it, where windows that round up reach.
    """
    (top, bottom), (left, right) = padding
    for ceil_mode, included in ((False, False), (False, True), (True, False), (True, True)):
        behind = product(range(bottom, -1, -1), range(right, -1, -1))
        for below, beside in behind if ceil_mode else ((bottom, right),):
            try:
                yield AvgPool(kernel, stride, ((top, below), (left, beside)), ceil_mode, included)
            except SpecError:  # a padding of more than half of the kernel
                continue


def _counts(
    given: Shape, size: Shape, kernel: Pair, stride: Pair, padding: ExplicitPadding
) -> Array:
    """How many elements of a map `given` (C, H, W) each of the windows, `size` of them (height,
    width), has.
    """
    axes = []
    for axis in range(2):
        start = np.arange(size[axis]) * stride[axis] - padding[axis][0]
        stop = np.minimum(start + kernel[axis], given[1 + axis])
        axes.append(np.maximum(stop - np.maximum(start, 0), 0))
    counts: Array = np.outer(*axes).astype(np.float64)
    return counts


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


def _sum(first: ExplicitPadding, second: ExplicitPadding) -> ExplicitPadding:
    (a, b), (c, d) = first
    (e, f), (g, h) = second
    return ((a + e, b + f), (c + g, d + h))


def _is_around(padding: ExplicitPadding) -> bool:
    """Whether a padding adds on every side; a negative one takes away."""
    return all(side >= 0 for sides in padding for side in sides)


def _is_scaled(arrays: Mapping[str, Array], ones: bool) -> bool:
    """Whether batch norm multiplies by something: unless `ones`, a weight of ones is none."""
    return "weight" in arrays and (ones or bool((arrays["weight"] != 1).any()))


def _norm_arrays(arrays: Mapping[str, Array], layer: BatchNorm) -> dict[str, Array]:
    """A batch norm's arrays as the spec has them: a bias always, a weight if it scales."""
    found = {"bias": np.zeros_like(arrays["running_mean"]), **arrays}
    if not layer.scale:
        found.pop("weight", None)
    return found


def _short(value: Any) -> float:
    """A number that is a float32 as the shortest decimal that is the same one: frameworks keep 1e-3
    as its nearest float32. Any other as it is.
    """
    number = float(value)
    near = np.float32(number)
    return float(str(near)) if float(near) == number else number
