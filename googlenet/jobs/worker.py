"""A worker's process: `python -m googlenet.jobs.worker FOLDER NAME` does the job
FOLDER/NAME.job.json and writes its answer to FOLDER/NAME.json; see `googlenet.jobs.job`.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..backend.discovery import framework_version
from ..errors import BackendError, GoogLeNetError
from ..files import write_atomically
from ..version import __version__, source_digest
from .job import LOADING, different_code
from .workers import GRACE, GUARDED, SAFE_PATH, end_with_parent


def work(folder: Path, name: str) -> dict[str, Any]:
    """The answer to a job, ready for JSON: its values or its error, and what produced them."""
    started = time.perf_counter()
    job = json.loads((folder / f"{name}.job.json").read_text())
    framework = job["framework"]
    progress = folder / f"{name}.progress.json"

    def report(stage: str, done: int, total: int) -> None:
        # Renamed, so that the reader never sees half of it; not flushed, since it is written often.
        temporary = progress.with_suffix(".tmp")
        temporary.write_text(json.dumps([stage, done, total]))
        os.replace(temporary, progress)

    report(LOADING, 0, 0)
    answer: dict[str, Any] = {}
    versions = {"googlenet": __version__}
    try:
        # Before any work, which different code might do differently.
        if mismatch := different_code(job["version"], job["source"], source_digest()):
            raise BackendError(mismatch)
        module, _, function = job["task"].partition(":")
        task = getattr(importlib.import_module(module), function)
        answer["values"] = task(framework, job["values"], folder, report)
        versions |= {
            framework: framework_version(framework),
            "numpy": np.__version__,
            "python": platform.python_version(),
        }
    except GoogLeNetError as error:
        answer |= {
            "error": str(error),
            "raised": type(error).__name__,
            "details": error.details,
        }
    except MemoryError:
        answer["error"] = f"ran out of memory; {job['memory_hint']}"
    # A framework may raise anything: only its own job fails, and the log keeps the traceback.
    except Exception as error:
        traceback.print_exc()
        first = next(iter(str(error).strip().splitlines()), "no message")
        answer["error"] = f"{type(error).__name__}: {first}"
    return {
        **answer,
        "versions": versions,
        "source": source_digest(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "seconds": time.perf_counter() - started,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _leave() -> None:
    """Stop as if asked to, which lets a task save, and then by force."""
    if GUARDED not in os.environ:  # a guard has asked already: asked twice, a task does not save
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def main() -> None:
    """Answer, whatever happens: the parent reads the file, not the exit code."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    # What the task starts may again import from the folder in which it is run.
    os.environ.pop(SAFE_PATH, None)
    end_with_parent(_leave)
    write_atomically(folder / f"{name}.json", json.dumps(work(folder, name)).encode())
    # Some frameworks crash while they unload; the answer is written, so exit without unloading.
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # which the task may have closed or replaced
            stream.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
