"""One framework's part of a parity run, in its own process: the task of its job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...backend.discovery import get_backend
from ...backend.precision import FULL_PRECISION
from ...backend.protocols import Backend, SetsPrecision
from ...backend.threads import use_threads
from ...jobs.job import Report
from ..exact.compare import compare_exact
from ..exact.files import load_exact
from .compare import EXACT, compare
from .files import load


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """The comparison of `framework` on the question in `folder`, ready for JSON, and the precision
    in which it computed. Raises what the backend raises.
    """
    backend, precision = prepared(framework)
    return compared(backend, precision, values, folder, report)


def prepared(framework: str) -> tuple[Backend, dict[str, str]]:
    """A backend that computes float32 in float32, and what was set for that. Called before anything
    imports the framework.
    """
    os.environ.update(FULL_PRECISION)  # before the framework is imported, which reads them
    precision = dict(FULL_PRECISION)
    backend = get_backend(framework)
    use_threads(backend)
    if isinstance(backend, SetsPrecision):
        precision |= backend.set_full_precision()
    return backend, precision


def compared(
    backend: Backend,
    precision: Mapping[str, str],
    values: Mapping[str, Any],
    folder: Path,
    report: Report,
) -> dict[str, Any]:
    """The comparison of `backend`, which may be another than its framework's own, as `answer`."""
    question = load(folder)
    comparison = compare(
        backend,
        question.problem,
        question.yardsticks,
        chunk=question.chunk,
        compiled=values.get("compiled", False),
        device=values.get("device"),
        report=report,
    )
    values_found = {**comparison.to_json(), "precision": dict(precision)}
    exact = load_exact(folder)
    if exact is not None:
        found = compare_exact(
            backend,
            exact,
            compiled=values["compiled"],
            device=values.get("device"),
            report=partial(report, EXACT),
        )
        values_found["exact"] = found.to_json()
    return values_found
