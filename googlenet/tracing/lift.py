"""A graph in the spec's terms: each operation a layer, with what belongs to one layer taken
together, and nothing that only moves numbers about.

Paddings that stand apart go into the convolution or pool behind them, a bias that is added into its
convolution; flattening a map for a dense layer gives that layer the map's axes. What remains and is
no layer of the spec is foreign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ..arrays import Array
from ..backend.graph import Graph, Op
from ..errors import SpecError, TraceError
from ..spec.layers import (
    NO_PADDING,
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    ExplicitPadding,
    GlobalAvgPool,
    Leaf,
    LocalResponseNorm,
    MaxPool,
    Pair,
    ReLU,
    Scale,
    Shape,
)
from .evaluate import evaluate
from .structure import Structure, Value
from .tree import Chain, Foreign, Fork, Step

#: What batch norm's momentum is in a graph of evaluation, which does not say it.
MOMENTUM: Final = 0.1
#: The kinds of operations that leave a map of one pixel one, whatever its axes.
KEEPING: Final = ("relu", "dropout", "identity", "reshape")
EPS: Final = float(np.finfo(np.float32).eps)


def lift(graph: Graph) -> Chain:
    """The layers of `graph` as a tree. Raises `TraceError` if its first axis is not the batch
    throughout, or if its branches do not fork and join as a whole.
    """
    return _Lifter(graph).tree()


class _Lifter:
    """Reads the operations of a graph in their order.

    Each name that an operation gives stands for a value, perhaps that of another operation, as
    after a flattening: `_alias`. `_apart` holds paddings that no layer has taken yet.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._alias: dict[str, str] = {}
        self._shapes: dict[str, Shape] = {graph.input: graph.input_shape[1:]}
        self._ops = {op.name: op for op in graph.ops}
        self._values: dict[str, Value] = {}
        self._uses: dict[str, int] = {}
        for op in graph.ops:
            for name in op.inputs:
                self._uses[name] = self._uses.get(name, 0) + 1
        for name in graph.outputs:
            self._uses[name] = self._uses.get(name, 0) + 1
        #: For each value that is padded by 0: the value before, and the padding.
        self._apart: dict[str, tuple[str, ExplicitPadding, float, Op]] = {}
        #: For each sum over windows that nothing has divided yet: the value before, its padding.
        self._sums: dict[str, tuple[str, ExplicitPadding, Op]] = {}

    def tree(self) -> Chain:
        """The tree of all operations that the outputs need."""
        for op in self._needed():
            if op.shape[:1] != self._graph.input_shape[:1]:
                raise TraceError(
                    f"{op.place}: '{op.kind}' gives {op.shape} for images of"
                    f" {self._graph.input_shape}: its first axis is not the batch"
                )
            self._read(op)
        outputs = [self._value(name) for name in self._graph.outputs]
        return Structure(self._graph.input, list(self._values.values())).tree(outputs)

    def _needed(self) -> list[Op]:
        needed = set(self._graph.outputs)
        for op in reversed(self._graph.ops):
            if op.name in needed:
                needed.update(op.inputs)
        return [op for op in self._graph.ops if op.name in needed]

    def _value(self, name: str) -> str:
        """The value that stands for `name`; a padding that no layer took is a layer by itself."""
        name = self._alias.get(name, name)
        if name in self._apart:
            before, padding, value, op = self._apart[name]
            if name not in self._values:
                attributes = {"padding": padding, "value": value}
                self._add(op, before, Foreign("pad", attributes), {})
        if name in self._sums and name not in self._values:
            before, padding, op = self._sums[name]
            self._add(op, before, Foreign("sum_pool", {**op.attributes, "padding": padding}), {})
        return name

    def _add(self, op: Op, before: str, layer: Leaf | Foreign, arrays: Mapping[str, Array]) -> None:
        shape = _shape_after(layer, self._shapes[before], op.shape[1:])
        self._shapes[op.name] = shape
        step = Step(layer, arrays, shape, op.place)
        self._values[op.name] = Value(op.name, (before,), step, None)

    def _read(self, op: Op) -> None:
        match op.kind:
            case "identity":
                self._alias[op.name] = self._alias.get(op.inputs[0], op.inputs[0])
            case "flatten" | "reshape":
                self._reshape(op)
            case "pad":
                self._pad(op)
            case "sum_pool":
                before, padding = self._unpadded(op.inputs[0], 0.0)
                self._sums[op.name] = (before, _sum(op.attributes["padding"], padding), op)
                self._shapes[op.name] = op.shape[1:]
            case "concat" | "add" if len(op.inputs) > 1:
                self._join(op)
            case _:
                self._layer(op)

    # Shapes ---------------------------------------------------------------------------------------

    def _reshape(self, op: Op) -> None:
        """A map that becomes a vector keeps its axes here, and the dense layer behind it has them;
        the same shape, or an axis of one less, is nothing at all.
        """
        (name,) = op.inputs
        before = self._alias.get(name, name)
        given = self._given_shape(name)
        sizes = [size for size in given if size != 1]
        if op.shape[1:] == (math.prod(given),) or sizes == [s for s in op.shape[1:] if s != 1]:
            self._alias[op.name] = before
            return
        self._add(op, self._value(name), Foreign("reshape", {"shape": op.shape[1:]}), {})

    def _given_shape(self, name: str) -> Shape:
        """The shape that the framework gave the value, without the batch."""
        if name == self._graph.input:
            return self._graph.input_shape[1:]
        return self._ops[name].shape[1:]

    def _pad(self, op: Op) -> None:
        (name,) = op.inputs
        before, padding = self._value(name), op.attributes["padding"]
        self._shapes[op.name] = op.shape[1:]
        self._apart[op.name] = (before, padding, op.attributes["value"], op)

    def _unpadded(self, name: str, *values: float) -> tuple[str, ExplicitPadding]:
        """The value before a padding by one of `values`, and that padding, if there is one."""
        name = self._alias.get(name, name)
        if name in self._apart:
            before, padding, value, _ = self._apart[name]
            if value in values:
                return before, padding
        return self._value(name), NO_PADDING

    # Joins ----------------------------------------------------------------------------------------

    def _join(self, op: Op) -> None:
        inputs = tuple(map(self._value, op.inputs))
        shapes = {self._shapes[name] for name in inputs}
        if op.kind == "concat":
            if op.attributes["axis"] not in (1, -len(op.shape) + 1):
                raise TraceError(
                    f"{op.place}: concatenates along axis {op.attributes['axis']}, expected the"
                    " channels"
                )
            fork = Fork("concat", (), op.shape[1:], op.place)
        else:
            if len(shapes) != 1:
                raise TraceError(
                    f"{op.place}: adds values of different shapes:"
                    f" {', '.join(map(str, sorted(shapes)))}"
                )
            if op.attributes.get("factor", 1.0) != 1.0:
                inputs = (inputs[0], self._scaled(op, inputs[1]))
            fork = Fork("sum", (), op.shape[1:], op.place)
        self._shapes[op.name] = op.shape[1:]
        self._values[op.name] = Value(op.name, inputs, None, fork)

    def _scaled(self, op: Op, name: str) -> str:
        scaled = f"{op.name}.factor"
        step = Step(Scale(op.attributes["factor"], "always"), {}, self._shapes[name], op.place)
        self._values[scaled] = Value(scaled, (name,), step, None)
        self._shapes[scaled] = self._shapes[name]
        return scaled

    # Layers ---------------------------------------------------------------------------------------

    def _layer(self, op: Op) -> None:
        if len(op.inputs) != 1:
            raise TraceError(
                f"{op.place}: '{op.kind}' takes {len(op.inputs)} values; only concatenations and"
                " sums join branches here"
            )
        (name,) = op.inputs
        if op.kind == "affine" and (self._is_bias(op, name) or self._is_divisor(op, name)):
            return
        before, layer, arrays = self._made(op, name)
        self._add(op, before, layer, arrays)

    def _is_bias(self, op: Op, name: str) -> bool:
        """Whether an addition is the bias of the convolution or dense layer before it, which then
        has it.
        """
        before = self._alias.get(name, name)
        value = self._values.get(before)
        other = op.arrays.get("other")
        if value is None or value.step is None or other is None or self._uses[name] > 1:
            return False
        layer = value.step.layer
        if not isinstance(layer, Conv | Dense) or layer.bias or op.attributes["product"]:
            return False
        channels = value.step.out_shape[0]
        expected = (channels,) + (1,) * (len(op.shape) - 2)
        if other.reshape(other.shape[-len(expected) :]).shape != expected or other.size != channels:
            return False
        arrays = {**value.step.arrays, "bias": other.reshape(channels)}
        step = replace(value.step, layer=replace(layer, bias=True), arrays=arrays)
        self._values[before] = replace(value, step=step)
        self._alias[op.name] = before
        return True

    def _is_divisor(self, op: Op, name: str) -> bool:
        """Whether a product makes means of sums over windows, which are an average pool then: what
        a framework without asymmetric or uncounted paddings needs two pools for.
        """
        summed = self._sums.get(self._alias.get(name, name))
        if summed is None or not op.attributes["product"] or "other" not in op.arrays:
            return False
        before, padding, pool = summed
        found, given = pool.attributes, self._shapes[before]
        kernel, stride = found["kernel_size"], found["stride"]
        counted = _counts(given, op.shape[2:], kernel, stride, padding)
        means = counted * op.arrays["other"].astype(np.float64)
        for ceil_mode, included in ((False, False), (False, True), (True, False), (True, True)):
            try:
                layer = AvgPool(kernel, stride, padding, ceil_mode, included)
            except SpecError:  # a padding of more than half of the kernel
                return False
            ones = np.ones((1, 1, *given[1:]))
            (right,) = evaluate((Step(layer, {}, op.shape[1:], op.place),), ones)
            if right.shape[2:] == op.shape[2:] and np.allclose(means, right, rtol=4 * EPS):
                self._add(op, before, layer, {})
                return True
        return False

    def _made(self, op: Op, name: str) -> tuple[str, Leaf | Foreign, Mapping[str, Array]]:
        """The value that a layer takes, and the layer with its arrays."""
        before, padding = self._value_for(op, name)
        try:
            layer = self._leaf(op, padding, self._shapes[before], name)
        except SpecError:  # a number that the spec does not allow
            layer = None
        if layer is None:
            if padding != NO_PADDING:
                before, padding = self._value(name), NO_PADDING
            return before, Foreign(op.kind, dict(op.attributes)), op.arrays
        if isinstance(layer, Dense):
            weight = op.arrays["weight"]
            shape = (len(weight), *self._shapes[before])
            if weight.size != math.prod(shape):
                return before, Foreign(op.kind, dict(op.attributes)), op.arrays
            return before, layer, {**op.arrays, "weight": weight.reshape(shape)}
        if isinstance(layer, BatchNorm):
            return before, layer, _norm_arrays(op.arrays, layer)
        return before, layer, op.arrays

    def _value_for(self, op: Op, name: str) -> tuple[str, ExplicitPadding]:
        if op.kind in ("conv", "avg_pool"):
            return self._unpadded(name, 0.0)
        if op.kind == "max_pool":
            before, padding = self._unpadded(name, -math.inf, 0.0)
            if padding != NO_PADDING and not self._is_positive(before):
                value = self._apart[self._alias.get(name, name)][2]
                return (before, padding) if value == -math.inf else (self._value(name), NO_PADDING)
            return before, padding
        return self._value(name), NO_PADDING

    def _is_positive(self, name: str) -> bool:
        """Whether no element of a value can be negative: then zeros around it never win."""
        value = self._values.get(name)
        if value is None:
            return False
        if value.step is None:
            return all(map(self._is_positive, value.inputs))
        if isinstance(value.step.layer, ReLU):
            return True
        kept = (MaxPool, AvgPool, AdaptiveAvgPool, GlobalAvgPool, Dropout, LocalResponseNorm)
        return isinstance(value.step.layer, kept) and self._is_positive(value.inputs[0])

    def _leaf(self, op: Op, padding: ExplicitPadding, given: Shape, name: str) -> Leaf | None:
        """The spec's layer; None if there is none."""
        found = op.attributes
        if op.kind in ("conv", "max_pool", "avg_pool"):
            padding = _sum(found["padding"], padding)
            if found.get("dilation", (1, 1)) != (1, 1):
                return None
        match op.kind:
            case "conv":
                weight = op.arrays["weight"]
                kernel = (int(weight.shape[2]), int(weight.shape[3]))
                bias = "bias" in op.arrays
                return Conv(len(weight), kernel, found["stride"], padding, found["groups"], bias)
            case "dense":
                is_vector = len(op.shape) == 2
                return Dense(op.shape[1], "bias" in op.arrays) if is_vector else None
            case "batch_norm":
                if found["train"] or "running_mean" not in op.arrays:
                    return None
                return BatchNorm(_short(found["eps"]), MOMENTUM, _is_scaled(op.arrays))
            case "local_response_norm":
                size, alpha, beta, k = (found[each] for each in ("size", "alpha", "beta", "k"))
                return LocalResponseNorm(size, _short(alpha), _short(beta), _short(k))
            case "max_pool":
                return MaxPool(found["kernel_size"], found["stride"], padding, found["ceil_mode"])
            case "avg_pool":
                apart = padding != found["padding"]
                return AvgPool(
                    found["kernel_size"],
                    found["stride"],
                    padding,
                    found["ceil_mode"],
                    found["count_include_pad"] or apart,
                )
            case "adaptive_avg_pool":
                if found["output_size"] == (1, 1) and self._is_flattened(op):
                    return GlobalAvgPool()
                return AdaptiveAvgPool(found["output_size"])
            case "mean":
                axes = sorted(axis % 4 for axis in found["axes"])
                if len(given) != 3 or axes != [2, 3]:
                    return None
                flat = not found["keepdims"] or self._is_flattened(op)
                return GlobalAvgPool() if flat else AdaptiveAvgPool((1, 1))
            case "relu":
                return ReLU()
            case "dropout" if not found["active"]:
                return Dropout(_short(found["rate"]))
            case "mul" if "factor" in found:
                return Scale(_short(found["factor"]), "always")
            case _:
                return None

    def _is_flattened(self, op: Op) -> bool:
        """Whether all that becomes of a value goes on as a vector, through layers that change no
        shape.
        """
        users = [each for each in self._graph.ops if op.name in each.inputs]
        if not users or op.name in self._graph.outputs:
            return False
        return all(
            len(each.shape) == 2
            or (
                each.kind in ("relu", "dropout", "identity", "reshape") and self._is_flattened(each)
            )
            for each in users
        )


