"""Arithmetic, activations and dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ..mindir import Node
from .calls import Call, Piece, Tensor, Translated, filled, number_of, scalar
from .patterns import factors, whole_product


def _sum(sign: float) -> Callable[[Call], Translated]:
    """`x + y`, or `x - y` for a sign of −1; `alpha` is a factor of the second one."""

    def translated(call: Call) -> Translated:
        x, y = call.args[:2]
        alpha = scalar(call.arg(2)) if len(call.args) > 2 else 1.0
        if alpha is None:
            return None
        factor = sign * number_of(alpha)
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return Piece("add", {"factor": factor})
        if isinstance(x, Tensor):
            return _affine(call, False, y, factor)
        scaled = [] if factor == 1 else [Piece("mul", {"factor": factor}, shape=y.shape)]
        added = _affine(call, False, x, 1.0)
        return None if added is None else [*scaled, added]

    return translated


def _affine(call: Call, product: bool, other: Any, factor: float) -> Piece | None:
    """The sum or product with a constant, itself times `factor`."""
    if isinstance(other, bool | int | float):
        other = np.asarray(other, np.float64)
    if not isinstance(other, np.ndarray):
        return None
    shape = (1,) * (len(call.shape) - other.ndim) + other.shape
    array = call.move(("reshape", shape), lambda each: each.reshape(shape), other)
    if factor != 1:
        array = call.derive(("times", factor), lambda each: each.astype(np.float64) * factor, array)
    return Piece("affine", {"product": product}, {"other": array})


def _add_n(call: Call) -> Translated:
    values = call.args[0] if isinstance(call.args[0], tuple) else call.args
    if len(values) < 2 or not all(isinstance(each, Tensor) for each in values):
        return None
    first, second, *others = values
    sums = [Piece("add", {"factor": 1.0}, inputs=(first, second), shape=call.shape)]
    for each in others:
        sums.append(Piece("add", {"factor": 1.0}, also=(each,), shape=call.shape))
    return sums


def _product(call: Call) -> Translated:
    x, y = call.args[:2]
    found = whole_product(call)
    if found is not None:
        return found
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return _multiply(call, x, y)
    other = y if isinstance(x, Tensor) else x
    number = scalar(other)
    if number is not None and call.is_written(other):
        return Piece("identity") if number == 1 else Piece("mul", {"factor": number_of(number)})
    return _affine(call, True, other, 1.0)


def _multiply(call: Call, x: Tensor, y: Tensor) -> Piece:
    """The product of two values, each as it is before it was spread out to the other's shape."""
    factors = []
    for given in (x, y):
        before = call.before(given)
        narrow = before is not None and before.kind in _SPREADING and before.args[0]
        factors.append(narrow if isinstance(narrow, Tensor) else given)
    shapes = [each.shape for each in factors]
    fits = len(shapes[0]) == len(shapes[1]) and np.broadcast_shapes(*shapes) == call.shape
    return Piece("multiply", inputs=tuple(factors) if fits else (x, y))


#: Operations that repeat a value along axes of one element.
_SPREADING: Final = ("BroadcastTo", "BroadcastToView", "ExpandAs", "Tile")


def _quotient(call: Call) -> Translated:
    x, y = call.args[:2]
    if call.arg(2) is not None or not isinstance(x, Tensor):  # rounded, or of a constant
        return None
    found = whole_product(call)
    if found is not None or isinstance(y, Tensor):
        return found
    number = scalar(y)
    if number is not None and call.is_written(y):
        return Piece("mul", {"factor": 1 / number_of(number)}) if number else None
    inverse = call.derive("inverse", lambda each: 1 / each.astype(np.float64), y)
    return _affine(call, True, inverse, 1.0)


def _greater(call: Call) -> Translated:
    """Whether a value is greater than a number, as 1 or 0."""
    x, given = call.args[0], filled(call, call.args[1])
    number = scalar(given)
    if not isinstance(x, Tensor) or number is None or not call.is_written(given):
        return None
    return Piece("greater", {"number": number_of(number)})


def _cast(call: Call) -> Translated:
    """From a type that is wide enough to another one."""
    x, before = call.args[0], call.before(call.args[0])
    is_number = before is None or before.kind in KNOWN or before.kind in _WEIGHTED
    fits = isinstance(x, Tensor) and is_number and call.arg(1) in _WIDE
    return Piece("identity") if fits else None


#: Wide enough types, by their numbers in a graph: float32, float64.
_WIDE: Final = (43, 44)
#: Operations after which users convert, beside those here.
_WEIGHTED: Final = ("Conv2D", "Dense", "MatMul", "BiasAdd", "BatchNorm", "ReduceMean", "Reshape")


def _power(call: Call) -> Translated:
    x, exponent = call.args[0], 2.0 if call.kind == "Square" else scalar(call.arg(1))
    if not isinstance(x, Tensor) or exponent not in (1, 2):
        return None
    return Piece("identity") if exponent == 1 else Piece("multiply", inputs=(x, x))


def _simple(kind: str, **numbers: Any) -> Callable[[Call], Translated]:
    """An operation without arguments that count."""
    return lambda call: Piece(kind, dict(numbers)) if isinstance(call.args[0], Tensor) else None


def _with(kind: str, attribute: str, place: int = 1) -> Callable[[Call], Translated]:
    """An operation with one number."""

    def translated(call: Call) -> Translated:
        number = scalar(call.arg(place))
        return None if number is None else Piece(kind, {attribute: number_of(number)})

    return translated


