"""What the cases compute with the reference alone: the same for every backend, so that it is kept
in the folder that the environment variable `GOOGLENET_ANSWERS` names, if it names one.

What is kept is found again only by the same code of this package, the same network and the same
bytes of weights, images and labels.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from ...spec.analysis import count_multiply_adds
from ...spec.layers import Network
from ...spec.recipe import Recipe
from ...spec.serial import to_json
from ...temporary import temporary_folder
from ...version import source_digest
from ..exact.files import load_exact, save_exact
from ..exact.problem import ExactProblem, draw_problem
from ..parity.compare import Yardsticks, measure
from ..parity.files import load_yardsticks, save_yardsticks
from ..parity.problem import Problem
from ..parity.tolerance import forward_yardstick
from ..parity.trajectory import TrajectoryYardstick, trajectory_yardstick

FOLDER: Final = "GOOGLENET_ANSWERS"
#: Networks with fewer multiply-adds for an image are computed in less time than they are read.
LEAST: Final = 500_000

_Answer = TypeVar("_Answer")


def measured(problem: Problem, *, gradients: bool = True, train_steps: int = 0) -> Yardsticks:
    """As `measure` answers."""
    return _yardsticks(
        problem,
        ("measure", gradients, train_steps),
        lambda: measure(problem, gradients=gradients, train_steps=train_steps),
    )


def forward_measured(problem: Problem, *, chunk: int) -> dict[str, float]:
    """As `forward_yardstick` answers."""
    found = _yardsticks(
        problem,
        ("forward", chunk),
        lambda: Yardsticks(forward_yardstick(problem, chunk=chunk), None),
    )
    return dict(found.forward)


def trajectory_measured(
    problem: Problem, *, recipe: Recipe, steps: int, size: int
) -> TrajectoryYardstick:
    """As `trajectory_yardstick` answers."""
    found = _yardsticks(
        problem,
        ("trajectory", asdict(recipe), steps, size),
        lambda: Yardsticks(
            {}, None, trajectory_yardstick(problem, recipe=recipe, steps=steps, size=size)
        ),
    )
    return found.trajectory


def drawn(network: Network, *, gradients: bool = True) -> ExactProblem:
    """As `draw_problem` answers."""
    return _kept(
        network,
        ["exact", gradients],
        lambda: draw_problem(network, gradients=gradients),
        save_exact,
        _exact,
    )


def _exact(folder: Path) -> ExactProblem:
    found = load_exact(folder)
    if found is None:
        raise FileNotFoundError(folder)
    return found


def _yardsticks(
    problem: Problem, what: tuple[Any, ...], compute: Callable[[], Yardsticks]
) -> Yardsticks:
    arrays = {**problem.params, "images": problem.images, "labels": problem.labels}
    told = [*what, asdict(problem.loss)]
    if where() is not None:
        told += [[name, *_fingerprint(array)] for name, array in sorted(arrays.items())]
    return _kept(problem.network, told, compute, save_yardsticks, load_yardsticks)


def _fingerprint(array: np.ndarray[Any, Any]) -> tuple[str, list[int], str]:
    data = np.ascontiguousarray(array)
    return str(data.dtype), list(data.shape), hashlib.sha256(data.data).hexdigest()


def where() -> Path | None:
    """The folder in which answers are kept, if there is one."""
    name = os.environ.get(FOLDER)
    return Path(name) if name else None


@cache
def _code() -> str:
    return source_digest()


def _kept(
    network: Network,
    what: list[Any],
    compute: Callable[[], _Answer],
    save: Callable[[Path, _Answer], None],
    load: Callable[[Path], _Answer],
) -> _Answer:
    """The answer that `load` finds in the folder of this question; the first time `compute` gives
    it and `save` writes it there. Whatever is not as `save` wrote it is an error.
    """
    folder = where()
    if folder is None or count_multiply_adds(network) < LEAST:
        return compute()
    question = json.dumps([_code(), to_json(network, labels=True), what])
    place = folder / hashlib.sha256(question.encode()).hexdigest()
    with suppress(FileNotFoundError):
        return load(place)
    answer = compute()
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_folder("answers", folder) as made:
        save(made, answer)
        with suppress(OSError):  # another process was first
            made.rename(place)
    return answer
