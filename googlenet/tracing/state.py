"""What is known of a graph while its operations are read in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..arrays import Array
from ..backend.graph import Graph, Op
from ..spec.layers import (
    ExplicitPadding,
    Leaf,
    Shape,
)
from .structure import Value
from .tree import Foreign, Step
from .views import View, plain


class State:
    """Each name that an operation gives stands for a value in some `View`, perhaps the value of
    another operation, as after a flattening.
    """

    def __init__(self, graph: Graph, uses: Mapping[str, int], *, ones: bool) -> None:
        self.graph, self.ones = graph, ones
        self.views = {graph.input: plain(graph.input, graph.input_shape[1:])}
        self.values: dict[str, Value] = {}
        #: For each value that is padded: the value before, the padding, and by what.
        self.pads: dict[str, tuple[str, ExplicitPadding, float, Op]] = {}
        #: For each sum over windows that nothing has divided yet: the value before its padding, and
        #: that padding.
        self.sums: dict[str, tuple[str, ExplicitPadding, Op]] = {}
        #: For each value whose windows were unfolded and that nothing took yet: by what.
        self.windows: dict[str, Op] = {}
        #: What stands for a view in a tree, once something needs it.
        self.moved: dict[tuple[str, tuple[int, ...], Shape], str] = {}
        #: Arrays rearranged, by the identity of the original: what is shared stays so.
        self.restored: dict[tuple[int, View], Array] = {}
        #: The same for biases, by the original and the number of channels.
        self.biases: dict[tuple[int, int], Array] = {}
        #: Products with a number that is not trained.
        self.written: set[str] = set()
        #: Of each value that was asked for, whether no element of it can be negative.
        self.positive: dict[str, bool] = {}
        #: How often each value is used, under whatever name.
        self.uses = uses

    def view(self, name: str) -> View:
        """What stands for `name`; what no layer took, such as a padding, is one by itself."""
        view = self.views[name]
        value = view.value
        if value in self.values:
            return view
        if value in self.pads:
            before, padding, number, op = self.pads[value]
            self.add(op, before, Foreign("pad", {"padding": padding, "value": number}), {})
        elif value in self.sums:
            _, _, op = self.sums[value]
            self.add(op, self.plain(op.inputs[0]), Foreign(op.kind, dict(op.attributes)), {})
        elif value in self.windows:
            op = self.windows[value]
            self.add(op, self.plain(op.inputs[0]), Foreign(op.kind, dict(op.attributes)), {})
        return view

    def plain(self, name: str) -> str:
        """The value of `name` as it is in the user's code: where that moved it, so does a layer."""
        return self.placed(self.view(name))

    def placed(self, view: View) -> str:
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
        if key not in self.moved:
            name = f"{value} as {axes} {shape}"
            self.values[name] = Value(name, (value,), Step(layer, {}, shape, view.place), None)
            self.moved[key] = name
        return self.moved[key]

    def output(self, name: str) -> tuple[str, Shape]:
        """The value of an output, which may lack axes of one element, and its own shape."""
        view = self.view(name)
        return (view.value if view.is_squeezed else self.plain(name)), view.shape

    def shape(self, value: str) -> Shape:
        """The shape of a value without the batch."""
        if value == self.graph.input:
            return self.graph.input_shape[1:]
        found = self.values[value].step or self.values[value].join
        assert found is not None
        return found.out_shape

    def add(
        self,
        op: Op,
        before: str,
        layer: Leaf | Foreign,
        arrays: Mapping[str, Array],
        view: View | None = None,
    ) -> None:
        """A layer applied to a value, and the view of its result that the user's code has."""
        view = view or plain(op.name, op.shape[1:])
        self.views[op.name] = view
        origins = {role: origin for role, origin in op.origins.items() if role in arrays}
        step = Step(layer, arrays, view.base, op.place, origins, op.called)
        self.values[op.name] = Value(op.name, (before,), step, None)

    def foreign(self, op: Op) -> None:
        """An operation of one value that no layer of the spec is, as it is."""
        self.add(op, self.plain(op.inputs[0]), Foreign(op.kind, dict(op.attributes)), op.arrays)

    def restore(self, array: Array, view: View) -> Array:
        """`view.restored`, the same object for the same array."""
        key = (id(array), replace(view, value="", place=""))
        if key not in self.restored:
            self.restored[key] = view.restored(array)
        return self.restored[key]
