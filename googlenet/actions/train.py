"""Train a network in one framework."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..arrays import Array
from ..backend.discovery import canonical_name
from ..backend.protocols import Trains, TrainsInParallel
from ..backend.threads import prepare_process, prepared_backend
from ..data.sets import DataSet
from ..errors import BackendError, TrainingError
from ..spec.layers import Network, Shape
from ..spec.recipe import Recipe
from ..training.choice import default_trainer
from ..training.folders import default_folder
from ..training.interval import wilson
from ..training.loop import WEIGHTS, Listener, TrainingRun
from .arguments import check_recipe, flag, number, path_of, threads_of
from .common import Report, network_and_data, weights_of


@dataclass(frozen=True)
class Trained:
    """What `train` returns: the run with its settings, and its epochs so far.

    `finished` is False if it was stopped after `step` of `run.steps`; its checkpoint is saved.
    """

    run: TrainingRun
    finished: bool
    step: int
    epochs: tuple[Any, ...]

    @property
    def weights(self) -> Path:
        """The weights file that a finished run leaves."""
        return self.run.folder / WEIGHTS

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the last epoch's test accuracy (Wilson). Raises
        `TrainingError` if no epoch has ended.
        """
        if not self.epochs:
            raise TrainingError(
                f"{self.run.folder}: no epoch has ended, so there is no test accuracy; go on with"
                " `resume=True`"
            )
        return wilson(self.epochs[-1].test_accuracy, len(self.run.data.test.labels))

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        run = self.run
        return {
            "name": run.network.name,
            "framework": run.backend.name,
            "data": run.data.description,
            "recipe": run.recipe.to_json(),
            "train_image_count": len(run.data.train.labels),
            "test_image_count": len(run.data.test.labels),
            "finished": self.finished,
            "step": self.step,
            "steps": run.steps,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "folder": str(run.folder),
        }


def train(
    network: str | Network = "googlenet",
    data: str | os.PathLike[str] | DataSet = "digits",
    recipe: Recipe = Recipe(),
    *,
    framework: str | None = None,
    out: str | os.PathLike[str] | None = None,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    weights: Mapping[str, Array] | str | os.PathLike[str] | None = None,
    key: str | None = None,
    head: str | None = None,
    new_head: bool = False,
    initializer: str = "xavier_uniform",
    data_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 10.0,
    device: str | None = None,
    parallel: bool = False,
    threads: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda line: None,
    report: Report = lambda what, done, total: None,
    begins: Callable[[TrainingRun], Listener] = lambda run: Listener(),
) -> Trained:
    """Train `network` on `data` as `recipe` says, by default as section 8.4 of *Dive into Deep
    Learning* does.

    `network` is a name or a `Network`, `input_shape` (C, H, W); a network given by name has as many
    classes as the data. `data` is what `load_data` accepts, or a `DataSet` of that shape.
    `framework` is by default the first installed one that trains. Initial weights come from the
    file `weights`, or are drawn by `initializer` from the recipe's seed, the same in every
    framework. `key` says which model of the file is meant, if it has several, and `head` what its
    classifier is called; `new_head` draws new classifiers, as for other classes than the file's.
    Log, checkpoints (every `checkpoint_minutes` and after each epoch) and weights go to the folder
    `out`, by default one below `runs` that is named after all that makes runs differ: network,
    data, framework, seed, size and recipe; `resume` continues the run that is there, bit for bit.
    `parallel` is for several processes that a framework's own launcher has started.

    `stop` is called after each step; if it returns True, the run is saved and ends. `tell` is
    called with lines of advice, `report` with the progress of downloads, resizing and the
    framework's import; `begins` is called with the run before its first step, and returns what is
    to be told of its progress.

    Raises `UnknownNameError`, `BackendError`, `SpecError`, `ShapeError`, `DataError`,
    `WeightsError`, `DeviceError` or `TrainingError`, with what to do.
    """
    threads = threads_of(threads)
    check_recipe(recipe)
    resume, parallel = flag("resume", resume), flag("parallel", parallel)
    checkpoint_minutes = number("checkpoint_minutes", checkpoint_minutes, 0)
    given = None if out is None else path_of("out", out)
    prepare_process(threads)
    named = canonical_name(framework) if framework is not None else default_trainer(tell=tell)
    report(f"loading {named}", 0, 0)
    backend = prepared_backend(named, threads)
    if not isinstance(backend, Trains):
        raise BackendError(
            f"framework '{named}': its backend has no trainer; choose another `framework`"
        )
    if parallel and not isinstance(backend, TrainsInParallel):
        raise BackendError(
            f"framework '{named}': can only train in one process; leave out `parallel=True`"
        )
    spec, loaded = network_and_data(
        network,
        data,
        num_classes=num_classes,
        input_shape=input_shape,
        aux=aux,
        dialect=dialect,
        data_dir=data_dir,
        report=report,
    )
    run = TrainingRun(
        backend=backend,
        network=spec,
        params=weights_of(
            weights,
            spec,
            seed=recipe.seed,
            initializer=initializer,
            key=key,
            head=head,
            new_head=flag("new_head", new_head),
            tell=tell,
        ),
        data=loaded,
        recipe=recipe,
        folder=given or Path("runs"),
        resume=resume,
        checkpoint_seconds=60 * checkpoint_minutes,
        device=device,
        parallel=parallel,
        initializer=initializer if weights is None else None,
        stop=stop,
    )
    if given is None:
        parts = (spec.name, loaded.name, named, f"seed{recipe.seed}")
        run.folder = default_folder(parts, spec, recipe, run.settings)
    run.listener = begins(run)
    outcome = run.train()
    return Trained(run, outcome.finished, outcome.step, outcome.epochs)
