"""One framework's part of a parity run, in its own process: `python -m
googlenet.proof.parity.worker FOLDER FRAMEWORK`.

Reads the job from FOLDER and writes `FRAMEWORK.json` there: the rows, or the error.
`FRAMEWORK.progress` says how far it is.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from ...backend.discovery import framework_version, get_backend
from ...backend.threads import use_threads
from ...errors import GoogLeNetError
from ...files import write_atomically
from ...jobs.workers import end_with_parent
from ...version import __version__, source_digest
from .compare import compare
from .job import Job


def run(folder: Path, framework: str) -> dict[str, Any]:
    """The answer of `framework` to the job in `folder`, ready for JSON."""
    started = time.perf_counter()
    progress = folder / f"{framework}.progress"
    progress.write_text("0")
    job = Job.load(folder)
    backend = get_backend(framework)
    use_threads(backend)
    comparison = compare(
        backend,
        job.problem,
        job.yardsticks,
        chunk=job.chunk,
        report=lambda done: _write(progress, done),
    )
    return {
        "passed": comparison.passed,
        "first_divergence": comparison.first_divergence,
        **comparison.to_json(),
        "versions": {
            "googlenet": __version__,
            framework: framework_version(framework),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "seconds": time.perf_counter() - started,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _write(path: Path, done: int) -> None:
    # Written beside and renamed, so that the reader never sees half a number.
    temporary = path.with_suffix(".progress.tmp")
    temporary.write_text(str(done))
    os.replace(temporary, path)


def main() -> None:
    """Answer, whatever happens: the parent reads the file, not the exit code."""
    folder, framework = Path(sys.argv[1]), sys.argv[2]
    end_with_parent(lambda: os._exit(1))
    try:
        answer = run(folder, framework)
    except GoogLeNetError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {
            "error": (
                "ran out of memory; give fewer images with --count or smaller pieces with --chunk"
            )
        }
    # a framework raises what it likes: it fails its row, and the log keeps the traceback
    except Exception as error:
        traceback.print_exc()
        answer = {
            "error": (
                f"{type(error).__name__}:"
                f" {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
            )
        }
    answer.setdefault("versions", {"googlenet": __version__})
    answer["source"] = source_digest()
    write_atomically(folder / f"{framework}.json", json.dumps(answer).encode())
    # Some frameworks crash while they unload; the answer is written, so leave without that.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
