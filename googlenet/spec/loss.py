"""What training minimises, the same in every framework."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from ..arrays import Array
from ..errors import SpecError
from .layers import Network, aux_heads, plain


@dataclass(frozen=True, slots=True)
class Loss:
    """Softmax cross-entropy in nats, the mean over the batch, summed over the outputs with their
    weights.

    `−Σ q · log softmax(logits)` with `q = (1 − label_smoothing) · onehot + label_smoothing /
    classes` (arXiv:1512.00567, section 7). `aux_weights` replaces the `loss_weight` of the
    auxiliary heads, in the order of execution; None keeps theirs.

    Raises `SpecError` unless 0 <= label_smoothing < 1 and each weight is a number of at least 0,
    all in float32, in which frameworks compute.
    """

    label_smoothing: float = 0.0
    aux_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        smoothing, weights = plain(self.label_smoothing), self.aux_weights
        if not _is_number(smoothing) or smoothing < 0 or np.float32(smoothing) >= 1:
            raise SpecError(f"`label_smoothing`: expected a number in [0, 1), got {smoothing!r}")
        object.__setattr__(self, "label_smoothing", float(smoothing))
        if weights is None:
            return
        is_several = isinstance(weights, Iterable) and not isinstance(weights, str)
        given = plain(tuple(weights)) if is_several else (None,)
        if not all(_is_number(weight) and weight >= 0 for weight in given):
            raise SpecError(
                f"`aux_weights`: expected finite numbers of at least 0, got {weights!r}"
            )
        object.__setattr__(self, "aux_weights", tuple(map(float, given)))

    def output_weights(self, network: Network) -> dict[str, float]:
        """The weight of every output of `network` by name, 1 for `logits`.

        Raises `SpecError` if the length of `aux_weights` is not the network's number of auxiliary
        heads.
        """
        heads = aux_heads(network.layers)
        weights = (
            [head.loss_weight for _, head in heads]
            if self.aux_weights is None
            else list(self.aux_weights)
        )
        if weights and not heads:
            raise SpecError(
                f"`aux_weights`: network '{network.name}' is built without auxiliary heads; leave"
                " out `aux_weights`, or give `aux=True` with a network that has such heads"
            )
        if len(weights) != len(heads):
            raise SpecError(
                f"`aux_weights`: expected {len(heads)}, one for each auxiliary head of network"
                f" '{network.name}', got {len(weights)}"
            )
        return {"logits": 1.0} | {
            name: weight for (name, _), weight in zip(heads, weights, strict=True)
        }


def _is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that float32, in which frameworks compute, has."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    largest = float(np.finfo(np.float32).max)
    return -largest <= value <= largest  # NaN is in no range


def cross_entropy(logits: Array, labels: Array, smoothing: float) -> tuple[float, Array]:
    """The mean over the batch of `−Σ q·log softmax(logits)`, `q = (1 − e)·onehot + e / K`, and its
    gradient with respect to the logits (N, K).
    """
    batch, classes = logits.shape
    target = np.full_like(logits, smoothing / classes)
    target[np.arange(batch), labels] += 1 - smoothing
    shifted = logits - logits.max(1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    loss = -(target * log_softmax).sum(1).mean()
    return float(loss), (np.exp(log_softmax) - target) / batch
