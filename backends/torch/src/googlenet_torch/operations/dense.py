"""Dense layers, also as products of matrices."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final

from torch.fx import Node

from googlenet.arrays import Array
from googlenet.backend.contractions import Contraction, matrix_product, product, terms_of, total

from .calls import (
    Call,
    Found,
    Translated,
    Translator,
    is_value,
    one,
    unrepeated,
)


def _linear(call: Call) -> Found:
    arrays = call.arrays(weight=call["weight"], bias=call["bias"])
    return None if arrays is None else one(call, "dense", arrays)


def _addmm(call: Call) -> Found:
    """bias + x @ weight."""
    x, weight, bias = call["mat1"], call.held.get(call["mat2"]), call.held.get(call["self"])
    if weight is None or bias is None or not is_value(call, x):
        return None
    if bias.shape != (call.shape[1],) or (call["alpha"], call["beta"]) != (1, 1):
        return None
    return [Translated("dense", (x,), {}, {"weight": weight.T, "bias": bias})]


def _matmul(call: Call) -> Found:
    """The product with a matrix on either side, the same for all images."""
    first, second = call["self"], call.get("other", "mat2")
    is_first = is_value(call, first)
    x, weight = (first, second) if is_first else (second, first)
    if not is_value(call, x):
        return None
    rank = len(x.meta["val"].shape)
    matrix = _alone(call, weight, rank)
    if matrix is None:
        return None
    terms = matrix_product(rank, matrix.ndim, (False, False), is_first=is_first)
    return None if terms is None else _product(x, matrix, *terms)


def _baddbmm(call: Call) -> Found:
    """bias + x @ weight, of stacks."""
    x, bias = call["batch1"], call.held.get(call["self"])
    if bias is None or (call["alpha"], call["beta"]) != (1, 1) or not is_value(call, x):
        return None
    matrix = _alone(call, call["batch2"], 3)
    if matrix is None:
        return None
    shift = Translated("affine", (x,), {"product": False}, {"other": bias})
    return [Translated("dense", (x,), {}, {"weight": matrix.T}, call.shape), shift]


def _alone(call: Call, argument: Any, rank: int) -> Array | None:
    """A constant matrix or vector, also one that is repeated for each image."""
    if not isinstance(argument, Node) or argument not in call.held:
        return None
    if call.held[argument].ndim > rank:
        return None
    array = call.held[unrepeated(argument)]
    if array.ndim < 3:
        return array
    return None if any(size != 1 for size in array.shape[:-2]) else array.reshape(array.shape[-2:])


def _einsum(call: Call) -> Found:
    """A product with a weight, or a sum."""
    values = list(call["tensors"])
    shapes = [tuple(map(int, each.meta["val"].shape)) for each in values]
    found = terms_of(call["equation"], [len(shape) for shape in shapes])
    if found is None:
        return None
    terms, result = found
    if len(values) == 1:
        sizes = dict(zip(terms[0], shapes[0], strict=True))
        return _translated(values[0], total(terms[0], result, sizes))
    if len(values) != 2:
        return None
    if not is_value(call, values[0]):
        values, terms = values[::-1], terms[::-1]
    array = call.held.get(values[1])
    if array is None or not is_value(call, values[0]):
        return None
    return _product(values[0], array, terms[0], terms[1], result)


def _tensordot(call: Call) -> Found:
    """A product with a weight, summed over the axes that are named."""
    values = [call["self"], call["other"]]
    ranks = [len(each.meta["val"].shape) for each in values]
    first, second = ascii_lowercase[: ranks[0]], list(ascii_uppercase[: ranks[1]])
    for one_axis, other in zip(call["dims_self"], call["dims_other"], strict=True):
        second[other] = first[one_axis]
    terms = [first, "".join(second)]
    result = "".join(each for each in "".join(terms) if (each in first) != (each in second))
    if not is_value(call, values[0]):
        values, terms = values[::-1], terms[::-1]
    array = call.held.get(values[1])
    if array is None or not is_value(call, values[0]):
        return None
    return _product(values[0], array, terms[0], terms[1], result)


def _product(x: Node, weight: Array, given: str, other: str, result: str) -> Found:
    sizes = dict(zip(other, weight.shape, strict=True))
    sizes |= zip(given, map(int, x.meta["val"].shape), strict=True)
    found = product(given, other, result, sizes)
    return _translated(x, found, weight)


def _translated(x: Node, found: Contraction | None, weight: Array | None = None) -> Found:
    if found is None:
        return None
    if not found.stages:
        return [Translated("identity", (x,))]
    made: list[Translated] = []
    for stage in found.stages:
        arrays: dict[str, Array] = {}
        if weight is not None and stage.kind == "dense":
            arrays["weight"] = found.matrix(weight)
        made.append(Translated(stage.kind, (x,), stage.attributes, arrays, stage.shape))
    return made


#: What reads each operation, by its name without `aten.`.
DENSE: Final[Mapping[str, Translator]] = {
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "baddbmm": _baddbmm,
    "einsum": _einsum,
    "tensordot": _tensordot,
}
