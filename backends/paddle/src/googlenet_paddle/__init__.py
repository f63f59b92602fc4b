"""The backend `paddle`: native PaddlePaddle layers."""

from .threads import set_threads  # first: it imports Paddle

# isort: split

from . import layout, leaves, model, modules, source, traps
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
    unbiased_running_variance,
)
from .own import load, own
from .source import adopt, loading, spelling
from .tracing import trace
from .training import start_parallel, trainer
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
    "leaves",
    "load",
    "loading",
    "model",
    "modules",
    "name",
    "own",
    "params_of",
    "run_function",
    "run_layers",
    "save",
    "save_for",
    "set_threads",
    "shown_traps",
    "source",
    "spelling",
    "start_parallel",
    "trace",
    "trainer",
    "traps",
    "unbiased_running_variance",
]
