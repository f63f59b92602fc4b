"""Sums, products and quotients, of values and with constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from googlenet.arrays import Array

from ..nodes import BEFORE, Node, Part, Parts, by_name


def _sum(node: Node) -> Parts | None:
    if node.constants:
        return _affine(node, product=False)
    first, second = node.inputs
    if first is second:
        return (Part("mul", {"factor": 2.0}, takes=(0,)),)
    return (Part("add", {"factor": 1.0}),)


def _difference(node: Node) -> Parts | None:
    if not node.constants:
        return (Part("add", {"factor": -1.0}),)
    if not isinstance(node.inputs[0], Node):  # c - x
        found = _affine(node, product=False)
        return found and (Part("mul", {"factor": -1.0}), *found)
    return _affine(node, product=False, change=np.negative)


def product(node: Node) -> Parts | None:
    """Of two values, or of one with a constant."""
    return _affine(node, product=True) if node.constants else (Part("multiply", takes=(0, 1)),)


def _quotient(node: Node) -> Parts | None:
    if not node.constants or not isinstance(node.inputs[0], Node):
        return None
    return _affine(node, product=True, change=np.reciprocal)


def _affine(
    node: Node, *, product: bool, change: Callable[[Array], Array] | None = None
) -> Parts | None:
    """The sum or product with the constant, of one number or an array that fits the images."""
    (other,) = node.constants
    (x,) = (each for each in node.inputs if isinstance(each, Node))
    if x.shape != node.shape or other.dtype.kind not in "fiu":
        return None
    if change is not None:
        with np.errstate(divide="ignore"):
            other = change(other.astype(np.float64))
    if other.ndim == len(x.shape) and len(other) > 1:
        if (other != other[:1]).any():
            return None
        other = other[:1]
    if product and other.size == 1 and node.is_fixed:
        return _times(float(other.flat[0]))
    return (Part("affine", {"product": product}, {"other": other}),)


def _times(factor: float) -> Parts:
    return (Part("identity") if factor == 1 else Part("mul", {"factor": factor}),)


def _plus(number: float, node: Node) -> Parts:
    if number == 0:
        return (Part("identity"),)
    other = np.full((1,) * len(node.shape), number)
    return (Part("affine", {"product": False}, {"other": other}),)


def _sum_of_several(node: Node) -> Parts | None:
    if node.constants:
        return None
    if len(node.inputs) == 1:
        return (Part("identity"),)
    later = [Part("add", {"factor": 1.0}, takes=(BEFORE, n)) for n in range(2, len(node.inputs))]
    return (Part("add", {"factor": 1.0}, takes=(0, 1)), *later)


#: Products with a number.
TIMES: Final = ("_mul_scalar", "_npi_multiply_scalar")
#: Products of two values, which broadcast them.
PRODUCTS: Final = ("elemwise_mul", "broadcast_mul", "_npi_multiply")
#: What reads each operation, by its names.
ARITHMETIC: Final = by_name(
    {
        ("elemwise_add", "broadcast_add", "_npi_add", "_grad_add"): _sum,
        ("elemwise_sub", "broadcast_sub", "_npi_subtract"): _difference,
        PRODUCTS: product,
        ("elemwise_div", "broadcast_div", "_npi_true_divide"): _quotient,
        ("add_n",): _sum_of_several,
        ("_plus_scalar", "_npi_add_scalar"): lambda node: _plus(float(node["scalar"]), node),
        ("_minus_scalar", "_npi_subtract_scalar"): lambda node: _plus(-float(node["scalar"]), node),
        ("_rminus_scalar", "_npi_rsubtract_scalar"): lambda node: (
            Part("mul", {"factor": -1.0}),
            *_plus(float(node["scalar"]), node),
        ),
        TIMES: lambda node: _times(float(node["scalar"])),
        ("_div_scalar", "_npi_true_divide_scalar"): lambda node: _times(1 / float(node["scalar"])),
        ("negative", "_npi_negative"): lambda node: _times(-1.0),
    }
)
