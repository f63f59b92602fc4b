"""The backend `numpy`: the reference that all others are measured against, and in float64 the
arbiter.
"""

from __future__ import annotations

from .compiling import compile, quantised_dtypes
from .model import (
    build,
    file_suffix,
    forward,
    gradients,
    name,
    params_of,
    run_gradients,
    save,
    set_threads,
    unbiased_running_variance,
)
from .training import trainer

__all__ = [
    "build",
    "compile",
    "file_suffix",
    "forward",
    "gradients",
    "name",
    "params_of",
    "quantised_dtypes",
    "run_gradients",
    "save",
    "set_threads",
    "trainer",
    "unbiased_running_variance",
]
