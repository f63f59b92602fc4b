"""The mutants that the cases of trainers find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from ...arrays import Array
from ...backend.protocols import Trainer
from . import sabotage
from .loss_mutants import softmax
from .mutant import Mutant
from .sabotage import Step

#: What a backend must have to be given a share of a batch.
PARALLEL = frozenset({"parallel"})


def trainer_mutants() -> Iterator[Mutant]:
    """Trainers whose logits, smaller batches or shares of a batch are wrong."""
    sizes = "training-in-steps-of-any-size"
    for name, change in {
        "as probabilities": softmax,
        "of the classes in reverse": lambda logits: logits[:, ::-1].copy(),
        "of the images in reverse": lambda logits: logits[::-1].copy(),
    }.items():
        yield Mutant(
            f"the logits of a step {name}",
            "'step 1: logits' of",
            sabotage.trainer(step=_with_logits(change)),
            sizes,
        )
    for name, step in {
        "those of aux1": _logits_of_aux,
        "those of evaluation mode": _logits_of_evaluation,
        "those after it": _logits_afterwards,
    }.items():
        yield Mutant(
            f"the logits of a step are {name}",
            "'step 1: logits' of",
            sabotage.trainer(step=step),
            sizes,
        )
    yield Mutant(
        "a smaller batch is skipped",
        "'step 2: dense.bias' of",
        sabotage.trainer(step=_skipping),
        sizes,
    )
    yield Mutant(
        "a smaller batch divided by the size of the first",
        "'step 2: dense.bias' of",
        sabotage.trainer(step=_divided_by_the_first),
        sizes,
    )
    yield Mutant(
        "a step changes the images",
        "step: changed the images",
        sabotage.trainer(step=_spoiling_images),
        sizes,
    )
    for name, divergence, step in (
        ("is ignored", "dense.bias", _without_share),
        ("weighs the weight decay too", "dense.bias", _share_of_the_rate),
        ("weighs the loss that is returned", "loss", _share_of_the_loss),
    ):
        yield Mutant(
            f"the share of the batch {name}",
            f"'step 2: {divergence}' of",
            sabotage.trainer(step=step),
            sizes,
            PARALLEL,
        )


def _with_logits(change: Callable[[Array], Array]) -> Callable[[ModuleType, Trainer], Step]:
    def made(module: ModuleType, trainer: Trainer) -> Step:
        def step(*args: Any, **kwargs: Any) -> tuple[float, Array]:
            loss, logits = trainer.step(*args, **kwargs)
            return loss, change(logits)

        return step

    return made


def _logits_of_aux(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        logits = module.forward(trainer.model, images)["aux1"]
        return trainer.step(images, labels, **kwargs)[0], logits

    return step


def _logits_of_evaluation(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        logits = trainer.predict(images)
        return trainer.step(images, labels, **kwargs)[0], logits

    return step


def _logits_afterwards(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        return trainer.step(images, labels, **kwargs)[0], trainer.predict(images)

    return step


def _skipping(module: ModuleType, trainer: Trainer) -> Step:
    sizes: list[int] = []

    def step(images: Array, labels: Array, *, learning_rate: float, **kwargs: Any) -> Any:
        sizes.append(len(images))
        rate = learning_rate if len(images) >= sizes[0] else 1e-30  # too short to move a weight
        return trainer.step(images, labels, learning_rate=rate, **kwargs)

    return step


def _divided_by_the_first(module: ModuleType, trainer: Trainer) -> Step:
    sizes: list[int] = []

    def step(images: Array, labels: Array, *, learning_rate: float, **kwargs: Any) -> Any:
        sizes.append(len(images))
        rate = learning_rate * len(images) / sizes[0]
        return trainer.step(images, labels, learning_rate=rate, **kwargs)

    return step


def _spoiling_images(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        found = trainer.step(images, labels, **kwargs)
        images -= images.mean()
        return found

    return step


def _without_share(module: ModuleType, trainer: Trainer) -> Step:
    def step(*args: Any, share: float = 1.0, **kwargs: Any) -> tuple[float, Array]:
        return trainer.step(*args, **kwargs)

    return step


def _share_of_the_rate(module: ModuleType, trainer: Trainer) -> Step:
    def step(*args: Any, learning_rate: float, share: float = 1.0, **kwargs: Any) -> Any:
        return trainer.step(*args, learning_rate=learning_rate * share, **kwargs)

    return step


def _share_of_the_loss(module: ModuleType, trainer: Trainer) -> Step:
    def step(*args: Any, share: float = 1.0, **kwargs: Any) -> tuple[float, Array]:
        loss, logits = trainer.step(*args, share=share, **kwargs)
        return loss * share, logits

    return step
