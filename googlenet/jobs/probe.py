"""What a backend can do, found out in a separate process, since only importing it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backend.discovery import get_backend
from ..backend.protocols import capabilities
from ..temporary import temporary_folder
from .job import Job, Report, run_job

#: The number of seconds that importing a framework may take.
TIMEOUT = 300.0


def probe(
    framework: str, *, interpreter: str | None = None, timeout: float = TIMEOUT
) -> frozenset[str]:
    """What `framework` can do, keys of `googlenet.backend.protocols.CAPABILITIES`; this process
    imports nothing, and nothing is printed.

    `interpreter` is the Python that has the framework, by default this one. Raises `BackendError`
    if the backend cannot be imported, or if importing it crashes or takes more than `timeout`
    seconds.
    """
    with temporary_folder("probe") as folder:
        hint = "import it by hand to see why"
        job = Job("googlenet.jobs.probe:answer", framework, timeout_hint=hint)
        found = run_job(job, folder, interpreter=interpreter, timeout=timeout)
    found.check(framework, "its backend cannot be imported")
    return found.give(_Probed.of).capabilities


@dataclass(frozen=True)
class _Probed:
    capabilities: frozenset[str]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Probed:
        return cls(frozenset(values["capabilities"]))


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """What a worker answers. Raises `BackendError` if the backend cannot be imported."""
    return {"capabilities": sorted(capabilities(get_backend(framework)))}
