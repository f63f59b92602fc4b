"""Activations, bounds and dropout of a TensorFlow graph in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from .constants import Constant
from .forms import number_of, shortest
from .reading import Noise, Reader, Rule, Scalar, Tensor, Tiled, Value
from .recognition import activation, base_of


def _unary(kind: str, **names: str) -> Rule:
    """An operation on each element, with attributes that are called otherwise here."""

    def rule(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
        x = inputs[0]
        if not isinstance(x, Value):
            return None
        attributes = {ours: shortest(node.get_attr(theirs)) for ours, theirs in names.items()}
        return applied(reader, node, kind, x, attributes)

    return rule


def applied(reader: Reader, node: Any, kind: str, x: Value, attributes: Mapping[str, Any]) -> Value:
    """An operation on each element of `x`, or the activation that it completes."""
    scalar = Scalar(node, (x.name,))
    found = finished(reader, x, scalar)
    if found is None:
        found = reader.same(node, kind, x, attributes)
        reader.pointwise[found.name] = scalar
    return found


def finished(reader: Reader, x: Value, scalar: Scalar) -> Value | None:
    """The activation that an operation completes, if what it is applied to is part of one."""
    names = {each for each in scalar.inputs if isinstance(each, str)}
    ops = [reader.ops[name] for name in names & set(reader.pointwise)]
    if len(names) == 1 and not any(op.kind == "add" or op.kind.startswith("tf.") for op in ops):
        return None
    known = activation(reader, scalar)
    if known is None:
        return None
    base, kind, attributes = known
    name = reader.emit(scalar.node, kind, (base,), reader.shape(base), attributes)
    reader.pointwise[name] = scalar
    return replace(x, name=name)


def _relu6(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    return applied(reader, node, "clip", inputs[0], {"low": 0.0, "high": 6.0})


def elementwise(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """Another function of one number, which may be part of an activation that is known."""
    values = [each for each in inputs if isinstance(each, Value)]
    if any(isinstance(each, Noise | Tiled) for each in inputs):
        return _dropped(reader, node, inputs)
    first = values[0]
    if not all(each.axes == first.axes and each.shape == first.shape for each in values):
        return None
    if not all(reader.is_number(each) for each in inputs if isinstance(each, Constant)):
        return None
    if not all(each.lead == first.lead for each in values):
        return None
    names = tuple(each.name if isinstance(each, Value) else each for each in inputs)
    scalar = Scalar(node, names)
    known = activation(reader, scalar)
    if known is not None:
        base, kind, attributes = known
        name = reader.emit(node, kind, (base,), reader.shape(base), attributes)
    elif len(values) > 1 and (whole := base_of(reader, scalar)) is not None:
        # A function of one number that nobody knows, however many operations it has.
        base, operations = whole
        attributes = {"operations": operations}
        name = reader.emit(node, f"tf.{node.type}", (base,), reader.shape(base), attributes)
    else:
        given = tuple(dict.fromkeys(each.name for each in values))
        is_product = node.type == "Mul" and len(given) == len(inputs)
        kind = "multiply" if is_product else f"tf.{node.type}"
        name = reader.emit(node, kind, given, reader.shape(first.name), _constants(inputs))
    reader.pointwise[name] = scalar
    return replace(first, name=name)


def _constants(inputs: list[Any]) -> dict[str, Any]:
    return {
        f"input_{n}": each.array.reshape(()).item()
        for n, each in enumerate(inputs)
        if isinstance(each, Constant)
    }


def _dropped(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """Dropout that is always active: elements chosen at random are 0, the others scaled."""
    if node.type != "SelectV2":
        return None
    noise, x, zero = inputs
    if not isinstance(noise, Noise) or noise.rate is None or not isinstance(x, Value):
        return None
    if not isinstance(zero, Constant) or zero.array.any():
        return None
    op = reader.ops.get(x.name)
    if (
        op is None
        or op.kind != "mul"
        or not math.isclose(op.attributes["factor"] * (1 - noise.rate), 1, rel_tol=1e-5)
    ):
        return None
    attributes = {"rate": shortest(noise.rate), "active": True}
    name = reader.emit(node, "dropout", op.inputs, op.shape, attributes)
    return replace(x, name=name)


def _clipped(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, low, high = inputs
    if not isinstance(x, Value) or not all(
        isinstance(each, Constant) and reader.is_number(each) for each in (low, high)
    ):
        return None
    return applied(reader, node, "clip", x, {"low": number_of(low), "high": number_of(high)})


def _clip(reader: Reader, node: Any, x: Value, low: float, high: float) -> Value:
    """The elements between two bounds, together with the other bound if that came before."""
    before = reader.ops.get(x.name)
    if before is not None and before.kind in ("relu", "clip"):
        bounds = before.attributes or {"low": 0.0, "high": math.inf}
        if {bounds["low"], low} >= {-math.inf} and {bounds["high"], high} >= {math.inf}:
            inner, outer = max(bounds["low"], low), min(bounds["high"], high)
            if -math.inf < inner <= outer < math.inf:
                x, low, high = replace(x, name=before.inputs[0]), inner, outer
    is_relu = (low, high) == (0, math.inf)
    kind, attributes = ("relu", {}) if is_relu else ("clip", {"low": low, "high": high})
    return reader.same(node, kind, x, attributes)


def _bounded(below: bool) -> Rule:
    """The larger, or the smaller, of each element and a number."""

    def rule(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
        constants = [each for each in inputs if isinstance(each, Constant)]
        values = [each for each in inputs if isinstance(each, Value)]
        if len(constants) != 1 or len(values) != 1 or not reader.is_number(constants[0]):
            return elementwise(reader, node, inputs) if len(values) == len(inputs) else None
        names = tuple(each.name if isinstance(each, Value) else each for each in inputs)
        scalar = Scalar(node, names)
        found = finished(reader, values[0], scalar)
        if found is None:
            bound = number_of(constants[0])
            low, high = (bound, math.inf) if below else (-math.inf, bound)
            found = _clip(reader, node, values[0], low, high)
            reader.pointwise[found.name] = scalar
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


def _negative(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    return applied(reader, node, "mul", inputs[0], {"factor": -1.0})


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_POINTWISE, elementwise),
    "ClipByValue": _clipped,
    "Elu": lambda reader, node, inputs: applied(reader, node, "elu", inputs[0], {"alpha": 1.0}),
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
