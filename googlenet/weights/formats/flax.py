"""Flax's msgpack files, .msgpack, without Flax and without msgpack.

`flax.serialization` writes nested maps by text whose arrays are extension 1: another msgpack, of a
list (shape, name of the dtype, values in C order). Arrays of over 1 GiB are in pieces, a map that
has `__msgpack_chunked_array__`, `shape` and `chunks`. A `TrainState` has `params` beside what
trains them, and variables of `flax.linen` come in collections, of which `params` and `batch_stats`
are weights. The format: https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...arrays import Array
from ...budget import meter
from ...paths import read_file
from .common import BFLOAT16, Cursor, UnsuitableError, WeightsFile, from_bytes, plain_arrays

#: A map with a name as its first key, and another map or an array behind it.
_BEGINS: Final = re.compile(
    rb"(?:[\x81-\x8f]|\xde..|\xdf....)(?:[\xa1-\xbf]|\xd9.)[\w.\- ]+"
    rb"(?:[\x80-\x8f]|\xde..|\xdf....|[\xc7-\xc9])",
    re.S | re.A,
)
#: A state in training, which begins with the number of its step.
_STATE: Final = re.compile(rb"[\x81-\x8f]\xa4step.{1,20}\xa6params[\x80-\x8f\xde\xdf]", re.S)
#: Maps, lists, text, bytes and extensions: the mark of one with its size in so many bytes.
_MAPS: Final = {0xDE: 2, 0xDF: 4}
_LISTS: Final = {0xDC: 2, 0xDD: 4}
_TEXTS: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_EXTENSIONS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
#: Extensions of a fixed size.
_FIXED: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_CONSTANTS: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS: Final = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3  # Flax's extensions
_DTYPES: Final = {
    name: np.dtype(name).newbyteorder("<").str
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
} | {"bfloat16": BFLOAT16}
_CHUNKED: Final = "__msgpack_chunked_array__"
#: The collections of `flax.linen` that are weights.
_COLLECTIONS: Final = ("params", "batch_stats")


def begins(head: bytes) -> bool:
    """Whether a file that begins with `head` is one of Flax's."""
    return bool(_BEGINS.match(head) or _STATE.match(head))


def _value(cursor: Cursor, depth: int) -> Any:
    """The next object; maps and lists are dictionaries, the latter by "0", "1" and so on."""
    taken = meter()
    taken.check_depth(depth)
    taken.take_values(1)
    mark = cursor.integer(1)
    if mark <= 0x7F:
        return mark
    if mark <= 0x8F or mark in _MAPS:
        return _map(cursor, mark & 0x0F if mark <= 0x8F else _size(cursor, _MAPS[mark]), depth)
    if mark <= 0x9F or mark in _LISTS:
        count = mark & 0x0F if mark <= 0x9F else _size(cursor, _LISTS[mark])
        _check_count(cursor, count)
        taken.take_values(count)
        return {str(index): _value(cursor, depth + 1) for index in range(count)}
    if mark <= 0xBF or mark in _TEXTS:
        size = mark & 0x1F if mark <= 0xBF else _size(cursor, _TEXTS[mark])
        return bytes(cursor.take(size)).decode("utf-8")
    if mark >= 0xE0:
        return mark - 0x100
    if mark in _CONSTANTS:
        return _CONSTANTS[mark]
    if mark in _NUMBERS:
        (number,) = struct.unpack(_NUMBERS[mark], cursor.take(struct.calcsize(_NUMBERS[mark])))
        return number
    if mark in _BYTES:
        return cursor.take(_size(cursor, _BYTES[mark]))
    if mark in _FIXED or mark in _EXTENSIONS:
        size = _FIXED.get(mark) or _size(cursor, _EXTENSIONS[mark])
        kind = cursor.integer(1)
        return _extension(kind, cursor.take(size), depth)
    raise ValueError(f"0x{mark:02x} at offset {cursor.position - 1}, expected an object of msgpack")


def _size(cursor: Cursor, count: int) -> int:
    return int.from_bytes(cursor.take(count), "big")


def _check_count(cursor: Cursor, count: int) -> None:
    """Whether so many objects can follow: each has a byte."""
    if count > cursor.left:
        raise ValueError(f"objects expected at offset {cursor.position}: {count}, got fewer")


