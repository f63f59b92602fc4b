"""The wire format of protobuf, read by hand and within the budget: what ONNX, Caffe, MindSpore,
SavedModel and TensorFlow's checkpoints are written in.

A message is a sequence of fields, each a number and a value: an integer, four or eight bytes, or
bytes with their length, which are text, numbers without gaps or another message. Only a schema
tells which, so whoever reads a file names what it expects. Format:
protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from ...arrays import Array
from ...budget import meter
from .common import Cursor

Value: TypeAlias = int | memoryview

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
#: How many bytes a number of 64 bits has at most.
_LONGEST: Final = 10


def varint(cursor: Cursor) -> int:
    """The next integer, 7 bits a byte, from 0 to 2^64 − 1. Raises `ValueError` if there is none."""
    value = 0
    for shift in range(0, 7 * _LONGEST, 7):
        byte = cursor.integer(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF
    raise ValueError("a number of more than ten bytes")


def fields(message: bytes | memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message in order: each number, and its integer or bytes; fixed numbers are
    their four or eight bytes.

    Each is charged to the budget. Raises `ValueError` if it is no message.
    """
    cursor, taken = Cursor(message), meter()
    while cursor.left:
        taken.take_values(1)
        number, wire = divmod(varint(cursor), 8)
        if number == 0:
            raise ValueError(f"a field without a number at offset {cursor.position}")
        if wire == _VARINT:
            yield number, varint(cursor)
        elif wire == _BYTES:
            yield number, cursor.take(varint(cursor))
        elif wire in (_EIGHT, _FOUR):
            yield number, cursor.take(8 if wire == _EIGHT else 4)
        else:
            raise ValueError(f"field {number} of wire type {wire}, expected an integer or bytes")


def signed(value: int) -> int:
    """What a 64-bit integer means if it has a sign."""
    return value - 2**64 if value >= 2**63 else value


@dataclass(frozen=True)
class Message:
    """The fields of one message by their numbers, in their order; `depth` counts the messages that
    it is in.

    Whoever asks for a field says what it should be; each method raises `ValueError` if it is not,
    and gives the last of several where one is expected, as protobuf does.
    """

    fields: dict[int, list[Value]] = field(default_factory=dict)
    depth: int = 0

    @classmethod
    def of(cls, content: bytes | memoryview, depth: int = 0) -> Message:
        """The message that `content` is. Raises `ValueError` if it is none, and what the meter
        raises if it is nested too deep or has too many fields.
        """
        meter().check_depth(depth)
        found = cls(depth=depth)
        for number, value in fields(content):
            found.fields.setdefault(number, []).append(value)
        return found

    def has(self, number: int) -> bool:
        """Whether there is any field `number`."""
        return number in self.fields

    def integer(self, number: int, default: int = 0) -> int:
        """An integer with a sign."""
        value = self.fields.get(number, [default])[-1]
        if not isinstance(value, int):
            raise ValueError(f"field {number} is bytes, expected an integer")
        return signed(value)

    def parts(self, number: int) -> list[memoryview]:
        """All bytes of field `number`."""
        found = self.fields.get(number, [])
        wrong = [each for each in found if isinstance(each, int)]
        if wrong:
            raise ValueError(f"field {number} is an integer, expected bytes")
        return [each for each in found if not isinstance(each, int)]

    def content(self, number: int) -> memoryview:
        """The bytes of field `number`, empty if there is none."""
        found = self.parts(number)
        return found[-1] if found else memoryview(b"")

    def texts(self, number: int) -> list[str]:
        """All texts of field `number`. Raises `ValueError` if one is not UTF-8."""
        return [str(part, "utf-8") for part in self.parts(number)]

    def text(self, number: int) -> str:
        """A text, empty if there is none."""
        return str(self.content(number), "utf-8")

    def messages(self, number: int) -> Iterator[Message]:
        """All messages of field `number`, one at a time."""
        for part in self.parts(number):
            yield Message.of(part, self.depth + 1)

    def message(self, number: int) -> Message:
        """The message of field `number`, an empty one if there is none."""
        return Message.of(self.content(number), self.depth + 1)

    def integers(self, number: int) -> list[int]:
        """Integers with a sign, one a field or without gaps."""
        found: list[int] = []
        for value in self.fields.get(number, []):
            if isinstance(value, int):
                found.append(signed(value))
                continue
            cursor = Cursor(value)
            while cursor.left:
                meter().take_values(1)
                found.append(signed(varint(cursor)))
        return found

    def numbers(self, number: int, dtype: str) -> Array:
        """Fixed numbers of `dtype`, such as `<f4`, one a field or without gaps: (N,)."""
        parts = self.parts(number)
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(joined) % np.dtype(dtype).itemsize:
            raise ValueError(f"field {number} has {len(joined)} bytes, no whole numbers")
        return np.frombuffer(joined, dtype)


def varints(content: memoryview) -> Array:
    """Integers without gaps, (N,) int64, all at once: for those that are the values of an array.
    Raises `ValueError` if they are none.
    """
    data = np.frombuffer(content, np.uint8)
    if not len(data):
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(data < 0x80)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise ValueError("a number without an end")
    # For each byte, its bits, their place, and the number that it belongs to: 17 bytes a byte.
    meter().take_bytes(17 * len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        raise ValueError("a number of more than ten bytes")
    place = np.arange(len(data)) - np.repeat(starts, lengths)
    bits = (data & np.uint8(0x7F)).astype(np.uint64) << (7 * place).astype(np.uint64)
    joined: Array = np.bitwise_or.reduceat(bits, starts)
    return joined.view(np.int64)
