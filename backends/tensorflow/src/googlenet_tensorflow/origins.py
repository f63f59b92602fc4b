"""Where the arrays of a user's TensorFlow model are from: which of them are trained, and which of
those are parts or rearrangements of the same variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.backend.graph import Op, Origin
from googlenet.backend.origins import STATISTICS, separated

from .constants import Constant, run
from .places import ROOT, Places

#: Operations that only move the elements of a tensor about, or take some of them.
REARRANGING: Final = frozenset(
    (
        *("BroadcastTo", "Cast", "ConcatV2", "EnsureShape", "ExpandDims", "GatherNd", "GatherV2"),
        *("Identity", "IdentityN", "Pack", "PreventGradient", "Reshape", "ReverseV2", "Roll"),
        *("Slice", "Snapshot", "Split", "SplitV", "Squeeze", "StopGradient", "StridedSlice"),
        *("Tile", "Transpose", "Unpack"),
    )
)
#: What depends on a tensor's shape alone, whatever its elements are.
OF_SHAPE: Final = ("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike")


class Origins:
    """Where constants are from, and the arrays that are made of them."""

    def __init__(self, places: Places, variables: Iterable[Any]) -> None:
        self._trained = trained(places)
        #: Each variable by the identity of the handle that a graph reads it with.
        self._handles = {id(each.handle): each for each in variables}
        self._variables: dict[int, tuple[Constant, Any]] = {}  # constants that are a variable whole
        self._origins: dict[int, tuple[Constant, Origin]] = {}
        self._elements: dict[int, Array | None] = {}
        self._starts: dict[int, int] = {}
        self._count = 0
        #: Of arrays, by their identities, the constants that they are made of, and how.
        self._made: dict[int, tuple[Array, Constant, Callable[[Array], Array]]] = {}
        #: The variables that were read, by identity.
        self.read: dict[int, Any] = {}

    def hold(self, constant: Constant, variable: Any) -> None:
        """A constant that is a variable's value."""
        self._variables[id(constant)] = (constant, variable)
        self.read[id(variable)] = variable

    def make(self, array: Array, constant: Constant, moved: Callable[[Array], Array]) -> None:
        """An array of a constant's elements, in the order that `moved` gives them."""
        self._made[id(array)] = (array, constant, moved)

    def same(self, array: Array, other: Array) -> None:
        """An array computed from `other`, which is where that is from."""
        if id(other) in self._made:
            _, constant, moved = self._made[id(other)]
            self._made[id(array)] = (array, constant, moved)

    def of(self, constant: Constant) -> Origin:
        """Where a constant is from."""
        if id(constant) not in self._origins:
            self._origins[id(constant)] = (constant, self._found(constant))
        return self._origins[id(constant)][1]

    def touch(self, handle: Constant) -> Any:
        """The variable whose handle a constant is, which is read now; None for any other."""
        variable = self._handles.get(id(handle.tensor))
        if variable is not None:
            self.read[id(variable)] = variable
        return variable

    def variable(self, constant: Constant) -> Any:
        """The variable whose value a constant is; None for any other."""
        return self._variables.get(id(constant), (constant, None))[1]

    def trained(self, constants: Iterable[Constant]) -> dict[str, int]:
        """The sizes of the trained variables that constants are made of, by their identities."""
        found: dict[str, int] = {}
        for constant in constants:
            variable = self._variable_of(constant)
            if variable is not None:
                found |= self._sizes([variable])
            elif constant.node is None or constant.node.type not in OF_SHAPE:
                found |= self.trained(constant.inputs)
        return found

    def trained_in(self, layer: Any) -> dict[str, int]:
        """The sizes of the trained variables of a layer."""
        return self._sizes(_variables(layer))

    def _sizes(self, variables: Iterable[Any]) -> dict[str, int]:
        return {
            str(id(each)): int(each.shape.num_elements())
            for each in variables
            if id(each) in self._trained
        }

    def _variable_of(self, constant: Constant) -> Any:
        """The variable whose value or handle a constant is; None for any other."""
        variable = self.variable(constant)
        return self._handles.get(id(constant.tensor)) if variable is None else variable

    def _found(self, constant: Constant) -> Origin:
        variable = self._variable_of(constant)
        if variable is not None:
            return "weight" if id(variable) in self._trained else "constant"
        if constant.node is None:
            # The handle of a variable that is not known is none the less one.
            is_handle = constant.tensor is not None and constant.tensor.dtype == tf.resource
            return "weight" if is_handle else "constant"
        if constant.node.type in OF_SHAPE:
            return "constant"
        if constant.node.type == "ReadVariableOp":
            return self.of(constant.inputs[0])
        given = {self.of(each) for each in constant.inputs}
        if given <= {"constant"}:
            return "constant"
        elements = self.elements(constant)
        if elements is None:
            return "computed"
        return "weight" if len(np.unique(elements)) == elements.size else "tied"

    def elements(self, constant: Constant) -> Array | None:
        """The number of each element among the elements of all trained variables; None if it is not
        one of them.
        """
        if id(constant) not in self._elements:
            self._elements[id(constant)] = self._numbered(constant)
        return self._elements[id(constant)]

    def _numbered(self, constant: Constant) -> Array | None:
        variable = self.variable(constant)
        if variable is not None:
            if id(variable) not in self._trained:
                return None
            size = constant.array.size
            start = self._starts.setdefault(id(variable), self._count)
            self._count = max(self._count, start + size)
            return np.arange(start, start + size).reshape(constant.array.shape)
        node = constant.node
        if node is None or node.type not in REARRANGING:
            return None
        given: list[Any] = []
        for each in constant.inputs:
            kind = each.array.dtype
            if self.of(each) == "constant" and not np.issubdtype(kind, np.floating):
                given.append(each.tensor)  # a shape, an axis, or where something begins
            elif (numbers := self.elements(each)) is None:
                return None
            else:
                given.append(tf.constant(numbers))
        if node.type == "Cast":
            return np.asarray(given[0])
        return np.asarray(run(node, given)[constant.number])

    def separated(self, ops: Sequence[Op]) -> tuple[Op, ...]:
        """`ops` with the origins of their arrays, and one object for all weights of the same
        elements in the same order.
        """
        shared = self._shared(ops)

        def span(array: Array) -> tuple[int, int] | None:
            elements = self._placed(array) if id(array) in shared else None
            return None if elements is None else (int(elements.min()), int(elements.max()))

        return separated(map(self._told, ops), span, self._numbers)

    def _told(self, op: Op) -> Op:
        origins: dict[str, Origin] = {}
        for role, array in op.arrays.items():
            if role not in STATISTICS:
                made = self._made.get(id(array))
                origins[role] = "constant" if made is None else self.of(made[1])
        of = [self._made[id(each)][1] for each in op.arrays.values() if id(each) in self._made]
        trained = {**op.trained, **self.trained(of)}
        return replace(op, origins=origins, trained=trained)

    def _placed(self, array: Array) -> Array | None:
        """The numbers of an array's elements, where they are known."""
        _, constant, moved = self._made[id(array)]
        elements = self.elements(constant)
        return None if elements is None else moved(elements)

    def _numbers(self, array: Array) -> Array:
        elements = self._placed(array)
        assert elements is not None  # else it has no span
        return elements

    def _shared(self, ops: Sequence[Op]) -> set[int]:
        """The identities of the arrays that are made of a variable of which another array is made,
        too: for the others no elements need be numbered.
        """
        users: dict[int, set[int]] = {}
        for op in ops:
            for array in op.arrays.values():
                if id(array) in self._made:
                    for each in self._sources(self._made[id(array)][1]):
                        users.setdefault(each, set()).add(id(array))
        return {each for alike in users.values() if len(alike) > 1 for each in alike}

    def _sources(self, constant: Constant) -> Iterator[int]:
        """The identities of all variables that a constant is made of."""
        variable = self.variable(constant)
        if variable is not None:
            yield id(variable)
            return
        for each in constant.inputs:
            yield from self._sources(each)


