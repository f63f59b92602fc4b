"""The backend `tensorflow`: native Keras models on TensorFlow."""

from . import layout, leaves, model, modules, source
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
from .source import spelling
from .training import start_parallel, trainer

__all__ = [
    "build",
    "file_suffix",
    "forward",
    "gradients",
    "layout",
    "leaves",
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
