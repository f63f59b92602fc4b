"""Activations and dropout."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ..nodes import Node, Part, Parts, by_name, simple


def _activation(node: Node) -> Parts | None:
    kinds = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softrelu": "softplus"}
    kind = kinds.get(node["act_type"])
    return None if kind is None else (Part(kind),)


def _leaky_relu(node: Node) -> Parts | None:
    slope = float(node.get("slope", 0.25))
    match node.get("act_type", "leaky"):
        case "leaky":
            return (Part("leaky_relu", {"slope": slope}),)
        case "elu":
            return (Part("elu", {"alpha": slope}),)
        case "gelu":
            return (Part("gelu", {"approximate": "none"}),)
        case "prelu" if len(node.constants) == 1:  # its slopes are trained
            return (Part("mx.prelu", {}, {"slope": node.constants[0]}),)
        case _:
            return None


def _clip(node: Node) -> Parts | None:
    return _bounded(float(node.get("a_min", -math.inf)), float(node.get("a_max", math.inf)))


def _bounded(low: float, high: float) -> Parts:
    is_relu = (low, high) == (0, math.inf)
    return (Part("relu") if is_relu else Part("clip", {"low": low, "high": high}),)


def _bound(node: Node, *, low: bool) -> Parts | None:
    """The larger, or the smaller, of each element and a number."""
    if "scalar" in node.attributes:
        number = float(node["scalar"])
    elif len(node.constants) == 1 and np.ptp(node.constants[0]) == 0:
        number = float(node.constants[0].flat[0])
    else:
        return None
    return _bounded(number, math.inf) if low else _bounded(-math.inf, number)


def _softmax(node: Node) -> Parts | None:
    if node.get("temperature", 1) != 1 or node.get("use_length", False):
        return None
    return (Part(_kind(node), {"axis": int(node.get("axis", -1)) % len(node.given)}),)


def _kind(node: Node) -> str:
    return "log_softmax" if "log" in node.op else "softmax"


def _softmax_activation(node: Node) -> Parts | None:
    is_along_channels = node.get("mode", "instance") == "channel" or len(node.given) == 2
    return (Part("softmax", {"axis": 1}),) if is_along_channels else None


def _dropout(node: Node) -> Parts | None:
    axes = node.get("axes", ())
    if axes and tuple(sorted(axes)) != tuple(range(2, len(node.given))):
        return None
    active = node.active or node.get("mode", "training") == "always"
    kind = "spatial_dropout" if axes else "dropout"
    return (Part(kind, {"rate": float(node.get("p", 0.5)), "active": active}),)


#: The sigmoid, of which a gate may be made.
SIGMOID: Final = ("sigmoid", "_npx_sigmoid")
#: What reads each operation, by its names.
ELEMENTWISE: Final = by_name(
    {
        ("relu", "_npx_relu"): simple("relu"),
        SIGMOID: simple("sigmoid"),
        ("tanh", "_npi_tanh"): simple("tanh"),
        ("abs", "_npi_absolute"): simple("abs"),
        ("Activation",): _activation,
        ("LeakyReLU",): _leaky_relu,
        ("clip", "_npi_clip"): _clip,
        (
            "_maximum_scalar",
            "_npi_maximum_scalar",
            "_maximum",
            "broadcast_maximum",
            "_npi_maximum",
        ): lambda node: _bound(node, low=True),
        (
            "_minimum_scalar",
            "_npi_minimum_scalar",
            "_minimum",
            "broadcast_minimum",
            "_npi_minimum",
        ): lambda node: _bound(node, low=False),
        ("softmax", "log_softmax"): _softmax,
        ("SoftmaxActivation",): _softmax_activation,
        ("Dropout",): _dropout,
    }
)
