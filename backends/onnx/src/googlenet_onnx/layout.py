"""Every change of layout: ONNX's own is canonical (NCHW, OIHW) except for a dense layer on a map,
which it flattens.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from googlenet.arrays import Array
from googlenet.backend.shared import flattened
from googlenet.spec import ParamSpec


def to_native(spec: ParamSpec, array: Array) -> onnx.TensorProto:
    """A canonical array as an initializer with its own memory, called as its path; a dense weight
    (O, C, H, W) becomes (O, C·H·W).
    """
    return numpy_helper.from_array(flattened(spec, array), spec.path)


def from_native(spec: ParamSpec, tensor: onnx.TensorProto) -> Array:
    """The inverse of `to_native`, as a float32 array with its own memory."""
    return np.array(numpy_helper.to_array(tensor), np.float32).reshape(spec.shape)


def images_to_native(images: Array) -> Array:
    """(N, C, H, W) as it is: onnxruntime takes NumPy's arrays."""
    return images


def output_from_native(array: Array) -> Array:
    """(N, C, H, W) or (N, K) as it is."""
    return np.ascontiguousarray(array)
