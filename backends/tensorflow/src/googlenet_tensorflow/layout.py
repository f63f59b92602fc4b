"""Every change of layout: TensorFlow keeps channels last (NHWC, HWIO), and Keras has its own names
for a layer's variables.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.spec import BatchNorm, Dense, ParamSpec

_NORM_NAMES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_OTHER_NAMES = {"weight": "kernel", "bias": "bias"}


def native_name(spec: ParamSpec) -> str:
    """What Keras calls the array in its layer: `kernel` for the `weight` of `b1.conv.conv`."""
    names = _NORM_NAMES if isinstance(spec.site.layer, BatchNorm) else _OTHER_NAMES
    return names[spec.name]


def to_native(spec: ParamSpec, array: Array) -> tf.Tensor:
    """A canonical array as a tensor with its own memory; (O, I, H, W) becomes (H, W, I, O), a dense
    (O, C, H, W) (H·W·C, O).
    """
    native = array.transpose(_channels_last(array.ndim))
    dense = isinstance(spec.site.layer, Dense) and array.ndim > 1
    return tf.constant(native.reshape(-1, len(array)) if dense else native)


def from_native(spec: ParamSpec, tensor: tf.Tensor) -> Array:
    """The inverse of `to_native`, as a float32 array with its own memory."""
    axes = _channels_last(len(spec.shape))
    native = np.asarray(tensor, np.float32).reshape([spec.shape[axis] for axis in axes])
    return native.transpose(np.argsort(axes)).copy()


def images_to_native(images: Array) -> tf.Tensor:
    """(N, C, H, W) → (N, H, W, C)."""
    return tf.constant(images.transpose(0, 2, 3, 1))


def output_from_native(tensor: tf.Tensor) -> Array:
    """(N, H, W, C) → (N, C, H, W); (N, K) stays as it is."""
    array = np.asarray(tensor, np.float32)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)


def _channels_last(rank: int) -> tuple[int, ...]:
    """The canonical axes (O, C, H, W) or (O, C) of a weight in Keras's order: O last, C before."""
    return (*range(2, rank), 1, 0) if rank > 1 else (0,)