def trained(places: Places) -> dict[int, Any]:
    """The variables of TensorFlow that are trained, or would be if their layer were not frozen, by
    identity. Keras makes those of a layer that is frozen before it is built as not trainable.
    """
    found = {id(each): each for each in places.variables if each.trainable}
    for layer in places.layers:
        found |= {id(each.value): each.value for each in layer._trainable_variables}
    return found


def unused(places: Places, read: Mapping[int, Any]) -> list[str]:
    """The paths of the outermost layers, modules and variables that are trained, but were not
    `read`, or of layers that would have weights if they had been called.
    """
    found: list[str] = []
    weights = trained(places)
    for each in places.found:
        path = places[each]
        if path is None or path == ROOT:
            continue
        own = [one for one in _variables(each) if id(one) in weights]
        is_idle = bool(own) or any(map(_is_never_built, _layers(each)))
        inside = any(path.startswith((f"{outer}.", f"{outer}[")) for outer in found)
        if is_idle and not inside and not any(id(one) in read for one in own):
            found.append(path)
    return found


def _variables(each: Any) -> list[Any]:
    """The variables of TensorFlow that an object of the user's has."""
    if isinstance(each, keras.Variable):
        return []  # its layer has it
    if isinstance(each, keras.layers.Layer | tf.Module):
        own = [one.value if isinstance(one, keras.Variable) else one for one in each.variables]
        return [one for one in own if isinstance(one, tf.Variable)]
    return [each] if isinstance(each, tf.Variable) else []


def _layers(each: Any) -> list[Any]:
    """A layer, and all layers inside it; none for anything else."""
    return list(each._flatten_layers()) if isinstance(each, keras.layers.Layer) else []


def _is_never_built(each: Any) -> bool:
    """Whether a layer makes its weights when it is called, and never was."""
    if each.built:
        return False
    codes = [getattr(vars(kind).get("build"), "__code__", None) for kind in type(each).__mro__]
    return any(code is not None and "add_weight" in code.co_names for code in codes)
