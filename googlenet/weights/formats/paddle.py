"""Paddle parameters, .pdparams, without Paddle: a pickle of name to numpy array, read without
numpy's own unpickling.

Format: paddle/framework/io.py `_legacy_save` and io_utils.py `_unpack_saved_dict`. Paddle writes
bfloat16 as uint16, which no file distinguishes from integers: such arrays stay uint16. A state dict
inside another dictionary needs `tuple` in the pickle and is refused.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...paths import read_file
from . import pickles
from .common import WeightsFile, named, plain_arrays

ADVICE = "save only layer.state_dict() with paddle.save"

_NAME_TABLE = "StructuredToParameterName@@"
_SPLIT = "UnpackBigParamInfor@@"  # Paddle's own spelling


class _Dtype:
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


class _Pickled:
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


class _Scalar(NamedTuple):
    """Stands in for numpy's `scalar`."""

    dtype: Any
    content: Any = b""

    def array(self) -> Array:
        """The value as an array without axes."""
        return _array(self.content, self.dtype, (), "C")


class _Buffer(NamedTuple):
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


def _encode(text: Any, encoding: Any = "latin1", /) -> bytes:
    """Stands in for _codecs.encode, by which protocol 2 writes bytes as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in an encoding other than latin1")
    return text.encode("latin1")


_ALLOWED: pickles.Allowed = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): pickles.StandIn(_encode),
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): pickles.StandIn(_Dtype),
    **{
        (f"numpy.{core}.multiarray", "_reconstruct"): pickles.StandIn(_Pickled)
        for core in ("core", "_core")
    },
    **{
        (f"numpy.{core}.multiarray", "scalar"): pickles.StandIn(_Scalar)
        for core in ("core", "_core")
    },
    **{
        (f"numpy.{core}.numeric", "_frombuffer"): pickles.StandIn(_Buffer)
        for core in ("core", "_core")
    },
}


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> Array:
    """The array of `shape` whose values, in C or Fortran `order`, are `content`."""
    if not isinstance(dtype, _Dtype):
        raise ValueError("an array without a dtype")
    values_dtype = dtype.numpy()
    if isinstance(content, str):  # written by Python 2
        meter().take_bytes(len(content))
        content = content.encode("latin1")
    if order not in ("C", "F"):
        raise ValueError(f"an array in order {str(order)[:60]!r}")
    return np.frombuffer(content, values_dtype).reshape(bounded_shape(shape), order=order)


def _joined(loaded: dict[Any, Any], arrays: dict[str, Array]) -> dict[str, Array]:
    """`arrays` with those rejoined that Paddle had to split for protocols 2 and 3, which hold at
    most 4 GiB.
    """
    for name, split in loaded.get(_SPLIT, {}).items():
        parts = [arrays.pop(part) for part in split["slices"]]
        meter().take_bytes(sum(part.nbytes for part in parts))
        arrays[named(name)] = np.concatenate(parts).reshape(bounded_shape(split["OriginShape"]))
    return arrays


def read(path: Path) -> WeightsFile:
    """Read a .pdparams file. Raises `WeightsError` for a pickle with more than arrays in it."""
    loaded = pickles.load(path, read_file(path), _ALLOWED, encoding="latin1", advice=ADVICE)
    if not isinstance(loaded, dict):
        raise ValueError(
            f"expected arrays by name, got one {type(loaded).__name__.strip('_').lower()}; {ADVICE}"
        )
    pickled = {
        name: value
        for name, value in loaded.items()
        if isinstance(value, (_Pickled, _Scalar, _Buffer))
    }
    meter().take_names(len(pickled))
    found = {named(name): value.array() for name, value in pickled.items()}
    found.pop(_NAME_TABLE, None)
    return WeightsFile(path, "Paddle parameters", plain_arrays(_joined(loaded, found)), {})
