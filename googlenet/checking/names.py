"""What layers are called in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..tracing.tree import Foreign, Step
from .features import is_trained, kind, plain_name

#: What a layer is called in a sentence, by its kind; anything else by its own name.
NAMES: Final[Mapping[str, str]] = {
    "Conv": "convolution",
    "conv": "convolution",
    "Dense": "dense layer",
    "dense": "dense layer",
    "BatchNorm": "batch norm",
    "batch_norm": "batch norm",
    "LocalResponseNorm": "local response norm",
    "local_response_norm": "local response norm",
    "MaxPool": "max pool",
    "max_pool": "max pool",
    "AvgPool": "average pool",
    "AdaptiveAvgPool": "adaptive average pool",
    "GlobalAvgPool": "global average pool",
    "adaptive_max_pool": "adaptive max pool",
    "sum_pool": "sum pool",
    "unfold": "unfolding of windows",
    "ReLU": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "clip": "clipped ReLU",
    "gelu": "GELU",
    "sigmoid": "sigmoid",
    "silu": "SiLU",
    "tanh": "tanh",
    "abs": "absolute value",
    "greater": "comparison with a number",
    "softplus": "softplus",
    "softmax": "softmax",
    "log_softmax": "log-softmax",
    "Dropout": "dropout layer",
    "dropout": "dropout that is also active in evaluation",
    "Scale": "factor",
    "mul": "factor",
    "affine": "constant array",
    "spatial_dropout": "dropout of whole channels",
    "alpha_dropout": "alpha dropout",
    "nan_to_num": "replacement of what is not finite",
    "pad": "separate padding layer",
    "mean": "mean",
    "concat": "concatenation along another axis",
    "flatten": "flattening",
    "reshape": "reshape",
    "transpose": "transpose",
}


#: The same for what is known by name only.
PLAIN: Final[Mapping[str, str]] = {
    "groupnorm": "group norm",
    "layernorm": "layer norm",
    "instancenorm": "instance norm",
    "rmsnorm": "RMS norm",
    "mish": "Mish",
    "hardswish": "hard swish",
    "hardsigmoid": "hard sigmoid",
    "selu": "SELU",
    "celu": "CELU",
    "prelu": "PReLU",
    "gaussiandropout": "Gaussian dropout",
    "dropblock": "DropBlock",
    "droppath": "drop path",
}


def name_of(step: Step) -> str:
    """What a layer is called in a sentence."""
    layer = step.layer
    if isinstance(layer, Foreign) and layer.kind == "clip":
        low, high = layer.attributes["low"], layer.attributes["high"]
        return "ReLU6" if (low, high) == (0, 6) else f"clip to [{low:g}, {high:g}]"
    if isinstance(layer, Foreign) and layer.kind == "affine":
        what = "trained" if is_trained(step) else "constant"
        each = f"{what} {'factor' if layer.attributes['product'] else 'offset'}"
        return each if step.arrays["other"].size == 1 else f"array of {each}s"
    if isinstance(layer, Foreign) and layer.kind == "pad":
        sides = [side for pair in layer.attributes["padding"] for side in pair]
        return "crop" if max(sides) <= 0 else NAMES["pad"]
    if isinstance(layer, Foreign) and layer.kind == "slice":
        axis = ("images", "channels", "rows", "columns")[layer.attributes["axis"] % 4]
        return f"slice of the {axis}"
    if isinstance(layer, Foreign) and layer.kind == "batch_norm":
        own = layer.attributes.get("train") or "running_mean" not in step.arrays
        axis = layer.attributes.get("axis", 1)
        each = "" if axis == 1 else f" of each {('row', 'column')[axis - 2]}"
        return f"batch norm{each}{' with the statistics of each batch' if own else ''}"
    if (plain := plain_name(step)) in PLAIN:
        return PLAIN[plain]
    if isinstance(layer, Foreign) and layer.kind == "dropout" and not is_active(step):
        return "dropout"
    return NAMES.get(kind(step), f"'{kind(step)}'")


def is_active(step: Step) -> bool:
    """Whether a layer is dropout that also acts in evaluation."""
    layer = step.layer
    return isinstance(layer, Foreign) and bool(layer.attributes.get("active", False))


def plural(of: str) -> str:
    """What several layers of a kind are called."""
    name = "block" if of == "Fork" else NAMES.get(of, of)
    return name if name.endswith("s") else f"{name}s"


def with_article(name: str) -> str:
    """A ReLU, an average pool."""
    if name.startswith("dropout that"):
        return name
    bare = name.lstrip("'")
    is_vowel = bare[0] in "aeiouAEIO" or bare.startswith("RMS")  # which is read letter by letter
    return f"an {name}" if is_vowel else f"a {name}"
