"""Every change of layout: MindSpore's own is canonical (NCHW, OIHW) except for a dense layer on a
map, which it flattens.
"""

from __future__ import annotations

from typing import Final

import mindspore as ms
import numpy as np

from googlenet.arrays import Array
from googlenet.backend.shared import flattened
from googlenet.spec import BatchNorm, ParamSpec

#: Batch norm's own names for its arrays; every other layer has ours.
NORM_NAMES: Final = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def native_path(spec: ParamSpec) -> str:
    """The name of a `Parameter`: our path, with the last part that MindSpore's layer uses."""
    if not isinstance(spec.site.layer, BatchNorm):
        return spec.path
    return f"{spec.site.path}.{NORM_NAMES[spec.name]}"


def to_native(spec: ParamSpec, array: Array) -> ms.Tensor:
    """A canonical array as a tensor with its own memory; a dense weight (O, C, H, W) becomes (O,
    C·H·W).
    """
    return ms.Tensor(flattened(spec, array))


def from_native(spec: ParamSpec, tensor: ms.Tensor) -> Array:
    """The inverse of `to_native`, as a float32 array with its own memory."""
    array: Array = tensor.asnumpy()
    return array.reshape(spec.shape).copy()


def images_to_native(images: Array) -> ms.Tensor:
    """(N, C, H, W) as it is."""
    return ms.Tensor(images)


def output_from_native(tensor: ms.Tensor) -> Array:
    """(N, C, H, W) or (N, K) as it is."""
    return np.ascontiguousarray(tensor.asnumpy())
