"""Sorted tables of keys and values, the container of TensorFlow's checkpoints (and of LevelDB).

A file is blocks of entries, whose keys leave out what they share with the key before, then a block
that says where those are, and a footer that says where that is. Blocks may be compressed;
TensorFlow's of checkpoints are not. Format: github.com/google/leveldb, doc/table_format.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...budget import meter
from .common import Cursor, UnsuitableError
from .protobuf import varint

MAGIC: Final = bytes.fromhex("57fb808b247547db")
"""The last bytes of such a file."""

_FOOTER = 48
_COMPRESSIONS = {1: "Snappy", 2: "Zstandard"}


def entries(data: bytes | memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values of a table, in the order of the keys.

    Each is charged to the budget. Raises `ValueError` if it is damaged, `UnsuitableError` if it is
    compressed.
    """
    whole = memoryview(data)
    footer = Cursor(whole[-_FOOTER:])
    if len(whole) < _FOOTER or whole[-len(MAGIC) :] != MAGIC:
        raise ValueError("its end is not that of a table")
    _handle(footer)  # of a block about blocks, which nobody writes
    last = b""
    for _, handle in _block(whole, *_handle(footer)):
        for key, value in _block(whole, *_handle(Cursor(handle))):
            if key <= last and last:
                raise ValueError("its keys are not in order")
            last = key
            yield key, value


def _handle(cursor: Cursor) -> tuple[int, int]:
    """Where a block begins, and how long it is."""
    return varint(cursor), varint(cursor)


def _block(whole: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """The entries of one block."""
    if offset + size + 5 > len(whole) or size < 4:
        raise ValueError(f"a block of {size} bytes at {offset}, but the file has {len(whole)}")
    if compression := whole[offset + size]:
        kind = _COMPRESSIONS.get(compression, f"method {compression}")
        raise UnsuitableError(
            f"its blocks are compressed with {kind}, which is not read; save it again with"
            " TensorFlow's tf.train.Checkpoint or Saver, which do not compress"
        )
    block = whole[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    if 4 * restarts + 4 > size:
        raise ValueError(f"a block of {size} bytes with {restarts} restarts")
    cursor, taken = Cursor(block[: size - 4 - 4 * restarts]), meter()
    key = b""
    while cursor.left:
        taken.take_values(1)
        shared, added, length = varint(cursor), varint(cursor), varint(cursor)
        if shared > len(key):
            raise ValueError("a key that begins with more than the one before it has")
        key = key[:shared] + bytes(cursor.take(added))
        taken.check_name(key.decode("latin-1"))
        yield key, cursor.take(length)
