"""Convolutions, dense layers and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from googlenet.arrays import Array

from .calls import (
    Call,
    Pads,
    Piece,
    Tensor,
    Translated,
    is_array,
    is_map,
    number_of,
    pair_of,
    scalar,
    tensors_of,
    transposed,
)


def symmetric(value: Any) -> Pads:
    """The padding that is (height, width) on both sides, or one number."""
    height, width = pair_of(value)
    return ((height, height), (width, width))


def explicit(
    mode: str, sides: Sequence[int], size: Sequence[int], kernel: Any, stride: Any, dilation: Any
) -> Pads:
    """The padding of a window: `sides` are (top, bottom, left, right), for modes that state it."""
    if mode.lower() == "valid":
        return ((0, 0), (0, 0))
    if mode.lower() != "same":
        top, bottom, left, right = map(int, sides)
        return ((top, bottom), (left, right))
    found = []
    for axis in range(2):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        windows = -(-size[axis] // stride[axis])
        total = max((windows - 1) * stride[axis] + reach - size[axis], 0)
        found.append((total // 2, total - total // 2))
    return (found[0], found[1])


def _conv2d(call: Call) -> Translated:
    x, weight = call.args[:2]
    found = call.attributes
    if not is_map(x) or not is_array(weight, 4) or found.get("format", "NCHW") != "NCHW":
        return None
    stride, dilation = pair_of(found["stride"][2:]), pair_of(found["dilation"][2:])
    sides = found["pad"] if len(found["pad"]) == 4 else found["pad_list"]
    padding = explicit(found["pad_mode"], sides, x.shape[2:], weight.shape[2:], stride, dilation)
    return _conv(weight, None, stride, padding, dilation, found["group"])


def _conv(
    weight: Array, bias: Any, stride: Any, padding: Pads, dilation: Any, groups: int
) -> Piece:
    attributes = {
        "stride": pair_of(stride),
        "padding": padding,
        "dilation": pair_of(dilation),
        "groups": int(groups),
    }
    return Piece("conv", attributes, {"weight": weight, "bias": bias})


def _conv2d_ext(call: Call) -> Translated:
    x, weight, bias, stride, padding, dilation, groups = call.args
    if not is_map(x) or not is_array(weight, 4) or isinstance(bias, Tensor):
        return None
    if isinstance(padding, str):
        padding = explicit(
            padding, (), x.shape[2:], weight.shape[2:], pair_of(stride), pair_of(dilation)
        )
    else:
        padding = symmetric(padding)
    return _conv(weight, bias, stride, padding, dilation, groups)


def _convolution(call: Call) -> Translated:
    *given, transposed, _, groups = call.args
    if transposed:
        return None
    return _conv2d_ext(replace(call, args=(*given, groups)))


def _bias_add(call: Call) -> Translated:
    x, bias = call.args[:2]
    if not is_array(bias, 1) or not isinstance(x, Tensor) or call.arg(2) not in (0, None):
        return None
    shape = (1, len(bias), *[1] * (len(x.shape) - 2))
    other = call.move(("reshape", shape), lambda each: each.reshape(shape), bias)
    return Piece("affine", {"product": False}, {"other": other})


def mat_mul(call: Call) -> Translated:
    """A matrix product with a constant matrix behind."""
    x, weight = call.args[:2]
    if not isinstance(x, Tensor) or not is_array(weight, 2) or call.arg(2):
        return None
    if not call.arg(3):
        weight = transposed(call, weight)
    return Piece("dense", {}, {"weight": weight})


def _dense(call: Call) -> Translated:
    x, weight, bias = call.args[:3]
    if not isinstance(x, Tensor) or not is_array(weight, 2) or isinstance(bias, Tensor):
        return None
    return Piece("dense", {}, {"weight": weight, "bias": bias})


def _addmm(call: Call) -> Translated:
    bias, x, weight, beta, alpha = call.args[:5]
    if not is_array(bias, 1) or (scalar(beta), scalar(alpha)) != (1, 1):
        return None
    found = mat_mul(replace(call, args=(x, weight)))
    return (
        replace(found, arrays={**found.arrays, "bias": bias}) if isinstance(found, Piece) else None
    )


def _batch_norm(train: int, eps: int) -> Callable[[Call], Translated]:
    """Batch norm whose flag and epsilon are the arguments at these places."""

    def translated(call: Call) -> Translated:
        arrays = dict(
            zip(("weight", "bias", "running_mean", "running_var"), call.args[1:5], strict=True)
        )
        if not isinstance(call.args[0], Tensor) or any(tensors_of(tuple(arrays.values()))):
            return None
        attributes = {"eps": number_of(call.args[eps]), "train": bool(call.args[train])}
        return Piece("batch_norm", attributes, arrays)

    return translated


def _local_response_norm(call: Call) -> Translated:
    found = call.attributes
    if found.get("norm_region", "ACROSS_CHANNELS") != "ACROSS_CHANNELS":
        return None
    size = 2 * int(found["depth_radius"]) + 1
    attributes = {
        "size": size,
        "alpha": alpha(found["alpha"], size),  # MindSpore's is that of one channel of the sum
        "beta": number_of(found["beta"]),
        "k": number_of(found["bias"]),
    }
    return Piece("local_response_norm", attributes)


def alpha(share: float, size: int) -> float:
    """The shortest decimal of which `share` is the part of each of `size` channels, in float32."""
    for digits in range(1, 10):
        alpha = float(f"{share * size:.{digits}g}")
        if np.float32(alpha / size) == np.float32(share):
            break
    return alpha


#: What these operations are, by name.
KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    "Conv2D": _conv2d,
    "Conv2DExt": _conv2d_ext,
    "Conv2DPadding": _conv2d_ext,
    "Convolution": _convolution,
    "BiasAdd": _bias_add,
    "MatMul": mat_mul,
    "MatMulExt": mat_mul,
    "Dense": _dense,
    "Addmm": _addmm,
    "BatchNorm": _batch_norm(train=5, eps=6),
    "BatchNormExt": _batch_norm(train=5, eps=7),
    "LRN": _local_response_norm,
}
