"""Every change of layout: MXNet's own is canonical (NCHW, OIHW) except for a dense layer on a map,
which it flattens.
"""

from __future__ import annotations

import mxnet as mx

from googlenet.arrays import Array
from googlenet.backend.shared import flattened
from googlenet.spec import BatchNorm, ParamSpec


def native_path(spec: ParamSpec) -> str:
    """The attribute path of an array: Gluon's batch norm has `gamma` and `beta` for `weight` and
    `bias`.
    """
    names = {"weight": "gamma", "bias": "beta"} if isinstance(spec.site.layer, BatchNorm) else {}
    return f"{spec.site.path}.{names.get(spec.name, spec.name)}"


def to_native(spec: ParamSpec, array: Array) -> mx.np.ndarray:
    """A canonical array as an MXNet array with its own memory; a dense weight (O, C, H, W) becomes
    (O, C·H·W).
    """
    return mx.np.array(flattened(spec, array), dtype=array.dtype, ctx=mx.cpu())


def from_native(spec: ParamSpec, array: mx.np.ndarray) -> Array:
    """The inverse of `to_native`, as a float32 array with its own memory."""
    canonical: Array = array.asnumpy().reshape(spec.shape)
    return canonical


def images_to_native(images: Array, device: mx.Context) -> mx.np.ndarray:
    """(N, C, H, W) as it is."""
    return mx.np.array(images, dtype=images.dtype, ctx=device)


def output_from_native(array: mx.np.ndarray) -> Array:
    """(N, C, H, W) or (N, K) as it is."""
    output: Array = array.asnumpy()
    return output
