"""Products with matrices of a TensorFlow graph in neutral terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import tensorflow as tf

from googlenet.arrays import Array
from googlenet.backend.contractions import Contraction, matrix_product, product, terms_of, total

from .arithmetic import joined
from .constants import Constant
from .forms import NO_PADDING
from .shapes import reshaped
from .writing import CHANNELS_LAST, Rule, Tensor, Value, Writer


def _matmul(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    x, weight = inputs
    flipped = [
        name in [each.name for each in node.op_def.attr] and bool(node.get_attr(name))
        for name in ("transpose_a", "transpose_b", "adj_x", "adj_y")
    ]
    turned = (flipped[0] or flipped[2], flipped[1] or flipped[3])
    found = None if turned[0] else _dense(writer, node, x, weight, by_rows=turned[1])
    return found or _stacked(writer, node, inputs, turned)


def _stacked(
    writer: Writer, node: Any, inputs: list[Any], flipped: tuple[bool, bool]
) -> Tensor | None:
    """The product with a matrix on either side, the same for all images."""
    is_first = isinstance(inputs[0], Value)
    x, weight = inputs if is_first else inputs[::-1]
    if not isinstance(x, Value) or not isinstance(weight, Constant):
        return None
    rank = len(writer.native(x))
    if not 1 <= weight.array.ndim <= rank:
        return None
    weight = _unrepeated(weight)
    if any(size != 1 for size in weight.array.shape[:-2]):
        return None
    terms = matrix_product(rank, min(weight.array.ndim, 2), flipped, is_first=is_first)
    return None if terms is None else _contracted(writer, node, x, weight, *terms)


def _unrepeated(weight: Constant) -> Constant:
    """The constant that is repeated along axes in front of the last two, such as for each image."""
    while weight.node is not None and weight.node.type in ("Tile", "BroadcastTo"):
        before = weight.inputs[0]
        if before.array.shape[-2:] != weight.array.shape[-2:]:
            break
        weight = before
    return weight


def _einsum(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    """A product with a weight, such as `nhwc,cd->nhwd`, a sum, or a product of two values."""
    left, _, right = tf.compat.as_str(node.get_attr("equation")).replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) == 2 and isinstance(inputs[0], Constant):
        terms, inputs = terms[::-1], inputs[::-1]
    if len(terms) == 2 and all(isinstance(each, Value) for each in inputs):
        return _product_by_letters(writer, node, inputs, terms, right)
    given, weights = [*terms, ""][:2]
    last, new = given[-1:], right[-1:]
    if right == given[:-1] + new and sorted(weights) == sorted(last + new) and new not in given:
        found = _dense(writer, node, *inputs, by_rows=weights[-1] == last)
        if found is not None:
            return found
    ranks = [len(writer.native(x) if isinstance(x, Value) else x.array.shape) for x in inputs]
    lettered = terms_of(f"{','.join(terms)}->{right}", ranks)
    if lettered is None or not isinstance(inputs[0], Value):
        return None
    terms, right = lettered
    if len(terms) == 1:
        sizes = dict(zip(terms[0], writer.native(inputs[0]), strict=True))
        return _staged(writer, node, inputs[0], total(terms[0], right, sizes))
    if len(terms) != 2 or not isinstance(inputs[1], Constant):
        return None
    return _contracted(writer, node, inputs[0], inputs[1], terms[0], terms[1], right)


def _contracted(
    writer: Writer, node: Any, x: Value, weight: Constant, given: str, other: str, result: str
) -> Tensor | None:
    sizes = dict(zip(other, weight.array.shape[-len(other) :], strict=True))
    sizes |= zip(given, writer.native(x), strict=True)
    return _staged(writer, node, x, product(given, other, result, sizes), weight)


def _staged(
    writer: Writer, node: Any, x: Value, found: Contraction | None, weight: Constant | None = None
) -> Tensor | None:
    """What a contraction computes, of the tensor as TensorFlow has it."""
    if found is None:
        return None

    def matrix(array: Array) -> Array:
        return found.matrix(array.reshape(array.shape[-len(found.axes) :]))

    x = writer.apart(x)
    shape = x.shape
    name = writer.ordered(x, tuple(range(len(shape))))
    for stage in found.stages:
        arrays, shape = {}, stage.shape
        if weight is not None and stage.kind == "dense":
            writer.by_parameter(weight)
            arrays["weight"] = writer.array(weight, f"matrix {found.axes} {found.rows}", matrix)
        name = writer.emit(node, stage.kind, (name,), shape, stage.attributes, arrays)
    return Value(name, shape, tuple(range(len(shape))))


def _product_by_letters(
    writer: Writer, node: Any, inputs: list[Any], terms: list[str], right: str
) -> Tensor | None:
    """The product of two values element by element, `nhwc,nc->nhwc`: none for any other."""
    first, second = (writer.apart(each) for each in inputs)
    given, fewer = terms
    if given != right:
        first, second, given, fewer = second, first, fewer, given
    if given != right or [each for each in given if each in fewer] != list(fewer):
        return None
    if fewer[:1] != given[:1] or len(set(given)) != len(given):
        return None
    sizes = dict(zip(fewer, second.shape, strict=True))
    second = reshaped(writer, node, second, tuple(sizes.get(each, 1) for each in given))
    return joined(writer, node, "multiply", first, second, {})


def _dense(writer: Writer, node: Any, x: Any, weight: Any, *, by_rows: bool) -> Tensor | None:
    """The product of vectors (N, I), or of each pixel of a map, with a weight (I, O)."""
    if not isinstance(x, Value) or not isinstance(weight, Constant) or weight.array.ndim != 2:
        return None

    def matrix(array: Array) -> Array:
        return array if by_rows else array.T

    out = matrix(weight.array).shape[0]
    if x.lead is None and len(x.shape) == 2:
        writer.by_parameter(weight)
        held = writer.array(weight, f"dense {by_rows}", matrix)
        name = writer.emit(
            node, "dense", (writer.canonical(x),), (x.shape[0], out), {}, {"weight": held}
        )
        return Value(name, (x.shape[0], out), (0, 1))
    if len(x.shape) != 4:
        return None
    name = writer.ordered(x, CHANNELS_LAST)
    writer.by_parameter(weight)
    held = writer.array(weight, f"pixels {by_rows}", lambda array: matrix(array)[:, :, None, None])
    attributes = {"stride": (1, 1), "padding": NO_PADDING, "dilation": (1, 1), "groups": 1}
    batch, _, *size = writer.shape(name)
    shape = (batch, out, *size)
    name = writer.emit(node, "conv", (name,), shape, attributes, {"weight": held})
    return replace(x, name=name, shape=(*x.shape[:3], out), axes=CHANNELS_LAST)


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Einsum": _einsum,
    "MatMul": _matmul,
}
