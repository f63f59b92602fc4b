"""An exact problem and its answers as files in one folder, for the workers of a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ...files import write_atomically
from ...spec.loss import Loss
from ...spec.serial import from_json, to_json
from ...weights.files import load_params, save_params
from ..parity.problem import Problem
from .problem import ExactProblem

SETTINGS, WEIGHTS, ARRAYS = "exact.json", "exact.safetensors", "exact.npz"


def save_exact(folder: Path, exact: ExactProblem) -> None:
    """Write `exact` to `folder`. Raises `OSError` if that cannot be done."""
    problem = exact.problem
    values = {
        "network": to_json(problem.network),
        "loss": asdict(problem.loss),
        "value": exact.loss,
        "largest_sum": exact.largest_sum,
        "largest_sum_at": exact.largest_sum_at,
        "attempts": exact.attempts,
    }
    save_params(folder / WEIGHTS, problem.network, problem.params)
    arrays = {
        "images": problem.images,
        "labels": problem.labels,
        **{f"output {name}": array for name, array in exact.outputs.items()},
        **{f"gradient {path}": array for path, array in exact.gradients.items()},
    }
    np.savez(folder / ARRAYS, **arrays)  # type: ignore[arg-type]  # its stub forbids any keyword
    write_atomically(folder / SETTINGS, json.dumps(values).encode())


def load_exact(folder: Path) -> ExactProblem | None:
    """What `save_exact` wrote to `folder`; None if it wrote nothing."""
    if not (folder / SETTINGS).exists():
        return None
    values = json.loads((folder / SETTINGS).read_text())
    network, weights = from_json(values["network"]), values["loss"]["aux_weights"]
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    problem = Problem(
        network,
        load_params(folder / WEIGHTS, network),
        held["images"],
        held["labels"],
        Loss(values["loss"]["label_smoothing"], None if weights is None else tuple(weights)),
    )
    return ExactProblem(
        problem,
        _named(held, "output "),
        values["value"],
        _named(held, "gradient "),
        values["largest_sum"],
        values["largest_sum_at"],
        values["attempts"],
    )


def _named(held: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array for name, array in held.items() if name.startswith(prefix)
    }
