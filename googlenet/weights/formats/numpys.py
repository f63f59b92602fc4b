"""NumPy's arrays, scalars and dtypes in a pickle, read without NumPy's own unpickling."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ...budget import bounded_shape, meter
from . import pickles


class Dtype:
    """Stands in for numpy.dtype: its code, such as f4, and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """The dtype itself. Raises `ValueError` unless it is numeric."""
        if isinstance(self.code, str) and self.code.startswith("O"):
            raise ValueError("an array of object dtype, expected numbers")
        if (
            not isinstance(self.code, str)
            or not re.fullmatch(r"[biufc]\d{1,2}", self.code)
            or self.order not in ("<", ">", "|", "=")
        ):
            raise ValueError(f"an array of dtype {str(self.code)[:60]!r}, expected numbers")
        return np.dtype(self.order + self.code)


class Pickled:
    """Stands in for the array that numpy fills from a state."""

    __slots__ = ("state",)

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> Array:
        """The array. Raises `ValueError` if shape, dtype and bytes do not belong together."""
        if self.state is None:
            raise ValueError("an array without values")
        _version, shape, dtype, fortran, content = self.state
        return _array(content, dtype, shape, "F" if fortran else "C")


class Scalar(NamedTuple):
    """Stands in for numpy's `scalar`."""

    dtype: Any
    content: Any = b""

    def array(self) -> Array:
        """The value as an array without axes."""
        return _array(self.content, self.dtype, (), "C")


class Buffer(NamedTuple):
    """Stands in for numpy's `_frombuffer`."""

    content: Any
    dtype: Any
    shape: Any
    order: Any
    axes: Any = None

    def array(self) -> Array:
        """The array. Raises `ValueError` if shape, dtype and bytes do not belong together."""
        if self.order == "K" and self.axes is not None:
            return _array(self.content, self.dtype, self.shape, "C").transpose(self.axes)
        return _array(self.content, self.dtype, self.shape, self.order)


def is_array(value: object) -> bool:
    """Whether `value`, of a pickle, is an array or a scalar, whose `array()` has its values."""
    return isinstance(value, (Pickled, Scalar, Buffer))


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> Array:
    """The array of `shape` whose values, in C or Fortran `order`, are `content`."""
    if not isinstance(dtype, Dtype):
        raise ValueError("an array without a dtype")
    values_dtype = dtype.numpy()
    if isinstance(content, str):  # written by Python 2
        meter().take_bytes(len(content))
        content = content.encode("latin1")
    if order not in ("C", "F"):
        raise ValueError(f"an array in order {str(order)[:60]!r}")
    return np.frombuffer(content, values_dtype).reshape(bounded_shape(shape), order=order)


def _encode(text: Any, encoding: Any = "latin1", /) -> bytes:
    """Stands in for _codecs.encode, by which protocol 2 writes bytes as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in an encoding other than latin1")
    return text.encode("latin1")


_SCALARS = (
    *("bool_", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
_MODULES = ("numpy.core", "numpy._core")
#: What NumPy's own arrays, scalars and dtypes ask for.
NUMPY: pickles.Allowed = {
    ("_codecs", "encode"): pickles.StandIn(_encode),
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): pickles.StandIn(Dtype),
    **{("numpy", name): f"numpy.{name}" for name in _SCALARS},
    **{(f"{core}.multiarray", "_reconstruct"): pickles.StandIn(Pickled) for core in _MODULES},
    **{(f"{core}.multiarray", "scalar"): pickles.StandIn(Scalar) for core in _MODULES},
    **{(f"{core}.numeric", "_frombuffer"): pickles.StandIn(Buffer) for core in _MODULES},
}
