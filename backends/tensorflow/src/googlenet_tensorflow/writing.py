"""The neutral graph that a graph of TensorFlow is read as: its operations, values and arrays.

TensorFlow's tensors have channels last, in any order that a user's transposes make. Here each one
is a value of the neutral graph, with the order in which its axes are TensorFlow's: so a transpose
is no operation until something needs the axes in their places.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.errors import CaptureError

from .constants import Constant, run
from .graphs import Shape, plain_attributes, result_shapes, wide
from .origins import Origins, unused
from .places import ROOT, Places

#: The axes of the neutral graph in TensorFlow's order: maps (N, C, H, W) are (N, H, W, C) there.
CHANNELS_LAST: Final = (0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class Noise:
    """A tensor that something random is in. `rate` is how many of its elements are False, if that
    is all.
    """

    rate: float | None = None


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of a `shape` that depends on the images: axis `i` is axis `axes[i]` of the value
    `name` of the neutral graph.

    `lead` are the sizes of the axes before the channels that were joined into the first: then
    `shape` and `axes` are those of the value as a map.
    """

    name: str
    shape: Shape
    axes: tuple[int, ...]
    lead: Shape | None = None


@dataclass(frozen=True, eq=False)
class Tiled:
    """A map cut into several by SpaceToBatchND, with its `block` and `padding`; after that `node`
    with its other inputs, `rest`, if anything.
    """

    value: Value
    block: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    node: Any = None
    rest: tuple[Any, ...] = ()


Tensor: TypeAlias = "Constant | Noise | Value | Tiled"
#: What reads one kind of operation: the results of a node for its inputs.
Rule: TypeAlias = "Callable[[Writer, Any, list[Any]], Tensor | list[Tensor] | None]"


@dataclass(frozen=True, eq=False)
class Scalar:
    """Part of what is computed element by element, with the TensorFlow operation itself."""

    node: Any
    inputs: tuple[Any, ...]  # names of values, and constants


