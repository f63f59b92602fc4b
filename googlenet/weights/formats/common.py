"""What the readers of all formats share: the result, a bounded view of bytes, and the check of
every array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...arrays import Array

BFLOAT16 = "bfloat16"
"""Stands for the dtype that numpy lacks, wherever a reader says how bytes are to be read."""


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file holds, in the file's own names and layouts.

    `format` is a name for people, such as "PyTorch checkpoint". `arrays` maps the native name of
    each array to its values, in the order of the file: contiguous, in this machine's byte order,
    with the dtype of the file (bfloat16 as float32, which holds each of its values). `metadata` has
    anything else worth knowing, such as a wrapper that was removed.
    """

    path: Path
    format: str
    arrays: dict[str, Array]
    metadata: dict[str, str]


class Cursor:
    """Reads little-endian bytes from front to back. Raises `ValueError` if they end too early."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self.position = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self.position

    def take(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if not 0 <= count <= self.left:
            raise ValueError(f"bytes expected at offset {self.position}: {count}, got {self.left}")
        self.position += count
        return self._data[self.position - count : self.position]

    def integer(self, size: int, *, signed: bool = False) -> int:
        """The next integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)


def from_bytes(content: bytes | bytearray | memoryview, dtype: str, shape: Sequence[int]) -> Array:
    """The array of `shape` whose values in C order are `content`. Raises `ValueError` if the
    lengths differ.
    """
    if any(size < 0 for size in shape):
        raise ValueError(f"expected a shape without negative sizes, got {tuple(shape)}")
    stored = np.dtype("<u2" if dtype == BFLOAT16 else dtype)
    if len(content) != math.prod(shape) * stored.itemsize:
        raise ValueError(
            f"bytes expected for shape {tuple(shape)}: {math.prod(shape) * stored.itemsize}, got"
            f" {len(content)}"
        )
    values = np.frombuffer(content, stored).reshape(shape)
    return widen_bfloat16(values) if dtype == BFLOAT16 else values


def widen_bfloat16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The float32 whose upper halves are `bits`, of any shape: exactly the values that those bits
    mean in bfloat16.
    """
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def plain_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """`arrays`, contiguous and in native byte order. Raises `ValueError` if there are none, or any
    is not of numbers.
    """
    if not arrays:
        raise ValueError("expected arrays by name, got none")
    return {name: _plain(name, array) for name, array in arrays.items()}


def _plain(name: str, array: Array) -> Array:
    if array.dtype.kind == "O":
        raise ValueError(f"'{name}' has object dtype, expected numbers")
    if array.dtype.kind not in "biufc":
        raise ValueError(f"'{name}' has dtype {array.dtype}, expected numbers")
    # Not ascontiguousarray: that makes a scalar an array of one axis.
    return np.array(array, array.dtype.newbyteorder("="), order="C")
