"""How many threads a framework computes with."""

from __future__ import annotations

import os

#: What frameworks and their libraries take the number from. MXNet and Paddle read it once, as they are imported, and use too few without.
NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def thread_variables(threads: int | None = None, *, processes: int = 1) -> dict[str, str]:
    """Environment variables for a process that uses `threads`; by default its part of all cores, where `processes` share them."""
    count = threads or max((os.cpu_count() or 1) // processes, 1)
    return dict.fromkeys(NAMES, str(count))


def use_threads(threads: int | None) -> None:
    """Set them for this process, before a framework is imported: a number given outside stays unless `threads` is given."""
    for name, value in thread_variables(threads).items():
        if threads is not None or name not in os.environ:
            os.environ[name] = value
