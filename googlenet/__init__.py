"""GoogLeNet and its family: one spec, a native model in every framework, proved to be the same
function.
"""

from .architectures import NETWORKS, get_network
from .backend.protocols import get_model, load
from .errors import (
    BackendError,
    DataError,
    GoogLeNetError,
    ShapeError,
    SpecError,
    UnknownNameError,
    WeightsError,
)
from .spec.analysis import (
    count_multiply_adds,
    count_parameters,
    receptive_fields,
    smallest_input,
    stages,
)
from .spec.layers import Network
from .spec.loss import Loss
from .spec.traversal import fold, nodes, walk
from .version import __version__
from .weights.params import Params, check_params, init_params, load_params, param_specs, save_params

__all__ = [
    "NETWORKS",
    "BackendError",
    "DataError",
    "GoogLeNetError",
    "Loss",
    "Network",
    "Params",
    "ShapeError",
    "SpecError",
    "UnknownNameError",
    "WeightsError",
    "__version__",
    "check_params",
    "count_multiply_adds",
    "count_parameters",
    "fold",
    "get_model",
    "get_network",
    "init_params",
    "load",
    "load_params",
    "nodes",
    "param_specs",
    "receptive_fields",
    "save_params",
    "smallest_input",
    "stages",
    "walk",
]
