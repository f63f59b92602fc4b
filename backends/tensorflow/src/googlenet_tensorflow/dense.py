"""Products with matrices of a TensorFlow graph in neutral terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import tensorflow as tf

from googlenet.arrays import Array

from .arithmetic import joined
from .constants import Constant
from .forms import NO_PADDING
from .reading import CHANNELS_LAST, Reader, Rule, Tensor, Value
from .shapes import reshaped


def _matmul(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, weight = inputs
    flipped = [
        name in [each.name for each in node.op_def.attr] and bool(node.get_attr(name))
        for name in ("transpose_a", "transpose_b", "adj_x", "adj_y")
    ]
    if flipped[0] or flipped[2]:
        return None
    return _dense(reader, node, x, weight, by_rows=flipped[1] or flipped[3])


def _einsum(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """A product along the last axis, `nhwc,cd->nhwd`: any other is foreign."""
    left, _, right = tf.compat.as_str(node.get_attr("equation")).replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or len(inputs) != 2:
        return None
    if isinstance(inputs[0], Constant):
        terms, inputs = terms[::-1], inputs[::-1]
    if all(isinstance(each, Value) for each in inputs):
        return _product_by_letters(reader, node, inputs, terms, right)
    given, weights = terms
    last, new = given[-1:], right[-1:]
    if right != given[:-1] + new or sorted(weights) != sorted(last + new) or new in given:
        return None
    return _dense(reader, node, *inputs, by_rows=weights[-1] == last)


def _product_by_letters(
    reader: Reader, node: Any, inputs: list[Any], terms: list[str], right: str
) -> Tensor | None:
    """The product of two values element by element, `nhwc,nc->nhwc`: none for any other."""
    first, second = (reader.apart(each) for each in inputs)
    given, fewer = terms
    if given != right:
        first, second, given, fewer = second, first, fewer, given
    if given != right or [each for each in given if each in fewer] != list(fewer):
        return None
    if fewer[:1] != given[:1] or len(set(given)) != len(given):
        return None
    sizes = dict(zip(fewer, second.shape, strict=True))
    second = reshaped(reader, node, second, tuple(sizes.get(each, 1) for each in given))
    return joined(reader, node, "multiply", first, second, {})


def _dense(reader: Reader, node: Any, x: Any, weight: Any, *, by_rows: bool) -> Tensor | None:
    """The product of vectors (N, I), or of each pixel of a map, with a weight (I, O)."""
    if not isinstance(x, Value) or not isinstance(weight, Constant) or weight.array.ndim != 2:
        return None

    def matrix(array: Array) -> Array:
        return array if by_rows else array.T

    out = matrix(weight.array).shape[0]
    if x.lead is None and len(x.shape) == 2:
        reader.by_parameter(weight)
        held = reader.array(weight, f"dense {by_rows}", matrix)
        name = reader.emit(
            node, "dense", (reader.canonical(x),), (x.shape[0], out), {}, {"weight": held}
        )
        return Value(name, (x.shape[0], out), (0, 1))
    if len(x.shape) != 4:
        return None
    name = reader.ordered(x, CHANNELS_LAST)
    reader.by_parameter(weight)
    held = reader.array(weight, f"pixels {by_rows}", lambda array: matrix(array)[:, :, None, None])
    attributes = {"stride": (1, 1), "padding": NO_PADDING, "dilation": (1, 1), "groups": 1}
    batch, _, *size = reader.shape(name)
    shape = (batch, out, *size)
    name = reader.emit(node, "conv", (name,), shape, attributes, {"weight": held})
    return replace(x, name=name, shape=(*x.shape[:3], out), axes=CHANNELS_LAST)


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Einsum": _einsum,
    "MatMul": _matmul,
}
