"""Layers that PyTorch takes apart, found again by what they compute."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from .operations import Translated, own_name

#: What stands between the squares and their mean in `F.local_response_norm`.
_BETWEEN = {
    "aten.unsqueeze",
    "aten.view",
    "aten.reshape",
    "aten.pad",
    "aten.constant_pad_nd",
    "aten.avg_pool2d",
    "aten.avg_pool3d",
    "aten.squeeze",
}


def local_response_norm(node: Node) -> Translated | None:
    """Local response normalisation, if `node` is the last of its operations: x / (k + alpha ·
    mean)^beta, the mean of squares over neighbouring channels.
    """
    if not _is(node, "aten.div"):
        return None
    x: Any
    power: Any
    x, power = node.args[:2]
    if not isinstance(x, Node) or not _is(power, "aten.pow"):
        return None
    total, beta = power.args
    if not _is(total, "aten.add") or not _are_numbers(beta, total.args[1]):
        return None
    product, k = total.args
    if not _is(product, "aten.mul") or not _are_numbers(product.args[1]):
        return None
    mean, alpha = product.args
    size = None
    while isinstance(mean, Node) and own_name(mean.target) in _BETWEEN:
        if _is(mean, "aten.avg_pool2d") or _is(mean, "aten.avg_pool3d"):
            if size is not None:
                return None
            size = max(_numbers(mean.args[1]))
        mean = mean.args[0]
    if size is None or not _is(mean, "aten.mul") or mean.args != (x, x):
        return None
    attributes = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    return Translated("local_response_norm", (x,), attributes)


def _is(node: Any, name: str) -> bool:
    return (
        isinstance(node, Node)
        and isinstance(node.target, torch._ops.OpOverload)
        and own_name(node.target) == name
    )


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _numbers(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)
