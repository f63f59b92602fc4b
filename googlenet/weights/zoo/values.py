"""An ONNX graph read from its outputs back to its inputs: what made a value, past all that only
copies, turns or reshapes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from ...arrays import Array
from ..formats.onnx import Node, OnnxGraph

#: How the axes of a value stand: as ONNX has maps, as TensorFlow has them, or a vector, or a map of
#: which that is not known yet.
Order: TypeAlias = Literal["CHW", "HWC", "flat"]

_COPIES: Final = ("Identity", "Cast", "Dropout")
_RESHAPES: Final = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_TO_HWC, _TO_CHW = (0, 2, 3, 1), (0, 3, 1, 2)
_MOST_STEPS: Final = 8


@dataclass(frozen=True)
class Value:
    """A value of a graph, and what is still to be found before it: a ReLU that followed a
    concatenation and so belongs to each of its branches; and a batch norm, by its path, that was
    folded into the convolution, with what is left of it.
    """

    name: str
    order: Order = "CHW"
    relu: bool = False
    norm: str = ""
    scale: Array | None = None
    shift: Array | None = None

    def before(self, name: str, order: Order | None = None) -> Value:
        """The value that an operation takes, in the order of this one."""
        return replace(self, name=name, order=order or self.order)


class Values:
    """The values of a graph."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        #: The names of the arrays that were asked for.
        self.taken: set[str] = set()
        self._made = {output: node for node in graph.nodes for output in node.outputs if output}

    def made(self, value: Value) -> tuple[Node | None, Value]:
        """What made a value, and that value without what only copied it; None for an input.
        Reshaping is passed over only where a vector is made of a map.
        """
        for _ in range(len(self._made) + 1):
            node = self._made.get(value.name)
            if node is None or not node.inputs:
                return node, value
            if node.op in _COPIES and node.outputs[0] == value.name:
                value = value.before(node.inputs[0])
            elif node.op == "Transpose" and (turned := _turned(node, value.order)) is not None:
                value = value.before(node.inputs[0], turned)
            elif node.op in _RESHAPES and value.order == "flat":
                value = value.before(node.inputs[0])
            else:
                return node, value
        raise ValueError("its graph has a cycle")

    def maker(self, name: str) -> Node | None:
        """The operation that gives a value, None for an input."""
        return self._made.get(name)

    def constant(self, name: str, steps: int = _MOST_STEPS) -> Array | None:
        """The array that a value always is, if no image is needed for it."""
        if name in self.graph.arrays:
            self.taken.add(name)
            return self.graph.arrays[name]
        node = self._made.get(name)
        if node is None or steps == 0 or not node.inputs:
            return None
        array = self.constant(node.inputs[0], steps - 1)
        if array is None:
            return None
        match node.op:
            case "Identity" | "Cast":
                return array
            case "Transpose":
                return array.transpose(node.numbers("perm", tuple(range(array.ndim))[::-1]))
            case "Reshape" if (shape := self.constant(node.inputs[1], steps - 1)) is not None:
                return array.reshape([int(size) for size in shape])
            case "Squeeze" | "Unsqueeze" | "Flatten":
                return array.reshape(-1) if max(array.shape, default=1) == array.size else None
            case _:
                return None

    def split(self, node: Node) -> tuple[str, Array] | None:
        """The value and the constant of an operation of two, in this order."""
        if len(node.inputs) != 2:
            return None
        first, second = (self.constant(each) for each in node.inputs)
        if second is not None and first is None:
            return node.inputs[0], second
        if first is not None and second is None and node.op in ("Add", "Mul"):
            return node.inputs[1], first
        return None

    def is_scaled(self, name: str) -> bool:
        """Whether a value is the product with one number."""
        node, _ = self.made(Value(name))
        parts = self.split(node) if node is not None and node.op in ("Mul", "Div") else None
        return parts is not None and parts[1].size == 1

    def is_input(self, value: Value) -> bool:
        """Whether a value is the model's images."""
        return value.name in self.graph.inputs


def _turned(node: Node, order: Order) -> Order | None:
    """How the axes stood before a Transpose that made `order`; None for any other."""
    turn = node.numbers("perm")
    if turn == _TO_HWC and order in ("HWC", "flat"):
        return "CHW"
    return "HWC" if turn == _TO_CHW and order in ("CHW", "flat") else None


def per_channel(array: Array, channels: int) -> Array | None:
    """An array with one number a channel as a vector (C,) float32; None for any other."""
    if array.size == 1:
        return np.full(channels, array.reshape(()), np.float32)
    if array.size != channels or max(array.shape) != channels:
        return None
    return array.reshape(-1).astype(np.float32)
