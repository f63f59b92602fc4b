"""A graph of TensorFlow read as neutral operations, node after node, as rules say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import tensorflow as tf

from googlenet.backend.graph import Graph
from googlenet.errors import CaptureError, TraceError

from .constants import Constant, run
from .graphs import CALLS, HALVES, function_of, is_random, reached, wide
from .model import name as framework
from .origins import Origins
from .places import ROOT, Places
from .recording import LayerCall, Recording, called
from .writing import CHANNELS_LAST, Noise, Rule, Tensor, Tiled, Value, Writer

#: What is made of the shape of a value, and not of its elements.
_OF_SHAPE: Final = ("Shape", "ShapeN", "Size", "Rank", "OnesLike", "ZerosLike", "Fill")
_CONDITIONS: Final = ("If", "StatelessIf")
_LOOPS: Final = ("While", "StatelessWhile")
_MOST_ROUNDS: Final = 1000


@dataclass(eq=False)
class Reader:
    """Reads the operations of a recording; `rules` say how, by their TensorFlow names, and `layers`
    how a call of a layer is read.
    """

    recording: Recording
    places: Places
    rules: Mapping[str, Rule]
    layers: Callable[[Writer, LayerCall, Value, Any], Value]
    writer: Writer = field(init=False)
    _held: dict[int, Constant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        function = self.recording.function
        known = (*self.places.variables, *function.graph.variables)
        given = tuple(int(size) for size in function.inputs[0].shape)
        self.writer = Writer(given, self.places, Origins(self.places, known))

    def graph(self, outputs: Sequence[Any]) -> Graph:
        """All operations that `outputs`, tensors of the recorded graph, need."""
        function = self.recording.function
        (x,) = function.inputs[:1]
        images = Value("images", self.writer.given, CHANNELS_LAST)
        known: dict[tuple[str, int], Tensor] = {(x.op.name, 0): images}
        for external, internal in function.graph.captures:
            known[(internal.op.name, 0)] = self._constant(external)
        self._read(function.graph, [each.op for each in outputs], known, self.recording)
        values = []
        for number, each in enumerate(outputs):
            value = known[(each.op.name, each.value_index)]
            if not isinstance(value, Value):
                raise TraceError(
                    f"{framework}: output {number} is the same, or random, whatever the images are"
                )
            values.append(value)
        return self.writer.graph(values)

    def _constant(self, tensor: Any) -> Constant:
        return self._held.setdefault(id(tensor), Constant(wide(tensor)))

    def _read(
        self,
        graph: Any,
        ends: Iterable[Any],
        known: dict[tuple[str, int], Tensor],
        recording: Recording | None,
    ) -> None:
        """Adds to `known`, results by name and number, those of all nodes that `ends` need."""
        calls = recording.calls if recording is not None else {}
        needed = reached(ends, calls)
        for index, node in enumerate(graph.get_operations()):
            if node.name not in needed or (node.name, 0) in known or not node.outputs:
                continue
            outer = self.writer.place
            if recording is not None:
                self.writer.place = self._place(
                    recording.owners[index] if index < len(recording.owners) else ()
                )
            before, self.writer.called = self.writer.called, called(node) or self.writer.called
            call = calls.get(node.name)
            if call is not None:
                x = known[(call.input.op.name, call.input.value_index)]
                self.writer.trained = self.writer.origins.trained_in(call.layer)
                found = [self._layer(call, x, node)]
            else:
                inputs = [known[(each.op.name, each.value_index)] for each in node.inputs]
                taken = [each for each in inputs if isinstance(each, Constant)]
                self.writer.trained = self.writer.origins.trained(taken)
                results = self._results(node, inputs)
                found = results if isinstance(results, list) else [results]
            self.writer.place = outer if recording is None else ROOT
            self.writer.called, self.writer.trained = before, {}
            known.update(((node.name, n), each) for n, each in enumerate(found))

    def _place(self, owners: Sequence[Any]) -> str:
        """The path of the innermost object that has one."""
        return next((p for each in reversed(owners) if (p := self.places[each])), ROOT)

    def _layer(self, call: LayerCall, x: Tensor, node: Any) -> Tensor:
        if isinstance(x, Value):
            return self.layers(self.writer, call, x, node)
        raise self._refused(
            f"{type(call.layer).__name__} is applied to something that does not"
            " depend on the images alone"
        )

    def _refused(self, why: str) -> CaptureError:
        """Why the operation at hand cannot be read, with its place."""
        return CaptureError(f"{self.writer.place}: {why}")

    def _results(self, node: Any, inputs: list[Any]) -> Tensor | list[Tensor]:
        """What a node gives."""
        if node.type in CALLS:
            return self._called(node, "f", inputs)
        if node.type in _CONDITIONS and isinstance(inputs[0], Constant):
            branch = "then_branch" if bool(inputs[0].array) else "else_branch"
            return self._called(node, branch, inputs[1:])
        if node.type in _LOOPS:
            return self._looped(node, inputs)
        if node.type in (*_CONDITIONS, "Case", "StatelessCase"):
            raise self._refused(
                f"'{node.type}' chooses what to compute according to the values of"
                " the images, so the model is not one network"
            )
        if node.type == "NoOp" or "Assign" in node.type:
            return Constant(None, node)
        if is_random(node):
            return [Noise() for _ in node.outputs]
        if all(isinstance(each, Constant) for each in inputs):
            return self._folded(node, inputs)
        if node.type in _OF_SHAPE and all(isinstance(each, Value | Constant) for each in inputs):
            return self._of_shape(node, inputs)
        if not any(isinstance(each, Value | Tiled) for each in inputs):
            return self._noise(node, inputs)
        rule = self.rules.get(node.type)
        found = rule(self.writer, node, inputs) if rule is not None else None
        return found if found is not None else self.writer.foreign(node, inputs)

    def _called(self, node: Any, attribute: str, inputs: list[Any]) -> list[Tensor]:
        """The results of a function that a node calls."""
        graph = function_of(node, attribute)
        if graph is None:
            raise self._refused("calls a function that TensorFlow does not expose")
        given = zip(graph.inputs, inputs, strict=True)
        known: dict[tuple[str, int], Any] = {(each.op.name, 0): value for each, value in given}
        self._read(graph, [each.op for each in graph.outputs], known, None)
        return [known[(each.op.name, each.value_index)] for each in graph.outputs]

    def _looped(self, node: Any, inputs: list[Any]) -> list[Tensor]:
        """The results of a loop, its body as often as it is run for any images."""
        state = list(inputs)
        for _ in range(_MOST_ROUNDS):
            (goes_on,) = self._called(node, "cond", state)
            if not isinstance(goes_on, Constant):
                raise self._refused(
                    f"'{node.type}' runs for as long as the values of the images say,"
                    " so the model is not one network"
                )
            if not bool(goes_on.array):
                return state
            state = list(self._called(node, "body", state))
        raise self._refused(f"'{node.type}' goes on for over {_MOST_ROUNDS} rounds")

    def _of_shape(self, node: Any, inputs: list[Any]) -> Tensor | list[Tensor]:
        """A value's shape, or an array of one number in that shape."""
        held = [
            Constant(tf.zeros(self.writer.native(each), node.inputs[n].dtype))
            if isinstance(each, Value)
            else each
            for n, each in enumerate(inputs)
        ]
        found = run(node, [each.tensor for each in held])
        return [Constant(each) for each in found]

    def _folded(self, node: Any, inputs: list[Constant]) -> list[Tensor]:
        """What is computed from constants only is one."""
        if node.type == "Placeholder":
            raise self._refused("the model has an input besides the images")
        if node.type == "Const":
            return [Constant(wide(tf.constant(tf.make_ndarray(node.get_attr("value")))), node)]
        if node.type == "Cast" and node.get_attr("DstT") in HALVES:
            return list(inputs)
        if node.op_def.is_stateful and node.type != "ReadVariableOp":
            raise self._refused(f"'{node.type}' depends on more than the images and the weights")
        if node.type == "ReadVariableOp":
            return [self.writer.read(node, inputs[0])]
        for each in inputs:  # what reads a variable otherwise, such as a gather
            self.writer.origins.touch(each)
        found = run(node, [each.tensor for each in inputs])
        return [Constant(wide(each), node, tuple(inputs), n) for n, each in enumerate(found)]

    def _noise(self, node: Any, inputs: list[Any]) -> list[Tensor]:
        """Something random; of a comparison with a number, how often it is False."""
        if node.type == "GreaterEqual" and isinstance(inputs[1], Constant):
            return [Noise(float(inputs[1].array))]
        if node.type in ("Cast", "Identity", "Reshape"):
            (noise,) = [each for each in inputs if isinstance(each, Noise)]
            return [noise]
        return [Noise() for _ in node.outputs]
