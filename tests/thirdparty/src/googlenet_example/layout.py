"""Every change of layout: NumPy's own is canonical, so that there is none."""

from __future__ import annotations

from googlenet.arrays import Array
from googlenet.spec import ParamSpec


def to_native(spec: ParamSpec, array: Array) -> Array:
    """A canonical array with its own memory."""
    return array.copy()


def from_native(spec: ParamSpec, native: Array) -> Array:
    """The inverse of `to_native`, with its own memory."""
    return native.copy()
