"""What a backend can do, asked in a process of its own, since only importing it tells:
`python -m googlenet.jobs.probe FRAMEWORK FILE` writes its capabilities, or the error, to FILE.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from pathlib import Path

from ..backend.discovery import get_backend
from ..backend.protocols import capabilities
from ..errors import BackendError, GoogLeNetError
from ..files import write_atomically
from .workers import end_with_parent, failure, run_worker, worker_environment

#: Seconds that a framework has to be imported.
TIMEOUT = 120.0


def probe(
    framework: str, *, interpreter: str | None = None, timeout: float = TIMEOUT
) -> frozenset[str]:
    """What `framework` can do, keys of `googlenet.backend.protocols.CAPABILITIES`; this process
    imports nothing, and nothing is printed.

    `interpreter` is the Python that has the framework, by default this one. Raises `BackendError`
    if the backend cannot be imported, or crashes or takes more than `timeout` seconds meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="googlenet-probe-") as name:
        answer, log = Path(name) / "answer.json", Path(name) / "log"
        ending = run_worker(
            [interpreter or sys.executable, "-m", "googlenet.jobs.probe", framework, str(answer)],
            log,
            worker_environment(),
            look=lambda: None,  # nothing to see before the answer: a plain time limit
            timeout=timeout,
            stop=threading.Event(),
        )
        if not answer.exists():
            why = failure(ending, log, timeout=timeout, memory_hint="end other programs")
            raise BackendError(f"framework '{framework}': its backend cannot be imported: {why}")
        found = json.loads(answer.read_text())
    if "error" in found:
        raise BackendError(found["error"])
    return frozenset(found["capabilities"])


def main() -> None:
    """Answer in the file, so that a framework may print what it likes."""
    framework, answer = sys.argv[1], Path(sys.argv[2])
    end_with_parent(lambda: os._exit(1))
    try:
        found: dict[str, object] = {"capabilities": sorted(capabilities(get_backend(framework)))}
    except GoogLeNetError as error:
        found = {"error": str(error)}
    write_atomically(answer, json.dumps(found).encode())
    os._exit(0)  # some frameworks crash while they unload


if __name__ == "__main__":
    main()
