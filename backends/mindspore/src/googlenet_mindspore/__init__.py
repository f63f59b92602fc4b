"""The backend `mindspore`: native MindSpore cells."""

from . import layout, leaves, model, modules
from .layout import axes
from .leaves import leaf
from .model import (
    build,
    file_suffix,
    forward,
    gradients,
    name,
    params_of,
    save,
    set_threads,
    unbiased_running_variance,
)
from .training import start_parallel, trainer

__all__ = [
    "axes",
    "build",
    "file_suffix",
    "forward",
    "gradients",
    "layout",
    "leaf",
    "leaves",
    "model",
    "modules",
    "name",
    "params_of",
    "save",
    "set_threads",
    "start_parallel",
    "trainer",
    "unbiased_running_variance",
]