def _axis(kind: str) -> Callable[[Call], Translated]:
    def translated(call: Call) -> Translated:
        axes = call.arg(1)
        axes = (axes,) if isinstance(axes, int) else axes
        if not isinstance(axes, tuple) or len(axes) != 1:
            return None
        return Piece(kind, {"axis": axes[0] % len(call.shape)})

    return translated


def _elu(call: Call) -> Translated:
    alpha = scalar(call.arg(1)) if len(call.args) > 1 else call.attributes.get("alpha", 1.0)
    return None if alpha is None else Piece("elu", {"alpha": number_of(alpha)})


def _gelu(call: Call) -> Translated:
    return Piece("gelu", {"approximate": "tanh" if call.arg(1) else "none"})


def _clip(call: Call) -> Translated:
    x, low, high = (*call.args, None, None)[:3]
    return _between(x, low, high)


def _between(x: Any, low: Any, high: Any) -> Translated:
    numbers = [
        end if bound is None else scalar(bound)
        for bound, end in ((low, -math.inf), (high, math.inf))
    ]
    if not isinstance(x, Tensor) or None in numbers:
        return None
    if numbers == [0, math.inf]:
        return Piece("relu", inputs=(x,))
    low, high = (number_of(each) for each in numbers)
    return Piece("clip", {"low": low, "high": high}, inputs=(x,))


def _maximum(call: Call) -> Translated:
    """A bound below; or x and a share of x, which is a leaky ReLU."""
    x, y = (filled(call, each) for each in call.args[:2])
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return _between(x, y, None) if isinstance(x, Tensor) else _between(y, x, None)
    for whole, part in ((x, y), (y, x)):
        factor, rest = factors(call, part)
        if [each.name for each in rest] == [whole.name] and 0 <= factor <= 1:
            return Piece("leaky_relu", {"slope": number_of(factor)}, inputs=(whole,))
    return None


def _minimum(call: Call) -> Translated:
    x, y = (filled(call, each) for each in call.args[:2])
    return _between(x, None, y) if isinstance(x, Tensor) else _between(y, None, x)


def _softplus_ext(call: Call) -> Translated:
    beta, threshold = (scalar(call.arg(place)) for place in (1, 2))
    return Piece("softplus") if beta == 1 and threshold is not None and threshold >= 15 else None


def _kept(node: Node) -> float:
    keep = node.attributes.get("keep_prob", node.args[1] if len(node.args) > 1 else 1.0)
    return 1 - number_of(keep)


#: The operations that drop out elements, and their rates.
RATES: Final[Mapping[str, Callable[[Node], float]]] = {
    "Dropout": _kept,
    "Dropout2D": _kept,
    "DropoutExt": lambda node: number_of(node.args[1]),
    "FuncDropoutExt": lambda node: number_of(node.args[1]),
}


def rate_of(node: Node) -> float:
    """The rate of a dropout."""
    return number_of(RATES[node.kind](node))


def dropout_of(node: Node) -> str:
    """The kind that a dropout is in neutral terms."""
    return "spatial_dropout" if node.kind == "Dropout2D" else "dropout"


def _dropout(call: Call) -> Translated:
    return Piece(dropout_of(call.node), {"rate": rate_of(call.node)}, inputs=(call.args[0],))


#: What these operations are, by name.
KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    "Add": _sum(1.0),
    "AddExt": _sum(1.0),
    "AddN": _add_n,
    "Sub": _sum(-1.0),
    "SubExt": _sum(-1.0),
    "Neg": lambda call: Piece("mul", {"factor": -1.0}),
    "Mul": _product,
    "Muls": _product,
    "Div": _quotient,
    "RealDiv": _quotient,
    "Divs": _quotient,
    "ReLU": _simple("relu"),
    "ReLU6": _simple("clip", low=0.0, high=6.0),
    "Hardtanh": _clip,
    "ClampScalar": _clip,
    "ClampTensor": _clip,
    "Maximum": _maximum,
    "Minimum": _minimum,
    "LeakyReLUExt": _with("leaky_relu", "slope"),
    # Not "Elu": on a CPU its exponential is 30 roundings off, which no proof allows (2.8.0).
    "EluExt": _elu,
    "GeLU": _simple("gelu", approximate="tanh"),
    "GeluExt": _gelu,
    "Softmax": _axis("softmax"),
    "LogSoftmax": _axis("log_softmax"),
    "LogSoftmaxExt": _axis("log_softmax"),
    "Sigmoid": _simple("sigmoid"),
    "SiLU": _simple("silu"),
    "Tanh": _simple("tanh"),
    "Abs": _simple("abs"),
    "Greater": _greater,
    "Softplus": _simple("softplus"),
    "SoftplusExt": _softplus_ext,
    "Cast": _cast,
    "Square": _power,
    "Pow": _power,
    "PowTensorScalar": _power,
    "HSwish": lambda call: Piece("ms.HardSwish"),
    "HSigmoid": lambda call: Piece("ms.HardSigmoid"),
    "HShrink": lambda call: Piece("ms.HardShrink"),
    "Dropout": _dropout,
    "Dropout2D": _dropout,
    "DropoutExt": _dropout,
    "FuncDropoutExt": _dropout,
}
