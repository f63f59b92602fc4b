"""How many threads a framework uses, and how it is kept quiet: through the environment in which it
is imported, and a backend's own hook after that.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .discovery import canonical_name, entry_points, get_backend
from .protocols import Backend, SetsThreads

#: Where frameworks and their libraries take the number from.
NAMES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def thread_variables(threads: int | None = None, *, processes: int = 1) -> dict[str, str]:
    """Environment variables for a process that uses `threads`; by default its share of all cores,
    among `processes`.
    """
    count = threads or max((os.cpu_count() or 1) // processes, 1)
    return dict.fromkeys(NAMES, str(count))


#: What keeps frameworks from printing about themselves. With 2, TensorFlow still mentions a GPU
#: that is not there. `GLOG_v` is not here: 3, which quiets MindSpore, makes Paddle print thousands
#: of lines.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def prepare_process(threads: int | None) -> None:
    """Set both for this process, before a framework is imported. What is already set stays, except
    the number of threads if one is given.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name, value in thread_variables(threads).items():
        if threads is not None or os.environ.get(name) in (None, _ours.get(name)):
            os.environ[name] = _ours[name] = value


@contextmanager
def openmp_threads(package: str, count: int) -> Iterator[bool]:
    """Around a plugin's import of its framework, the top-level `package`, that reads
    OMP_NUM_THREADS then and never again: as if that said `count`, whatever it says.

    Yields whether the framework is imported now; if the user has done so before, nothing changes.
    """
    if package in sys.modules:
        yield False
        return
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield True
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


#: The numbers of threads that this process has set for itself: nobody asked for them.
_ours: dict[str, str] = {}


def asked_for() -> dict[str, str]:
    """The environment without the numbers of threads that only this process has set."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _ours or value != _ours[name]
    }


#: Descriptor 2 is one for all threads: one import at a time may hold it.
_importing = threading.RLock()


@contextmanager
def importing_quietly() -> Iterator[None]:
    """Hold back what a framework prints on standard error while it is imported, including from C++,
    where TensorFlow obeys no variable; if the import fails, all of it is printed after all.
    """
    with _importing:
        try:
            before = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        with tempfile.TemporaryFile() as held:
            _flush()
            os.dup2(held.fileno(), 2)
            failed = True
            try:
                yield
                failed = False
            finally:
                _flush()
                os.dup2(before, 2)
                os.close(before)
                if failed:
                    held.seek(0)
                    os.write(2, held.read())


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


def prepared_backend(framework: str, threads: int | None = None) -> Backend:
    """The backend of `framework` for a command that computes in its own process: with `threads`, by
    default as the environment says, and with nothing printed before the result.

    Raises what `get_backend` raises.
    """
    prepare_process(threads)
    point = entry_points().get(canonical_name(framework))
    if point is not None and point.module in sys.modules:
        backend = get_backend(framework)
    else:
        with importing_quietly():
            backend = get_backend(framework)
    use_threads(backend, threads)
    return backend


def thread_count() -> int:
    """How many threads the environment asks for: what `OMP_NUM_THREADS` says, or all cores."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # "4,2" nests
    return int(first) if first.isdecimal() and int(first) else os.cpu_count() or 1


def use_threads(backend: Backend, threads: int | None = None) -> None:
    """Have `backend` use `threads`, by default as many as the environment asks for; one without the
    hook `set_threads` is left as the environment set it.

    Called once, after the backend is imported and before it builds anything.
    """
    if isinstance(backend, SetsThreads):
        backend.set_threads(threads or thread_count())
