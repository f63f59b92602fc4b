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

#: The kinds of operations that work element by element and have no array.
ELEMENTWISE: Final = (
    "relu",
    "dropout",
    "spatial_dropout",
    "alpha_dropout",
    "nan_to_num",
    "mul",
    "leaky_relu",
    "elu",
    "clip",
    "gelu",
    "sigmoid",
    "silu",
    "tanh",
    "softplus",
    "abs",
    "greater",
)

Attributes = Mapping[str, Any]
Arrays = Mapping[str, Array]


def is_computed(kind: str, attributes: Attributes) -> bool:
    """Whether an operation can be computed: it is known, and not random."""
    return kind in KNOWN and not attributes.get("active", False)


def computed(kind: str, x: Array, attributes: Attributes, arrays: Arrays) -> Array | None:
    """The result of one operation; None for one that nobody here can compute."""
    return KNOWN[kind](x, attributes, arrays) if is_computed(kind, attributes) else None


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
    """A negative padding takes away."""
    sides = ((0, 0), (0, 0), *attributes["padding"])
    around = [(max(before, 0), max(after, 0)) for before, after in sides]
    padded = np.pad(x, around, constant_values=attributes["value"])
    kept = zip(sides, padded.shape, strict=True)
    return padded[
        tuple(slice(max(-before, 0), size - max(-after, 0)) for (before, after), size in kept)
    ]


def _slice(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    part = slice(attributes["start"], attributes["stop"], attributes["step"])
    return x[(*(slice(None),) * (attributes["axis"] % x.ndim), part)]


def _batch_norm(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    """Along axis 1 unless it has another, with the batch's own statistics if it has no others or is
    in training mode.
    """
    along = attributes.get("axis", 1)
    shape = tuple(-1 if axis == along else 1 for axis in range(x.ndim))
    own = attributes["train"] or "running_mean" not in arrays
    axes = tuple(axis for axis in range(x.ndim) if axis != along)
    mean, var = (
        (x.mean(axes), x.var(axes)) if own else (arrays["running_mean"], arrays["running_var"])
    )
    root = np.sqrt(var.astype(x.dtype) + x.dtype.type(attributes["eps"])).reshape(shape)
    result: Array = (x - mean.astype(x.dtype).reshape(shape)) / root
    if "weight" in arrays:
        result = result * arrays["weight"].astype(x.dtype).reshape(shape)
    return result + arrays["bias"].astype(x.dtype).reshape(shape) if "bias" in arrays else result


def _adaptive_max_pool(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    """As many windows as asked for, which together cover the map."""
    for axis, count in zip((2, 3), attributes["output_size"], strict=True):
        size = x.shape[axis]
        edges = [(at * size // count, -(-(at + 1) * size // count)) for at in range(count)]
        parts = [x.take(range(*edge), axis).max(axis, keepdims=True) for edge in edges]
        x = np.concatenate(parts, axis)
    return x


def _unfold(x: Array, attributes: Attributes, arrays: Arrays) -> Array:
    """Each window as a column, the elements of a channel together."""
    sides = ((0, 0), (0, 0), *attributes["padding"])
    gaps, (vertical, horizontal) = attributes["dilation"], attributes["stride"]
    reach = [(k - 1) * gap + 1 for k, gap in zip(attributes["kernel_size"], gaps, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, sides), reach, (2, 3))
    kept = windows[:, :, ::vertical, ::horizontal, :: gaps[0], :: gaps[1]]
    columns = kept.transpose(0, 1, 4, 5, 2, 3)
    return columns.reshape(len(x), math.prod(columns.shape[1:4]), -1)


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
    "dropout": lambda x, a, _: x,
    "spatial_dropout": lambda x, a, _: x,
    "alpha_dropout": lambda x, a, _: x,
    "nan_to_num": lambda x, a, _: x,
    "mul": lambda x, a, _: x * x.dtype.type(a["factor"]),
    "batch_norm": _batch_norm,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "clip": _clip,
    "sigmoid": lambda x, a, _: _sigmoid(x),
    "silu": lambda x, a, _: x * _sigmoid(x),
    "tanh": lambda x, a, _: np.asarray(np.tanh(x)),
    "abs": lambda x, a, _: np.abs(x),
    "greater": lambda x, a, _: (x > a["number"]).astype(x.dtype),
    "softplus": lambda x, a, _: np.asarray(np.logaddexp(x, x.dtype.type(0))),
    "gelu": _gelu,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "affine": _affine,
    "dense": _dense,
    "pad": _pad,
    "unfold": _unfold,
    "adaptive_max_pool": _adaptive_max_pool,
    "mean": lambda x, a, _: np.asarray(x.mean(tuple(a["axes"]), keepdims=a["keepdims"])),
    "transpose": lambda x, a, _: np.transpose(x, a["axes"]),
    "slice": _slice,
    "reshape": lambda x, a, _: x.reshape(len(x), *a["shape"]),
}
