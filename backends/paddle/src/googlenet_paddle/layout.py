"""Every change of layout: Paddle's own is canonical (NCHW, OIHW) but for a dense layer, whose
weight is (inputs, outputs).
"""

from __future__ import annotations

import numpy as np
import paddle

from googlenet.arrays import Array
from googlenet.spec.layers import Dense
from googlenet.spec.params import ParamSpec

#: What Paddle calls the statistics of its batch norm; every other array has our name.
NAMES = {"running_mean": "_mean", "running_var": "_variance"}


def native_path(spec: ParamSpec) -> str:
    """Where a canonical array is in `state_dict()`: `norm.running_mean` → `norm._mean`."""
    return spec.path.removesuffix(spec.name) + NAMES.get(spec.name, spec.name)


def to_native(spec: ParamSpec, array: Array) -> paddle.Tensor:
    """A canonical array as a tensor of its own memory; a dense weight (O, C, H, W) becomes (C·H·W,
    O).
    """
    dense = isinstance(spec.site.layer, Dense) and array.ndim > 1
    return paddle.to_tensor(array.reshape(len(array), -1).T if dense else array)


def from_native(spec: ParamSpec, tensor: paddle.Tensor) -> Array:
    """The inverse of `to_native`, as a float32 array of its own memory."""
    dense = isinstance(spec.site.layer, Dense) and tensor.ndim > 1
    array = tensor.numpy()
    return np.ascontiguousarray(array.T if dense else array).reshape(spec.shape)


def images_to_native(images: Array, device: paddle.base.core.Place | None) -> paddle.Tensor:
    """(N, C, H, W) as it is."""
    return paddle.to_tensor(images, place=device)


def output_from_native(tensor: paddle.Tensor) -> Array:
    """(N, C, H, W) or (N, K) as it is."""
    return np.ascontiguousarray(tensor.numpy())
