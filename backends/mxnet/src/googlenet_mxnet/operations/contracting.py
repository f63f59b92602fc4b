"""MXNet's products with matrices, and what it writes with letters for axes, in neutral terms."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase
from typing import Final

from googlenet.arrays import Array
from googlenet.backend.contractions import Contraction, matrix_product, product, terms_of, total

from ..nodes import BEFORE, Move, Node, Part, Parts

#: Products of stacks of matrices; any other sums over axes that are not these for a stack.
_STACKED: Final = ("_npi_matmul", "batch_dot", "_linalg_gemm2")


def product_of_matrices(node: Node) -> Parts | None:
    """The product with a matrix on either side, the same for all images."""
    if node.get("axes", 1) != 1 or node.get("alpha", 1) != 1 or len(node.inputs) != 2:
        return None
    is_first = isinstance(node.inputs[0], Node)
    x, weight = node.inputs if is_first else node.inputs[::-1]
    flipped = (bool(node.get("transpose_a", False)), bool(node.get("transpose_b", False)))
    rank = len(x.shape)
    if node.op not in _STACKED and rank > 2 and (flipped[0] or not is_first):
        return None
    if not isinstance(x, Node) or isinstance(weight, Node) or not _is_alone(node, weight, rank):
        return None
    terms = matrix_product(rank, min(weight.ndim, 2), flipped, is_first=is_first)
    return None if terms is None else _product(x, weight, *terms)


def tensordot(node: Node) -> Parts | None:
    """A product with a weight, summed over the axes that are named."""
    ranks = [len(each.shape) for each in node.inputs]
    first, second = ascii_lowercase[: ranks[0]], list(ascii_uppercase[: ranks[1]])
    for axis, other in zip(node["a_axes_summed"], node["b_axes_summed"], strict=True):
        second[other] = first[axis]
    terms = [first, "".join(second)]
    result = "".join(each for each in "".join(terms) if (each in first) != (each in second))
    return _of_two(node, terms, result)


def einsum(node: Node) -> Parts | None:
    """A product with a weight, a sum, or a product with one number for each map."""
    found = terms_of(str(node["subscripts"]), [len(each.shape) for each in node.inputs])
    if found is None:
        return None
    terms, result = found
    if len(terms) == 1:
        return _parts(total(terms[0], result, dict(zip(terms[0], node.given, strict=True))))
    if len(terms) != 2:
        return None
    if node.constants:
        return _of_two(node, terms, result)
    (rows, columns), at = terms, 0
    if len(rows) < len(columns):
        rows, columns, at = columns, rows, 1
    if result != rows or columns != "".join(each for each in rows if each in columns):
        return None
    sizes = dict(zip(rows, node.inputs[at].shape, strict=True))
    shape = tuple(sizes[each] if each in columns else 1 for each in rows)
    spread = Part("reshape", {"shape": shape[1:]}, shape=shape, takes=(1 - at,))
    return (spread, Part("multiply", takes=(at, BEFORE)))


def _is_alone(node: Node, weight: Array, rank: int) -> bool:
    """Whether a constant is one matrix or vector, perhaps repeated for each image."""
    if not 1 <= weight.ndim <= rank:
        return False
    matrices = weight.reshape(-1, *weight.shape[-2:])
    # What the user has for each image is for these images only.
    is_made = "weight" not in node.origins
    return (
        len(matrices) == 1
        or weight.ndim < 3
        or (is_made and bool((matrices[1:] == matrices[0]).all()))
    )


def _of_two(node: Node, terms: list[str], result: str) -> Parts | None:
    x, weight = node.inputs
    if not isinstance(x, Node):
        x, weight, terms = weight, x, terms[::-1]
    if not isinstance(x, Node) or isinstance(weight, Node):
        return None
    return _product(x, weight, terms[0], terms[1], result)


def _product(x: Node, weight: Array, given: str, other: str, result: str) -> Parts | None:
    sizes = dict(zip(other, weight.shape[-len(other) :], strict=True))
    sizes |= zip(given, x.shape, strict=True)
    return _parts(product(given, other, result, sizes), weight)


def _parts(found: Contraction | None, weight: Array | None = None) -> Parts | None:
    if found is None:
        return None

    def matrix(array: Array) -> Array:
        is_stack = array.ndim > len(found.axes)
        return found.matrix(array.reshape(-1, *array.shape[-2:])[0] if is_stack else array)

    move = Move("weight", f"{found.axes} {found.rows}", matrix)
    parts: list[Part] = []
    for stage in found.stages:
        if weight is not None and stage.kind == "dense":
            parts.append(Part("dense", {}, {"weight": weight}, stage.shape, moved=move))
        else:
            parts.append(Part(stage.kind, stage.attributes, shape=stage.shape))
    return tuple(parts) or (Part("identity"),)
