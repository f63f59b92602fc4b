"""What every parity worker is asked, as files in one folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...files import write_atomically
from ...spec.loss import Loss
from ...spec.serial import from_json, to_json
from ...weights.files import load_params, save_params
from .compare import Yardsticks
from .problem import Problem
from .tolerance import StepYardstick


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
            "network": to_json(problem.network),
            "chunk": self.chunk,
            **asdict(problem.loss),
            "yardsticks": asdict(self.yardsticks),
        }
        write_atomically(folder / "question.json", json.dumps(values).encode())
        save_params(folder / "weights.safetensors", problem.network, problem.params)
        np.save(folder / "images.npy", problem.images)
        np.save(folder / "labels.npy", problem.labels)


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
    yardsticks = values["yardsticks"]
    step = yardsticks["step"]
    measured = Yardsticks(
        yardsticks["forward"],
        None if step is None else StepYardstick(**step),
        yardsticks["trajectory"],
    )
    return Question(problem, values["chunk"], measured)
