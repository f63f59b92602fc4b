"""Activations, bounds and dropout of a TensorFlow graph in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import tensorflow as tf

from .constants import Constant
from .forms import EPS, number_of, shortest
from .recognition import activation, base_of
from .writing import Noise, Rule, Scalar, Tensor, Tiled, Value, Writer


def _unary(kind: str, **names: str) -> Rule:
    """An operation on each element, with attributes that are called otherwise here."""

    def rule(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
        x = inputs[0]
        if not isinstance(x, Value):
            return None
        attributes = {ours: shortest(node.get_attr(theirs)) for ours, theirs in names.items()}
        return applied(writer, node, kind, x, attributes)

    return rule


def applied(writer: Writer, node: Any, kind: str, x: Value, attributes: Mapping[str, Any]) -> Value:
    """An operation on each element of `x`, or the activation that it completes."""
    scalar = Scalar(node, (x.name,))
    found = finished(writer, x, scalar)
    if found is None:
        found = writer.same(node, kind, x, attributes)
        writer.pointwise[found.name] = scalar
    return found


def finished(writer: Writer, x: Value, scalar: Scalar) -> Value | None:
    """The activation that an operation completes, if what it is applied to is part of one."""
    names = {each for each in scalar.inputs if isinstance(each, str)}
    ops = [writer.ops[name] for name in names & set(writer.pointwise)]
    if len(names) == 1 and not any(op.kind == "add" or op.kind.startswith("tf.") for op in ops):
        return None
    known = activation(writer, scalar)
    if known is None:
        return None
    base, kind, attributes = known
    name = writer.emit(scalar.node, kind, (base,), writer.shape(base), attributes)
    writer.pointwise[name] = scalar
    return replace(x, name=name)


def _relu6(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    return applied(writer, node, "clip", inputs[0], {"low": 0.0, "high": 6.0})


def elementwise(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    """Another function of one number, which may be part of an activation that is known."""
    values = [each for each in inputs if isinstance(each, Value)]
    if any(isinstance(each, Noise | Tiled) for each in inputs):
        return _dropped(writer, node, inputs)
    first = values[0]
    if not all(each.axes == first.axes and each.shape == first.shape for each in values):
        return None
    inputs = [_as_number(writer, each, first) for each in inputs]
    if not all(writer.is_number(each) for each in inputs if isinstance(each, Constant)):
        return None
    if not all(each.lead == first.lead for each in values):
        return None
    names = tuple(each.name if isinstance(each, Value) else each for each in inputs)
    scalar = Scalar(node, names)
    known = activation(writer, scalar)
    if known is not None:
        base, kind, attributes = known
        name = writer.emit(node, kind, (base,), writer.shape(base), attributes)
    elif len(values) > 1 and (whole := base_of(writer, scalar)) is not None:
        # A function of one number that nobody knows, however many operations it has.
        base, operations = whole
        attributes = {"operations": operations}
        name = writer.emit(node, f"tf.{node.type}", (base,), writer.shape(base), attributes)
    else:
        given = tuple(dict.fromkeys(each.name for each in values))
        is_product = node.type == "Mul" and len(given) == len(inputs)
        kind = "multiply" if is_product else f"tf.{node.type}"
        name = writer.emit(node, kind, given, writer.shape(first.name), _constants(inputs))
    writer.pointwise[name] = scalar
    return replace(first, name=name)


def _as_number(writer: Writer, each: Any, x: Value) -> Any:
    """A constant of one number in the shape of `x`, as zeros_like makes, as that number."""
    if not isinstance(each, Constant) or each.array.shape != writer.native(x):
        return each
    if writer.origins.of(each) != "constant" or np.ptp(each.array) != 0:
        return each
    return Constant(tf.constant(each.array.flat[0]))


def _constants(inputs: list[Any]) -> dict[str, Any]:
    return {
        f"input_{n}": each.array.reshape(()).item()
        for n, each in enumerate(inputs)
        if isinstance(each, Constant)
    }


def _dropped(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    """Dropout that is always active: elements chosen at random are 0, the others scaled."""
    if node.type != "SelectV2":
        return None
    noise, x, zero = inputs
    if not isinstance(noise, Noise) or noise.rate is None or not isinstance(x, Value):
        return None
    if not isinstance(zero, Constant) or zero.array.any():
        return None
    op = writer.ops.get(x.name)
    if op is None or op.kind != "mul":
        return None
    # A factor, rounded once, and 1 less a rate that is rounded itself.
    rounding = EPS * (1 + 1 / (1 - noise.rate))
    if not math.isclose(op.attributes["factor"] * (1 - noise.rate), 1, rel_tol=rounding):
        return None
    attributes = {"rate": shortest(noise.rate), "active": True}
    name = writer.emit(node, "dropout", op.inputs, op.shape, attributes)
    return replace(x, name=name)


def _clipped(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    x, low, high = inputs
    if not isinstance(x, Value) or not all(
        isinstance(each, Constant) and writer.is_number(each) for each in (low, high)
    ):
        return None
    return applied(writer, node, "clip", x, {"low": number_of(low), "high": number_of(high)})


def _clip(writer: Writer, node: Any, x: Value, low: float, high: float) -> Value:
    """The elements between two bounds, together with the other bound if that came before."""
    before = writer.ops.get(x.name)
    if before is not None and before.kind in ("relu", "clip"):
        bounds = before.attributes or {"low": 0.0, "high": math.inf}
        if {bounds["low"], low} >= {-math.inf} and {bounds["high"], high} >= {math.inf}:
            inner, outer = max(bounds["low"], low), min(bounds["high"], high)
            if -math.inf < inner <= outer < math.inf:
                x, low, high = replace(x, name=before.inputs[0]), inner, outer
    is_relu = (low, high) == (0, math.inf)
    kind, attributes = ("relu", {}) if is_relu else ("clip", {"low": low, "high": high})
    return writer.same(node, kind, x, attributes)


def _bounded(below: bool) -> Rule:
    """The larger, or the smaller, of each element and a number."""

    def rule(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
        constants = [each for each in inputs if isinstance(each, Constant)]
        values = [each for each in inputs if isinstance(each, Value)]
        if len(constants) != 1 or len(values) != 1 or not writer.is_number(constants[0]):
            return elementwise(writer, node, inputs) if len(values) == len(inputs) else None
        names = tuple(each.name if isinstance(each, Value) else each for each in inputs)
        scalar = Scalar(node, names)
        found = finished(writer, values[0], scalar)
        if found is None:
            bound = number_of(constants[0])
            low, high = (bound, math.inf) if below else (-math.inf, bound)
            found = _clip(writer, node, values[0], low, high)
            writer.pointwise[found.name] = scalar
        return found

    return rule


_POINTWISE: Final = (
    "Abs",
    "Erf",
    "Erfc",
    "Exp",
    "Expm1",
    "Greater",
    "GreaterEqual",
    "Inv",
    "Less",
    "LessEqual",
    "Log",
    "Log1p",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "Pow",
    "Reciprocal",
    "Rsqrt",
    "Select",
    "SelectV2",
    "Selu",
    "Sign",
    "Softsign",
    "Sqrt",
    "Square",
    "SquaredDifference",
)


def _negative(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    return applied(writer, node, "mul", inputs[0], {"factor": -1.0})


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_POINTWISE, elementwise),
    "ClipByValue": _clipped,
    "Elu": lambda writer, node, inputs: applied(writer, node, "elu", inputs[0], {"alpha": 1.0}),
    "LeakyRelu": _unary("leaky_relu", slope="alpha"),
    "Maximum": _bounded(below=True),
    "Minimum": _bounded(below=False),
    "Neg": _negative,
    "Relu": _unary("relu"),
    "Relu6": _relu6,
    "Sigmoid": _unary("sigmoid"),
    "Softplus": _unary("softplus"),
    "Tanh": _unary("tanh"),
}
