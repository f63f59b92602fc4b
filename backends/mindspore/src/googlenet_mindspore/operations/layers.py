"""Convolutions, dense layers and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from googlenet.arrays import Array
from googlenet.backend.contractions import matrix_product, product, untransposed

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


def _conv2d_transpose(call: Call) -> Translated:
    """A transposed convolution of single pixels, which is a convolution: any other is foreign."""
    x, weight = call.args[:2]
    found, groups = call.attributes, int(call.attributes.get("group", 1))
    if not is_map(x) or not is_array(weight, 4) or weight.shape[2:] != (1, 1):
        return None
    if call.shape[2:] != x.shape[2:] or {*pair_of(found["stride"][2:])} != {1}:
        return None
    if found["pad_mode"].lower() == "pad" and any(found.get("pad", ())):
        return None
    move = ("transposed", groups)
    weight = call.move(move, lambda each: untransposed(each, groups), weight)
    return _conv(weight, None, (1, 1), ((0, 0), (0, 0)), (1, 1), groups)


def _bias_add(call: Call) -> Translated:
    x, bias = call.args[:2]
    if not is_array(bias, 1) or not isinstance(x, Tensor) or call.arg(2) not in (0, None):
        return None
    shape = (1, len(bias), *[1] * (len(x.shape) - 2))
    other = call.move(("reshape", shape), lambda each: each.reshape(shape), bias)
    return Piece("affine", {"product": False}, {"other": other})


def mat_mul(call: Call) -> Translated:
    """The product with a matrix on either side, the same for all images."""
    is_first = isinstance(call.args[0], Tensor)
    x, weight = call.args[:2] if is_first else call.args[1::-1]
    if not isinstance(x, Tensor) or not isinstance(weight, np.ndarray):
        return None
    weight = _alone(call, weight, len(x.shape))
    flipped = (bool(call.arg(2)), bool(call.arg(3)))
    if weight is None:
        return None
    terms = matrix_product(len(x.shape), weight.ndim, flipped, is_first=is_first)
    return None if terms is None else _product(call, x, weight, *terms)


def _alone(call: Call, weight: Array, rank: int) -> Array | None:
    """A constant matrix or vector, also one that is repeated for each image."""
    if not 1 <= weight.ndim <= rank:
        return None
    if weight.ndim < 3:
        return weight
    matrices = weight.reshape(-1, *weight.shape[-2:])
    # What the user has for each image is for these images only.
    if len(matrices) > 1 and not (call.may_repeat(weight) and (matrices == matrices[0]).all()):
        return None
    return call.move("matrix", lambda each: each.reshape(-1, *each.shape[-2:])[0], weight)


def _product(
    call: Call, x: Tensor, weight: Array, given: str, other: str, result: str
) -> Translated:
    sizes = {
        **dict(zip(other, weight.shape, strict=True)),
        **dict(zip(given, x.shape, strict=True)),
    }
    found = product(given, other, result, sizes)
    if found is None:
        return None
    move = ("matrix", found.axes, found.rows)
    array = call.move(move, lambda each: np.ascontiguousarray(found.matrix(each)), weight)
    pieces = [
        Piece(
            stage.kind,
            dict(stage.attributes),
            {"weight": array} if stage.kind == "dense" else {},
            shape=stage.shape,
        )
        for stage in found.stages
    ]
    return pieces[0] if len(pieces) == 1 else pieces


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


def _batch_norm(train: int, eps: int, momentum: int) -> Callable[[Call], Translated]:
    """Batch norm whose flag, epsilon and momentum are the arguments at these places."""

    def translated(call: Call) -> Translated:
        arrays = dict(
            zip(("weight", "bias", "running_mean", "running_var"), call.args[1:5], strict=True)
        )
        if not isinstance(call.args[0], Tensor) or any(tensors_of(tuple(arrays.values()))):
            return None
        attributes = {
            "eps": number_of(call.args[eps]),
            "train": bool(call.args[train]),
            "momentum": shortest(number_of(call.args[momentum])),
        }
        return Piece("batch_norm", attributes, arrays)

    return translated


def shortest(momentum: float) -> float:
    """A momentum as it was written before it was taken from 1, or made a float32."""
    return round(momentum, 7)


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
    "Conv2DTranspose": _conv2d_transpose,
    "Conv2DBackpropInput": _conv2d_transpose,
    "BiasAdd": _bias_add,
    "MatMul": mat_mul,
    "BatchMatMul": mat_mul,
    "MatMulExt": mat_mul,
    "Dense": _dense,
    "Addmm": _addmm,
    "BatchNorm": _batch_norm(train=5, eps=6, momentum=7),
    "BatchNormExt": _batch_norm(train=5, eps=7, momentum=6),
    "LRN": _local_response_norm,
}
