"""A race: several frameworks train in turn from the same weights, on the same bytes in the same
order, each in its own process.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..data.dataset import DataSet
from ..data.prepared import ARRAYS, DESCRIPTION, save_data
from ..errors import BackendError, TrainingError, WeightsError
from ..files import write_atomically
from ..jobs.job import Job, run_job
from ..paths import kind_at
from ..spec.layers import Network
from ..spec.recipe import Recipe
from ..spec.serial import to_json
from ..weights.files import load_params, save_params
from ..weights.initial import init_params
from .checkpoint import check_same
from .folders import CURVES, check_free, locked, make_folder
from .log import LOG, epochs_of, read_log
from .loop import digest
from .position import Epoch

#: The file in a race's folder with all standings, and the folder there with its images.
RESULTS, DATA = "results.json", "data"

#: What a race writes to its folder, besides its runs and their initial weights.
_WRITES = (*(f"{DATA}/{name}.npy" for name in ARRAYS), f"{DATA}/{DESCRIPTION}", RESULTS, CURVES)

#: Called often with the framework, the seed, the stage, how much of it is done, and how much there
#: is.
Progress = Callable[[str, int, str, int, int], None]


@dataclass(frozen=True)
class RaceRun:
    """One framework's run from one seed: its epochs, or in `error` why it did not finish."""

    framework: str
    seed: int
    folder: Path
    epochs: tuple[Epoch, ...] = ()
    version: str = ""
    error: str | None = None

    @property
    def examples_per_second(self) -> float:
        """The median over epochs, so that compilation in the first one does not count."""
        return (
            statistics.median(epoch.examples_per_second for epoch in self.epochs)
            if self.epochs
            else math.nan
        )


@dataclass(frozen=True)
class RaceOptions:
    """How to race: interpreters by framework, threads for each, and seconds without progress before
    a worker is killed.
    """

    interpreters: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    timeout: float = 1800.0


def run_race(
    network: Network,
    data: DataSet,
    recipe: Recipe,
    frameworks: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    initializer: str = "xavier_uniform",
    options: RaceOptions = RaceOptions(),
    progress: Progress = lambda framework, seed, stage, done, total: None,
    finished: Callable[[RaceRun], None] = lambda run: None,
) -> list[RaceRun]:
    """Train `network` as `recipe` says in each of `frameworks` from each of `seeds`, which take the
    place of the recipe's, one after another; their runs are in `folder`.

    The images are prepared and the initial weights drawn here, once. A run that is already there
    is resumed, or counts if it has finished; one that fails does not stop the others. Raises
    `TrainingError` if files cannot be written, if the folder holds another race, which stays as it
    is, or if a run turns out to have started differently.
    """
    with locked(folder):
        begun = _check_folder(folder, network, data, recipe)
        starts: dict[int, Path] = {}
        for seed in seeds:
            starts[seed] = start = folder / f"start-seed{seed}.safetensors"
            drawn = digest(init_params(network, seed=seed, initializer=initializer))
            for framework in frameworks:
                _check_start(folder / f"{framework}-seed{seed}", data.digest, drawn)
            if not kind_at(start, TrainingError):
                continue
            if _start_of(start, network) != drawn:
                raise TrainingError(
                    f"{start}: does not hold this race's initial weights; give another `out`"
                )
            begun = True
        if not begun:
            check_free(folder, _WRITES)
            seed, start = next(iter(starts.items()))  # by which a race that is killed is known
            save_params(start, network, init_params(network, seed=seed, initializer=initializer))
        save_data(folder / DATA, data)
        runs: list[RaceRun] = []
        for seed, start in starts.items():
            params = init_params(network, seed=seed, initializer=initializer)
            save_params(start, network, params)
            asked = {
                "network": to_json(network),
                "recipe": replace(recipe, seed=seed).to_json(),
                "data": str(folder.absolute() / DATA),
                "weights": str(start.absolute()),
            }
            for framework in frameworks:
                run = _run_one(framework, seed, folder, asked, options, progress)
                if run.error is None:
                    _check_start(run.folder, data.digest, digest(params))
                runs.append(run)
                finished(run)
        return runs


def _check_folder(folder: Path, network: Network, data: DataSet, recipe: Recipe) -> bool:
    """Whether a run of this race has begun in `folder`. Raises `TrainingError` if one of another
    race has, before anything there is written.
    """
    settings = {
        "network": to_json(network),
        "recipe": recipe.to_json(),
        "data": {"name": data.name, "digest": data.digest},
    }
    wanted = json.loads(json.dumps(settings))  # as a log returns them
    begun = False
    for log in sorted(folder.glob(f"*-seed*/{LOG}")):
        for began in _started(log):
            made = {name: began.get(name) for name in wanted}
            seed = (made["recipe"] or {}).get("seed")  # each run has one of its own
            check_same(log, made, {**wanted, "recipe": {**wanted["recipe"], "seed": seed}})
            begun = True
    return begun