@dataclass(eq=False)
class Writer:
    """Writes the operations of a graph for images `given`, of the shape that TensorFlow has them
    in, and says of each where it is and where its arrays are from.
    """

    given: Shape
    places: Places
    origins: Origins
    ops: dict[str, Op] = field(default_factory=dict)
    #: How values were computed that are functions of one number, applied to each element.
    pointwise: dict[str, Scalar] = field(default_factory=dict)
    #: Which constants were added or multiplied: value before, operation, constant, and which first.
    chains: dict[str, tuple[str, Any, Constant, bool]] = field(default_factory=dict)
    #: Values that are a mean, times the number of elements: sums.
    sums: set[str] = field(default_factory=set)
    #: Where the operation at hand is, and the user's line that calls it.
    place: str = ROOT
    called: tuple[str, int] | None = None
    #: The trained variables that it takes.
    trained: Mapping[str, int] = field(default_factory=dict)
    _arrays: dict[Any, tuple[Any, Array]] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)
    #: What was read from each variable, so that a weight is one constant however often it is read.
    _read_from: dict[int, Constant] = field(default_factory=dict)

    def graph(self, outputs: Sequence[Value]) -> Graph:
        """All operations that `outputs` need."""
        names = [self.canonical(each) for each in outputs]
        ops = _with_biases(self.origins.separated(_needed(self.ops, names)), names)
        idle = unused(self.places, self.origins.read)
        shape = self.shape("images")
        return Graph("images", shape, tuple(ops), tuple(names), tuple(idle), self.places.classes())

    # Values ---------------------------------------------------------------------------------------

    def emit(
        self,
        node: Any,
        kind: str,
        inputs: Sequence[str],
        shape: Shape,
        attributes: Mapping[str, Any] | None = None,
        arrays: Mapping[str, Array] | None = None,
    ) -> str:
        """Adds an operation, whose `shape` is in the axes of the neutral graph."""
        base = node if isinstance(node, str) else node.name
        count = self._names[base] = self._names.get(base, 0) + 1
        name = base if count == 1 else f"{base}#{count}"
        held = dict(arrays or {})
        own, given = dict(attributes or {}), tuple(inputs)
        op = Op(name, kind, given, shape, own, held, self.place)
        self.ops[name] = replace(op, called=self.called, trained=self.trained)
        return name

    def shape(self, name: str) -> Shape:
        """The shape of a value of the neutral graph."""
        if name in self.ops:
            return self.ops[name].shape
        return tuple(self.given[axis] for axis in (0, 3, 1, 2))

    def native(self, value: Value) -> Shape:
        """The shape of the tensor in TensorFlow."""
        if value.lead is None:
            return value.shape
        return (math.prod(value.lead), value.shape[-1])

    def ordered(self, value: Value, axes: tuple[int, ...]) -> str:
        """The name of a value whose axis `axes[i]` is axis `i` of the tensor."""
        if value.axes == axes:
            return value.name
        order = [0] * len(axes)
        for ours, theirs in zip(axes, value.axes, strict=True):
            order[ours] = theirs
        given = self.shape(value.name)
        shape = tuple(given[axis] for axis in order)
        moved = [axis for axis in order if given[axis] != 1]
        if moved == sorted(moved):  # only axes of one element change places
            return self.emit(
                f"{value.name}.axes", "reshape", (value.name,), shape, {"shape": shape[1:]}
            )
        attributes = {"axes": tuple(order)}
        return self.emit(f"{value.name}.axes", "transpose", (value.name,), shape, attributes)

    def canonical(self, value: Value) -> str:
        """The name of a value with its axes in their places: a map's (N, C, H, W)."""
        value = self.apart(value)
        rank = len(value.shape)
        return self.ordered(value, CHANNELS_LAST if rank == 4 else tuple(range(rank)))

    def apart(self, value: Value) -> Value:
        """A value without `lead`: a batch of rows, which no layer of the spec has."""
        if value.lead is None:
            return value
        name = self.ordered(value, tuple(range(len(value.shape))))
        shape = self.native(value)
        name = self.emit(f"{name}.rows", "reshape", (name,), shape, {"shape": shape[1:]})
        return Value(name, shape, (0, 1))

    def same(
        self,
        node: Any,
        kind: str,
        value: Value,
        attributes: Mapping[str, Any] | None = None,
        *others: str,
    ) -> Value:
        """`value` after an operation, perhaps with `others`, that changes no shape."""
        inputs = (value.name, *others)
        name = self.emit(node, kind, inputs, self.shape(value.name), attributes)
        return replace(value, name=name)

    def foreign(self, node: Any, inputs: Sequence[Any]) -> Tensor | list[Tensor]:
        """The results of an operation that nobody here knows, under its own name."""
        if any(output.dtype in (tf.resource, tf.variant) for output in node.outputs):
            raise CaptureError(f"{self.place}: '{node.type}' cannot be read")
        values = []
        for each in inputs:
            if isinstance(each, Tiled):
                values.append(self.canonical(self._tiles(each)))
            elif isinstance(each, Value):
                values.append(self.canonical(each))
        shapes = result_shapes(
            node, [self._stand_in(each, n, node) for n, each in enumerate(inputs)]
        )
        attributes: dict[str, Any] = plain_attributes(node)
        if any(isinstance(each, Noise) for each in inputs):
            attributes["random"] = True
        results: list[Tensor] = []
        for number, shape in enumerate(shapes):
            axes = CHANNELS_LAST if len(shape) == 4 else tuple(range(len(shape)))
            order = np.argsort(axes)
            ours = tuple(shape[axis] for axis in order)
            if len(shapes) > 1:
                attributes = {**attributes, "result": number}
            name = self.emit(node, f"tf.{node.type}", values, ours, attributes)
            results.append(Value(name, shape, axes))
        return results

    def _tiles(self, tiled: Tiled) -> Value:
        value = self.apart(tiled.value)
        name = self.emit(
            f"{value.name}.tiles",
            "tf.SpaceToBatchND",
            (self.canonical(value),),
            (self.given[0] * math.prod(tiled.block), *value.shape[1:]),
        )
        return Value(name, self.shape(name), CHANNELS_LAST)

    def _stand_in(self, each: Any, number: int, node: Any) -> Any:
        """A constant, or the shape and dtype of anything else."""
        if isinstance(each, Constant):
            return each.tensor
        given = node.inputs[number]
        shape = self.native(each) if isinstance(each, Value) else given.shape
        return tf.TensorSpec(shape, given.dtype)

    # Arrays ---------------------------------------------------------------------------------------

    def array(
        self,
        constant: Constant,
        what: str,
        change: Callable[[Array], Array] = np.array,
        moved: Callable[[Array], Array] | None = None,
    ) -> Array:
        """A constant's elements after `change`, which `what` names; the same object for the same
        weight of the user's. Where `change` does not only rearrange them, `moved` does that.
        """
        key = (id(constant.leaf), what, tuple(constant.array.shape))
        if key not in self._arrays:
            # A copy: the model's own may change. Its memory is in order, so that it can be saved.
            changed = np.array(change(constant.array), order="C")
            self._arrays[key] = (constant.leaf, changed)
            self.origins.make(changed, constant, moved or change)
        return self._arrays[key][1]

    def weight(self, variable: Any) -> Constant:
        """A variable of a layer as a constant, the same one each time."""
        plain = variable.value if isinstance(variable, keras.Variable) else variable
        if id(plain) not in self._read_from:
            found = Constant(wide(tf.constant(plain.numpy())))
            self._read_from[id(plain)] = found
            self.origins.hold(found, plain)
        return self._read_from[id(plain)]

    def read(self, node: Any, handle: Constant) -> Constant:
        """What a node reads through the handle of a variable: the same constant each time."""
        variable = self.origins.touch(handle)
        key = id(handle) if variable is None else id(variable)
        if key not in self._read_from:
            (found,) = run(node, [handle.tensor])
            self._read_from[key] = Constant(wide(found), node, (handle,))
            if variable is not None:
                self.origins.hold(self._read_from[key], variable)
        return self._read_from[key]

    def is_number(self, constant: Constant) -> bool:
        """Whether a constant is one number that is written in the code, and never trained."""
        return constant.array.size == 1 and self.origins.of(constant) == "constant"

    def by_parameter(self, constant: Constant) -> None:
        """Where an operation is, from its weight, if no layer is known."""
        variable = self.origins.variable(constant.leaf)
        if self.place == ROOT and variable is not None:
            self.place = self.places[variable] or ROOT


