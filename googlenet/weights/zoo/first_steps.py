"""What an ONNX graph does to its images before the network's first layer: a number times each
channel, plus another, as torchvision's `transform_input` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ...arrays import Array, uniform
from ..formats.onnx import Node, OnnxGraph
from .values import Value, Values

_MOST_STEPS: Final = 64
#: torchvision's: from ImageNet's mean and deviation to 0.5 and 0.5 (models/googlenet.py, 0.28).
_FACTORS: Final = (0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5)
_SHIFTS: Final = ((0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5)
_NEAR: Final = 1e-4


def is_transformed(graph: OnnxGraph, images: Value) -> bool:
    """Whether what the first layer takes, `images`, is what torchvision's `transform_input` makes
    of the graph's input of three channels.
    """
    (name,) = graph.inputs if len(graph.inputs) == 1 else ("",)
    rng = uniform(0, "transform_input")
    given = rng(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    found = _Steps(Values(graph), name, given).value(images.name, _MOST_STEPS)
    if found is None or found.shape != given.shape:
        return False
    factors, shifts = (np.array(each)[:, None, None] for each in (_FACTORS, _SHIFTS))
    return bool(np.abs(found - (given * factors + shifts)).max() < _NEAR)


class _Steps:
    """The first values of a graph, computed for the images `given`."""

    def __init__(self, values: Values, images: str, given: Array) -> None:
        self._values, self._images, self._given = values, images, given
        self._known: dict[str, Array | None] = {}

    def value(self, name: str, steps: int) -> Array | None:
        """A value, None if it takes an operation that is not known here."""
        if name not in self._known:
            self._known[name] = None  # what needs itself is not known
            self._known[name] = self._found(name, steps)
        return self._known[name]

    def _found(self, name: str, steps: int) -> Array | None:
        if name == self._images:
            return self._given
        if (constant := self._values.constant(name)) is not None:
            return constant
        node = self._values.maker(name)
        if node is None or steps == 0:
            return None
        inputs = [self.value(each, steps - 1) for each in node.inputs if each]
        if not inputs or any(each is None for each in inputs):
            return None
        try:
            return _computed(node, [each for each in inputs if each is not None])
        except (ValueError, IndexError, TypeError):  # shapes and axes that do not fit
            return None


def _computed(node: Node, inputs: Sequence[Array]) -> Array | None:
    """One operation of few: None for any other."""
    first = inputs[0]
    axes = node.numbers("axes") or tuple(int(each) for each in inputs[-1].reshape(-1)[:4])
    match node.op:
        case "Identity" | "Cast":
            return first
        case "Add":
            return first + inputs[1]
        case "Sub":
            return first - inputs[1]
        case "Mul":
            return first * inputs[1]
        case "Div":
            return first / inputs[1]
        case "Concat":
            return np.concatenate(list(inputs), int(node.number("axis", 0)))
        case "Gather":
            return np.take(first, inputs[1].astype(np.int64), int(node.number("axis", 0)))
        case "Unsqueeze":
            return np.expand_dims(first, axes)
        case "Squeeze":
            return np.squeeze(first, axes)
        case _:
            return None
