"""Convolutions, norms and pools."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from googlenet.backend.contractions import untransposed

from .calls import (
    Call,
    Found,
    Translated,
    Translator,
    both_sides,
    one,
    pair,
)


def _conv(call: Call) -> Found:
    arrays = call.arrays(weight=call["weight"], bias=call["bias"])
    if arrays is None or call.rank != 4:
        return None
    stride, dilation, padding = pair(call["stride"]), pair(call["dilation"]), call["padding"]
    if isinstance(padding, str):  # "same" pads more behind than before, "valid" nothing
        sides = [
            dilation[axis] * (arrays["weight"].shape[2 + axis] - 1) if padding == "same" else 0
            for axis in range(2)
        ]
        explicit = tuple((side // 2, side - side // 2) for side in sides)
    else:
        explicit = both_sides(padding)
    groups = int(call["groups"])
    return one(
        call, "conv", arrays, stride=stride, padding=explicit, dilation=dilation, groups=groups
    )


def _conv_transpose(call: Call) -> Found:
    """A transposed convolution of single pixels, which is a convolution: any other is foreign."""
    arrays = call.arrays(weight=call["weight"], bias=call["bias"])
    if arrays is None or call.rank != 4 or arrays["weight"].shape[2:] != (1, 1):
        return None
    sides = (*pair(call["padding"]), *pair(call["output_padding"]))
    if pair(call["stride"]) != (1, 1) or any(sides):
        return None
    groups = int(call["groups"])
    arrays["weight"] = untransposed(arrays["weight"], groups)
    plain = {"stride": (1, 1), "padding": both_sides(0), "dilation": (1, 1)}
    return one(call, "conv", arrays, **plain, groups=groups)


def _batch_norm(call: Call) -> Found:
    roles = ("weight", "bias", "running_mean", "running_var")
    arrays = call.arrays(**{role: call[role] for role in roles})
    if arrays is None:
        return None
    settings = {"eps": float(call["eps"]), "train": bool(call["training"])}
    return one(call, "batch_norm", arrays, **settings, momentum=float(call["momentum"]))


def _window(call: Call) -> dict[str, Any]:
    kernel = pair(call["kernel_size"])
    return {
        "kernel_size": kernel,
        "stride": pair(call["stride"]) if call["stride"] else kernel,
        "padding": both_sides(call["padding"]),
        "ceil_mode": bool(call["ceil_mode"]),
    }


def _unfold(call: Call) -> Found:
    """Windows as columns."""
    if call.rank != 4:
        return None
    return one(
        call,
        "unfold",
        kernel_size=pair(call["kernel_size"]),
        stride=pair(call["stride"]),
        padding=both_sides(call["padding"]),
        dilation=pair(call["dilation"]),
    )


def _fold(call: Call) -> Found:
    """Columns of single pixels as a map: any other is foreign."""
    settings = [pair(call[each]) for each in ("kernel_size", "stride", "padding")]
    is_plain = settings == [(1, 1), (1, 1), (0, 0)] and len(call.shape) == 4
    return one(call, "reshape", shape=call.shape[1:]) if is_plain else None


def _max_pool(call: Call) -> Found:
    if call.rank != 4:
        return None
    return one(call, "max_pool", **_window(call), dilation=pair(call["dilation"]))


def _avg_pool(call: Call) -> Found:
    divisor = call["divisor_override"]
    if call.rank != 4 or divisor not in (None, 1):
        return None
    if divisor == 1:
        return one(call, "sum_pool", **_window(call))
    counted = bool(call["count_include_pad"])
    return one(call, "avg_pool", **_window(call), count_include_pad=counted)


def _adaptive_avg_pool(call: Call) -> Found:
    if call.rank != 4:
        return None
    return one(call, "adaptive_avg_pool", output_size=pair(call["output_size"]))


def _adaptive_max_pool(call: Call) -> Found:
    if call.rank != 4:
        return None
    return one(call, "adaptive_max_pool", output_size=pair(call["output_size"]))


def _mean(call: Call) -> Found:
    axes = call.get("dim")
    axes = range(call.rank) if not axes else axes if isinstance(axes, list | tuple) else [axes]
    keeps = bool(call.get("keepdim"))
    return one(call, "mean", axes=tuple(map(int, axes)), keepdims=keeps)


def _total(call: Call) -> Found:
    """A sum is so many times the mean."""
    found = _mean(call)
    assert found is not None
    (mean,) = found
    sizes = call.x.meta["val"].shape
    count = math.prod(int(sizes[axis]) for axis in mean.attributes["axes"])
    return [mean, Translated("mul", (call.x,), {"factor": float(count)})]


def _largest(call: Call) -> Found:
    """The maximum over all pixels of a map."""
    axes = {int(axis) % call.rank for axis in call["dim"]}
    if call.rank != 4 or axes != {2, 3}:
        return None
    shape = (*map(int, call.x.meta["val"].shape[:2]), 1, 1)
    pool = Translated("adaptive_max_pool", (call.x,), {"output_size": (1, 1)}, shape=shape)
    return [pool, Translated("reshape", (call.x,), {"shape": call.shape[1:]})]


#: What reads each operation, by its name without `aten.`.
WINDOWS: Final[Mapping[str, Translator]] = {
    "conv2d": _conv,
    "im2col": _unfold,
    "col2im": _fold,
    "conv_transpose2d": _conv_transpose,
    "batch_norm": _batch_norm,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive_avg_pool,
    "adaptive_max_pool2d": _adaptive_max_pool,
    "mean": _mean,
    "sum": _total,
    "amax": _largest,
}
