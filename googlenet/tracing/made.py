"""The spec's layer that an operation is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend.graph import Op
from ..errors import ShapeError, SpecError
from ..spec.layers import (
    NO_PADDING,
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    Dropout,
    ExplicitPadding,
    Leaf,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    Scale,
    Shape,
)
from ..spec.shapes import leaf_shape
from .paddings import added
from .state import State
from .tree import Foreign


def made(op: Op, padding: ExplicitPadding = NO_PADDING) -> Leaf | None:
    """The spec's layer, with a `padding` that stood before it; None if there is none.

    Raises `SpecError` for a number that the spec does not allow.
    """
    found = op.attributes
    if found.get("dilation", (1, 1)) != (1, 1):
        return None
    match op.kind:
        case "conv":
            weight = op.arrays["weight"]
            kernel = (int(weight.shape[2]), int(weight.shape[3]))
            padding = added(found["padding"], padding)
            bias = "bias" in op.arrays
            return Conv(len(weight), kernel, found["stride"], padding, found["groups"], bias)
        case "local_response_norm":
            size, alpha, beta, k = (found[each] for each in ("size", "alpha", "beta", "k"))
            return LocalResponseNorm(size, short(alpha), short(beta), short(k))
        case "max_pool":
            padding = added(found["padding"], padding)
            return MaxPool(found["kernel_size"], found["stride"], padding, found["ceil_mode"])
        case "avg_pool":
            counted = found["count_include_pad"] or padding != NO_PADDING
            padding = added(found["padding"], padding)
            kernel, stride = found["kernel_size"], found["stride"]
            return AvgPool(kernel, stride, padding, found["ceil_mode"], counted)
        case "adaptive_avg_pool":
            return AdaptiveAvgPool(found["output_size"])
        case "relu":
            return ReLU()
        case "leaky_relu" if found["slope"] == 0:
            return ReLU()
        case "clip" if (found["low"], found["high"]) == (0, math.inf):
            return ReLU()
        case "dropout" if not found["active"] and 0 <= found["rate"] < 1:
            return Dropout(short(found["rate"]))
        case "mul" if math.isfinite(found["factor"]):
            return Scale(short(found["factor"]), "always")
        case _:
            return None


def checked(state: State, op: Op, before: str, padding: ExplicitPadding) -> Leaf | None:
    """The spec's layer with a further `padding`, if it gives what the operation does."""
    given = state.shape(before)
    try:
        layer = made(op, padding)
    except SpecError:  # a number that the spec does not allow
        layer = _rounded_up(op, added(op.attributes.get("padding", NO_PADDING), padding), given)
    right = layer is not None and fits(layer, given, op.shape[1:])
    return layer if right else None


def _rounded_up(op: Op, padding: ExplicitPadding, given: Shape) -> Leaf | None:
    """The max pool whose size is rounded up for one with more padding behind than the spec allows:
    none of it is ever a maximum, so that only the number of windows counts.
    """
    found = op.attributes
    if op.kind != "max_pool" or found["dilation"] != (1, 1):
        return None
    kernel = found["kernel_size"]
    (top, bottom), (left, right) = (
        (first, min(last, size // 2)) for (first, last), size in zip(padding, kernel, strict=True)
    )
    within = ((top, bottom), (left, right))
    for around in ((within[0][:1] * 2, within[1][:1] * 2), within):
        try:
            layer = MaxPool(kernel, found["stride"], around, True)
        except SpecError:  # more padding in front, too
            return None
        if fits(layer, given, op.shape[1:]):
            return layer
    return None


def fits(layer: Leaf, given: Shape, shape: Shape) -> bool:
    """Whether a layer makes a value of one shape one of another."""
    try:
        return leaf_shape(layer, "", given)[1] == shape
    except (ShapeError, SpecError):
        return False


def is_dilated(layer: Leaf | Foreign) -> bool:
    """Whether a layer is a convolution with gaps in its kernel."""
    return isinstance(layer, Foreign) and layer.kind == "conv"


def short(value: Any) -> float:
    """A number that is a float32 as the shortest decimal that is the same one: frameworks keep 1e-3
    as its nearest float32. Any other as it is.
    """
    number = float(value)
    near = np.float32(number)
    return float(str(near)) if float(near) == number else number
