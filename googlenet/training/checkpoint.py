"""How far a training run is, in one safetensors file that is complete at any moment."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array, Params
from ..errors import GoogLeNetError, TrainingError, WeightsError
from ..files import write_atomically
from ..spec.layers import Network
from ..version import __version__
from ..weights.check import check_params
from ..weights.files import CHECKPOINT_FORMAT, read_safetensors, safetensors_bytes


@dataclass(frozen=True)
class Epoch:
    """One finished pass through the training images.

    `loss` in nats and `train_accuracy` are means over the training passes, while the weights
    changed, as in the book; `test_loss` (without label smoothing and auxiliary heads) and
    `test_accuracy` are for the weights after it. `seconds` counts only its steps.
    """

    epoch: int
    learning_rate: float
    loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    examples_per_second: float
    seconds: float


@dataclass(frozen=True)
class Position:
    """How far a run is: finished steps, the finished epochs, and the sums of the one in progress.

    `log_bytes` is how long the log was; what comes after that belongs to steps that will be taken
    again.
    """

    step: int = 0
    epochs: tuple[Epoch, ...] = ()
    loss_sum: float = 0.0
    correct: int = 0
    count: int = 0
    seconds: float = 0.0
    learning_rate: float = 0.0
    log_bytes: int = 0

    @property
    def epoch(self) -> int:
        """The number of the epoch in progress, from 0."""
        return len(self.epochs)


@dataclass(frozen=True)
class Checkpoint:
    """Weights with running statistics, the optimiser's velocity, the position, and the settings
    that define the run.
    """

    settings: Mapping[str, Any]
    position: Position
    params: Params
    velocity: Params = field(default_factory=dict)


def save_checkpoint(path: Path, network: Network, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` of `network` to `path`; an old one there is kept until the new one is
    complete.

    Raises `TrainingError` for weights that are not finite or a file that cannot be written; the old
    checkpoint is then unchanged.
    """
    params = _finite(path, network, checkpoint.params)
    arrays: dict[str, Array] = {f"weights/{name}": array for name, array in params.items()}
    for name, array in checkpoint.velocity.items():
        if not np.isfinite(array).all():
            raise TrainingError(_diverged(f"velocity of '{name}'", path))
        arrays[f"velocity/{name}"] = np.ascontiguousarray(array)
    metadata = {
        "format": CHECKPOINT_FORMAT,
        "version": __version__,
        "settings": json.dumps(checkpoint.settings),
        "position": json.dumps(asdict(checkpoint.position)),
    }
    try:
        write_atomically(path, safetensors_bytes(arrays, metadata))
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written ({error.strerror or error}); {kept(path)}"
        ) from error


def _finite(path: Path, network: Network, params: Params) -> Params:
    for name, array in params.items():
        if not np.isfinite(array).all():
            raise TrainingError(_diverged(f"weight '{name}'", path))
    try:
        return check_params(network, params)
    except WeightsError as error:
        raise TrainingError(f"{error}; {kept(path)}") from error


def _diverged(what: str, path: Path) -> str:
    return f"the {what} is not finite: training diverged; {kept(path)}; {AFTER_DIVERGENCE}"


#: What to do then: a run with another rate is another run.
AFTER_DIVERGENCE = "start again with a lower `learning_rate`, and another `out`"


def kept(path: Path) -> str:
    """What there is to go on from, where something could not be written."""
    return "the last checkpoint is unchanged" if path.exists() else "there is no checkpoint yet"


def load_checkpoint(path: Path, network: Network, settings: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint at `path` of a run of `network` with the same `settings`.

    Raises `TrainingError`, naming the file, if it is not a checkpoint, is damaged, or is of another
    network, recipe, framework or data.
    """
    try:
        arrays, metadata = read_safetensors(path)
    except WeightsError as error:
        raise TrainingError(str(error)) from error
    if metadata.get("format") != CHECKPOINT_FORMAT:
        raise TrainingError(
            f"{path}: is not a checkpoint of this project; give a weights file as `weights`"
        )
    try:
        made = json.loads(metadata["settings"])
        values = json.loads(metadata["position"])
        position = Position(
            **{**values, "epochs": tuple(Epoch(**epoch) for epoch in values["epochs"])}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path}: is a damaged checkpoint ({error}); start again with another `out`"
        ) from error
    check_same(path, made, settings)
    weights, velocity = (
        {name.removeprefix(kind): a for name, a in arrays.items() if name.startswith(kind)}
        for kind in PREFIXES
    )
    try:
        params = check_params(network, weights, source=str(path))
    except GoogLeNetError as error:
        raise TrainingError(str(error)) from error
    if not math.isfinite(position.loss_sum) or any(
        name not in params or params[name].shape != a.shape for name, a in velocity.items()
    ):
        raise TrainingError(
            f"{path}: is a damaged checkpoint: its velocity or position does not fit the network;"
            " start again with another `out`"
        )
    return Checkpoint(made, position, params, velocity)


PREFIXES = ("weights/", "velocity/")


def check_same(path: Path, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises `TrainingError`, naming `path` and the first setting that differs, unless a run `made`
    with some settings is the one that is `wanted`.
    """
    for name in (*made, *wanted):
        before, now = made.get(name), wanted.get(name)
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                key = next(key for key in {**before, **now} if before.get(key) != now.get(key))
                owner = f"{name}'" if name.endswith("s") else f"{name}'s"
                name, before, now = f"{owner} {key}", before.get(key), now.get(key)
            raise TrainingError(
                f"{path}: was made with the {name} {_short(before)}, but this run has"
                f" {_short(now)}; give what was given then, or another `out`"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
