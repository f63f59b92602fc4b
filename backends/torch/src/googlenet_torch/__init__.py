"""The backend `torch`: native PyTorch modules."""

from . import layout, leaves, model, modules, source, tracing, traps
from .classes import layer_classes
from .compiling import compile, compiled, compiled_forms
from .libraries import save_for
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
from .own import load, open_heads, own
from .source import adopt, loading, spelling
from .tracing import trace
from .training import leave_parallel, start_parallel, trainer
from .traps import run_function, run_layers, shown_traps

__all__ = [
    "adopt",
    "build",
    "compile",
    "compiled",
    "compiled_forms",
    "file_suffix",
    "forward",
    "gradients",
    "layer_classes",
    "layout",
    "leave_parallel",
    "leaves",
    "load",
    "loading",
    "model",
    "modules",
    "name",
    "open_heads",
    "own",
    "params_of",
    "run_function",
    "run_layers",
    "save",
    "save_for",
    "set_full_precision",
    "set_threads",
    "shown_traps",
    "source",
    "spelling",
    "start_parallel",
    "trace",
    "tracing",
    "trainer",
    "traps",
    "unbiased_running_variance",
]
