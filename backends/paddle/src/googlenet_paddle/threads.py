"""How many threads Paddle computes with, from its import on: without OMP_NUM_THREADS it would be
one. Paddle warns of more than one, since they may not go with its own launcher.
"""

from __future__ import annotations

from googlenet.backend.threads import importing_quietly, openmp_threads, thread_count

with importing_quietly(), openmp_threads("paddle", thread_count()):
    import paddle


def set_threads(count: int) -> None:
    """Compute with `count` threads in Paddle's own kernels, matrix products and oneDNN."""
    paddle.base.core.set_num_threads(count)
