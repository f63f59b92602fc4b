"""Paddle's arithmetic in neutral terms: of a value and a constant, or of two values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from googlenet.arrays import Array

from .constants import plain, sources
from .nodes import Node, Piece, Translated, shortest


def affine(node: Node, value: Any, other: Array, *, product: bool) -> tuple[Piece, ...]:
    """A sum or product with a constant; one of a size of 1 that is not trained is a factor."""
    if other.size == 1 and not node.constants.is_trained(other):
        if product:
            return (Piece("mul", {"factor": shortest(float(other.reshape(())))}),)
        if other.reshape(()) == 0:
            return (Piece("identity"),)
    is_batch = other.ndim == len(value.shape) and len(other) > 1 and (other == other[:1]).all()
    if is_batch and node.constants.is_made(other):  # in the shape of these images
        other = node.constants.derived(other, "one image", lambda each: each[:1])
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
        other = node.constants.derived(other, "negative", np.negative, moves=False)
        return Translated((value,), affine(node, value, other, product=False))
    negative = Piece("mul", {"factor": -1.0})
    return Translated((value,), (negative, *affine(node, value, other, product=False)))


def product(node: Node) -> Translated:
    """A product."""
    value, other, _ = _split(node)
    if other is None:
        values = (_unexpanded(node, "x"), _unexpanded(node, "y"))
        return Translated(values, (Piece("multiply"),))
    return Translated((value,), affine(node, value, other, product=True))


def _unexpanded(node: Node, role: str) -> Any:
    """An operand as it was before it was expanded to the shape of the other."""
    value = node.value(role)
    op = value.get_defining_op()
    if plain(op) not in ("expand", "expand_as"):
        return value
    before = sources(op)[0]
    other = node.given("y" if role == "x" else "x")
    is_whole = node.shape == other and len(node.constants.shape(before)) == len(other)
    return before if is_whole else value


def quotient(node: Node) -> Translated | None:
    """The first operand by the second."""
    value, other, is_second = _split(node)
    if other is None or not is_second:
        return None
    if not other.all():
        return None
    if other.size == 1 and not node.constants.is_trained(other):
        factor = 1 / shortest(float(other.reshape(())))
        return Translated((value,), (Piece("mul", {"factor": factor}),))
    inverse = node.constants.derived(
        other, "inverse", lambda each: 1 / each.astype(np.float64), moves=False
    )
    return Translated((value,), affine(node, value, inverse, product=True))


def scale(node: Node) -> Translated:
    """`scale · x + bias`, or `scale · (x + bias)`."""
    bias, trained = node.number("bias"), node.value("scale")
    pieces: list[Piece] = []
    if trained is not None and node.constants.trained(trained):
        array = node.array("scale")
        assert array is not None
        pieces += affine(node, node.value("x"), array, product=True)
    elif (factor := node.number("scale")) != 1:
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


def greater(node: Node) -> Translated | None:
    """Whether a value is greater than a number, as 1 or 0."""
    value, number = node.value("x"), node.array("y")
    if number is None or node.array("x") is not None or number.size != 1:
        return None
    if node.constants.is_trained(number):
        return None
    return Translated((value,), (Piece("greater", {"number": shortest(float(number.flat[0]))}),))


def where(node: Node) -> Translated | None:
    """A value where something holds, and elsewhere 0: the product with 1 and 0."""
    zero = node.array("y")
    if zero is None or zero.any() or node.constants.is_trained(zero):
        return None
    if node.array("x") is not None or node.array("condition") is not None:
        return None
    return Translated((node.value("x"), node.value("condition")), (Piece("multiply"),))


def bounded(node: Node) -> Translated | None:
    """The larger or smaller of a value and a constant."""
    value, other, _ = _split(node)
    if other is None or node.constants.is_trained(other) or (other != other.flat[0]).any():
        return None
    bound = shortest(float(other.flat[0]))
    low, high = (bound, math.inf) if node.name == "maximum" else (-math.inf, bound)
    return clipped(node, value, low, high)
