"""What a user's PaddlePaddle model computes: the operations that `paddle.jit.to_static` records, in
neutral terms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from paddle import nn

from googlenet.arrays import Array
from googlenet.backend.dropouts import with_dropout
from googlenet.backend.graph import Graph, Op
from googlenet.errors import CaptureError, TraceError

from .constants import Constants, plain
from .model import name
from .nodes import Node, Piece, Translated, listed
from .operations import translated
from .origins import Origins
from .parts import SPLITTING, part
from .patterns import recognised
from .places import ROOT, Places
from .recording import Recording, called, record
from .static_mode import dynamic
from .watching import Model, is_native

#: Axes of a map (N, H, W, C) in the order of (N, C, H, W), and the other way round.
FIRST: Final = (0, 3, 1, 2)
LAST: Final = (0, 2, 3, 1)


def trace(model: Model, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model`, an `nn.Layer` or a function of a tensor, in evaluation mode on `images`
    (N, C, H, W), N at least 2, and its outputs on them, the logits first.

    `model` keeps its weights and its mode; layers that are built when they are first called are
    built. One that takes its images as (N, H, W, C) is told in the same axes as all others. Raises
    `TraceError` if Paddle cannot run it, or if it does not return tensors; `CaptureError` if Paddle
    cannot record it.
    """
    with dynamic():
        graph, outputs = _Reader(record(model, images)).graph()
        return with_dropout(graph, _in_training(model, images)), outputs


def _in_training(model: Model, images: Array) -> Graph | None:
    """The graph of what the user's code does in training; None if it does not ask for that, or
    cannot be captured then.
    """
    if not isinstance(model, nn.Layer) or not any(map(_asks, model.sublayers(include_self=True))):
        return None
    try:
        return _Reader(record(model, images, training=True)).graph()[0]
    except TraceError:  # such as for what is random then
        return None


def _asks(layer: nn.Layer) -> bool:
    """Whether the code of a user's class asks whether it trains."""
    functions = (
        each for kind in type(layer).__mro__ if not is_native(kind) for each in vars(kind).values()
    )
    codes = [each.__code__ for each in functions if hasattr(each, "__code__")]
    return any("training" in code.co_names for code in codes)


@dataclass(frozen=True)
class _Held:
    """Where the graph has a value of the program: under `name`, in the program's own axes, or as
    (N, C, H, W) where the program has (N, H, W, C), if `last`.
    """

    name: str
    last: bool = False


