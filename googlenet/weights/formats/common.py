"""What the readers of all formats share: the result, a bounded view of bytes, and the check of
every array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...npy import KINDS

if TYPE_CHECKING:
    from .onnx import OnnxGraph

BFLOAT16 = "bfloat16"
"""Stands for the dtype that numpy lacks, wherever a reader says how bytes are to be read."""


class UnsuitableError(ValueError):
    """A whole file that holds something other than arrays of numbers by name. The message says what
    it has instead and what to do.
    """


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file holds, in the file's own names and layouts.

    `format` is a name for people, such as "PyTorch checkpoint". `arrays` maps the native name of
    each array to its values, in the order of the file: contiguous, in this machine's byte order,
    with the dtype of the file (bfloat16 as float32, which holds each of its values). `metadata` has
    anything else worth knowing, such as a wrapper that was removed. `graph` says what is computed
    with them, if the file does.
    """

    path: Path
    format: str
    arrays: dict[str, Array]
    metadata: dict[str, str]
    graph: OnnxGraph | None = None


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
    shape = bounded_shape(list(shape))
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
    mean in bfloat16. They are charged to the budget first.
    """
    meter().take_bytes(4 * bits.size)
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def named(name: object) -> str:
    """`name`, the key under which a file holds an array. Raises `ValueError` unless it is text."""
    if not isinstance(name, str):
        raise ValueError(f"expected arrays by name, got one by {type(name).__name__}")
    return name


def plain_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """`arrays`, contiguous and in native byte order. Raises `ValueError` if there are none, or any
    is not of numbers; and what the meter raises before they take too much memory, however many
    names or places one of them has.
    """
    if not arrays:
        raise UnsuitableError("expected arrays by name, got none")
    taken = meter()
    for name, array in arrays.items():
        taken.check_name(named(name))
        if array.dtype.kind == "O":
            raise ValueError(f"'{name}' has object dtype, expected numbers")
        if array.dtype.kind not in KINDS:
            raise ValueError(f"'{name}' has dtype {array.dtype}, expected numbers")
    # Together and before any copy is made, so that too much is refused at once.
    taken.take_bytes(sum(array.size * array.itemsize for array in arrays.values()))
    # Not ascontiguousarray: that makes a scalar an array of one axis.
    return {
        name: np.array(array, array.dtype.newbyteorder("="), order="C")
        for name, array in arrays.items()
    }
