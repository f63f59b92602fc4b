"""Every change of layout: Paddle's own is canonical (NCHW, OIHW) except for a dense layer, whose
weight is (inputs, outputs).
"""

from __future__ import annotations

import numpy as np
import paddle

from googlenet.arrays import Array
from googlenet.backend.shared import flattened
from googlenet.spec import Dense, ParamSpec

#: What Paddle calls the statistics of its batch norm; every other array has our name.
NAMES = {"running_mean": "_mean", "running_var": "_variance"}


def native_path(spec: ParamSpec) -> str:
    """Where a canonical array is in `state_dict()`: `norm.running_mean` → `norm._mean`."""
    return spec.path.removesuffix(spec.name) + NAMES.get(spec.name, spec.name)


def to_native(spec: ParamSpec, array: Array) -> paddle.Tensor:
    """A canonical array as a tensor with its own memory; a dense weight (O, C, H, W) becomes
    (C·H·W, O).
    """
    return paddle.to_tensor(_transposed(spec, flattened(spec, array)))


def from_native(spec: ParamSpec, tensor: paddle.Tensor) -> Array:
    """The inverse of `to_native`, as a float32 array with its own memory."""
    array: Array = _transposed(spec, tensor.numpy())
    return np.ascontiguousarray(array).reshape(spec.shape)


def images_to_native(images: Array, device: paddle.base.core.Place | None) -> paddle.Tensor:
    """(N, C, H, W) as it is."""
    return paddle.to_tensor(images, place=device)


def output_from_native(tensor: paddle.Tensor) -> Array:
    """(N, C, H, W) or (N, K) as it is."""
    return np.ascontiguousarray(tensor.numpy())


def _transposed(spec: ParamSpec, array: Array) -> Array:
    """A dense layer's matrix with its axes swapped; any other array as it is."""
    return array.T if isinstance(spec.site.layer, Dense) else array
