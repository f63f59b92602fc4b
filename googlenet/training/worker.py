"""One framework's run in a race, in its own process: the task of its job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backend.discovery import get_backend
from ..backend.protocols import Trains
from ..backend.threads import use_threads
from ..data.sets import load_data
from ..errors import BackendError
from ..jobs.job import Report
from ..jobs.signals import stopping
from ..jobs.workers import GRACE
from ..spec.recipe import Recipe
from ..spec.serial import from_json
from ..weights.files import load_params
from .loop import Listener, TrainingRun

#: The stage in which steps are taken.
STEPS = "steps"


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """Train in `folder` as `values` say, or resume what is there; returns whether it finished,
    and after how many steps. Raises what `TrainingRun` and the backend raise.
    """
    backend = get_backend(framework)
    if not isinstance(backend, Trains):
        raise BackendError(f"framework '{framework}': its backend has no trainer")
    use_threads(backend)
    network = from_json(values["network"])
    with stopping() as heard:
        run = TrainingRun(
            backend=backend,
            network=network,
            params=load_params(values["weights"], network),
            data=load_data(values["data"], network.input_shape),
            recipe=Recipe.from_json(values["recipe"]),
            folder=folder,
            resume=True,
            wait=GRACE,  # of a race that was killed, the worker may still save
            stop=lambda: bool(heard),
        )
        run.listener = Listener(
            started=lambda position, per_epoch, steps: report(STEPS, position.step, steps),
            step=lambda step, loss, accuracy, speed: report(STEPS, step, run.steps),
            tested=lambda done, total: report("test images", done, total),
        )
        outcome = run.train()
    return {"finished": outcome.finished, "step": outcome.step}
