"""The check that weights fit a network, made wherever weights come in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..arrays import Array, Params
from ..errors import WeightsError
from ..spec.layers import Network
from ..spec.params import param_specs


def check_params(
    network: Network, params: Mapping[str, Array], *, source: str = "weights"
) -> Params:
    """`params` as contiguous float32 arrays in the order of the network; copies only what is not so
    already.

    Raises `WeightsError`, naming `source` and the first offending path, for an array that is
    missing, extra, of the wrong shape, non-numeric or non-finite, and for a negative running
    variance.
    """
    if not isinstance(params, Mapping):
        raise WeightsError(f"{source}: expected a mapping of paths to arrays, got {params!r}")
    specs = param_specs(network)
    checked: Params = {}
    for path, spec in specs.items():
        if path not in params:
            raise WeightsError(
                f"{source}: '{path}' is missing; network '{network.name}' needs it with shape"
                f" {spec.shape}"
            )
        array = np.asarray(params[path])
        if array.shape != spec.shape:
            raise WeightsError(
                f"{source}: '{path}' has shape {array.shape}, expected {spec.shape}; "
                "was it made for another number of classes or channels, or another input size?"
            )
        if array.dtype.kind != "f":
            raise WeightsError(
                f"{source}: '{path}' has dtype {array.dtype}, expected floating point"
            )
        if not np.isfinite(array).all():
            raise WeightsError(
                f"{source}: '{path}' contains NaN or infinity; the weights are damaged, or"
                " their training diverged"
            )
        if spec.name == "running_var" and (array < 0).any():
            raise WeightsError(
                f"{source}: '{path}' contains a negative variance; the weights are damaged"
            )
        checked[path] = np.ascontiguousarray(array, np.float32)
    extra = [path for path in params if path not in specs]
    if extra:
        arrays = "array" if len(extra) == 1 else "arrays"
        raise WeightsError(
            f"{source}: '{extra[0]}' does not belong to network '{network.name}' ({len(extra)} such"
            f" {arrays}); remove it or build the network that it belongs to"
        )
    return checked