def _shape_after(layer: Leaf | Foreign, before: Shape, shape: Shape) -> Shape:
    """The shape of a layer's result, to which the framework gives `shape`: a global pool's is a
    vector here, whatever axes of one are kept, and what works element by element changes none.
    """
    if isinstance(layer, GlobalAvgPool):
        return shape[:1]
    if isinstance(layer, ReLU | Dropout | Scale | BatchNorm | LocalResponseNorm):
        return before
    return shape


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


def _sum(first: ExplicitPadding, second: ExplicitPadding) -> ExplicitPadding:
    (a, b), (c, d) = first
    (e, f), (g, h) = second
    return ((a + e, b + f), (c + g, d + h))


def _is_scaled(arrays: Mapping[str, Array]) -> bool:
    """Whether batch norm multiplies by something: a weight of ones is none."""
    return "weight" in arrays and bool((arrays["weight"] != 1).any())


def _norm_arrays(arrays: Mapping[str, Array], layer: BatchNorm) -> dict[str, Array]:
    """A batch norm's arrays as the spec has them: a bias always, a weight if it scales."""
    found = {"bias": np.zeros_like(arrays["running_mean"]), **arrays}
    if not layer.scale:
        found.pop("weight", None)
    return found


def _short(value: Any) -> float:
    """The shortest decimal that is the same float32: frameworks keep 1e-3 as its nearest one."""
    return float(str(np.float32(value)))
