"""How far a training run is, in one safetensors file that is complete at any moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array, Params
from ..budget import bounded_json, limited
from ..errors import GoogLeNetError, TrainingError, WeightsError
from ..files import write_atomically
from ..spec.layers import Network
from ..spec.recipe import Recipe
from ..typed import MALFORMED
from ..version import __version__
from ..weights.check import check_params
from ..weights.files import CHECKPOINT_FORMAT, read_safetensors, safetensors_bytes
from .position import Epoch as Epoch  # its place in 0.2
from .position import Position as Position


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
        "position": checkpoint.position.to_json(),
        DIGESTS: json.dumps({name: _digest(name, array) for name, array in arrays.items()}),
    }
    metadata[DIGEST] = _digest_of_metadata(metadata)
    try:
        write_atomically(path, safetensors_bytes(arrays, metadata))
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written ({error.strerror or error}); {kept(path)}"
        ) from error


#: The keys of a checkpoint's metadata: those of 0.2 and before, and those that came after it, a
#: digest of every array and one of the rest.
OLD_KEYS = frozenset({"format", "version", "settings", "position"})
DIGESTS, DIGEST = "digests", "digest"


def _digest(name: str, array: Array) -> str:
    """SHA-256 of an array: its name, dtype, shape and bytes."""
    found = hashlib.sha256(f"{name} {array.dtype.str} {array.shape} ".encode())
    found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _digest_of_metadata(metadata: Mapping[str, str]) -> str:
    rest = {name: text for name, text in metadata.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


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


def load_checkpoint(
    path: Path, network: Network, settings: Mapping[str, Any], *, per_epoch: int | None = None
) -> Checkpoint:
    """The checkpoint at `path` of a run of `network` with the same `settings`.

    `per_epoch` is the number of steps of an epoch, with which its position must agree. Raises
    `TrainingError`, naming the file, if it is not a checkpoint, is damaged, down to a single bit,
    or is of another network, recipe, framework or data.
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
        with limited(path, TrainingError):
            _check_digests(arrays, metadata)
            made = bounded_json(metadata["settings"])
            position = Position.of(bounded_json(metadata["position"]))
        if not isinstance(made, dict):
            raise ValueError("its settings are not an object")
    except MALFORMED as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    check_same(path, made, settings)
    try:
        if per_epoch is not None:
            position.check(Recipe.from_json(made["recipe"]), per_epoch)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    weights, velocity = (
        {name.removeprefix(kind): a for name, a in arrays.items() if name.startswith(kind)}
        for kind in PREFIXES
    )
    if len(weights) + len(velocity) < len(arrays):
        raise _damaged(path, "an array in it is neither a weight nor a velocity")
    try:
        params = check_params(network, weights, source=str(path))
    except GoogLeNetError as error:
        raise TrainingError(str(error)) from error
    for name, array in velocity.items():
        if name not in params or params[name].shape != array.shape or array.dtype.kind != "f":
            raise _damaged(path, f"its velocity of '{name}' does not fit the network")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise _damaged(path, f"'{name}' is not finite")
    return Checkpoint(made, position, params, velocity)


def _check_digests(arrays: Params, metadata: Mapping[str, str]) -> None:
    """Raises `ValueError`, naming what differs, unless all is as it was written. A checkpoint of
    0.2 or before has no digests.
    """
    if metadata.keys() == OLD_KEYS:
        return
    if metadata.keys() != {*OLD_KEYS, DIGESTS, DIGEST}:
        raise ValueError("its metadata are not those of a checkpoint that this version knows")
    if metadata[DIGEST] != _digest_of_metadata(metadata):
        raise ValueError("its metadata do not match their digest")
    digests = bounded_json(metadata[DIGESTS])
    for name in sorted({*digests, *arrays}):
        if name not in arrays or digests.get(name) != _digest(name, arrays[name]):
            raise ValueError(f"the array '{name}' does not match its digest")


def _damaged(path: Path, what: str) -> TrainingError:
    return TrainingError(
        f"{path}: is a damaged checkpoint ({' '.join(what.split())[:200]}); start again with"
        " another `out`"
    )


PREFIXES = ("weights/", "velocity/")


def check_same(path: Path, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises `TrainingError`, naming `path` and the first setting that differs, unless a run `made`
    with some settings is the one that is `wanted`.
    """
    for name in (*made, *wanted):
        before, now = made.get(name, MISSING), wanted.get(name, MISSING)
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                keys = [key for key in {**before, **now} if not _same(key, before, now)]
                owner = f"{name}'" if name.endswith("s") else f"{name}'s"
                name = f"{owner} {keys[0]}"
                before, now = before.get(keys[0], MISSING), now.get(keys[0], MISSING)
            raise TrainingError(
                f"{path}: was made with the {name} {_short(before)}, but this run has"
                f" {_short(now)}; give what was given then, or another `out`"
            )


#: What stands for a setting that is not there, which is another one than null.
MISSING = object()


def _same(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    found: bool = before.get(key, MISSING) == now.get(key, MISSING)
    return found


def _short(value: Any) -> str:
    text = "missing" if value is MISSING else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
