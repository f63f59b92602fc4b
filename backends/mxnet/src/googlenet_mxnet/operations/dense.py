"""Dense layers, also as products of matrices."""

from __future__ import annotations

import math
from typing import Final

from ..nodes import Node, Part, Parts, arrays_of, by_name
from .contracting import einsum, product_of_matrices, tensordot


def _fully_connected(node: Node) -> Parts | None:
    held = arrays_of(node, "weight", "bias")
    if held is None:
        return None
    dense = Part("dense", {}, held)
    if not node.get("flatten", True) or len(node.given) == 2:
        return (dense,)
    shape = (node.given[0], math.prod(node.given[1:]))
    return (Part("flatten", {"start": 1}, shape=shape), dense)


#: What reads each operation, by its names.
DENSE: Final = by_name(
    {
        ("FullyConnected",): _fully_connected,
        (
            "dot",
            "_np_dot",
            "_npi_matmul",
            "_linalg_gemm2",
            "_npi_tensordot_int_axes",
            "batch_dot",
        ): product_of_matrices,
        ("_npi_tensordot",): tensordot,
        ("_npi_einsum",): einsum,
    }
)
