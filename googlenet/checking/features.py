"""What two layers are compared by: their kinds, and what they are given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from ..spec.layers import NO_PADDING, BatchNorm, Dense, Scale
from ..tracing.constants import may_be_trained
from ..tracing.evaluate import is_known
from ..tracing.tree import Foreign, Step

#: What stands for another: a pool of one kind for one of another, and so on.
FAMILIES: Final = {
    "activation": (
        "ReLU",
        *("leaky_relu", "elu", "clip", "gelu", "sigmoid", "silu", "tanh", "softplus", "abs"),
    ),
    "pool": (
        *("MaxPool", "AvgPool", "AdaptiveAvgPool", "GlobalAvgPool"),
        *("max_pool", "avg_pool", "sum_pool", "adaptive_max_pool", "adaptive_avg_pool", "mean"),
    ),
    "weighted": ("Conv", "Dense", "conv", "dense"),
    "norm": ("BatchNorm", "LocalResponseNorm", "batch_norm", "local_response_norm"),
    "dropout": ("Dropout", "dropout", "spatial_dropout", "alpha_dropout"),
    "scale": ("Scale", "mul", "affine"),
}
#: What is known by name only, and stands for another layer all the same; in lower case, without
#: underscores.
NAMED: Final = {
    "activation": (
        *("mish", "hardswish", "hardsigmoid", "selu", "celu", "prelu", "rrelu", "softsign"),
        *("logsigmoid", "swish", "softshrink", "hardshrink", "tanhshrink", "glu"),
    ),
    "norm": ("groupnorm", "layernorm", "instancenorm", "rmsnorm"),
    "dropout": ("dropout", "gaussiandropout", "alphadropout", "dropblock", "droppath"),
}


def kind(step: Step) -> str:
    """The spec's class, or what a foreign layer is called."""
    layer = step.layer
    return layer.kind if isinstance(layer, Foreign) else type(layer).__name__


def family(step: Step) -> str:
    """What it is among others; a kind of its own if nothing stands for it."""
    name, plain = kind(step), plain_name(step)
    found = (each for each, kinds in FAMILIES.items() if name in kinds)
    named = (each for each, kinds in NAMED.items() if plain in kinds)
    return next(found, next(named, name))


def may_be_activation(step: Step) -> bool:
    """Whether a layer that nobody knows may work on each element by itself."""
    layer = step.layer
    return isinstance(layer, Foreign) and not step.arrays and not is_known(step)


def plain_name(step: Step) -> str:
    """What a layer is called, without its framework's prefix: `groupnorm` for aten.group_norm."""
    name = kind(step).rpartition(".")[2].replace("_", "").lower()
    return name.replace("normalization", "norm")


def attributes(step: Step) -> dict[str, Any]:
    """Everything that a layer is given, by name; its channels as `out_channels` everywhere."""
    layer = step.layer
    if isinstance(layer, Foreign):
        found = dict(layer.attributes)
        if (array := step.arrays.get("weight")) is not None and layer.kind in ("conv", "dense"):
            found["out_channels"] = len(array)
            if layer.kind == "conv":
                found["kernel_size"] = tuple(map(int, array.shape[2:]))
            found["bias"] = "bias" in step.arrays
        return found
    found = {each.name: getattr(layer, each.name) for each in fields(layer)}
    if isinstance(layer, Dense):
        found["out_channels"] = found.pop("out_features")
    if isinstance(layer, BatchNorm):
        del found["momentum"]  # no graph of evaluation says it
    if isinstance(layer, Scale):
        del found["when"]  # nor this
    return found


def is_one(step: Step) -> bool:
    """Whether a batch norm multiplies by 1 for good, as one does that cannot be told not to."""
    weight = step.arrays.get("weight")
    if weight is None or step.origins.get("weight") not in (None, "constant"):
        return False
    return bool((weight == 1).all())


def is_trained(step: Step) -> bool:
    """Whether a constant that is added or multiplied is a weight."""
    layer, other = step.layer, step.arrays.get("other")
    if not isinstance(layer, Foreign) or layer.kind != "affine" or other is None:
        return False
    return may_be_trained(other, step.origins.get("other"), product=layer.attributes["product"])


def differing(user: Step, spec: Step) -> dict[str, tuple[Any, Any]]:
    """The attributes in which two layers of one family differ: the user's and the spec's value."""
    return differing_in(attributes(user), attributes(spec), by_ones=is_one(user))


def _is_same(first: Any, second: Any) -> bool:
    """Whether two attributes are equal, but for how a number was rounded: 0.3 is 1 - 0.7."""
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-15)
    return bool(first == second)


def differing_in(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], *, by_ones: bool
) -> dict[str, tuple[Any, Any]]:
    """The same of their `attributes`; `by_ones` is whether the user's layer is a norm by ones."""
    found = {
        name: (ours[name], theirs[name])
        for name in theirs
        if name in ours and not _is_same(ours[name], theirs[name])
    }
    if ours.get("dilation", (1, 1)) != (1, 1):
        found["dilation"] = (ours["dilation"], (1, 1))
    if by_ones and found.get("scale") == (True, False):
        del found["scale"]
    if ours.get("padding") == theirs.get("padding") == NO_PADDING and not ours.get("ceil_mode"):
        found.pop("count_include_pad", None)  # there is none to count
    return found
