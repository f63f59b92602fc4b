"""TensorFlow's checkpoints of both versions, and the variables of a SavedModel, without TensorFlow.

Version 1 is one sorted table of slices of tensors. Version 2 has a table NAME.index, which says
where each tensor is in the shards NAME.data-00000-of-00001. What an object-based checkpoint calls
its tensors (`layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE`) says where an object is, not
which; they get the full names that Keras and TensorFlow gave the variables (`conv2d/kernel`) if
those are different ones. Schemas: tensorflow/core/protobuf/tensor_bundle.proto,
saved_tensor_slice.proto, framework/tensor.proto, trackable_object_graph.proto.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...errors import WeightsError
from ...paths import kind_at, read_file
from .common import BFLOAT16, Cursor, UnsuitableError, WeightsFile, from_bytes, plain_arrays
from .protobuf import Message, varint, varints
from .sorted_tables import entries

_DTYPES: Final[Mapping[int, str]] = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "|u1",
    5: "<i2",
    6: "|i1",
    9: "<i8",
    10: "|b1",
    14: BFLOAT16,
    17: "<u2",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}
_STRING: Final = 7
#: Fields of a TensorProto with one number for each value: by type, those of fixed size and those
#: that are integers without gaps.
_FIXED: Final = {1: (5, "<f4"), 2: (6, "<f8")}
_PACKED: Final = {3: 7, 4: 7, 5: 7, 6: 7, 9: 10, 10: 11, 14: 13, 17: 7, 19: 13, 22: 16, 23: 17}

_GRAPH: Final = "_CHECKPOINTABLE_OBJECT_GRAPH"
_OBJECT: Final = "/.ATTRIBUTES/VARIABLE_VALUE"
_SUFFIX: Final = re.compile(r"\.data-(\d{5})-of-(\d{5})$", re.ASCII)


def index_of(path: Path) -> Path | None:
    """The index of a shard NAME.data-00000-of-00001; None if `path` is not named so."""
    match = _SUFFIX.search(path.name)
    return None if match is None else path.with_name(f"{path.name[: match.start()]}.index")


def read(path: Path) -> WeightsFile:
    """Read a checkpoint: a file of version 1, or the .index of version 2, whose shards are beside
    it. Raises `WeightsError` if a shard is missing.
    """
    table = entries(read_file(path))
    key, value = next(table, (None, memoryview(b"")))
    if key != b"":
        raise ValueError("it has no entry about itself")
    header = Message.of(value)
    if any(isinstance(each, memoryview) for each in header.fields.get(1, [])):
        arrays = _slices(header.message(1), table)
        return WeightsFile(path, "TensorFlow checkpoint (version 1)", plain_arrays(arrays), {})
    return _bundle(path, header, table)


# Version 2 ----------------------------------------------------------------------------------------


def _bundle(path: Path, header: Message, table: Iterator[tuple[bytes, memoryview]]) -> WeightsFile:
    count = header.integer(1)
    if header.integer(2) != 0:
        raise ValueError("it was written on a machine of another byte order")
    meter().check_names(count)
    shards = [_shard(path, number, count) for number in range(count)]
    arrays: dict[str, Array] = {}
    graph = memoryview(b"")
    for key, value in table:
        name, entry = key.decode("utf-8"), Message.of(value)
        if entry.has(7):
            raise UnsuitableError(
                f"'{name}' is saved in slices, as partitioned variables are; save it from one"
                " device"
            )
        kind, number = entry.integer(1), entry.integer(3)
        offset, size = entry.integer(4), entry.integer(5)
        if not 0 <= number < count:
            raise ValueError(f"'{name}' is in shard {number} of {count}")
        if offset < 0 or size < 0 or offset + size > len(shards[number]):
            raise ValueError(
                f"'{name}' has {size} bytes at {offset}, but its shard has {len(shards[number])}"
            )
        content = shards[number][offset : offset + size]
        if kind == _STRING:
            if name == _GRAPH:
                graph = _only_text(content)
            continue
        meter().take_names(1)
        arrays[name] = from_bytes(content, _dtype(name, kind), _shape(entry.message(2)))
    return WeightsFile(
        path,
        "TensorFlow checkpoint (version 2)",
        plain_arrays(_renamed(arrays, graph) if graph else arrays),
        {},
    )


def _shard(path: Path, number: int, count: int) -> memoryview:
    name = f"{path.name.removesuffix('.index')}.data-{number:05}-of-{count:05}"
    beside = path.with_name(name)
    if kind_at(beside, WeightsError) != "file":
        raise WeightsError(
            f"{path}: is the index of a TensorFlow checkpoint, whose arrays are in {name}, which is"
            " not beside it; put both into one folder"
        )
    meter().add_file(beside)
    return memoryview(read_file(beside))


def _only_text(content: memoryview) -> memoryview:
    """The one text of a tensor of texts: their lengths, a sum of four bytes, then the texts."""
    cursor = Cursor(content)
    size = varint(cursor)
    cursor.take(4)
    return cursor.take(size)


def _renamed(arrays: Mapping[str, Array], graph: memoryview) -> dict[str, Array]:
    """`arrays` by the full names in the graph of objects, where each has one of its own; by their
    places in the graph otherwise.
    """
    full: dict[str, str] = {}
    for node in Message.of(graph).messages(1):
        for attribute in node.messages(2):
            if attribute.text(2) and attribute.has(3):
                full[attribute.text(3)] = attribute.text(2)
    found: dict[str, Array] = {}
    for key, array in arrays.items():
        name = full.get(key, key.removesuffix(_OBJECT))
        # What Keras 3 exports holds each variable twice, in two lists of one object.
        if name in found and not np.array_equal(found[name], array, equal_nan=True):
            return {key.removesuffix(_OBJECT): array for key, array in arrays.items()}
        found[name] = array
    return found


def _dtype(name: str, kind: int) -> str:
    if kind not in _DTYPES:
        raise ValueError(f"'{name}' has type {kind} of TensorFlow, expected numbers")
    return _DTYPES[kind]


def _shape(message: Message) -> tuple[int, ...]:
    if message.integer(3):
        raise ValueError("an array whose number of axes is not known")
    return bounded_shape([axis.integer(1) for axis in message.messages(2)])


# Version 1 ----------------------------------------------------------------------------------------


def _slices(meta: Message, table: Iterator[tuple[bytes, memoryview]]) -> dict[str, Array]:
    """The arrays of a table of slices, each in one slice or several."""
    arrays: dict[str, Array] = {}
    kinds: dict[str, int] = {}
    filled: dict[str, int] = {}
    for each in meta.messages(1):
        meter().take_names(1)
        name, kind, shape = each.text(1), each.integer(3), _shape(each.message(2))
        if kind == _STRING:
            continue
        dtype = _dtype(name, kind)
        stored = np.dtype(np.float32 if dtype == BFLOAT16 else dtype)
        meter().take_bytes(math.prod(shape) * stored.itemsize)
        arrays[name], kinds[name], filled[name] = np.zeros(shape, stored), kind, 0
    for _, value in table:
        data = Message.of(value).message(2)
        name = data.text(1)
        if name not in arrays:
            continue
        whole = arrays[name]
        place: list[slice] = []
        extents = list(data.message(2).messages(1))
        if len(extents) != whole.ndim:
            raise ValueError(f"a slice of '{name}' has {len(extents)} axes, expected {whole.ndim}")
        for extent, size in zip(extents, whole.shape, strict=True):
            start, length = extent.integer(1), extent.integer(2, size)
            if not (0 <= start <= start + length <= size):
                raise ValueError(f"a slice of '{name}' is from {start} on {length} long, of {size}")
            place.append(slice(start, start + length))
        part: Array = whole.reshape((*whole.shape, 1))[tuple(place)][..., 0]
        part[...] = _tensor(name, data.message(3), kinds[name], part.shape)
        filled[name] += part.size
    for name, array in arrays.items():
        if filled[name] != array.size:
            raise ValueError(f"'{name}' has {filled[name]} of {array.size} values")
    return arrays


def _tensor(name: str, tensor: Message, kind: int, shape: tuple[int, ...]) -> Array:
    """The values of a TensorProto, which has them as bytes or one by one, but not its own type and
    shape in a checkpoint.
    """
    if len(tensor.content(4)):
        return from_bytes(tensor.content(4), _dtype(name, kind), shape)
    if kind in _FIXED:
        values = tensor.numbers(*_FIXED[kind])
    else:
        parts = tensor.fields.get(_PACKED[kind], [])
        values = (
            varints(parts[0])
            if len(parts) == 1 and isinstance(parts[0], memoryview)
            else np.array(tensor.integers(_PACKED[kind]), np.int64)
        )
        if kind in (14, 19):  # the bits of each value
            bits = values.astype("<u2").tobytes()
            return from_bytes(bits, _DTYPES[kind], shape)
    if len(values) != math.prod(shape):
        raise ValueError(f"'{name}' has {len(values)} values for shape {shape}")
    return values.astype(_DTYPES[kind]).reshape(shape)
