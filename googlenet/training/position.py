"""How far a run is: what a checkpoint says of it, and whether that can be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..spec.recipe import Recipe
from ..typed import made

#: How far the learning rate of a step may be from what it is elsewhere: a cosine's last bit.
SAME_RATE = 1e-6


@dataclass(frozen=True)
class Epoch:
    """One finished pass through the training images.

    `loss` in nats and `train_accuracy` are means over the training passes, while the weights
    changed, as in the book; `test_loss` (without label smoothing and auxiliary heads) and
    `test_accuracy` are for the weights after it. `seconds` counts only its steps.
    """

    epoch: int
    learning_rate: float
    loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    examples_per_second: float
    seconds: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Epoch:
        """The epoch with these fields by name. Raises `ValueError` if it cannot be one."""
        found = made(lambda given: cls(**given), values)
        _check_numbers(asdict(found))
        for name in ("train_accuracy", "test_accuracy"):
            if not 0 <= getattr(found, name) <= 1:
                raise ValueError(f"{name} is {getattr(found, name)}, expected a share")
        if found.epoch < 1:
            raise ValueError(f"epoch is {found.epoch}, expected at least 1")
        return found


@dataclass(frozen=True)
class Position:
    """How far a run is: finished steps, the finished epochs, and the sums of the one in progress.

    `log_bytes` is how long the log was, and `log_digest` the SHA-256 of those bytes, "" in a
    checkpoint of 0.2 or before; what comes after that belongs to steps that will be taken again.
    """

    step: int = 0
    epochs: tuple[Epoch, ...] = ()
    loss_sum: float = 0.0
    correct: int = 0
    count: int = 0
    seconds: float = 0.0
    learning_rate: float = 0.0
    log_bytes: int = 0
    log_digest: str = ""

    @property
    def epoch(self) -> int:
        """The number of the epoch in progress, from 0."""
        return len(self.epochs)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Position:
        """The position with these fields by name. Raises `ValueError` if it cannot be one."""
        found = made(
            lambda given: cls(**{**given, "epochs": tuple(map(Epoch.of, given["epochs"]))}), values
        )
        _check_numbers({k: v for k, v in values.items() if k not in ("epochs", "log_digest")})
        if [each.epoch for each in found.epochs] != list(range(1, found.epoch + 1)):
            raise ValueError("its epochs are not numbered from 1")
        if found.correct > found.count:
            raise ValueError(f"correct is {found.correct} of {found.count}")
        return found

    def check(self, recipe: Recipe, per_epoch: int) -> None:
        """Raises `ValueError` unless a run by `recipe`, of `per_epoch` steps an epoch, can be
        there.
        """
        begun = self.epoch * per_epoch
        within = self.step - begun
        if not (0 <= within < per_epoch and self.epoch <= recipe.epochs) or (
            self.epoch == recipe.epochs and within
        ):
            raise ValueError(
                f"step {self.step} after {self.epoch} epochs of {per_epoch} steps, in a run of"
                f" {recipe.epochs}"
            )
        if self.count != within * recipe.batch_size:
            raise ValueError(
                f"count is {self.count} after {within} batches of {recipe.batch_size} images"
            )
        if not within and self.loss_sum:
            raise ValueError(f"loss_sum is {self.loss_sum} before the first step of an epoch")
        if self.step:
            rate = recipe.learning_rate_at(self.step - 1, per_epoch)
            if not math.isclose(self.learning_rate, rate, rel_tol=SAME_RATE):
                raise ValueError(f"learning_rate is {self.learning_rate}, expected {rate}")

    def to_json(self) -> str:
        """The fields by name."""
        return json.dumps(asdict(self))


#: What may be a little below 0, since it is rounded.
LOSSES = ("loss", "test_loss", "loss_sum")


def _check_numbers(values: Mapping[str, Any]) -> None:
    """Raises `ValueError` unless all are finite and none but a loss is below 0."""
    for name, value in values.items():
        if not math.isfinite(value) or (value < 0 and name not in LOSSES):
            raise ValueError(f"{name} is {value}, expected a finite number of at least 0")
