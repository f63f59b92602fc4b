"""How a network is trained: stochastic gradient descent, the same in every framework.
`docs/training.md` is normative.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..arrays import uniform
from ..errors import SpecError
from ..printable import shown
from .layers import LARGEST_SIZE, Network
from .loss import Loss
from .traversal import num_classes

SCHEDULES = ("constant", "step", "cosine")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Stochastic gradient descent on the loss `Loss`; the defaults are those of section 8.4 of
    *Dive into Deep Learning*.

    A step on a batch moves every trainable array w, whose gradient is g, by

        v ← momentum · v + (g + weight_decay · w),    w ← w − learning_rate · v

    with v = 0 at the start. Weight decay applies to all trainable arrays, including biases and
    batch norm's. Each of the `epochs` passes through the training images has its own order, drawn
    from `seed`; the last batch of a pass may be smaller, and counts as a step.

    Schedules of the learning rate: `constant`; `step`, times `decay_factor` after each
    `decay_epochs` epochs; `cosine`, at step t of T times (1 + cos(π·t / T)) / 2. Rates, momentum
    and weight decay are rounded to float32.

    Raises `SpecError`, naming the field, unless learning_rate > 0; 0 <= momentum < 1; weight_decay
    >= 0; 0 <= label_smoothing < 1; aux_weights >= 0; epochs, batch_size and decay_epochs >= 1; 0 <
    decay_factor <= 1; seed >= 0; all finite in float32.
    """

    learning_rate: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    aux_weights: tuple[float, ...] | None = None
    epochs: int = 10
    batch_size: int = 128
    seed: int = 0
    schedule: str = "constant"
    decay_epochs: int = 3
    decay_factor: float = 0.1

    def __post_init__(self) -> None:
        _check("learning_rate", self.learning_rate, "a number above 0", lambda x: x > 0)
        _check("momentum", self.momentum, "a number in [0, 1)", lambda x: 0 <= x < 1)
        _check("weight_decay", self.weight_decay, "a number of at least 0", lambda x: x >= 0)
        for name in ("epochs", "batch_size", "decay_epochs"):
            _check(
                name,
                getattr(self, name),
                "an integer of at least 1",
                lambda x: x == int(x) and x >= 1,
            )
        _check("seed", self.seed, "an integer of at least 0", lambda x: x == int(x) and x >= 0)
        _check("decay_factor", self.decay_factor, "a number in (0, 1]", lambda x: 0 < x <= 1)
        for name in ("epochs", "batch_size", "decay_epochs", "seed"):
            most = 2**63 - 1 if name == "seed" else LARGEST_SIZE
            if getattr(self, name) > most:
                raise SpecError(
                    f"`{name}`: expected an integer of at most {most}, got"
                    f" {shown(getattr(self, name))}"
                )
        for name in ("epochs", "batch_size", "decay_epochs", "seed"):  # NumPy's integers, and 1.0
            object.__setattr__(self, name, int(getattr(self, name)))
        for name in ("learning_rate", "momentum", "weight_decay", "decay_factor"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.schedule not in SCHEDULES:
            raise SpecError(
                f"`schedule`: expected one of {', '.join(SCHEDULES)}, got {self.schedule!r}"
            )
        loss = self.loss  # checks the rest
        object.__setattr__(self, "label_smoothing", loss.label_smoothing)
        object.__setattr__(self, "aux_weights", loss.aux_weights)

    @property
    def loss(self) -> Loss:
        """What a step minimises."""
        return Loss(label_smoothing=self.label_smoothing, aux_weights=self.aux_weights)

    def chance_loss(self, network: Network) -> float:
        """The loss, in nats, of equal probabilities at every output of `network`."""
        return math.log(num_classes(network)) * sum(self.loss.output_weights(network).values())

    def steps_per_epoch(self, count: int) -> int:
        """The number of batches of `count` images."""
        return math.ceil(count / self.batch_size)

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of the step with this number, from 0, as a float32 value."""
        factor = 1.0
        if self.schedule == "step":
            factor = self.decay_factor ** (step // steps_per_epoch // self.decay_epochs)
        elif self.schedule == "cosine":
            factor = (1 + math.cos(math.pi * step / (self.epochs * steps_per_epoch))) / 2
        return float32(self.learning_rate * factor)

    def order(self, epoch: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The order in which epoch `epoch`, from 0, takes `count` images: int64 indices (count,),
        drawn from the seed and the epoch.
        """
        return np.argsort(
            uniform(self.seed, f"order of epoch {epoch}")(count), kind="stable"
        ).astype(np.int64)

    def step_seed(self, step: int) -> int:
        """A seed in [0, 2³¹) for what the framework draws in this step, such as dropout's masks; it
        depends only on the seed and the step.
        """
        return int(uniform(self.seed, f"step {step}")(1)[0] * 2**31)

    def to_json(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """The inverse of `to_json`. Raises `SpecError` for a field that does not exist, or a value
        out of range.
        """
        names = {field.name for field in fields(cls)}
        if unknown := next((name for name in values if name not in names), None):
            raise SpecError(f"Recipe: has no field '{unknown}'; it has {', '.join(sorted(names))}")
        weights = values.get("aux_weights")
        return cls(**{**values, "aux_weights": None if weights is None else tuple(weights)})


def float32(value: float | np.integer[Any] | np.floating[Any]) -> float:
    """`value` rounded to float32, which every framework computes with."""
    return float(np.float32(value))


#: The largest number that float32 holds.
LARGEST = float(np.finfo(np.float32).max)


def _check(name: str, value: Any, expected: str, right: Any) -> None:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    is_right = is_number and not isinstance(value, bool) and bool(right(value))
    # Training computes in float32.
    if is_right and not (-LARGEST <= value <= LARGEST and right(float32(value))):
        expected, is_right = f"{expected} in float32", False
    if not is_right:
        raise SpecError(f"`{name}`: expected {expected}, got {shown(value)}")
