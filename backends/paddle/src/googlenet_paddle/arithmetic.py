"""Paddle's arithmetic in neutral terms: of a value and a constant, or of two values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from googlenet.arrays import Array

from .nodes import Node, Piece, Translated, shortest


def affine(node: Node, value: Any, other: Array, *, product: bool) -> tuple[Piece, ...]:
    """A sum or product with a constant; one of a size of 1 is a factor."""
    if other.size == 1 and product:
        return (Piece("mul", {"factor": shortest(float(other.reshape(())))}),)
    if other.size == 1 and other.reshape(()) == 0:
        return (Piece("identity"),)
    if other.ndim == len(value.shape) and len(other) > 1 and (other == other[:1]).all():
        other = other[:1]  # made in the shape of a batch
    return (Piece("affine", {"product": product}, {"other": other}),)


def _split(node: Node) -> tuple[Any, Array | None, bool]:
    """The operand of two that depends on the images, the other if it is constant, and whether
    the constant is the second.
    """
    first, second = node.array("x"), node.array("y")
    if second is not None:
        return node.value("x"), second, True
    return node.value("y"), first, False


def addition(node: Node) -> Translated:
    """A sum."""
    value, other, _ = _split(node)
    if other is not None:
        return Translated((value,), affine(node, value, other, product=False))
    first, second = node.value("x"), node.value("y")
    if first.is_same(second):
        return Translated((first,), (Piece("mul", {"factor": 2.0}),))
    return Translated((first, second), (Piece("add", {"factor": 1.0}),))


def difference(node: Node) -> Translated:
    """The first operand without the second."""
    value, other, is_second = _split(node)
    if other is None:
        inputs = (node.value("x"), node.value("y"))
        return Translated(inputs, (Piece("add", {"factor": -1.0}),))
    if is_second:
        return Translated((value,), affine(node, value, -other, product=False))
    negative = Piece("mul", {"factor": -1.0})
    return Translated((value,), (negative, *affine(node, value, other, product=False)))


def product(node: Node) -> Translated | None:
    """A product."""
    value, other, _ = _split(node)
    if other is None:
        return None
    return Translated((value,), affine(node, value, other, product=True))


def quotient(node: Node) -> Translated | None:
    """The first operand by the second."""
    value, other, is_second = _split(node)
    if other is None or not is_second:
        return None
    inverse = 1 / other.astype(np.float64)
    if other.size == 1:
        factor = 1 / shortest(float(other.reshape(())))
        return Translated((value,), (Piece("mul", {"factor": factor}),))
    return Translated((value,), affine(node, value, inverse, product=True))


def scale(node: Node) -> Translated:
    """`scale · x + bias`, or `scale · (x + bias)`."""
    factor, bias = node.number("scale"), node.number("bias")
    pieces = []
    if factor != 1:
        pieces.append(Piece("mul", {"factor": factor}))
    if bias != 0:
        added = Piece("affine", {"product": False}, {"other": np.array(bias)})
        pieces.insert(len(pieces) if node.attribute("bias_after_scale") else 0, added)
    return Translated((node.value("x"),), tuple(pieces) or (Piece("identity"),))


def clip(node: Node) -> Translated:
    """A value within bounds."""
    return clipped(node, node.value("x"), node.number("min"), node.number("max"))


def clipped(node: Node, value: Any, low: float, high: float) -> Translated:
    """A value from `low` to `high`; the largest of float32 is no bound."""
    largest = shortest(float(np.finfo(np.float32).max))
    low = -math.inf if low <= -largest else low
    high = math.inf if high >= largest else high
    if (low, high) == (0, math.inf):
        return Translated((value,), (Piece("relu"),))
    return Translated((value,), (Piece("clip", {"low": low, "high": high}),))


def bounded(node: Node) -> Translated | None:
    """The larger or smaller of a value and a constant."""
    value, other, _ = _split(node)
    if other is None or (other != other.flat[0]).any():
        return None
    bound = shortest(float(other.flat[0]))
    low, high = (bound, math.inf) if node.name == "maximum" else (-math.inf, bound)
    return clipped(node, value, low, high)
