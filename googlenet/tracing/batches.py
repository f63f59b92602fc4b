"""Operations on values whose first axis is not the batch, as ones on values whose first axis is:
code that brings the channels to the front to concatenate them there, or all pixels of all images
into the rows of a matrix, and moves them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from ..arrays import Array
from ..backend.graph import Graph, Op
from ..errors import TraceError
from ..spec.layers import Shape
from .foreign import ELEMENTWISE
from .views import View, plain

#: Kinds whose result has each element of what they are given where that is.
_IN_PLACE: Final = frozenset((*ELEMENTWISE, "identity", "add", "multiply", "affine")) - {
    "spatial_dropout",  # of whole channels
    "alpha_dropout",
}


def with_batch_first(graph: Graph, ops: Sequence[Op]) -> tuple[list[Op], list[str]]:
    """`ops` on values whose first axis is the batch, and what the outputs are called then.

    Raises `TraceError` where the batch is moved and not moved back.
    """
    count = graph.input_shape[0]
    if count == 1 or not any(_moves_batch(op, count) for op in ops):
        return list(ops), list(graph.outputs)
    batches = _Batches(graph)
    for op in ops:
        batches.read(op)
    return batches.ops, list(map(batches.first, graph.outputs))


def _moves_batch(op: Op, count: int) -> bool:
    if op.kind == "transpose":
        return bool(op.attributes["axes"][0] % len(op.shape) != 0)
    return op.kind in ("reshape", "flatten") and op.shape[:1] != (count,)


class _Batches:
    """Each name stands for a `View` of a value that has the batch first; all axes count here."""

    def __init__(self, graph: Graph) -> None:
        self.ops: list[Op] = []
        self._graph, self._count = graph, graph.input_shape[0]
        self._views = {graph.input: plain(graph.input, graph.input_shape)}
        #: By the names of values without the batch first, what moved it.
        self._by: dict[str, Op] = {}
        self._placed: dict[tuple[str, tuple[int, ...], Shape], str] = {}
        #: Constants beside moved values: what is shared stays so.
        self._constants: dict[tuple[int, View], Array] = {}

    def read(self, op: Op) -> None:
        """One operation, whose inputs were read before."""
        moved = next((self._by[name] for name in op.inputs if name in self._by), None)
        if moved is None and not _moves_batch(op, self._count):
            self._emit(op, tuple(map(self.first, op.inputs)))
            return
        by = moved or op
        view = self._moved(op, [self._views[name] for name in op.inputs])
        if view is None:
            raise self._error(by)
        self._views[op.name] = view
        if not self._is_first(view):
            self._by[op.name] = by

    def first(self, name: str) -> str:
        """The value of `name`, which has the batch first, as it is."""
        if name in self._by:
            raise self._error(self._by[name])
        return self._value(self._views[name])

    def _value(self, view: View) -> str:
        value, shape = view.value, view.base
        if not view.is_in_order:
            shape = view.sizes
            value = self._place(view, value, shape, "transpose", {"axes": view.axes})
        if shape != view.shape:
            shape = view.shape
            value = self._place(view, value, shape, "reshape", {"shape": shape[1:]})
        return value

    def _place(
        self, view: View, value: str, shape: Shape, kind: str, attributes: dict[str, Any]
    ) -> str:
        key = (value, view.axes, shape)
        if key not in self._placed:
            name = f"{value} as {view.axes} {shape}"
            self.ops.append(Op(name, kind, (value,), shape, attributes, place=view.place))
            self._placed[key] = name
        return self._placed[key]

    def _is_first(self, view: View) -> bool:
        groups = view.groups()
        return groups is not None and [axis for axis in groups[0] if view.base[axis] != 1] == [0]

    def _error(self, op: Op) -> TraceError:
        if op.shape[0] == self._count:
            return TraceError(
                f"{op.place}: 'transpose' moves the batch to another axis: the first axis of the"
                " result is not the batch"
            )
        return TraceError(
            f"{op.place}: '{op.kind}' gives {op.shape} for images of {self._graph.input_shape}: its"
            " first axis is not the batch"
        )

    def _emit(self, op: Op, inputs: tuple[str, ...], **more: Any) -> None:
        made = replace(op, inputs=inputs, **more)
        self.ops.append(made)
        self._views[op.name] = plain(op.name, made.shape)

    # Of values that are moved ---------------------------------------------------------------------

    def _moved(self, op: Op, views: list[View]) -> View | None:
        """What an operation gives of moved values; None for one that is not known."""
        view = views[0]
        if op.kind in ("reshape", "flatten"):
            return view.reshaped(op.shape, op.place)
        if op.kind == "transpose":
            return view.transposed(tuple(op.attributes["axes"]), op.place)
        groups = view.all_groups()
        is_alike = op.kind == "concat" or all(map(view.is_like, views))
        if groups is None or not is_alike:
            return None
        values = tuple(each.value for each in views)
        if op.kind in _IN_PLACE and op.shape == view.shape:
            arrays = dict(op.arrays)
            if "other" in arrays:
                other = self._constant(arrays["other"], view)
                if other is None:
                    return None
                arrays["other"] = other
            self._emit(op, values, shape=view.base, arrays=arrays)
            return view.of(op.name)
        match op.kind:
            case "concat" if not op.arrays:
                return self._concat(op, views)
            case "dense":
                return self._dense(op, view)
            case "slice" | "mean":
                return self._along(op, view, groups)
        return None

    def _constant(self, other: Array, view: View) -> Array | None:
        key = (id(other), replace(view, value="", place=""))
        if key not in self._constants:
            found = view.constant(other)
            if found is None:
                return None
            self._constants[key] = found
        return self._constants[key]

    def _concat(self, op: Op, views: list[View]) -> View | None:
        view, axis = views[0], op.attributes["axis"] % len(op.shape)
        if any(each.shape != each.sizes or each.axes != view.axes for each in views):
            return None
        own = view.axes[axis]
        if own == 0:
            raise TraceError(f"{op.place}: concatenates along the batch")
        base = (*view.base[:own], op.shape[axis], *view.base[own + 1 :])
        values = tuple(each.value for each in views)
        self._emit(op, values, shape=base, attributes={**op.attributes, "axis": own})
        return view.of(op.name, base, op.shape)

    def _dense(self, op: Op, view: View) -> View | None:
        """Along the last axis, which must be one of the value's."""
        own = next((axis for axis in reversed(view.axes) if view.base[axis] != 1), 0)
        if own == 0 or view.base[own] != view.shape[-1]:
            return None
        rest = tuple(axis for axis in range(1, len(view.base)) if axis != own)
        order = (0, *rest, own)
        sizes = tuple(view.base[axis] for axis in order)
        before = self._value(View(view.value, view.base, order, sizes, op.place))
        base = (*sizes[:-1], op.shape[-1])
        self._emit(op, (before,), shape=base)
        axes = tuple(order.index(axis) for axis in view.axes if axis != own)
        return View(op.name, base, (*axes, len(order) - 1), op.shape, op.place)

    def _along(self, op: Op, view: View, groups: tuple[tuple[int, ...], ...]) -> View | None:
        """A part or a mean along axes of the value."""
        if op.kind == "mean":
            own = [axis for each in op.attributes["axes"] for axis in groups[each]]
            base = tuple(1 if axis in own else size for axis, size in enumerate(view.base))
            attributes = {"axes": tuple(sorted(own)), "keepdims": True}
        else:
            axis = op.attributes["axis"] % len(op.shape)
            own = [each for each in groups[axis] if view.base[each] != 1]
            if len(own) != 1:
                return None
            base = (*view.base[: own[0]], op.shape[axis], *view.base[own[0] + 1 :])
            attributes = {**op.attributes, "axis": own[0]}
        if 0 in own:
            return None
        self._emit(op, (view.value,), shape=base, attributes=attributes)
        return view.of(op.name, base, op.shape)
