"""What moves numbers about: shapes, paddings, concatenations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from .calls import Call, Piece, Tensor, Translated, reshape, scalar
from .layers import mat_mul


def _flatten(call: Call) -> Translated:
    if call.args[1:] in ((), (1, -1)):
        return Piece("flatten", {"start": 1})
    return reshape(call.shape)


def _reshaped(call: Call) -> Translated:
    """A reshape; the last of those that `nn.Dense` puts around a matrix product is that product."""
    added, bias = call.before(call.args[0]), None
    before = added
    if added is not None and added.kind == "BiasAdd":
        before, bias = added.before(added.args[0]), added.args[1]
    first = None if before is None else before.before(before.args[0])
    if before is None or before.kind != "MatMul" or first is None or first.kind != "Reshape":
        return reshape(call.shape)
    x, product = first.args[0], mat_mul(before)
    if not isinstance(product, Piece) or len(x.shape) < 3:
        return reshape(call.shape)
    if bias is not None and not isinstance(bias, np.ndarray):
        return reshape(call.shape)
    if x.shape[-1] != first.shape[-1] or x.shape[:-1] != call.shape[:-1]:
        return reshape(call.shape)
    arrays = product.arrays if bias is None else {**product.arrays, "bias": bias}
    return replace(product, arrays=arrays, inputs=(x,), at=before.node)


def _transpose(call: Call) -> Translated:
    axes = [axis % len(call.shape) for axis in call.args[1]]
    return Piece("transpose", {"axes": tuple(axes)})


def _swap_axes(call: Call) -> Translated:
    axes = list(range(len(call.shape)))
    first, second = call.args[1:3]
    axes[first], axes[second] = axes[second], axes[first]
    return Piece("transpose", {"axes": tuple(axes)})


def _pad(sides: Sequence[tuple[int, int]], value: float) -> Translated:
    """Paddings of all axes: a pad of maps if it is only along the last two."""
    if len(sides) != 4 or any(map(any, sides[:2])):
        return None
    (top, bottom), (left, right) = sides[2:]
    return Piece("pad", {"padding": ((top, bottom), (left, right)), "value": value})


def _from_last(call: Call, flat: Any) -> list[tuple[int, int]]:
    """(left, right, top, bottom, ...) for each axis from the first on."""
    flat = [int(each) for each in np.ravel(flat)]
    pairs = list(zip(flat[::2], flat[1::2], strict=True))[::-1]
    return [(0, 0)] * (len(call.shape) - len(pairs)) + pairs


def _pad_v3(call: Call) -> Translated:
    found, value = call.attributes, call.arg(2)
    if found.get("mode", "constant") != "constant" or not found.get("paddings_contiguous", True):
        return None
    number = 0.0 if value is None else scalar(value)
    if isinstance(call.args[1], Tensor) or number is None:
        return None
    return _pad(_from_last(call, call.args[1]), number)


def _concat(call: Call) -> Translated:
    values, axis = call.args[:2] if len(call.args) > 1 else (call.args[0], None)
    axis = call.attributes.get("axis", 0) if axis is None else axis
    if not all(isinstance(each, Tensor) for each in values):
        return None
    if len(values) == 1:
        return Piece("identity")
    return Piece("concat", {"axis": int(axis) % len(call.shape)})


#: What these operations are, by name.
KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    "Flatten": _flatten,
    "FlattenExt": _flatten,
    "Reshape": _reshaped,
    "View": _reshaped,
    "ExpandDims": _reshaped,
    "ExpandDimsView": _reshaped,
    "Squeeze": _reshaped,
    "Transpose": _transpose,
    "TransposeView": _transpose,
    "TransposeExtView": _swap_axes,
    "Pad": lambda call: _pad(call.attributes["paddings"], 0.0),
    "PadV3": _pad_v3,
    "ConstantPadND": _pad_v3,
    "Concat": _concat,
}