def _start_of(path: Path, network: Network) -> str | None:
    """The digest of the weights in a file; None if they are not those of `network`."""
    try:
        return digest(load_params(path, network))
    except WeightsError:
        return None


def _run_one(
    framework: str,
    seed: int,
    folder: Path,
    asked: Mapping[str, Any],
    options: RaceOptions,
    progress: Progress,
) -> RaceRun:
    run = folder / f"{framework}-seed{seed}"
    make_folder(run)
    job = Job(
        "googlenet.training.worker:answer",
        framework,
        asked,
        memory_hint="give a smaller `batch_size`",
    )
    answer = run_job(
        job,
        run,
        name="worker",
        interpreter=options.interpreters.get(framework),
        threads=options.threads,
        timeout=options.timeout,
        report=partial(progress, framework, seed),
        gentle=True,
    )
    try:
        ended = answer.give(_Ended.of) if answer.error is None else None
        events = read_log(run / LOG) if kind_at(run / LOG, TrainingError) else []
    except (BackendError, TrainingError) as error:
        return RaceRun(framework, seed, run, error=answer.error or str(error))
    epochs = epochs_of(events)
    version = str(events[0].get("framework_version", "")) if events else ""
    failed = answer.error
    if ended is not None and not ended.finished:
        failed = f"was stopped after step {ended.step}"
    elif ended is not None and len(epochs) != asked["recipe"]["epochs"]:
        failed = (
            f"{run / LOG}: has {len(epochs)} epochs of {asked['recipe']['epochs']}, though the"
            " worker says that it has finished"
        )
    return RaceRun(framework, seed, run, epochs, version, failed)


@dataclass(frozen=True)
class _Ended:
    """What a worker answers."""

    finished: bool
    step: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Ended:
        return cls(**values)


def _started(log: Path) -> list[dict[str, Any]]:
    """The start of a log; nothing if there is none yet, or if it is damaged: then the run that it
    belongs to fails, and not the race.
    """
    try:
        return read_log(log)[:1] if kind_at(log, TrainingError) else []
    except TrainingError:
        return []


def _check_start(run: Path, data: str, weights: str) -> None:
    """Raises `TrainingError` unless the run's own log says that it started as all others did."""
    for began in _started(run / LOG):
        for what, expected in (("data", data), ("weights", weights)):
            if began[what]["digest"] != expected:
                raise TrainingError(
                    f"{run}: started with {what} that are not this race's; give another `out`"
                )


@dataclass(frozen=True)
class Standing:
    """What a framework reached over its seeds: means of the last epochs, and the spread (standard
    deviation) if there are several.
    """

    framework: str
    runs: tuple[RaceRun, ...]

    @property
    def ended(self) -> tuple[RaceRun, ...]:
        """The runs that finished."""
        return tuple(run for run in self.runs if run.error is None)

    def mean(self, name: str) -> float:
        """The mean over seeds of a field of the last epoch."""
        return statistics.fmean(self._last(name))

    def spread(self, name: str) -> float | None:
        """The standard deviation over seeds of a field of the last epoch; None for one seed."""
        values = self._last(name)
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def examples_per_second(self) -> float:
        """The median over seeds."""
        return statistics.median(run.examples_per_second for run in self.ended)

    def _last(self, name: str) -> list[float]:
        return [getattr(run.epochs[-1], name) for run in self.ended]

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        names = ("loss", "train_accuracy", "test_loss", "test_accuracy")
        means = (
            {
                name: {"mean": self.mean(name), "standard_deviation": self.spread(name)}
                for name in names
            }
            if self.ended
            else {}
        )
        return {
            "framework": self.framework,
            **means,
            "examples_per_second": self.examples_per_second if self.ended else None,
            "runs": [
                {
                    "seed": run.seed,
                    "version": run.version,
                    "error": run.error,
                    "folder": str(run.folder),
                    "epochs": [asdict(epoch) for epoch in run.epochs],
                }
                for run in self.runs
            ],
        }


def standings(runs: Sequence[RaceRun]) -> list[Standing]:
    """One for each framework, in the order of the race."""
    names = list(dict.fromkeys(run.framework for run in runs))
    return [Standing(name, tuple(run for run in runs if run.framework == name)) for name in names]


def write_results(path: Path, runs: Sequence[RaceRun]) -> None:
    """Write all standings as JSON to a file, which is complete at any moment. Raises
    `TrainingError` if it cannot be written.
    """
    text = json.dumps([standing.to_json() for standing in standings(runs)], indent=2) + "\n"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror or error})") from error
