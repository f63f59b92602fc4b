"""Weights of a user's own model, loaded into it by its framework."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backend.protocols import RunsOwn
from ..errors import BackendError, DataError
from ..jobs.own import users_code
from ..paths import kind_at
from .arguments import path_of
from .trace import drawn_images


def weights_file(weights: str | os.PathLike[str] | None) -> str | None:
    """Where a file of weights is, for another process. Raises `DataError` if it is none."""
    if weights is None:
        return None
    path: Path = path_of("weights", weights).absolute()
    if kind_at(path) != "file":
        raise DataError(f"{weights}: is not a file")
    return str(path)


def load_into(model: Any, backend: Any, values: Mapping[str, Any]) -> None:
    """Load the file of weights that `values` name, if they do, into a user's model of `backend`, in
    a worker. Raises `WeightsError` for one that does not fit, `BackendError` if the backend cannot.
    """
    if values["weights"] is None:
        return
    if not isinstance(backend, RunsOwn):
        raise BackendError(
            f"framework '{backend.name}': its backend cannot run models of users; name another"
            " framework"
        )
    with users_code(values["file"]):
        # Builds what is built lazily.
        backend.trace(model, drawn_images(tuple(values["input_shape"]), 0))
    backend.load(model, values["weights"])
