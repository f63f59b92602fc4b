"""Paddle's products with matrices, and what it writes with letters for axes, in neutral terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from googlenet.arrays import Array
from googlenet.backend.contractions import Contraction, matrix_product, product, terms_of, total

from .nodes import Node, Piece, Translated, listed


def matmul(node: Node) -> Translated | None:
    """The product with a matrix on either side, the same for all images."""
    first, second = node.value("x"), node.value("y")
    is_first = node.array("x") is None
    x, weight = (first, second) if is_first else (second, first)
    rank = len(node.constants.shape(x))
    matrix = _alone(node, weight, rank)
    if matrix is None or node.constants.is_constant(x):
        return None
    # A product of stacks, `bmm`, has no such settings.
    flipped = (bool(node.attribute("transpose_x")), bool(node.attribute("transpose_y")))
    terms = matrix_product(rank, matrix.ndim, flipped, is_first=is_first)
    return None if terms is None else _product(node, x, matrix, *terms)


def einsum(node: Node) -> Translated | None:
    """A product with a weight, or a sum."""
    values, equation = listed(node.value("x")), str(node.attribute("equation"))
    shapes = [node.constants.shape(each) for each in values]
    found = terms_of(equation, [len(shape) for shape in shapes])
    if found is None:
        return None
    terms, result = found
    if len(values) == 1:
        sizes = dict(zip(terms[0], shapes[0], strict=True))
        return _translated(values[0], total(terms[0], result, sizes))
    if len(values) != 2:
        return None
    if node.constants.is_constant(values[0]):
        values, terms = values[::-1], terms[::-1]
    array = node.constants.array(values[1])
    if array is None or node.constants.is_constant(values[0]):
        return None
    return _product(node, values[0], array, terms[0], terms[1], result)


def _alone(node: Node, value: Any, rank: int) -> Array | None:
    """A constant matrix or vector, also one that is repeated for each image."""
    array = node.constants.array(value)
    if array is None or not 1 <= array.ndim <= rank:
        return None
    if array.ndim < 3:
        return array
    matrices = array.reshape(-1, *array.shape[-2:])
    # What the user has for each image is for these images only.
    is_repeated = node.constants.is_made(array) and (matrices == matrices[:1]).all()
    if len(matrices) > 1 and not is_repeated:
        return None
    return node.constants.derived(array, "matrix", _first)


def _first(array: Array) -> Array:
    found: Array = array.reshape(-1, *array.shape[-2:])[0]
    return found


def _product(
    node: Node, x: Any, weight: Array, given: str, other: str, result: str
) -> Translated | None:
    shape = node.constants.shape(x)
    sizes = {**dict(zip(other, weight.shape, strict=True)), **dict(zip(given, shape, strict=True))}
    found = product(given, other, result, sizes)
    if found is None:
        return None
    how = f"matrix {found.axes} {found.rows}"
    return _translated(x, found, lambda: node.constants.derived(weight, how, found.matrix))


def _translated(
    x: Any, found: Contraction | None, weight: Callable[[], Array] | None = None
) -> Translated | None:
    if found is None:
        return None
    pieces = tuple(
        Piece(
            stage.kind,
            dict(stage.attributes),
            {"weight": weight()} if weight is not None and stage.kind == "dense" else {},
            stage.shape,
        )
        for stage in found.stages
    )
    return Translated((x,), pieces or (Piece("identity"),), "native")
