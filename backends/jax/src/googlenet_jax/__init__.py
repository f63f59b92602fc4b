"""The backend `jax`: native Flax modules (`flax.nnx`) on JAX."""

from . import layout, leaves, model, modules, source
from .compiling import compile, compiled, compiled_forms
from .model import (
    build,
    file_suffix,
    forward,
    gradients,
    name,
    params_of,
    save,
    set_full_precision,
    set_threads,
    unbiased_running_variance,
)
from .source import adopt, loading, spelling
from .training import leave_parallel, start_parallel, trainer

__all__ = [
    "adopt",
    "build",
    "compile",
    "compiled",
    "compiled_forms",
    "file_suffix",
    "forward",
    "gradients",
    "layout",
    "leave_parallel",
    "leaves",
    "loading",
    "model",
    "modules",
    "name",
    "params_of",
    "save",
    "set_full_precision",
    "set_threads",
    "source",
    "spelling",
    "start_parallel",
    "trainer",
    "unbiased_running_variance",
]
