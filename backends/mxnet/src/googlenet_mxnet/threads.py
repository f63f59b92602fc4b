"""How many threads MXNet computes with, from its import on.

With their number in OMP_NUM_THREADS each of MXNet's own threads has as many of OpenMP's beside it,
which wait for each other by spinning: of two cores a compiled `googlenet` then takes 16 ms for one
image, and a training step 320 ms; with one for each, and two for the engine's worker alone, 4 and
250 ms.
"""

from __future__ import annotations

import ctypes

from googlenet.backend.threads import openmp_threads, thread_count

with openmp_threads("mxnet", 1) as _is_first:
    import mxnet as mx
    from mxnet.base import _LIB, check_call


def set_threads(count: int) -> None:
    """Compute with `count` threads, in the engine's worker for the first CPU."""
    # Each thread has its own OpenMP setting, and the worker computes, not this thread.
    work = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(
        lambda *_: _LIB.MXSetNumOMPThreads(count)
    )
    cpu = (ctypes.c_int * 2)(1, 0)
    check_call(_LIB.MXEnginePushSync(work, None, None, cpu, None, 0, None, 0, None, 0, None))
    mx.nd.waitall()


if _is_first:
    set_threads(thread_count())
