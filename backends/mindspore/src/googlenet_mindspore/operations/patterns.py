"""What users and MindSpore put together from several operations, and is one layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from . import layers
from .calls import Call, Piece, Tensor, Translated, is_same, number_of, scalar
from .layers import alpha

Factors: TypeAlias = "tuple[float, list[Tensor]]"


def factors(call: Call, x: Any) -> Factors:
    """An argument as a number times tensors."""
    number = scalar(x)
    if number is not None:
        return number, []
    before = call.before(x)
    found = None if before is None else _factors_of(before)
    return found or (1.0, [x])


def _factors_of(call: Call) -> Factors | None:
    """What a product or quotient gives, as a number times tensors; None if it is no such thing."""
    if call.kind == "Neg":
        factor, rest = factors(call, call.args[0])
        return -factor, rest
    if call.kind not in (*_PRODUCTS, *_QUOTIENTS):
        return None
    first, second = call.args[:2]
    if any(isinstance(each, np.ndarray) and each.size > 1 for each in (first, second)):
        return None
    factor, rest = factors(call, first)
    if call.kind in _PRODUCTS:
        other, more = factors(call, second)
        return factor * other, rest + more
    divisor = scalar(second)
    return (factor / divisor, rest) if divisor and call.arg(2) is None else None


_PRODUCTS: Final = ("Mul", "Muls")


_QUOTIENTS: Final = ("Div", "RealDiv", "Divs")


def whole_product(call: Call) -> Translated:
    """A product or quotient that is one layer altogether."""
    if call.kind in _QUOTIENTS:
        power = call.before(call.args[1])
        if power is not None and isinstance(call.args[0], Tensor):
            return _normed(call.args[0], power, -1)
    factor, tensors = _factors_of(call) or (1.0, [])
    if len(tensors) != 2:
        return None
    for x, other in (tensors, tensors[::-1]):
        before = call.before(other)
        if before is None:
            continue
        if factor == 1 and before.kind == "Sigmoid" and is_same(before.args[0], x):
            return Piece("silu", inputs=(x,), at=before.node)
        erf = _erf(before, x) if math.isclose(factor, 0.5) else None
        if erf is not None:
            return Piece("gelu", {"approximate": "none"}, inputs=(x,), at=erf.node)
        found = _normed(x, before, 1) if factor == 1 else None
        if found is not None:
            return found
    return None


def _plus(call: Call) -> tuple[float, Any] | None:
    """What is a number plus something."""
    if call.kind not in ("Add", "AddExt", "Adds") or scalar(call.arg(2)) not in (None, 1):
        return None
    for number, rest in (call.args[:2], call.args[1::-1]):
        found = scalar(number)
        if found is not None and isinstance(rest, Tensor):
            return found, rest
    return None


def _erf(call: Call, x: Tensor) -> Call | None:
    """The error function in 1 + erf(x / √2), if it is that."""
    plus = _plus(call)
    erf = None if plus is None else call.before(plus[1])
    if plus is None or plus[0] != 1 or erf is None or erf.kind != "Erf":
        return None
    factor, rest = factors(erf, erf.args[0])
    is_share = math.isclose(factor, math.sqrt(0.5), rel_tol=float(np.finfo(np.float32).eps))
    return erf if is_share and [each.name for each in rest] == [x.name] else None


def _normed(x: Tensor, power: Call, sign: int) -> Translated:
    """Local response normalisation, x · (k + alpha / size · Σ x²)^−beta: the sum over channels as a
    1×1 convolution whose weights are a band.
    """
    exponent = scalar(power.arg(1))
    plus = None
    if power.kind == "Pow" and exponent is not None:
        base = power.before(power.args[0])
        plus = None if base is None else _plus(base)
    if plus is None or exponent is None or sign * exponent >= 0:
        return None
    k, total = plus
    factor, rest = factors(power, total)
    conv = power.before(rest[0]) if len(rest) == 1 else None
    if conv is None or conv.kind not in ("Conv2D", "Conv2DExt"):
        return None
    layer = layers.KNOWN[conv.kind](conv)
    square = conv.before(conv.args[0])
    if not isinstance(layer, Piece) or square is None or not _is_square(square, x):
        return None
    band = _band(layer)
    if band is None:
        return None
    size, share = band
    attributes = {
        "size": size,
        "alpha": alpha(factor * share, size),
        "beta": number_of(-sign * exponent),
        "k": number_of(k),
    }
    return Piece("local_response_norm", attributes, inputs=(x,), at=conv.node)


def _is_square(call: Call, x: Tensor) -> bool:
    first, second = call.args[0], call.arg(1)
    if not is_same(first, x):
        return False
    if call.kind in _PRODUCTS:
        return is_same(second, x)
    return call.kind == "Square" or (call.kind.startswith("Pow") and scalar(second) == 2)


def _band(layer: Piece) -> tuple[int, float] | None:
    """How many channels a 1×1 convolution sums up, and the weight of each."""
    weight = layer.arrays["weight"]
    channels = len(weight)
    plain = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    if layer.attributes != plain or weight.shape != (channels, channels, 1, 1):
        return None
    if layer.arrays.get("bias") is not None:
        return None
    matrix = weight[:, :, 0, 0]
    share, reach = float(matrix[0, 0]), int(np.count_nonzero(matrix[0])) - 1
    distance = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    is_band = np.array_equal(matrix, np.where(distance <= reach, matrix[0, 0], 0))
    return (2 * reach + 1, share) if is_band and share else None


def _select(call: Call) -> Translated:
    """MindSpore's softplus, which is x where x is large; or a value where something holds, and
    elsewhere 0, which is the product with 1 and 0.
    """
    condition, x, other = call.args[:3]
    if isinstance(x, Tensor) and isinstance(condition, Tensor) and _is_zero(call, other):
        return Piece("multiply", inputs=(x, condition))
    greater, (factor, rest) = call.before(condition), factors(call, other)
    softplus = call.before(rest[0]) if len(rest) == 1 else None
    if greater is None or softplus is None or not isinstance(x, Tensor):
        return None
    if greater.kind != "Greater" or softplus.kind != "Softplus" or factor != 1:
        return None
    threshold = scalar(greater.args[1])
    if not is_same(greater.args[0], x) or not is_same(softplus.args[0], x):
        return None
    if threshold is None or threshold < 15:
        return None
    return Piece("softplus", inputs=(x,))


def _is_zero(call: Call, value: Any) -> bool:
    """Whether a constant that is written in the code is 0 everywhere."""
    if isinstance(value, int | float):
        return value == 0
    return isinstance(value, np.ndarray) and call.is_written(value) and not value.any()


#: What these operations are, by name.
KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    "Select": _select,
}
