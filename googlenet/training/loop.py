"""The loop: batches in; checkpoints, a log and curves out. One framework, in one process or one of
several that train together.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Params
from ..backend.discovery import framework_version
from ..backend.protocols import Trainer, Trains, TrainsInParallel
from ..data.batches import check_batch_size, evaluation_batches, training_batches
from ..data.dataset import DataSet, check_classes
from ..errors import BackendError, TrainingError
from ..paths import kind_at
from ..spec.layers import BatchNorm, Network
from ..spec.loss import cross_entropy
from ..spec.recipe import Recipe
from ..spec.serial import to_json
from ..spec.traversal import num_classes, walk
from ..version import __version__
from ..weights.files import save_params
from .checkpoint import (
    AFTER_DIVERGENCE,
    Checkpoint,
    kept,
    load_checkpoint,
    save_checkpoint,
)
from .folders import CURVES, check_free
from .folders import locked as locked  # its place in 0.2, as that of the log
from .log import LOG as LOG
from .log import Log, has_begun
from .log import read_log as read_log
from .position import Epoch, Position

CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"

#: The number of steps for which the plain GoogLeNet stays at chance on all of Fashion-MNIST, with
#: the book's recipe.
PLATEAU = 350

#: If the loss is this near to that of equal probabilities, as a share of it, nothing has been
#: learnt.
CHANCE = 0.02


@dataclass
class Listener:
    """What a run reports, only in the process of rank 0.

    `started` is called with the position and the number of steps in an epoch and in the run; `step`
    with its number, loss, accuracy and the epoch's examples per second; `tested` with how many test
    images are done, and of how many; `epoch` with each one that has ended, and `chance` with a line
    of advice if nothing was learnt.
    """

    started: Callable[[Position, int, int], None] = lambda position, steps_per_epoch, steps: None
    step: Callable[[int, float, float, float], None] = (
        lambda step, loss, accuracy, examples_per_second: None
    )
    tested: Callable[[int, int], None] = lambda done, total: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    chance: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its epochs, whether it finished, and how many steps it took."""

    epochs: tuple[Epoch, ...]
    finished: bool
    step: int


