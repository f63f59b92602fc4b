"""Every change of layout: JAX keeps channels last (NHWC, HWIO), and Flax has its own names for a
layer's variables.
"""

from __future__ import annotations

import jax
import numpy as np

from googlenet.arrays import Array
from googlenet.spec import BatchNorm, Dense, ParamSpec

_NORM_NAMES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
_OTHER_NAMES = {"weight": "kernel", "bias": "bias"}


def native_name(spec: ParamSpec) -> str:
    """What Flax calls the array in its layer: `kernel` for the `weight` of `b1.conv.conv`."""
    names = _NORM_NAMES if isinstance(spec.site.layer, BatchNorm) else _OTHER_NAMES
    return names[spec.name]


def to_native(spec: ParamSpec, array: Array) -> jax.Array:
    """A canonical array with its own memory; (O, I, H, W) becomes (H, W, I, O), a dense
    (O, C, H, W) (H·W·C, O).
    """
    native = array.transpose(_channels_last(array.ndim))
    dense = isinstance(spec.site.layer, Dense) and array.ndim > 1
    # JAX may keep an array of NumPy's that it is given: this one is nobody else's.
    flat = native.reshape(-1, len(array)) if dense else native
    found: jax.Array = jax.device_put(np.array(flat, order="C"))
    return found


def from_native(spec: ParamSpec, array: jax.Array) -> Array:
    """The inverse of `to_native`, as a float32 array with its own memory."""
    axes = _channels_last(len(spec.shape))
    native = np.asarray(array, np.float32).reshape([spec.shape[axis] for axis in axes])
    return native.transpose(np.argsort(axes)).copy()


def images_to_native(images: Array, device: jax.Device) -> jax.Array:
    """(N, C, H, W) → (N, H, W, C)."""
    found: jax.Array = jax.device_put(np.array(images.transpose(0, 2, 3, 1), order="C"), device)
    return found


def output_from_native(array: jax.Array) -> Array:
    """(N, H, W, C) → (N, C, H, W); (N, K) stays as it is."""
    found = np.array(array, np.float32)
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2)) if found.ndim == 4 else found


def _channels_last(rank: int) -> tuple[int, ...]:
    """The canonical axes (O, C, H, W) or (O, C) of a weight in Flax's order: O last, C before."""
    return (*range(2, rank), 1, 0) if rank > 1 else (0,)
