"""What works element by element."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from torch.fx import Node

from .calls import (
    Call,
    Found,
    Translator,
    one,
    simple,
)


def _clamp(call: Call) -> Found:
    low, high = (call.get(name, f"{name}_val") for name in ("min", "max"))
    if isinstance(low, Node) or isinstance(high, Node):
        return None
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    return (
        one(call, "relu") if (low, high) == (0, math.inf) else one(call, "clip", low=low, high=high)
    )


def _relu6(call: Call) -> Found:
    return one(call, "clip", low=0.0, high=6.0)


def _threshold(call: Call) -> Found:
    return one(call, "relu") if call["threshold"] == call["value"] == 0 else None


def _elu(call: Call) -> Found:
    if call["scale"] != 1 or call["input_scale"] != 1:
        return None
    return one(call, "elu", alpha=float(call["alpha"]))


def _softplus(call: Call) -> Found:
    """Beyond the threshold it is the identity, which is the same to float32 from 20 on."""
    return one(call, "softplus") if call["beta"] == 1 and call["threshold"] >= 20 else None


def _negative(call: Call) -> Found:
    return one(call, "mul", factor=-1.0)


#: What reads each operation, by its name without `aten.`.
ELEMENTWISE: Final[Mapping[str, Translator]] = {
    **{name: simple(name) for name in ("relu", "sigmoid", "silu", "tanh")},
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "hardtanh": _clamp,
    "relu6": _relu6,
    "threshold": _threshold,
    "leaky_relu": simple("leaky_relu", slope="negative_slope"),
    "elu": _elu,
    "gelu": simple("gelu", approximate="approximate"),
    "softplus": _softplus,
    "softmax": simple("softmax", axis="dim"),
    "log_softmax": simple("log_softmax", axis="dim"),
    "dropout": simple("dropout", rate="p", active="train"),
    "feature_dropout": simple("spatial_dropout", rate="p", active="train"),
    "alpha_dropout": simple("alpha_dropout", rate="p", active="train"),
    "feature_alpha_dropout": simple("alpha_dropout", rate="p", active="train"),
    "nan_to_num": simple("nan_to_num"),
    "neg": _negative,
    "negative": _negative,
}