def _map(cursor: Cursor, count: int, depth: int) -> Any:
    _check_count(cursor, count)
    meter().take_names(count)
    found: dict[str, Any] = {}
    for _ in range(count):
        key = _value(cursor, depth + 1)
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise ValueError(f"a map by {type(key).__name__}, expected one by names")
        if str(key) in found:
            raise ValueError(f"two values called '{str(key)[:60]}'")
        found[str(key)] = _value(cursor, depth + 1)
    return _joined(found) if found.get(_CHUNKED) is True else found


def _extension(kind: int, content: memoryview, depth: int) -> Any:
    """An array, with the names of Flax's own dtypes, or None for a complex number."""
    if kind == _COMPLEX:
        return None
    if kind not in (_ARRAY, _SCALAR):
        raise ValueError(f"extension {kind}, expected Flax's 1 to 3")
    cursor = Cursor(content)
    parts = _value(cursor, depth + 1)
    if not isinstance(parts, dict) or list(parts) != ["0", "1", "2"] or cursor.left:
        raise ValueError("an array that is not a shape, a dtype and values")
    shape, dtype, values = parts.values()
    if not isinstance(shape, dict) or not isinstance(values, memoryview):
        raise ValueError("an array that is not a shape, a dtype and values")
    if dtype not in _DTYPES:
        raise UnsuitableError(
            f"holds an array of dtype {str(dtype)[:60]!r}, expected one of {', '.join(_DTYPES)};"
            " convert it with astype before saving it"
        )
    return from_bytes(values, _DTYPES[dtype], tuple(shape.values()))


def _joined(found: dict[str, Any]) -> Array:
    """The array whose pieces these are."""
    shape, chunks = found.get("shape"), found.get("chunks")
    if not isinstance(shape, dict) or not isinstance(chunks, dict) or not chunks:
        raise ValueError("an array in pieces without its shape or its pieces")
    pieces = list(chunks.values())
    if not all(isinstance(each, np.ndarray) and each.ndim == 1 for each in pieces):
        raise ValueError("an array in pieces that are not arrays of one axis")
    if len({each.dtype for each in pieces}) > 1:
        raise ValueError("an array in pieces of several dtypes")
    meter().take_bytes(sum(each.nbytes for each in pieces))
    joined = np.concatenate(pieces)
    return from_bytes(joined.tobytes(), joined.dtype.str, tuple(shape.values()))


def _weights_of(tree: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The maps of `tree` that hold the weights, each by layer, and the keys that led to them."""
    keys: list[str] = []
    while isinstance(tree.get(_COLLECTIONS[0]), dict):
        if isinstance(tree.get(_COLLECTIONS[1]), dict):
            keys.append(_COLLECTIONS[0])
            return [tree[each] for each in _COLLECTIONS], "/".join(keys)
        keys.append(_COLLECTIONS[0])
        tree = tree[_COLLECTIONS[0]]
    return [tree], "/".join(keys)


def _arrays(tree: dict[str, Any], start: str = "") -> Iterator[tuple[str, Array]]:
    """Every array by its path, its keys joined by slashes."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _arrays(value, f"{start}{key}/")
        elif isinstance(value, np.ndarray):
            yield f"{start}{key}", value


def read(path: Path) -> WeightsFile:
    """Read a .msgpack file; the keys that lead to an array are joined by slashes, as by Flax's
    `flatten_dict(params, sep="/")`. Raises `ValueError` for a damaged or unsupported one.
    """
    cursor = Cursor(read_file(path))
    tree = _value(cursor, 0)
    if cursor.left:
        raise ValueError(f"bytes after the last value: {cursor.left}")
    if not isinstance(tree, dict):
        raise UnsuitableError("holds one value, expected arrays by name")
    parts, unwrapped = _weights_of(tree)
    arrays: dict[str, Array] = {}
    for part in parts:
        for name, array in _arrays(part):
            if name in arrays:
                raise ValueError(f"two arrays called '{name[:60]}'")
            arrays[name] = array
    # As older versions of `flax.nnx` saved a state.
    if arrays and all(name.endswith("/value") for name in arrays):
        arrays = {name.removesuffix("/value"): array for name, array in arrays.items()}
    metadata = {"unwrapped": unwrapped} if unwrapped else {}
    return WeightsFile(path, "Flax parameters", plain_arrays(arrays), metadata)
