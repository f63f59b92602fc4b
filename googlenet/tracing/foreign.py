"""What the spec has no layer for, computed: the operations that users write besides, in NumPy.

Each is a function of an input (N, C, H, W) or (N, C) in its own dtype, and of the attributes and
arrays that the graph gives it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ..arrays import Array

Attributes = Mapping[str, Any]
Arrays = Mapping[str, Array]


def computed(kind: str, x: Array, attributes: Attributes, arrays: Arrays) -> Array | None:
    """The result of one operation; None for a kind that nobody here knows."""
    known = KNOWN.get(kind)
    return None if known is None else known(x, attributes, arrays)


def _softmax(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    axis = attributes["axis"]
    shifted = np.exp(x - x.max(axis, keepdims=True))
    result: Array = shifted / shifted.sum(axis, keepdims=True)
    return result


def _log_softmax(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    axis = attributes["axis"]
    shifted = x - x.max(axis, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return result


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp of what is far below 0
        result: Array = 1 / (1 + np.exp(-x))
    return result


def _affine(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    """The sum or product with a constant array."""
    other = arrays["other"].astype(x.dtype)
    result: Array = x * other if attributes.get("product") else x + other
    return result


def _pad(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    padding = ((0, 0), (0, 0), *attributes["padding"])
    return np.pad(x, padding, constant_values=attributes["value"])


def _leaky_relu(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    return np.where(x > 0, x, x.dtype.type(attributes["slope"]) * x)


def _elu(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    alpha = x.dtype.type(attributes["alpha"])
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _dense(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    """Along the last axis, whatever stands before it."""
    result: Array = x @ arrays["weight"].astype(x.dtype).T
    return result + arrays["bias"].astype(x.dtype) if "bias" in arrays else result


def _clip(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    result: Array = np.clip(x, attributes["low"], attributes["high"])
    return result


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _gelu(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    if attributes.get("approximate", "none") == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        result: Array = 0.5 * x * (1 + np.tanh(inner))
        return result
    exact: Array = (0.5 * x * (1 + _erf(x / math.sqrt(2)))).astype(x.dtype)
    return exact


#: The operations that are known, by their kinds in a graph.
KNOWN: Final[Mapping[str, Callable[[Array, Attributes, Arrays], Array]]] = {
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "clip": _clip,
    "sigmoid": lambda x, a, _: _sigmoid(x),
    "silu": lambda x, a, _: x * _sigmoid(x),
    "tanh": lambda x, a, _: np.asarray(np.tanh(x)),
    "softplus": lambda x, a, _: np.asarray(np.logaddexp(x, x.dtype.type(0))),
    "gelu": _gelu,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "affine": _affine,
    "dense": _dense,
    "pad": _pad,
    "mean": lambda x, a, _: np.asarray(x.mean(tuple(a["axes"]), keepdims=a["keepdims"])),
    "transpose": lambda x, a, _: np.transpose(x, a["axes"]),
    "reshape": lambda x, a, _: x.reshape(len(x), *a["shape"]),
}
