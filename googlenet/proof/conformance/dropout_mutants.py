"""The mutants that the cases of dropout find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from ...arrays import Array
from ...backend.protocols import Trainer
from ...spec.layers import Dropout, Scale
from ...spec.traversal import LeafSite
from . import sabotage
from .dropout import RATE
from .mutant import Mutant
from .sabotage import Gradients, Outputs, Sabotage, Step


def dropout_mutants() -> Iterator[Mutant]:
    """Dropout elsewhere, at another rate, or with another mask."""
    unlike = "of the elements"
    yield Mutant(
        "dropout on maps only",
        "dropout on a vector",
        sabotage.every_leaf(_drops_a_vector, lambda layer: Scale(1.0, "always")),
        "dropout-on-a-vector",
    )
    yield Mutant(
        "dropout at half its rate",
        unlike,
        sabotage.every_leaf(_drops, lambda layer: Dropout(layer.rate / 2)),
        "dropout-on-a-map",
    )
    for kind in ("map", "vector"):
        yield Mutant(
            f"dropout on a {kind} leaves what it keeps as it was",
            "must be divided by 1 - rate",
            _dropped(lambda y: y * np.float32(1 - RATE)),
            f"dropout-on-a-{kind}",
        )
        yield Mutant(
            f"one mask of dropout on a {kind} for the batch",
            unlike,
            _dropped(lambda y: np.broadcast_to(y[:1], y.shape).copy()),
            f"dropout-on-a-{kind}",
        )
        yield Mutant(
            f"the gradient passes where dropout on a {kind} dropped",
            f"{unlike} were dropped",
            sabotage.instead("gradients", _passing, "gradients"),
            f"dropout-on-a-{kind}-in-gradients",
        )
        yield Mutant(
            f"training without dropout on a {kind}",
            f"{unlike} were dropped",
            sabotage.every_leaf(_drops, lambda layer: Scale(1.0, "always")),
            f"dropout-on-a-{kind}-in-training",
        )
        yield Mutant(
            f"training with dropout on a {kind} at half its rate",
            f"{unlike} were dropped",
            sabotage.every_leaf(_drops, lambda layer: Dropout(layer.rate / 2)),
            f"dropout-on-a-{kind}-in-training",
        )
        yield Mutant(
            f"predictions with dropout on a {kind}",
            "'predict' of",
            sabotage.trainer(predict=_predicting_in_training),
            f"dropout-on-a-{kind}-in-training",
        )
    yield Mutant(
        "one mask of dropout for all channels",
        unlike,
        _dropped(lambda y: np.broadcast_to(y[:, :1], y.shape).copy()),
        "dropout-on-a-map",
    )
    yield Mutant(
        "dropout of whole channels",
        unlike,
        _dropped(lambda y: np.broadcast_to(y[:, :, :1, :1], y.shape).copy()),
        "dropout-on-a-map",
    )
    yield Mutant(
        "training with one mask of dropout for the batch",
        unlike,
        sabotage.trainer(step=_one_mask),
        "dropout-on-a-vector-in-training",
    )


def _drops(site: LeafSite) -> bool:
    return isinstance(site.layer, Dropout)


def _drops_a_vector(site: LeafSite) -> bool:
    return _drops(site) and len(site.in_shape) == 1


def _dropped(change: Callable[[Array], Array]) -> Sabotage:
    """Another result of a pass in training mode, where dropout is all that there is."""

    def make(module: ModuleType, right: Any) -> Callable[..., Outputs]:
        def wrong(model: Any, images: Array, *, train: bool = False, **kwargs: Any) -> Outputs:
            found: Outputs = right(model, images, train=train, **kwargs)
            return {name: change(y) for name, y in found.items()} if train else found

        return wrong

    return sabotage.instead("forward", make)


def _passing(module: ModuleType, right: Any) -> Callable[..., Gradients]:
    def wrong(*args: Any, train: bool = True, **kwargs: Any) -> Gradients:
        loss, _ = right(*args, train=train, **kwargs)
        return loss, right(*args, train=False, **kwargs)[1]

    return wrong


def _predicting_in_training(module: ModuleType, trainer: Trainer) -> Callable[..., Array]:
    def predict(images: Array) -> Array:
        logits: Array = module.forward(trainer.model, images, train=True)["logits"]
        return logits

    return predict


def _one_mask(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        still = trainer.predict(images)
        loss, logits = trainer.step(images, labels, **kwargs)
        return loss, (still * (logits[:1] != 0) / (1 - RATE)).astype(np.float32)

    return step
