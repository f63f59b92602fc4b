"""Train several frameworks in turn from the same start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..backend.discovery import chosen_frameworks
from ..data.batches import check_batch_size
from ..data.dataset import DataSet, check_classes
from ..errors import SpecError
from ..spec.layers import Network, Shape
from ..spec.recipe import Recipe
from ..spec.serial import to_json
from ..spec.traversal import num_classes as classes_of
from ..training.choice import entrants
from ..training.folders import default_folder
from ..training.race import (
    RESULTS,
    Progress,
    RaceOptions,
    RaceRun,
    Standing,
    run_race,
    standings,
    write_results,
)
from .arguments import by_framework, check_recipe, integer, path_of, seconds, several, threads_of
from .common import Report, network_and_data


@dataclass(frozen=True)
class Raced:
    """What `race` returns: every run, and the folder that they are in."""

    network: Network
    data: DataSet
    recipe: Recipe
    folder: Path
    runs: tuple[RaceRun, ...]

    @property
    def passed(self) -> bool:
        """Whether every run finished."""
        return all(run.error is None for run in self.runs)

    @property
    def standings(self) -> list[Standing]:
        """One for each framework, in the order of the race."""
        return standings(self.runs)

    @property
    def results(self) -> Path:
        """The JSON file with all standings, written after each run."""
        return self.folder / RESULTS

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        return {
            "name": self.network.name,
            "input_shape": list(self.network.input_shape),
            "data": self.data.description,
            "recipe": self.recipe.to_json(),
            "train_image_count": len(self.data.train.labels),
            "test_image_count": len(self.data.test.labels),
            "frameworks": [standing.to_json() for standing in self.standings],
            "folder": str(self.folder),
        }


#: Nobody waits for more runs of a framework.
MOST_SEEDS = 100_000


def race(
    network: str | Network = "googlenet",
    data: str | os.PathLike[str] | DataSet = "digits",
    recipe: Recipe = Recipe(),
    *,
    frameworks: str | Sequence[str] | None = None,
    seeds: int | Sequence[int] = 1,
    out: str | os.PathLike[str] | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    initializer: str = "xavier_uniform",
    data_dir: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    timeout: float = 1800.0,
    tell: Callable[[str], None] = lambda line: None,
    report: Report = lambda what, done, total: None,
    begins: Callable[[Raced], None] = lambda raced: None,
    progress: Progress = lambda framework, seed, stage, done, total: None,
    finished: Callable[[Raced], None] = lambda raced: None,
) -> Raced:
    """Train `network` on `data` as `recipe` says in each of `frameworks`, from each of `seeds`,
    which take the place of the recipe's; a number of seeds means those from 0.

    The arguments are those of `train`. `frameworks` are by default all that can train and are
    installed, or have an interpreter in `interpreters`. The runs follow one another, each in its
    own process, which is killed after `timeout` seconds without progress; a run that fails does
    not stop the others. Calling it again with the same arguments resumes a race that was stopped.

    `begins` is called with the race before its first run, `progress` with each run's stage, and
    `finished` after each run with the race so far; `tell` and `report` are as in `train`. Raises
    what `train` raises for bad arguments, and `TrainingError` if files cannot be written or a run
    began elsewhere.
    """
    if not isinstance(seeds, Iterable):
        seeds = range(integer("seeds", seeds, 1, MOST_SEEDS))
    chosen = tuple(dict.fromkeys(integer("seeds", seed, 0) for seed in seeds))
    if not chosen:
        raise SpecError("`seeds`: expected at least one, got none")
    threads = threads_of(threads)
    check_recipe(recipe)
    timeout = seconds(timeout)
    given = None if out is None else path_of("out", out)
    paths = by_framework("interpreters", interpreters)
    named = (
        None if frameworks is None else chosen_frameworks(several("frameworks", frameworks), paths)
    )
    taking_part = entrants(named, interpreters=paths, tell=tell)
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
    folder = given or default_folder(
        ("race", spec.name, loaded.name),
        spec,
        recipe,
        {
            "network": to_json(spec),
            "recipe": replace(recipe, seed=0).to_json(),  # each run has one of its own
            "data": loaded.digest,
            "initializer": initializer,
        },
    )
    check_classes(loaded, classes_of(spec))
    check_batch_size(recipe, loaded, spec)
    runs: list[RaceRun] = []

    def so_far() -> Raced:
        return Raced(spec, loaded, recipe, folder, tuple(runs))

    def ended(run: RaceRun) -> None:
        runs.append(run)
        write_results(folder / RESULTS, runs)
        finished(so_far())

    begins(so_far())
    run_race(
        spec,
        loaded,
        recipe,
        taking_part,
        chosen,
        folder,
        initializer=initializer,
        options=RaceOptions(paths, threads, timeout),
        progress=progress,
        finished=ended,
    )
    return so_far()
