"""What works element by element."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from torch.fx import Node

from .calls import (
    Call,
    Found,
    Translated,
    Translator,
    is_value,
    one,
    simple,
    written,
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


def _bounded(low: bool) -> Translator:
    """The larger or the smaller of a value and a number, whichever comes first."""

    def translator(call: Call) -> Found:
        given = [call["self"], call["other"]]
        values = [each for each in given if is_value(call, each)]
        numbers = [each for each in given if each not in values]
        if len(values) != 1 or (number := written(call, numbers[0])) is None:
            return None
        if low and number == 0:
            return [Translated("relu", (values[0],))]
        bounds = {"low": number if low else -math.inf, "high": math.inf if low else number}
        return [Translated("clip", (values[0],), bounds)]

    return translator


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


def _greater(call: Call) -> Found:
    number = written(call, call["other"])
    return None if number is None else one(call, "greater", number=number)


def _where(call: Call) -> Found:
    """A value where something holds, and elsewhere 0: the product with 1 and 0."""
    x, condition = call["self"], call["condition"]
    if not (is_value(call, x) and is_value(call, condition)) or written(call, call["other"]) != 0:
        return None
    return [Translated("multiply", (x, condition))]


#: What reads each operation, by its name without `aten.`.
ELEMENTWISE: Final[Mapping[str, Translator]] = {
    **{name: simple(name) for name in ("relu", "sigmoid", "silu", "tanh", "abs")},
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
    "absolute": simple("abs"),
    "maximum": _bounded(low=True),
    "minimum": _bounded(low=False),
    "gt": _greater,
    "greater": _greater,
    "where": _where,
    "neg": _negative,
    "negative": _negative,
}
