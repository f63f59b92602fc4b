"""Graphs of TensorFlow: what their nodes need, give and are computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf

from googlenet.errors import CaptureError

from .constants import run
from .model import name as framework
from .recording import LayerCall

Shape: TypeAlias = tuple[int, ...]

#: Nodes that call a function.
CALLS: Final = ("PartitionedCall", "StatefulPartitionedCall")
#: The types of half precision.
HALVES: Final = (tf.float16, tf.bfloat16)


def has_halves(graph: Any) -> bool:
    """Whether something in a graph, or in the functions that it calls, is in half precision."""
    for node in graph.get_operations():
        if any(each.dtype in HALVES for each in node.outputs):
            return True
        inner = function_of(node, "f") if node.type in CALLS else None
        if inner is not None and has_halves(inner):
            return True
    return False


def in_full(function: Any, outputs: Sequence[Any], images: Any) -> list[Any]:
    """`outputs`, tensors of a recorded function, for its images, each operation computed in float32
    where it is in half precision.
    """
    captures = function.graph.captures
    known = {(internal.op.name, 0): wide(external) for external, internal in captures}
    known[(function.inputs[0].op.name, 0)] = images
    _run_all(function.graph, [each.op for each in outputs], known)
    return [known[(each.op.name, each.value_index)] for each in outputs]


def _run_all(graph: Any, ends: Iterable[Any], known: dict[tuple[str, int], Any]) -> None:
    needed = reached(ends, {})
    for node in graph.get_operations():
        if node.name not in needed or (node.name, 0) in known or not node.outputs:
            continue
        inputs = [known[(each.op.name, each.value_index)] for each in node.inputs]
        if node.type == "Const":
            found = [tf.constant(tf.make_ndarray(node.get_attr("value")))]
        elif node.type == "Cast" and node.get_attr("DstT") in HALVES:
            found = inputs
        elif node.type in CALLS:
            inner = function_of(node, "f")
            given = zip(inner.inputs, inputs, strict=True)
            inside = {(each.op.name, 0): value for each, value in given}
            _run_all(inner, [each.op for each in inner.outputs], inside)
            found = [inside[(each.op.name, each.value_index)] for each in inner.outputs]
        else:
            found = run(node, inputs)
        known.update(((node.name, n), wide(each)) for n, each in enumerate(found))


def wide(tensor: Any) -> Any:
    """A tensor in half precision in float32, any other as it is."""
    return tf.cast(tensor, tf.float32) if tensor.dtype in HALVES else tensor


def function_of(node: Any, attribute: str) -> Any:
    """The graph of a function that a node calls; None if TensorFlow does not hand it out."""
    found = node.graph._get_function(tf.compat.as_str(node.get_attr(attribute).name))
    return None if found is None else found.graph


def reached(ends: Iterable[Any], calls: Mapping[str, LayerCall]) -> set[str]:
    """The names of all nodes that `ends` need, if `calls` of layers need their input only."""
    needed: set[str] = set()
    waiting = list(ends)
    while waiting:
        node = waiting.pop()
        if node.name in needed:
            continue
        needed.add(node.name)
        call = calls.get(node.name)
        inputs = node.inputs if call is None else [call.input]
        waiting += [each.op for each in inputs]
    return needed


def result_shapes(node: Any, inputs: Sequence[Any]) -> list[Shape]:
    """The shapes of a node's results for constants, and for shapes of what is none."""
    shapes = [output.shape for output in node.outputs]
    if not all(shape.is_fully_defined() for shape in shapes):
        with tf.Graph().as_default():
            given = [
                tf.compat.v1.placeholder(each.dtype, each.shape)
                if isinstance(each, tf.TensorSpec)
                else tf.constant(np.asarray(each))
                for each in inputs
            ]
            shapes = [each.shape for each in run(node, given)]
    if not all(shape.is_fully_defined() for shape in shapes):
        raise CaptureError(f"{framework}: the shape that '{node.type}' gives depends on the images")
    return [tuple(int(size) for size in shape) for shape in shapes]


def plain_attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node that are numbers or words."""
    found = {each.name: node.get_attr(each.name) for each in node.op_def.attr}
    plain = (bool, int, float, str, bytes)
    return {
        key: value.decode() if isinstance(value, bytes) else value
        for key, value in found.items()
        if isinstance(value, plain)
        or (isinstance(value, list) and all(isinstance(each, plain) for each in value))
    }


def is_random(node: Any) -> bool:
    """Whether a node draws random numbers."""
    return "Random" in node.type or node.type in ("Multinomial", "TruncatedNormal")
