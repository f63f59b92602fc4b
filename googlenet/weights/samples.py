"""Random weights, images and labels of any network, for comparisons: the same bytes everywhere."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array, Params, uniform
from ..spec.layers import BatchNorm, Network
from ..spec.params import param_specs
from ..spec.traversal import join, walk
from .initial import init_params

#: How many images a comparison takes, and how many classes its labels name, by default.
BATCH = 3
CLASSES = 5


def random_params(network: Network, seed: int = 0) -> Params:
    """Weights by He's rule, and every other array away from its usual 0 or 1, so that none can be
    lost unnoticed.
    """
    params = init_params(network, seed=seed, initializer="he_normal")
    for path, spec in param_specs(network).items():
        if len(spec.shape) == 1:
            values = uniform(seed + 1, path)(spec.shape[0])
            positive = spec.name in ("weight", "running_var")
            params[path] = (values + 0.5 if positive else 0.4 * values - 0.2).astype(np.float32)
    return params


def with_moved_norms(network: Network, params: Params, seed: int = 0) -> Params:
    """`params` with each batch norm's biases moved by -½ to 1½ times its scale, drawn for each
    channel: up on average, so that a ReLU cuts fewer of its values. All other arrays are the same.

    In training mode each batch norm before a ReLU lets rounding grow, and forty of them ten
    thousandfold; near the linear regime it grows little (Yang et al., "A Mean Field Theory of Batch
    Normalization", ICLR 2019). Not all are cut alike, since a sum over all values of a batch norm
    that nothing cuts has no gradient.
    """
    moved = dict(params)
    for site in walk(network):
        if isinstance(site.layer, BatchNorm):
            bias = join(site.path, "bias")
            by = 2 * uniform(seed, f"moved {bias}")(len(params[bias])) - 0.5
            scale = np.abs(params.get(join(site.path, "weight"), np.float32(1)))
            moved[bias] = (params[bias] + scale * by).astype(np.float32)
    return moved


def random_images(network: Network, seed: int = 0, batch: int = BATCH) -> Array:
    """Images (batch, C, H, W) of float32 in [-1, 1)."""
    shape = (batch, *network.input_shape)
    return (2 * uniform(seed, "images")(math.prod(shape)).reshape(shape) - 1).astype(np.float32)


def random_labels(seed: int = 0, batch: int = BATCH, classes: int = CLASSES) -> Array:
    """Labels (batch,) in [0, classes): the first class, the last one, then others at random. A loss
    may ignore one of the two, as that of the padding or of the background.
    """
    labels: Array = (uniform(seed, "labels")(batch) * classes).astype(np.int64)
    ends = np.array([0, classes - 1], np.int64)[:batch]
    labels[: len(ends)] = ends
    return labels
