"""What a network takes at least, so that more than a machine has is refused before it is built."""

from __future__ import annotations

import math

from ..room import check_memory
from .analysis import FLOAT32_BYTES, budget
from .layers import Network
from .params import param_specs
from .shapes import size_text

ADVICE = "give a smaller `input_shape` or `num_classes`, or fewer images at a time"


def check_params_fit(network: Network) -> None:
    """Raises `SpecError` if the weights of `network` alone are more than the machine's memory."""
    values = sum(math.prod(spec.shape) for spec in param_specs(network).values())
    check_memory(
        f"network '{network.name}' with {values:,} weights", FLOAT32_BYTES * values, ADVICE
    )


def check_fits(network: Network, images: int = 1, *, training: bool = False) -> None:
    """Raises `SpecError` if to compute `network` on `images` images at a time in float32, and with
    `training` to change its weights, takes more memory than the machine has, by what it takes at
    least: the weights, the images, and the largest output of a layer. Training has a gradient for
    each weight, and keeps about half of all outputs, those that are not computed in place.
    """
    found = budget(network)
    values = sum(math.prod(spec.shape) for spec in param_specs(network).values())
    outputs = found.activation_bytes // 2 if training else found.largest_activation_bytes
    needed = FLOAT32_BYTES * values * (1 + training) + images * (
        FLOAT32_BYTES * math.prod(network.input_shape) + outputs
    )
    many = f", {images:,} images at a time" if images > 1 else ""
    how = "training" if training else "computing"
    check_memory(
        f"{how} '{network.name}' at {size_text(network.input_shape)}{many}", needed, ADVICE
    )
