"""The mutants that the cases of the loss find, whose logits are large."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from ...arrays import Array
from ...backend.protocols import Trainer
from ...spec.loss import Loss
from . import sabotage
from .mutant import Mutant
from .sabotage import Gradients, Outputs, Step


def loss_mutants() -> Iterator[Mutant]:
    """Cross-entropies that overflow, or are clipped."""
    for name, formula in {
        "as the logarithm of a softmax": lambda logits: np.log(softmax(logits)),
        "without taking off the largest logit": lambda logits: (
            logits - np.log(np.exp(logits).sum(1, keepdims=True))
        ),
        "of clipped probabilities": lambda logits: np.log(np.clip(softmax(logits), 1e-7, 1)),
        "of logits that are clipped": lambda logits: _log_softmax(np.clip(logits, -100, 100)),
        "of logits that are clipped below the largest": lambda logits: _log_softmax(
            np.maximum(logits, logits.max(1, keepdims=True) - 64)
        ),
    }.items():
        yield Mutant(
            f"cross-entropy {name}",
            "'loss' of",
            sabotage.instead("gradients", _loss_in_gradients(formula), "gradients"),
            "logits-beyond-100-smoothing-0.1",
        )
        yield Mutant(
            f"training on a cross-entropy {name}",
            "'step 1: loss' of",
            sabotage.trainer(step=_loss_in_steps(formula)),
            "training-logits-beyond-100",
        )


def softmax(logits: Array) -> Array:
    """The probabilities (N, K) of logits (N, K)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    scaled: Array = powers / powers.sum(1, keepdims=True)
    return scaled


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(1, keepdims=True)
    log: Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return log


def _total(
    formula: Callable[[Array], Array], model: Any, outputs: Outputs, labels: Array, loss: Loss
) -> float:
    """The loss of these outputs with another formula for the logarithm of their softmax."""
    total = 0.0
    with np.errstate(all="ignore"):
        for name, weight in loss.output_weights(model.network).items():
            logits = outputs[name]
            target = np.full_like(logits, loss.label_smoothing / logits.shape[1])
            target[np.arange(len(labels)), labels] += 1 - loss.label_smoothing
            total -= weight * float((target * formula(logits)).sum(1).mean())
    return total


def _loss_in_gradients(
    formula: Callable[[Array], Array],
) -> Callable[[ModuleType, Any], Callable[..., Gradients]]:
    def make(module: ModuleType, right: Any) -> Callable[..., Gradients]:
        def wrong(
            model: Any, images: Array, labels: Array, *, loss: Loss = Loss(), **kwargs: Any
        ) -> Gradients:
            outputs = module.forward(model, images)
            _, grads = right(model, images, labels, loss=loss, **kwargs)
            return _total(formula, model, outputs, labels, loss), grads

        return wrong

    return make


def _loss_in_steps(formula: Callable[[Array], Array]) -> Callable[[ModuleType, Trainer], Step]:
    loss = Loss(label_smoothing=0.1)  # that of the case

    def made(module: ModuleType, trainer: Trainer) -> Step:
        def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
            outputs = module.forward(trainer.model, images)
            value = _total(formula, trainer.model, outputs, labels, loss)
            return value, trainer.step(images, labels, **kwargs)[1]

        return step

    return made
