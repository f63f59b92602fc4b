"""Every change of layout in the reference: canonical NCHW and OIHW; inside, NHWC and HWIO."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..spec.layers import Dense
from ..spec.params import ParamSpec


def to_nhwc(images: Array) -> Array:
    """(N, C, H, W) → (N, H, W, C)."""
    return images.transpose(0, 2, 3, 1)


def to_nchw(y: Array) -> Array:
    """(N, H, W, C) → (N, C, H, W); a vector (N, C) stays as it is."""
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def to_native(spec: ParamSpec, array: Array) -> Array:
    """Canonical → own: a kernel (O, I, H, W) → (H, W, I, O); a dense weight (O, C, H, W) or (O, C)
    → (H·W·C, O).
    """
    if array.ndim == 1:
        return array.copy()
    order = (*range(2, array.ndim), 1, 0)
    native = np.ascontiguousarray(array.transpose(order))
    dense = isinstance(spec.site.layer, Dense)
    return native.reshape(-1, array.shape[0]) if dense else native


def from_native(spec: ParamSpec, array: Array) -> Array:
    """The inverse of `to_native`."""
    if len(spec.shape) == 1:
        return array.copy()
    order = (*range(2, len(spec.shape)), 1, 0)
    native = array.reshape([spec.shape[axis] for axis in order])
    return np.ascontiguousarray(native.transpose(np.argsort(order)))
