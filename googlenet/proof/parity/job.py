"""What a parity worker is asked and answers, as files in one folder: frameworks print where they
like, so no pipe is used.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array, Params
from ...files import write_atomically
from ...spec.layers import Network
from ...spec.loss import Loss
from ...spec.serial import from_json, to_json
from ...weights.files import load_params, save_params
from .compare import Yardsticks
from .rows import Row
from .tolerance import StepYardstick


@dataclass(frozen=True)
class Job:
    """One network on one set of images and weights, and how far float32 strays there; the same for
    every framework.
    """

    network: Network
    chunk: int
    label_smoothing: float
    yardsticks: Yardsticks

    @property
    def loss(self) -> Loss:
        """The loss whose gradients are compared."""
        return Loss(label_smoothing=self.label_smoothing)

    def save(self, folder: Path, params: Params, images: Array, labels: Array) -> None:
        """Write the job and its arrays into `folder`."""
        values = {
            "network": to_json(self.network),
            "chunk": self.chunk,
            "label_smoothing": self.label_smoothing,
            "yardsticks": asdict(self.yardsticks),
        }
        write_atomically(folder / "job.json", json.dumps(values).encode())
        save_params(folder / "weights.safetensors", self.network, params)
        np.save(folder / "images.npy", images)
        np.save(folder / "labels.npy", labels)

    @classmethod
    def load(cls, folder: Path) -> tuple[Job, Params, Array, Array]:
        """The job in `folder`, with its weights, images and labels."""
        text = json.loads((folder / "job.json").read_text())
        yardsticks = text["yardsticks"]
        step = yardsticks["step"]
        measured = Yardsticks(
            yardsticks["forward"],
            None if step is None else StepYardstick(**step),
            yardsticks["trajectory"],
        )
        job = cls(from_json(text["network"]), text["chunk"], text["label_smoothing"], measured)
        params = load_params(folder / "weights.safetensors", job.network)
        return job, params, np.load(folder / "images.npy"), np.load(folder / "labels.npy")


def row_to_json(row: Row) -> dict[str, Any]:
    """A row with whole-word keys; an infinite error, which JSON has not, as null."""
    return {
        "name": row.name,
        "error": row.error if np.isfinite(row.error) else None,
        "limit": row.limit,
        "passed": row.passed,
    }


def row_from_json(values: dict[str, Any]) -> Row:
    """The inverse of `row_to_json`."""
    return Row(
        values["name"], np.inf if values["error"] is None else values["error"], values["limit"]
    )