class _Reader:
    """Reads the operations of a recorded program."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._constants = Constants(recording)
        self._places = Places(recording, self._constants)
        self._origins = Origins(recording, self._constants)
        self._held: dict[Any, _Held] = {}
        #: The operations that give lists of tensors, by the values of these.
        self._lists: dict[Any, Node] = {}
        self._ops: list[Op] = []
        self._shapes: dict[str, tuple[int, ...]] = {}
        #: What cannot be told, by the name that it would have: an error if an output needs it.
        self._untold: dict[str, TraceError] = {}
        self._moved: dict[tuple[str, tuple[int, ...]], str] = {}

    def graph(self) -> tuple[Graph, list[Array]]:
        """All operations that the outputs need, and the outputs in the graph's axes."""
        recording = self._recording
        (images,) = [op for op in recording.program.global_block().ops if plain(op) == "data"]
        given = recording.images.shape
        last = recording.channels_last
        self._shapes["images"] = tuple(given[axis] for axis in FIRST) if last else given
        self._held[images.results()[0].id] = _Held("images", last)
        for op in recording.program.global_block().ops:
            is_list = op.name() == "builtin.combine"
            if op.id() != images.id() and not is_list and not self._constants.holds(op):
                self._read(Node(op, self._constants))
        outputs: list[Array] = []
        names: list[str] = []
        for value, output in zip(recording.results, recording.outputs, strict=True):
            held = self._held.get(value.id)
            if held is None:
                raise TraceError(
                    f"{name}: output {len(names)} of the model does not depend on the images"
                )
            names.append(held.name)
            outputs.append(output.transpose(FIRST) if held.last else output)
        graph = Graph(
            "images",
            self._shapes["images"],
            self._origins.separated(self._needed(names)),
            tuple(names),
            self._places.unused(),
            self._places.classes(),
        )
        return graph, outputs

    def _needed(self, outputs: list[str]) -> list[Op]:
        needed, found = set(outputs), []
        for op in reversed(self._ops):
            if op.name in needed:
                needed.update(op.inputs)
                found.append(op)
        for each in sorted(needed & set(self._untold)):
            raise self._untold[each]
        return found[::-1]

    # One operation --------------------------------------------------------------------------------

    def _read(self, node: Node) -> None:
        shaped = self._reshaped(node) or self._stacked(node)
        if shaped is not None:
            self._held[node.results[0].id] = shaped
            return
        if node.name.startswith("builtin."):
            self._take_apart(node)
            return
        found = self._silent(node) or recognised(node) or self._pixelwise(node) or translated(node)
        if found is None or not all(map(self._is_told, found.inputs)):
            found = self._foreign(node)
        place = self._places.of(node.op)
        if any(True for _ in node.op.blocks()):
            why = (
                f"{name}: the model runs, but its path depends on the values of the images:"
                f" {place}: '{node.op.name()}' runs one of several branches"
            )
            self._refuse(node, node.results, CaptureError(why))
        elif not found.inputs:
            why = (
                f"{place}: '{node.op.name()}' draws random numbers, so the model is not a function"
            )
            self._refuse(node, node.results, TraceError(f"{why} of its images"))
        else:
            for number, value in enumerate(node.results):
                if number and not self._is_used(value):
                    continue
                if not value.is_dense_tensor_type():
                    self._lists[value.id] = node
                elif number == 0:
                    self._add(node, found, value)
                else:
                    self._add(node, self._foreign(node, number), value)

    def _take_apart(self, node: Node) -> None:
        """The tensors of a list."""
        (given,) = node.sources
        several = self._lists.get(given.id)
        for number, value in enumerate(node.results):
            if several is None:
                self._held[value.id] = self._held[given.id]
                continue
            found = part(several, number) if several.name in SPLITTING else None
            if found is None or not all(map(self._is_told, found.inputs)):
                found = self._foreign(several, number)
            self._add(several, found, value)

    def _is_used(self, value: Any) -> bool:
        return not value.use_empty() or any(value.is_same(each) for each in self._recording.results)

    def _is_told(self, value: Any) -> bool:
        return value is not None and value.id in self._held

    def _refuse(self, node: Node, values: list[Any], why: TraceError) -> None:
        """Values that no operation of a graph gives: an error if an output needs them."""
        for value in values:
            called = f"{node.name}.{len(self._untold)}"
            self._untold[called] = why
            self._held[value.id] = _Held(called)
            self._shapes[called] = ()

    def _foreign(self, node: Node, number: int | None = None) -> Translated:
        """An operation under Paddle's own name; of several results, the one with a number."""
        values = [each for value in node.sources for each in listed(value)]
        inputs = tuple(each for each in values if self._is_told(each))
        attributes: dict[str, Any] = {"arguments": repr(node.settings)}
        if number is not None:
            attributes["result"] = number
        return Translated(inputs, (Piece(node.own_name, attributes),), "native")

    def _add(self, node: Node, found: Translated, result: Any) -> None:
        """The operations of `found`, and where the graph now has the `result` of `node`."""
        last = self._is_last(found)
        inputs = tuple(self._taken(each, last) for each in found.inputs)
        place, line = self._places.of(node.op), called(node.op)
        whole = self._constants.shape(result)
        for piece in found.pieces:
            name_of = f"{plain(node.op)}_{len(self._ops)}"
            attributes, arrays = dict(piece.attributes), dict(piece.arrays)
            is_reduced = piece.kind == "mean" and not attributes["keepdims"]
            if last:
                attributes = _as_first(attributes)
                if "other" in arrays and arrays["other"].ndim:
                    arrays["other"] = self._first(arrays["other"])
            shape = piece.shape or whole
            if last and len(shape) == 4:
                shape = tuple(shape[axis] for axis in FIRST)
            origins = self._origins.of(arrays, node.sources)
            trained = self._origins.trained(arrays, node.sources)
            known = (place, origins, line, trained)
            made = Op(name_of, piece.kind, inputs, shape, attributes, arrays, *known)
            self._emit(made)
            inputs = (name_of,)
            last = last and not is_reduced
        self._held[result.id] = _Held(inputs[0], last and len(whole) == 4)

    def _first(self, array: Array) -> Array:
        """A constant beside maps (N, H, W, C) as one beside maps (N, C, H, W)."""
        return self._constants.derived(
            array,
            "channels first",
            lambda each: each.reshape((1,) * (4 - each.ndim) + each.shape).transpose(FIRST),
        )

    def _emit(self, op: Op) -> None:
        self._ops.append(op)
        self._shapes[op.name] = op.shape

    # Axes -----------------------------------------------------------------------------------------

    def _is_last(self, found: Translated) -> bool:
        """Whether an operation is told of maps (N, C, H, W) where the program has (N, H, W, C)."""
        if found.layout in ("first", "native"):
            return False
        if found.layout == "last":
            return True
        held = [self._held[each.id] for each in found.inputs]
        if not any(each.last for each in held):
            return False
        if not all(each.last or self._is_pixel(each) for each in held):
            return False
        return all(_keeps_order(piece) for piece in found.pieces)

    def _is_pixel(self, held: _Held) -> bool:
        """Whether a value is a map (N, 1, 1, C) of one pixel, whose axes need no transposition."""
        shape = self._shapes[held.name]
        return len(shape) == 4 and shape[1:3] == (1, 1)

    def _taken(self, value: Any, last: bool) -> str:
        """The name of a value in the axes that an operation takes."""
        held = self._held[value.id]
        if held.last == last or len(self._shapes[held.name]) != 4:
            return held.name
        return self._permuted(held.name, FIRST if last else LAST)

    def _permuted(self, before: str, axes: tuple[int, ...]) -> str:
        """The value with its axes in another order; a map of one pixel is only reshaped."""
        if (before, axes) not in self._moved:
            given = self._shapes[before]
            shape = tuple(given[axis] for axis in axes)
            called = f"transpose_{len(self._ops)}"
            if [size for size in given[1:] if size != 1] == [s for s in shape[1:] if s != 1]:
                op = Op(called, "reshape", (before,), shape, {"shape": shape[1:]})
            else:
                op = Op(called, "transpose", (before,), shape, {"axes": axes})
            self._emit(replace(op, place=self._place_of(before)))
            self._moved[before, axes] = called
        return self._moved[before, axes]

    def _place_of(self, called: str) -> str:
        return next((op.place for op in self._ops if op.name == called), ROOT)

    def _reshaped(self, node: Node) -> _Held | None:
        """What only changes the shape of a value, or the order of its axes."""
        value = node.value("x")
        if node.name not in _SHAPING or not self._is_told(value):
            return None
        if recognised(node) is not None:
            return None
        held = self._held[value.id]
        if node.name == "transpose":
            axes = node.numbers("perm")
            if held.last and axes == FIRST:
                return _Held(held.name)
            if not held.last and axes == LAST:
                return _Held(held.name, last=True)
            before = self._taken(value, last=False)
            if axes == tuple(range(len(axes))):
                return _Held(before)
            return _Held(self._shaped(node, before, "transpose", {"axes": axes}))
        if node.shape == node.given("x"):
            return held
        height_width = self._shapes[held.name][2:]
        is_pixel = held.last and height_width == (1, 1)
        before = held.name if is_pixel else self._taken(value, last=False)
        rank = len(node.given("x"))
        if node.name == "flatten" and int(node.attribute("stop_axis")) % rank == rank - 1:
            start = int(node.attribute("start_axis")) % rank
            if not is_pixel or start == 1:
                return _Held(self._shaped(node, before, "flatten", {"start": start}))
        return _Held(self._shaped(node, before, "reshape", {"shape": node.shape[1:]}))

    def _stacked(self, node: Node) -> _Held | None:
        """Values side by side along an axis of its own."""
        values = listed(node.value("x")) if node.name == "stack" else []
        if not values or not all(map(self._is_told, values)):
            return None
        (axis,), shape = node.numbers("axis"), node.shape
        axis %= len(shape)
        if axis == 0:
            return None
        place, single = self._places.of(node.op), (*shape[:axis], 1, *shape[axis + 1 :])
        parts = []
        for value in values:
            called = f"unsqueeze_{len(self._ops)}"
            before = (self._taken(value, last=False),)
            self._emit(Op(called, "reshape", before, single, {"shape": single[1:]}, {}, place))
            parts.append(called)
        called = f"stack_{len(self._ops)}"
        self._emit(Op(called, "concat", tuple(parts), shape, {"axis": axis}, {}, place))
        return _Held(called)

    def _shaped(self, node: Node, before: str, kind: str, attributes: dict[str, Any]) -> str:
        called = f"{plain(node.op)}_{len(self._ops)}"
        place = self._places.of(node.op)
        self._emit(Op(called, kind, (before,), node.shape, attributes, {}, place))
        return called

    # What Paddle takes apart ----------------------------------------------------------------------

    def _silent(self, node: Node) -> Translated | None:
        """A dropout layer that does nothing in evaluation mode."""
        layer = self._recording.silent.get(node.op.id())
        if layer is None:
            return None
        rate = {"rate": float(layer.p), "active": False}
        if layer.p == 0:
            piece = Piece("identity")
        elif isinstance(layer, nn.Dropout2D | nn.Dropout3D):
            piece = Piece("spatial_dropout", rate)
        elif isinstance(layer, nn.AlphaDropout | nn.FeatureAlphaDropout):
            piece = Piece("alpha_dropout", rate)
        elif layer.axis is None:
            piece = Piece("dropout", rate)
        elif layer.axis == [0, 1]:
            piece = Piece("spatial_dropout", rate)
        else:
            piece = Piece("paddle.dropout", {**rate, "axis": layer.axis})
        return Translated((node.value("x"),), (piece,))

    def _pixelwise(self, node: Node) -> Translated | None:
        """A dense layer on maps (N, H, W, C), which is a convolution of 1x1."""
        value, found = node.value("x"), translated(node) if node.name == "matmul" else None
        if found is None or not self._is_told(value) or not self._held[value.id].last:
            return None
        if [piece.kind for piece in found.pieces] != ["dense"]:
            return None
        (piece,) = found.pieces
        weight = node.constants.derived(
            piece.arrays["weight"], "pixels", lambda matrix: matrix[:, :, None, None]
        )
        attributes = {
            "stride": (1, 1),
            "padding": ((0, 0), (0, 0)),
            "dilation": (1, 1),
            "groups": 1,
        }
        return replace(
            found, pieces=(Piece("conv", attributes, {"weight": weight}),), layout="last"
        )


#: Operations that leave all numbers as they are.
_SHAPING: Final = ("transpose", "flatten", "reshape", "squeeze", "unsqueeze")


def _keeps_order(piece: Piece) -> bool:
    """Whether an operation gives what remains of (N, H, W, C) in the order of (N, C, H, W)."""
    if piece.kind != "mean" or piece.attributes["keepdims"]:
        return True
    return set(piece.attributes["axes"]) >= {1, 2}


def _as_first(attributes: dict[str, Any]) -> dict[str, Any]:
    """Axes of an operation on (N, H, W, C), for one on (N, C, H, W)."""
    found = dict(attributes)
    if "axis" in attributes:
        found["axis"] = FIRST.index(attributes["axis"])
    if "axes" in attributes:
        found["axes"] = tuple(sorted(FIRST.index(axis) for axis in attributes["axes"]))
    return found
