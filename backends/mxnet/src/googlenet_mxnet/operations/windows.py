"""Convolutions, norms and pools."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from googlenet.backend.contractions import untransposed

from ..nodes import Move, Node, Part, Parts, arrays_of, by_name, pair


def _window(node: Node) -> dict[str, Any]:
    height, width = pair(node.get("pad", 0) or 0)
    return {
        "stride": pair(node.get("stride", 1) or 1),
        "padding": ((height, height), (width, width)),
    }


def _is_map(node: Node) -> bool:
    """Whether the input is a map, in the usual layout."""
    return len(node.given) == 4 and node.get("layout", "NCHW") == "NCHW"


def _convolution(node: Node) -> Parts | None:
    held = arrays_of(node, "weight", "bias")
    if held is None or not _is_map(node) or isinstance(node.inputs[0], np.ndarray):
        return None
    attributes = {
        **_window(node),
        "dilation": pair(node.get("dilate", 1) or 1),
        "groups": int(node.get("num_group", 1)),
    }
    return (Part("conv", attributes, held),)


def _deconvolution(node: Node) -> Parts | None:
    """A transposed convolution of single pixels, which is a convolution: any other is foreign."""
    held = arrays_of(node, "weight", "bias")
    if held is None or not _is_map(node) or held["weight"].shape[2:] != (1, 1):
        return None
    window, groups = _window(node), int(node.get("num_group", 1))
    is_plain = window == {"stride": (1, 1), "padding": ((0, 0), (0, 0))}
    if not is_plain or any(pair(node.get("adj", 0) or 0)) or node.shape[2:] != node.given[2:]:
        return None
    move = Move("weight", f"transposed {groups}", lambda array: untransposed(array, groups))
    attributes = {**window, "dilation": (1, 1), "groups": groups}
    return (Part("conv", attributes, held, moved=move),)


def _batch_norm(node: Node) -> Parts | None:
    held = arrays_of(node, "weight", "bias", "running_mean", "running_var")
    if held is None:
        return None
    if node.get("fix_gamma", True):
        del held["weight"]
    train = node.active and not node.get("use_global_stats", False)
    attributes = {
        "eps": float(node.get("eps", 1e-3)),
        "train": train,
        # MXNet's is the share of the old statistic: the shortest decimal, not 0.09999999999999998.
        "momentum": round(1 - float(node.get("momentum", 0.9)), 12),
    }
    norm = Part("batch_norm", attributes, held)
    axis, axes = int(node.get("axis", 1)) % len(node.given), len(node.given)
    if axis == 1:
        return (norm,)
    if (axis, axes) != (3, 4):
        return None
    n, height, width, channels = node.given
    first = Part("transpose", {"axes": (0, 3, 1, 2)}, shape=(n, channels, height, width))
    inside = Part(norm.kind, norm.attributes, norm.arrays, first.shape)
    return (first, inside, Part("transpose", {"axes": (0, 2, 3, 1)}))


def _norm_and_relu(node: Node) -> Parts | None:
    found = _batch_norm(node)
    return None if found is None else (*found, Part("relu"))


def _local_response_norm(node: Node) -> Parts | None:
    attributes = {
        "size": int(node["nsize"]),
        "alpha": float(node.get("alpha", 1e-4)),
        "beta": float(node.get("beta", 0.75)),
        "k": float(node.get("knorm", 2)),
    }
    return (Part("local_response_norm", attributes),)


def _pooling(node: Node) -> Parts | None:
    kind = node.get("pool_type", "max")
    if not _is_map(node) or kind not in ("max", "avg", "sum"):
        return None
    height, width = node.given[2:]
    if node.get("global_pool", False):
        if kind == "avg":
            return (Part("adaptive_avg_pool", {"output_size": (1, 1)}),)
        window = {"kernel_size": (height, width), "stride": (1, 1), "padding": ((0, 0), (0, 0))}
        ceil_mode = False
    else:
        window = {"kernel_size": pair(node["kernel"]), **_window(node)}
        ceil_mode = node.get("pooling_convention", "valid") == "full"
    attributes: dict[str, Any] = {**window, "ceil_mode": ceil_mode}
    if ceil_mode and not _begin_inside(node, attributes):
        return None
    if kind == "max":
        attributes["dilation"] = (1, 1)
    if kind == "avg":
        attributes["count_include_pad"] = bool(node.get("count_include_pad", True))
    return (Part(f"{kind}_pool", attributes),)


def _begin_inside(node: Node, window: Mapping[str, Any]) -> bool:
    """Whether no window begins beyond the map and the padding before it; with `full`, MXNet keeps
    such ones, as no other framework does.
    """
    return all(
        (count - 1) * stride < size + before
        for count, stride, size, (before, _) in zip(
            node.shape[2:], window["stride"], node.given[2:], window["padding"], strict=True
        )
    )


def _adaptive_avg_pool(node: Node) -> Parts | None:
    return (Part("adaptive_avg_pool", {"output_size": pair(node.get("output_size", 1) or 1)}),)


def _axes(node: Node) -> tuple[int, ...]:
    """The axes that are reduced, from 0."""
    count, given = len(node.given), node.get("axis", ())
    axes = {axis % count for axis in ([given] if isinstance(given, int) else given)}
    if not axes or node.get("exclude", False):
        axes = set(range(count)) - axes
    return tuple(sorted(axes))


def _mean(node: Node) -> Parts | None:
    if node.get("weighted", False):
        return None
    keepdims = bool(node.get("keepdims", False))
    return (Part("mean", {"axes": _axes(node), "keepdims": keepdims}),)


def _sum_over_axes(node: Node) -> Parts | None:
    found = _mean(node)
    count = math.prod(node.given[axis] for axis in _axes(node))
    return None if found is None else (*found, Part("mul", {"factor": float(count)}))


def _max_over_axes(node: Node) -> Parts | None:
    """Over height and width it is a pool with one window."""
    if len(node.given) != 4 or _axes(node) != (2, 3):
        return None
    window = {"kernel_size": node.given[2:], "stride": (1, 1), "padding": ((0, 0), (0, 0))}
    attributes = {**window, "ceil_mode": False, "dilation": (1, 1)}
    pool = Part("max_pool", attributes, shape=(*node.given[:2], 1, 1))
    return (pool, Part("reshape", {"shape": node.shape[1:]}))


#: What reads each operation, by its names.
WINDOWS: Final = by_name(
    {
        ("Convolution", "Convolution_v1"): _convolution,
        ("Deconvolution",): _deconvolution,
        ("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm"): _batch_norm,
        ("_contrib_BatchNormWithReLU",): _norm_and_relu,
        ("LRN",): _local_response_norm,
        ("Pooling", "Pooling_v1"): _pooling,
        ("_contrib_AdaptiveAvgPooling2D",): _adaptive_avg_pool,
        ("mean", "_npi_mean", "_npi_average"): _mean,
        ("sum", "_np_sum"): _sum_over_axes,
        ("max", "_np_max"): _max_over_axes,
    }
)
