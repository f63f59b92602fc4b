"""MXNet parameters, .params, without MXNet: lists of dense NDArrays, with or without names.

Format: src/ndarray/ndarray.cc of MXNet 1.9, `NDArray::Save`. Each array begins with a number that
gives its version: 1 and 2 with shapes of int64, 3 the same under numpy's rules, where a shape
without axes is a scalar and not "unknown"; before version 1 the number is the number of axes.
Nothing is compressed. MXNet 2 writes .npz instead.
"""

from __future__ import annotations

import math
from pathlib import Path

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...paths import read_file
from .common import BFLOAT16, Cursor, UnsuitableError, WeightsFile, from_bytes, plain_arrays

MAGIC = (0x112).to_bytes(8, "little")

_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_MOST_AXES = 32

# 3rdparty/mshadow/mshadow/base.h, `TypeFlag`
_DTYPES = {
    0: "<f4",
    1: "<f8",
    2: "<f2",
    3: "|u1",
    4: "<i4",
    5: "|i1",
    6: "<i8",
    7: "|b1",
    8: "<i2",
    9: "<u2",
    10: "<u4",
    11: "<u8",
    12: BFLOAT16,
}


def _shape(cursor: Cursor, axes: int, size: int) -> tuple[int, ...]:
    if not 0 <= axes <= _MOST_AXES:
        raise ValueError(f"an array of {axes} axes, expected at most {_MOST_AXES}")
    return bounded_shape([cursor.integer(size, signed=True) for _ in range(axes)])


def _array(cursor: Cursor) -> Array:
    """The next array. Raises `ValueError` if it is sparse, without values, or of an unknown version
    or dtype.
    """
    version = cursor.integer(4)
    if version in (_V2, _V3) and cursor.integer(4, signed=True) != 0:
        raise UnsuitableError(
            "holds a sparse array, expected dense ones; convert it with tostype('default')"
        )
    axes, size = (cursor.integer(4, signed=True), 8) if version in (_V1, _V2, _V3) else (version, 4)
    shape = _shape(cursor, axes, size)
    if not shape and version != _V3:
        raise UnsuitableError(
            "holds an array without values; initialise the network before saving it"
        )
    cursor.take(8)  # the device that it was on
    flag = cursor.integer(4, signed=True)
    if flag not in _DTYPES:
        raise ValueError(f"an array of dtype number {flag}, expected one of 0 to 12")
    dtype = _DTYPES[flag]
    itemsize = 2 if dtype == BFLOAT16 else int(dtype[2:])
    return from_bytes(cursor.take(math.prod(shape) * itemsize), dtype, shape)


def _length(cursor: Cursor) -> int:
    """How many arrays or names follow."""
    count = cursor.integer(8)
    if 4 * count <= cursor.left:  # else they are not there
        meter().check_names(count)
    return count


def _name(name: str) -> str:
    """`name` without the prefix by which `Module` tells parameters from running statistics."""
    return (
        name.removeprefix("arg:").removeprefix("aux:")
        if name.startswith(("arg:", "aux:"))
        else name
    )


def read(path: Path) -> WeightsFile:
    """Read a .params file; the arrays of a list without names are called "0", "1" and so on. Raises
    `ValueError` for a damaged or unsupported one.
    """
    cursor = Cursor(read_file(path))
    cursor.take(16)  # the magic number, and eight reserved bytes
    arrays = [_array(cursor) for _ in range(_length(cursor))]
    names = [bytes(cursor.take(cursor.integer(8))).decode("utf-8") for _ in range(_length(cursor))]
    if cursor.left:
        raise ValueError(f"bytes after the last name: {cursor.left}")
    keys = [_name(name) for name in names] or [str(index) for index in range(len(arrays))]
    if len(keys) != len(arrays) or len(set(keys)) != len(keys):
        raise ValueError(f"arrays: {len(arrays)}, but different names: {len(set(keys))}")
    return WeightsFile(
        path, "MXNet parameters", plain_arrays(dict(zip(keys, arrays, strict=True))), {}
    )
