"""The backend `onnx`: models of ONNX, run by onnxruntime."""

from googlenet.backend.processor import multiplies

from . import layout, leaves, model, modules, source
from .compiling import compile, compiled, compiled_forms
from .files import run_file
from .model import (
    build,
    file_suffix,
    forward,
    name,
    params_of,
    save,
    unbiased_running_variance,
)
from .sessions import set_full_precision, set_threads
from .source import spelling

__all__ = [
    "build",
    "compile",
    "compiled",
    "compiled_forms",
    "file_suffix",
    "forward",
    "layout",
    "leaves",
    "model",
    "modules",
    "name",
    "params_of",
    "run_file",
    "save",
    "set_full_precision",
    "set_threads",
    "source",
    "spelling",
    "unbiased_running_variance",
]

if multiplies("int8"):  # else onnxruntime's sums would saturate
    quantised_dtypes: tuple[str, ...] = ("int8",)
    __all__ += ["quantised_dtypes"]
