"""How many threads a framework computes with, and that it keeps quiet: by the environment in which
it is imported, and by a backend's own hook once it is.
"""

from __future__ import annotations

import os

from .protocols import Backend, SetsThreads

#: What frameworks and their libraries take the number from. MXNet and Paddle read it once, as they
#: are imported, and use too few without.
NAMES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def thread_variables(threads: int | None = None, *, processes: int = 1) -> dict[str, str]:
    """Environment variables for a process that uses `threads`; by default its part of all cores,
    where `processes` share them.
    """
    count = threads or max((os.cpu_count() or 1) // processes, 1)
    return dict.fromkeys(NAMES, str(count))


#: What keeps frameworks from telling of themselves.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "GLOG_v": "3"}


def prepare_process(threads: int | None) -> None:
    """Set both for this process, before a framework is imported: what is set outside stays, a
    number of threads unless one is given.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name, value in thread_variables(threads).items():
        if threads is not None or name not in os.environ:
            os.environ[name] = value


def thread_count() -> int:
    """How many threads the environment asks for: what `OMP_NUM_THREADS` says, else all cores."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # "4,2" nests
    return int(first) if first.isdecimal() and int(first) else os.cpu_count() or 1


def use_threads(backend: Backend, threads: int | None = None) -> None:
    """Have `backend` compute with `threads`, by default as many as the environment asks for; one
    without the hook `set_threads` is left as the environment has made it.

    Called once, after the backend is imported and before it builds anything.
    """
    if isinstance(backend, SetsThreads):
        backend.set_threads(threads or thread_count())
