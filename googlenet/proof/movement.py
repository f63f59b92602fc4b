"""How far apart the logits of two networks are with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Params
from ..reference import build, forward
from ..spec.layers import Network
from ..spec.params import param_specs
from ..spec.shapes import size_text
from ..spec.traversal import nodes
from ..weights.samples import random_params
from .parity.tolerance import distance


@dataclass(frozen=True, slots=True)
class Movement:
    """How far apart two networks are with the same weights and images.

    `logits` is the relative L2 distance of the second's logits from the first's; `first_divergence`
    is the first layer that both have and whose outputs differ by more than float32 rounding. Both
    are None, with the reason in `unfit`, if the weights of one do not fit the other.
    """

    logits: float | None
    first_divergence: str | None
    unfit: str | None


#: Outputs that differ by less are the same up to rounding: a thousand units in the last place of
#: float32.
ROUNDING = 1000 * float(np.finfo(np.float32).eps)


def movement(
    a: Network,
    b: Network,
    images: Array,
    *,
    seed: int = 0,
    given: Mapping[str, Array] | None = None,
) -> Movement:
    """Run both networks in the float32 reference on `images` (N, C, H, W) with the same weights, in
    evaluation mode.

    Weights are drawn by He's rule from `seed`; biases, gammas and running statistics are slightly
    different from 0 and 1. An array that only one of them has must be neutral: a bias of 0, a gamma
    of 1. Those of `given`, by path, are neither drawn nor changed. Raises `ShapeError` or
    `DataError` if `images` do not fit.
    """
    if a.input_shape != b.input_shape:
        return Movement(
            None,
            None,
            (
                f"the networks' inputs differ, {size_text(a.input_shape)} and"
                f" {size_text(b.input_shape)}"
            ),
        )
    params, unfit = _shared(a, b, seed, given or {})
    if unfit is not None:
        return Movement(None, None, unfit)
    ours, theirs = (
        _run(network, {path: params[path] for path in param_specs(network)}, images)
        for network in (a, b)
    )
    common = [site.path for site in nodes(a) if site.path in theirs]
    first = next((path for path in common if _moved(theirs[path], ours[path]) > ROUNDING), None)
    return Movement(_moved(theirs["logits"], ours["logits"]), first, None)


def _moved(actual: Array, expected: Array) -> float:
    return distance(actual.astype(np.float64), expected.astype(np.float64))


def _shared(
    a: Network, b: Network, seed: int, given: Mapping[str, Array]
) -> tuple[Params, str | None]:
    """Weights for both, or why there are none."""
    ours, theirs = param_specs(a), param_specs(b)
    params = {**random_params(b, seed), **random_params(a, seed), **given}
    for path, array in params.items():
        spec = ours.get(path) or theirs[path]
        if path in ours and path in theirs:
            if ours[path].shape != theirs[path].shape:
                return (
                    {},
                    (
                        f"the weights do not fit: {path} is {size_text(ours[path].shape)} in one,"
                        f" {size_text(theirs[path].shape)} in the other"
                    ),
                )
        elif len(spec.shape) > 1:
            return {}, f"the weights do not fit: only one network has {path}"
        elif path not in given:
            array[...] = float(spec.name in ("weight", "running_var"))
    return params, None


def _run(network: Network, params: Params, images: Array) -> dict[str, Array]:
    return forward(build(network, params), images, taps=[site.path for site in nodes(network)])
