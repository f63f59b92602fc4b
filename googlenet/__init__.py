"""GoogLeNet and its family: one spec, a native model in every framework, proved to be the same
function.

What is imported here is public; docs/api.md says what else is, and what may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .architectures import NETWORKS, get_network
from .arrays import Params
from .backend.discovery import backends, get_backend
from .backend.model import get_model
from .backend.protocols import Backend
from .errors import (
    BackendError,
    CaptureError,
    DataError,
    DeviceError,
    GoogLeNetError,
    ModelFileError,
    ShapeError,
    SpecError,
    TraceError,
    TrainingError,
    UnknownNameError,
    WeightsError,
)
from .spec.analysis import (
    count_multiply_adds,
    count_parameters,
    minimum_sizes,
    receptive_fields,
    smallest_input,
    stages,
)
from .spec.layers import Network
from .spec.loss import Loss
from .spec.params import param_specs
from .spec.recipe import Recipe
from .spec.traversal import fold, nodes, walk
from .version import __version__
from .weights.check import check_params
from .weights.files import load_params, save_params
from .weights.initial import init_params

if TYPE_CHECKING:  # the actions are imported only when first asked for: importing them takes time
    from .actions.bench import bench
    from .actions.check import check, check_file
    from .actions.code import code
    from .actions.compare import compare
    from .actions.convert import convert
    from .actions.diff import diff
    from .actions.draw import draw
    from .actions.listing import listing
    from .actions.own import own_network
    from .actions.parity import parity
    from .actions.predict import predict
    from .actions.race import race
    from .actions.summary import summary
    from .actions.trace import trace
    from .actions.train import train
    from .actions.translate import translate
    from .actions.traps import traps

#: The functions behind the commands, each in the module of `googlenet.actions` with its name.
_ACTIONS = (
    "bench",
    "check",
    "check_file",
    "code",
    "compare",
    "convert",
    "diff",
    "draw",
    "listing",
    "own_network",
    "parity",
    "predict",
    "race",
    "summary",
    "trace",
    "train",
    "translate",
    "traps",
)

#: Those whose module has another name.
_MODULES = {"check_file": "check", "own_network": "own"}

__all__ = [
    "NETWORKS",
    "Backend",
    "BackendError",
    "CaptureError",
    "DataError",
    "DeviceError",
    "GoogLeNetError",
    "Loss",
    "ModelFileError",
    "Network",
    "Params",
    "Recipe",
    "ShapeError",
    "SpecError",
    "TraceError",
    "TrainingError",
    "UnknownNameError",
    "WeightsError",
    "__version__",
    "backends",
    "bench",
    "check",
    "check_file",
    "check_params",
    "code",
    "compare",
    "convert",
    "count_multiply_adds",
    "count_parameters",
    "diff",
    "draw",
    "fold",
    "get_backend",
    "get_model",
    "get_network",
    "init_params",
    "listing",
    "load",
    "load_params",
    "minimum_sizes",
    "nodes",
    "own_network",
    "param_specs",
    "parity",
    "predict",
    "race",
    "receptive_fields",
    "save_params",
    "smallest_input",
    "stages",
    "summary",
    "trace",
    "train",
    "translate",
    "traps",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name in _ACTIONS:
        module = _MODULES.get(name, name)
        found = getattr(import_module(f".actions.{module}", __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ACTIONS})


def load(framework: str) -> Backend:
    """`get_backend` by the name it had in 0.1. Deprecated: it is removed in 0.4."""
    import warnings

    warnings.warn(
        "googlenet.load is now called googlenet.get_backend; the old name will be removed in 0.4",
        DeprecationWarning,
        stacklevel=2,
    )
    return get_backend(framework)