def _needed(ops: Mapping[str, Op], outputs: Sequence[str]) -> list[Op]:
    needed = set(outputs)
    for op in reversed(list(ops.values())):
        if op.name in needed:
            needed.update(op.inputs)
    return [op for op in ops.values() if op.name in needed]


def _with_biases(ops: Sequence[Op], outputs: Sequence[str]) -> list[Op]:
    """The operations, with what is only added to a convolution or dense layer as its bias."""
    named = {op.name: op for op in ops}
    uses = Counter([*outputs, *(each for op in ops for each in op.inputs)])
    biases: dict[int, Array] = {}
    for op in ops:
        before = named.get(op.inputs[0]) if op.kind == "affine" else None
        if before is None or before.kind not in ("conv", "dense") or "bias" in before.arrays:
            continue
        if before.kind == "dense" and len(before.shape) != 2:
            continue
        other, channels = op.arrays["other"], before.shape[1]
        alike = other.shape == (channels, *(1 for _ in before.shape[2:]))
        if op.attributes["product"] or not alike or uses[before.name] > 1:
            continue
        # One object for one array of the user's, whose first axis it is.
        bias = biases.setdefault(id(other), other.reshape(channels))
        del named[before.name]
        arrays = {**before.arrays, "bias": bias}
        origins = {**before.origins, "bias": op.origins["other"]}
        trained = {**before.trained, **op.trained}
        named[op.name] = replace(
            before, name=op.name, arrays=arrays, origins=origins, trained=trained
        )
    return list(named.values())


def broadcast(*shapes: Shape) -> Shape:
    """The shape of arrays combined element by element."""
    return tuple(np.broadcast_shapes(*shapes))
