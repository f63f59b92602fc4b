"""A backend on NumPy and SciPy, as a third party would write it: forward passes only, through the
public names of googlenet.
"""

from . import layout, leaves, model, traps
from .files import file_suffix, save
from .model import build, forward, name, params_of, unbiased_running_variance
from .traps import run_function, shown_traps

__all__ = [
    "build",
    "file_suffix",
    "forward",
    "layout",
    "leaves",
    "model",
    "name",
    "params_of",
    "run_function",
    "save",
    "shown_traps",
    "traps",
    "unbiased_running_variance",
]
