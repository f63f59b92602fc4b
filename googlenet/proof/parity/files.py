"""What every parity worker is asked, as files in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array
from ...files import write_atomically
from ...spec.loss import Loss
from ...spec.serial import from_json, to_json
from ...weights.files import load_params, save_params
from .compare import Yardsticks
from .problem import Problem
from .tolerance import StepYardstick
from .trajectory import StepStrays

YARDSTICKS = "yardsticks.json"


@dataclass(frozen=True)
class Question:
    """One problem, how many images go forward at a time, and how far float32 strays; the same for
    every framework.
    """

    problem: Problem
    chunk: int
    yardsticks: Yardsticks

    def save(self, folder: Path) -> None:
        """Write the question to `folder`, its arrays as separate files."""
        problem = self.problem
        values = {
            "network": to_json(problem.network, labels=True),  # for printed source
            "chunk": self.chunk,
            **asdict(problem.loss),
        }
        write_atomically(folder / "question.json", json.dumps(values).encode())
        save_params(folder / "weights.safetensors", problem.network, problem.params)
        np.save(folder / "images.npy", problem.images)
        np.save(folder / "labels.npy", problem.labels)
        save_yardsticks(folder, self.yardsticks)


def load(folder: Path) -> Question:
    """The question in `folder`, as `Question.save` wrote it."""
    values = json.loads((folder / "question.json").read_text())
    network, weights = from_json(values["network"]), values["aux_weights"]
    problem = Problem(
        network,
        load_params(folder / "weights.safetensors", network),
        np.load(folder / "images.npy"),
        np.load(folder / "labels.npy"),
        Loss(values["label_smoothing"], None if weights is None else tuple(weights)),
    )
    return Question(problem, values["chunk"], load_yardsticks(folder))


def save_yardsticks(folder: Path, yardsticks: Yardsticks) -> None:
    """Write `yardsticks` to `folder`. Raises `OSError` if that cannot be done."""
    np.savez(folder / "ties.npz", **_ties(yardsticks))  # type: ignore[arg-type]
    values = asdict(replace(yardsticks, **_without_ties(yardsticks)))
    write_atomically(folder / YARDSTICKS, json.dumps(values).encode())


def load_yardsticks(folder: Path) -> Yardsticks:
    """What `save_yardsticks` wrote to `folder`. Raises `OSError` if it wrote nothing."""
    yardsticks = json.loads((folder / YARDSTICKS).read_text())
    step = yardsticks["step"]
    with np.load(folder / "ties.npz", allow_pickle=False) as file:
        ties = dict(file)
    return Yardsticks(
        yardsticks["forward"],
        None if step is None else StepYardstick(**{**step, "ties": _of_step(ties, 0)}),
        [
            StepStrays(each["arrays"], _of_step(ties, number), each["unknown"])
            for number, each in enumerate(yardsticks["trajectory"], start=1)
        ],
    )


def _ties(yardsticks: Yardsticks) -> dict[str, Array]:
    """The ties of the single step, numbered 0, and of each step of the trajectory, by number and
    path.
    """
    steps = [yardsticks.step, *yardsticks.trajectory]
    return {
        f"{number}/{path}": array
        for number, step in enumerate(steps)
        if step is not None
        for path, array in step.ties.items()
    }


def _of_step(ties: Mapping[str, Array], number: int) -> dict[str, Array]:
    prefix = f"{number}/"
    return {
        name.removeprefix(prefix): array for name, array in ties.items() if name.startswith(prefix)
    }


def _without_ties(yardsticks: Yardsticks) -> dict[str, Any]:
    """What JSON cannot hold left out: arrays are in a file of their own."""
    step = yardsticks.step
    return {
        "step": None if step is None else replace(step, ties={}),
        "trajectory": [replace(each, ties={}) for each in yardsticks.trajectory],
    }
