"""What backends are compared on: one network with weights, images, labels and a loss."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...arrays import Array, Params
from ...spec.layers import Network
from ...spec.loss import Loss
from ...spec.rewrite import with_dropout_rate
from ...weights.samples import BATCH, CLASSES, random_images, random_labels, random_params


def _no_labels() -> Array:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Problem:
    """One network and all that a comparison needs of it, the same for every backend.

    `params` are its weights by path, in canonical layout; `images` are (N, C, H, W) of float32,
    `labels` (N,) integers, which a forward pass does without; `loss` is what a step minimises.
    """

    network: Network
    params: Params
    images: Array
    labels: Array = field(default_factory=_no_labels)
    loss: Loss = field(default_factory=Loss)

    def few(self, count: int) -> Problem:
        """The same with only the first `count` images, or all if there are fewer."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def batch(self, step: int, size: int) -> Problem:
        """The same with the images of one step, counted from 0: the next `size`, starting over at
        the end; all if there are fewer.
        """
        count = len(self.images)
        index = (step * size + np.arange(min(size, count))) % count
        return replace(self, images=self.images[index], labels=self.labels[index])

    def still(self) -> Problem:
        """The same with dropout at rate 0, so that training draws nothing at random."""
        return replace(self, network=with_dropout_rate(self.network, 0.0))


def random_problem(
    network: Network,
    *,
    seed: int = 0,
    batch: int = BATCH,
    classes: int = CLASSES,
    loss: Loss = Loss(),
) -> Problem:
    """`network` with random weights, `batch` images and labels of its first `classes`: the same
    bytes everywhere.
    """
    return Problem(
        network,
        random_params(network, seed),
        random_images(network, seed, batch),
        random_labels(seed, batch, classes),
        loss,
    )
