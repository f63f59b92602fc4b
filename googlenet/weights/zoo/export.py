"""Weights of our network by the names of a zoo, in the layout of its framework."""

from __future__ import annotations

import numpy as np

from ...arrays import Array, Params
from ...spec.layers import BatchNorm, Network
from ...spec.traversal import num_classes
from .models import ZooModel
from .names import entries

#: What PyTorch counts in every batch norm, and asks for when it loads: training steps so far.
COUNTER = "num_batches_tracked"


def loading(model: ZooModel, network: Network, file: str) -> str:
    """The Python that loads `file`, which has the arrays of `network`, into the library's own
    model.
    """
    return model.load.strip().format(
        name=model.name,
        classes=num_classes(network),
        aux=len(network.outputs) > 1,
        file=file,
    )


def native_arrays(model: ZooModel, network: Network, params: Params) -> dict[str, Array]:
    """`params` of `network`, which is `model`'s, by the model's own names, in the order of its
    table: float32 arrays of the native shapes, and if the library counts batches, 0 of them.
    """
    found: dict[str, Array] = {}
    for entry in entries(model, network):
        array = np.ascontiguousarray(entry.to_native(params[entry.path]))
        name = entry.names[0]
        found |= dict.fromkeys(entry.names if model.every_name else [name], array)
        last = entry.spec.name == "running_var" and isinstance(entry.spec.site.layer, BatchNorm)
        if last and COUNTER in model.ignored:
            module = name.rpartition(model.separator)[0]
            found[f"{module}{model.separator}{COUNTER}"] = np.zeros((), np.int64)
    return found