@dataclass
class TrainingRun:
    """A run of training in `folder`: everything it needs, and `train()`.

    `stop` is called after each step; if it returns True, a checkpoint is saved and the run ends. A
    checkpoint is written after each epoch, and every `checkpoint_seconds` within one. `initializer`
    is the rule by which `params` were drawn, None if they were not. `wait` is for how many seconds
    another process may still run in the folder.
    """

    backend: Trains
    network: Network
    params: Params
    data: DataSet
    recipe: Recipe
    folder: Path
    resume: bool = False
    checkpoint_seconds: float = 600.0
    device: str | None = None
    parallel: bool = False
    initializer: str | None = None
    wait: float = 0.0
    stop: Callable[[], bool] = lambda: False
    listener: Listener = field(default_factory=Listener)

    def __post_init__(self) -> None:
        check_classes(self.data, num_classes(self.network))
        check_batch_size(self.recipe, self.data, self.network)
        self.per_epoch = self.recipe.steps_per_epoch(len(self.data.train.labels))
        self.steps = self.per_epoch * self.recipe.epochs

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What defines the run; a checkpoint is only resumed with the same settings."""
        values: dict[str, Any] = {
            "framework": self.backend.name,
            "network": to_json(self.network),
            "recipe": self.recipe.to_json(),
            "data": {"name": self.data.name, "digest": self.data.digest},
            "weights": {"digest": digest(self.params)},
        }
        read: dict[str, Any] = json.loads(json.dumps(values))  # as a checkpoint returns them
        return read

    def _processes(self) -> tuple[int, int]:
        """This process's rank, and how many train together. Raises `BackendError` if none can."""
        if not self.parallel:
            return 0, 1
        if not isinstance(self.backend, TrainsInParallel):
            raise BackendError(f"framework '{self.backend.name}': can only train in one process")
        return self.backend.start_parallel()

    def train(self) -> Outcome:
        """Train to the end, or until `stop`.

        Raises `TrainingError` for a checkpoint that does not fit, a loss that is not finite, or
        files that cannot be written. The last checkpoint then stays.
        """
        rank, processes = self._processes()
        check_batch_size(self.recipe, self.data, self.network, processes=processes)
        if rank:
            return self._train(rank)
        with locked(self.folder, wait=self.wait):
            return self._train(rank)

    def _train(self, rank: int) -> Outcome:
        """`train`, once no other process writes to the folder."""
        checkpoint = self._find(rank)
        model = self.backend.build(self.network, checkpoint.params, device=self.device)
        trainer = self.backend.trainer(model, self.recipe, parallel=self.parallel)
        position = checkpoint.position
        if position.step:
            trainer.restore(checkpoint.velocity, learning_rate=position.learning_rate)
        self._check_alike(trainer, checkpoint)
        with self._log(rank) as log:
            if position.step:
                log.go_on(position)
            else:
                log.begin({"version": __version__, **self._versions(), **self.settings})
            if rank == 0:
                self.listener.started(position, self.per_epoch, self.steps)
            while position.epoch < self.recipe.epochs:
                position, stopped = self._epoch(trainer, position, log)
                if stopped:
                    return Outcome(position.epochs, False, position.step)
        if rank == 0:
            self._write_weights(trainer)
        return Outcome(position.epochs, True, position.step)

    def _check_alike(self, trainer: Trainer, checkpoint: Checkpoint) -> None:
        """Raises `TrainingError` in all processes if one starts from a different place from the
        rest, which gradients would not show.
        """
        if trainer.processes == 1:
            return
        start = (
            f"{json.dumps(self.settings, sort_keys=True)} {checkpoint.position.step}"
            f" {digest(checkpoint.params)}"
        )
        own = int(hashlib.sha256(start.encode()).hexdigest()[:5], 16)
        total, squares = trainer.total(np.array([own, own**2], np.float64))
        if trainer.processes * squares != total**2:  # Cauchy–Schwarz: equal only if all numbers are
            raise TrainingError(
                f"process {trainer.rank} (after step {checkpoint.position.step}): the"
                f" {trainer.processes} processes do not start from the same state; give them all"
                " the same arguments and files, and with `resume` the same checkpoint in `out`"
            )

    def _find(self, rank: int) -> Checkpoint:
        """The checkpoint to resume from, or the beginning."""
        path, log = self.folder / CHECKPOINT, self.folder / LOG
        there = kind_at(path, TrainingError)
        if self.resume and there:
            return load_checkpoint(path, self.network, self.settings, per_epoch=self.per_epoch)
        if rank == 0 and not self.resume and (there or kind_at(log, TrainingError)):
            raise TrainingError(
                f"{self.folder}: already holds a run; continue it with `resume=True`, or give"
                " another `out`"
            )
        if rank == 0 and not has_begun(log, self.settings):
            check_free(self.folder, (WEIGHTS, CURVES))
        return Checkpoint(self.settings, Position(), self.params)

    def _log(self, rank: int) -> Log:
        path = self.folder / CHECKPOINT
        return Log(None if rank else self.folder / LOG, lambda: kept(path))

    def _versions(self) -> dict[str, Any]:
        name = self.backend.name
        return {
            "framework_version": framework_version(name),
            "steps_per_epoch": self.per_epoch,
            "steps": self.steps,
            "classes": list(self.data.classes),
        }

    def _epoch(self, trainer: Trainer, position: Position, log: Log) -> tuple[Position, bool]:
        """The rest of the epoch in progress: where it ends, and whether it was stopped within."""
        saved = time.monotonic()
        first = position.step - position.epoch * self.per_epoch
        split, processes, rank = self.data.train, trainer.processes, trainer.rank
        batches = training_batches(
            split, self.recipe, position.epoch, first=first, rank=rank, processes=processes
        )
        try:
            started = time.perf_counter()
            for batch in batches:
                rate = self.recipe.learning_rate_at(position.step, self.per_epoch)
                seed = self.recipe.step_seed(position.step * processes + rank)
                loss, logits = trainer.step(
                    batch.images, batch.labels, learning_rate=rate, seed=seed, share=batch.share
                )
                own = len(batch.labels)
                correct = int((logits.argmax(1) == batch.labels).sum())
                loss_sum, correct, count, stops = self._total(
                    trainer, loss * own, correct, own, self.stop()
                )
                if not math.isfinite(loss_sum):
                    raise TrainingError(self._diverged(position, loss_sum / count))
                position = replace(
                    position,
                    step=position.step + 1,
                    loss_sum=position.loss_sum + loss_sum,
                    correct=position.correct + correct,
                    count=position.count + count,
                    seconds=position.seconds + time.perf_counter() - started,
                    learning_rate=rate,
                )
                accuracy = correct / count
                event = {
                    "event": "step",
                    "step": position.step,
                    "loss": loss_sum / count,
                    "accuracy": accuracy,
                    "learning_rate": rate,
                }
                log.write(event)
                if rank == 0:
                    self.listener.step(
                        position.step, loss_sum / count, accuracy, position.count / position.seconds
                    )
                ended = position.step == (position.epoch + 1) * self.per_epoch
                if stops and not ended:
                    self._save(trainer, position, log)
                    return position, True
                if not ended and time.monotonic() - saved >= self.checkpoint_seconds and rank == 0:
                    self._save(trainer, position, log)
                    saved = time.monotonic()
                started = time.perf_counter()  # waiting for the next batch counts, saving does not
        finally:
            batches.close()
        position = self._finish(trainer, position, log)
        self._save(trainer, position, log)
        if rank == 0:  # only after it is saved, so that no error in showing it can lose an epoch
            self.listener.epoch(position.epochs[-1])
            if self.at_chance(position.epochs[-1]):
                self.listener.chance(self.chance_line(position.epochs[-1]))
        return position, bool(stops) and position.epoch < self.recipe.epochs

    def _total(
        self, trainer: Trainer, loss_sum: float, correct: int, count: int, stop: bool
    ) -> tuple[float, int, int, bool]:
        if trainer.processes == 1:
            return loss_sum, correct, count, stop
        sums = trainer.total(np.array([loss_sum, correct, count, stop], np.float64))
        return float(sums[0]), int(sums[1]), int(sums[2]), bool(sums[3])

    def _finish(self, trainer: Trainer, position: Position, log: Log) -> Position:
        """The test, and the epoch's line in the log."""
        sums = np.zeros(3)
        done, total = 0, len(self.data.test.labels)
        for batch in evaluation_batches(
            self.data.test, self.recipe.batch_size, rank=trainer.rank, processes=trainer.processes
        ):
            if len(batch.labels):
                logits = trainer.predict(batch.images)
                loss, _ = cross_entropy(logits.astype(np.float64), batch.labels, 0.0)
                sums += (
                    loss * len(batch.labels),
                    (logits.argmax(1) == batch.labels).sum(),
                    len(batch.labels),
                )
            done = min(done + self.recipe.batch_size, total)
            if trainer.rank == 0:
                self.listener.tested(done, total)
        sums = trainer.total(sums)
        epoch = Epoch(
            epoch=position.epoch + 1,
            learning_rate=position.learning_rate,
            loss=position.loss_sum / position.count,
            train_accuracy=position.correct / position.count,
            test_loss=_finite_or_large(sums[0] / sums[2]),
            test_accuracy=float(sums[1] / sums[2]),
            examples_per_second=position.count / position.seconds,
            seconds=position.seconds,
        )
        log.write({"event": "epoch", **asdict(epoch)})
        return Position(
            step=position.step,
            epochs=(*position.epochs, epoch),
            learning_rate=position.learning_rate,
            log_bytes=position.log_bytes,
        )

    @property
    def _has_batch_norm(self) -> bool:
        return any(isinstance(site.layer, BatchNorm) for site in walk(self.network))

    def at_chance(self, epoch: Epoch) -> bool:
        """Whether the network knows nothing yet: its loss is that of equal probabilities, and its
        answers are no better than guesses.
        """
        classes = num_classes(self.network)
        expected = self.recipe.chance_loss(self.network)
        return abs(epoch.loss - expected) < CHANCE * expected and epoch.test_accuracy < 2 / classes

    def chance_line(self, epoch: Epoch) -> str:
        """Advice for a network that has learnt nothing yet: only what was measured to help
        (docs/training.md, "At chance"), and is not already set.
        """
        classes = num_classes(self.network)
        helps = []
        if not self._has_batch_norm:
            helps.append("batch norm (googlenet_bn)")
        if self.initializer == "xavier_uniform":
            helps.append("He initialisation (`initializer=he_normal`)")
        step = epoch.epoch * self.per_epoch
        advice = f" Try {' or '.join(helps)}." if helps else ""
        return (
            f"epoch {epoch.epoch}: still at chance: the loss is that of {classes} equal"
            f" probabilities, ln {classes} = {math.log(classes):.3f} for each output.{advice} It"
            " may just need more time: on all of Fashion-MNIST, googlenet leaves this plateau after"
            f" about {PLATEAU} steps at learning rate 0.1, and later at a lower rate; this run has"
            f" taken {step}."
        )

    def _diverged(self, position: Position, loss: float) -> str:
        path = self.folder / CHECKPOINT
        kept = (
            f"the last checkpoint, {path}, is unchanged"
            if path.exists()
            else "there was no checkpoint yet"
        )
        other = "" if self._has_batch_norm else "; or try batch norm (googlenet_bn)"
        return (
            f"step {position.step + 1} (epoch {position.epoch + 1}): the loss is {loss}; {kept}. "
            f"{AFTER_DIVERGENCE[0].upper()}{AFTER_DIVERGENCE[1:]}{other}"
        )

    def _save(self, trainer: Trainer, position: Position, log: Log) -> None:
        if trainer.rank:
            return
        length, found = log.flush()
        position = replace(position, log_bytes=length, log_digest=found)
        params = self.backend.params_of(trainer.model)
        save_checkpoint(
            self.folder / CHECKPOINT,
            self.network,
            Checkpoint(self.settings, position, params, trainer.velocity()),
        )

    def _write_weights(self, trainer: Trainer) -> None:
        extra = (
            {"classes": json.dumps(list(self.data.classes))}
            if len(self.data.classes) == num_classes(self.network)
            else {}
        )
        save_params(
            self.folder / WEIGHTS, self.network, self.backend.params_of(trainer.model), extra=extra
        )


def digest(params: Params) -> str:
    """SHA-256 of weights: names, shapes and bytes."""
    found = hashlib.sha256()
    for path, array in params.items():
        found.update(f"{path} {array.shape}".encode())
        found.update(np.ascontiguousarray(array, "<f4").tobytes())
    return found.hexdigest()


def _finite_or_large(value: float) -> float:
    """JSON has no infinity; a test loss is infinite where a probability underflowed."""
    return float(value) if math.isfinite(value) else float(np.finfo(np.float64).max)
