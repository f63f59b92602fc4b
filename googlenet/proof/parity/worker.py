"""One framework's part of a parity run, in its own process: the task of its job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...backend.discovery import get_backend
from ...backend.threads import use_threads
from ...jobs.job import Report
from .compare import compare
from .files import load


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """The comparison of `framework` on the question in `folder`, ready for JSON. Raises what the
    backend raises.
    """
    backend = get_backend(framework)
    use_threads(backend)
    question = load(folder)
    comparison = compare(
        backend, question.problem, question.yardsticks, chunk=question.chunk, report=report
    )
    return comparison.to_json()
