"""ONNX models, without onnx: their arrays, and the graph that says which layers these are of.

Arrays are initializers or constants of the graph, in any of the ways in which the schema allows
their values; those in other files are read if these are in the model's own folder. Names say
nothing: an exporter may fold batch norm into convolutions, whose weights then have new ones.
Schema: onnx/onnx.proto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...paths import read_file
from .common import BFLOAT16, WeightsFile, from_bytes, plain_arrays
from .protobuf import Message, varints
from .tensorflowjs import beside

Attribute: TypeAlias = "int | float | str | tuple[int, ...] | Array"

_DTYPES: Final[Mapping[int, str]] = {
    1: "<f4",
    2: "|u1",
    3: "|i1",
    4: "<u2",
    5: "<i2",
    6: "<i4",
    7: "<i8",
    9: "|b1",
    10: "<f2",
    11: "<f8",
    12: "<u4",
    13: "<u8",
    16: BFLOAT16,
}
#: The fields with one number for each value, by type: those of fixed size, and integers.
_FIXED: Final = {1: (4, "<f4"), 11: (10, "<f8")}
_INTEGERS: Final = {7: 7, 12: 11, 13: 11}  # all others are in field 5
_BITS: Final = (10, 16)
_EXTERNAL: Final = 1


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: its kind, as `Conv`, its name, the names of what it takes and gives, and its
    attributes.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def number(self, name: str, default: float) -> float:
        """An attribute that is one number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise ValueError(f"'{self.name}' has a {name} that is not a number")
        return value

    def numbers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """An attribute of several integers."""
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple):
            raise ValueError(f"'{self.name}' has a {name} that is not several integers")
        return value


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """The operations of a model, the shapes of its inputs (None for an axis of any length), the
    names of its outputs, its arrays by name, what exported it, and what else that said of it.
    """

    nodes: tuple[Node, ...]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    producer: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> WeightsFile:
    """Read a .onnx file. Raises `WeightsError` if arrays are in a file that is not beside it."""
    model = Message.of(read_file(path))
    if not model.has(8):  # behind the graph, whose length says nothing of what follows
        raise ValueError("it does not say which operators it uses")
    graph, external = model.message(7), _External(path)
    arrays: dict[str, Array] = {}
    for tensor in graph.messages(5):
        meter().take_names(1)
        name = tensor.text(8)
        if name in arrays:
            raise ValueError(f"two arrays are called '{name}'")
        arrays[name] = _array(name, tensor, external)
    nodes = tuple(_nodes(graph, external))
    for node in nodes:
        if node.op == "Constant" and len(node.outputs) == 1:
            value = next(iter(node.attributes.values()), None)
            if value is not None and not isinstance(value, str):
                arrays[node.outputs[0]] = np.asarray(value)
    whole = plain_arrays(arrays)
    inputs = dict(_input(each) for each in graph.messages(11))
    found = OnnxGraph(
        nodes,
        {name: shape for name, shape in inputs.items() if name not in whole},
        tuple(each.text(1) for each in graph.messages(12)),
        whole,
        model.text(2),
        {entry.text(1): entry.text(2) for entry in model.messages(14)},
    )
    return WeightsFile(path, "ONNX model", whole, {}, found)


def _input(value: Message) -> tuple[str, tuple[int | None, ...]]:
    axes = value.message(2).message(1).message(2).messages(1)
    return value.text(1), tuple(axis.integer(1) if axis.has(1) else None for axis in axes)


def _nodes(graph: Message, external: _External) -> Iterator[Node]:
    for node in graph.messages(1):
        meter().take_names(1)
        yield Node(
            node.text(4),
            node.text(3),
            tuple(node.texts(1)),
            tuple(node.texts(2)),
            {
                attribute.text(1): value
                for attribute in node.messages(5)
                if (value := _attribute(attribute, external)) is not None
            },
        )


def _attribute(attribute: Message, external: _External) -> Attribute | None:
    """An attribute's value, None for one of a kind that no layer here has."""
    if attribute.has(5):
        return _array(attribute.text(1), attribute.message(5), external)
    if attribute.has(8):
        return tuple(attribute.integers(8))
    if attribute.has(2):
        return float(attribute.numbers(2, "<f4")[-1])
    if attribute.has(4):
        return attribute.text(4)
    if attribute.has(7):
        return attribute.numbers(7, "<f4")
    # A number 0 is left out, which of all kinds only an integer says by its type.
    if attribute.has(3) or attribute.integer(20) == 2:
        return attribute.integer(3)
    return 0.0 if attribute.integer(20) == 1 else None


class _External:
    """The files beside a model that hold its arrays, each read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, bytes] = {}

    def content(self, name: str, tensor: Message) -> memoryview:
        """The bytes of an array that is in another file."""
        said = {entry.text(1): entry.text(2) for entry in tensor.messages(13)}
        location = said.get("location", "")
        if location not in self._files:
            found = beside(self._path, location)
            meter().add_file(found)
            self._files[location] = read_file(found)
        whole = self._files[location]
        offset, length = said.get("offset", "0"), said.get("length")
        start = _count(offset)
        stop = len(whole) if length is None else start + _count(length)
        if stop > len(whole):
            raise ValueError(
                f"'{name}' has bytes {start} to {stop} of {location}, which has {len(whole)}"
            )
        return memoryview(whole)[start:stop]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"expected a number of bytes, got '{text[:20]}'")
    return int(text)


def _array(name: str, tensor: Message, external: _External) -> Array:
    kind = tensor.integer(2)
    if kind not in _DTYPES:
        raise ValueError(f"'{name}' has type {kind} of ONNX, expected numbers")
    shape = bounded_shape(tensor.integers(1))
    if tensor.integer(14) == _EXTERNAL:
        return from_bytes(external.content(name, tensor), _DTYPES[kind], shape)
    if tensor.has(9):
        return from_bytes(tensor.content(9), _DTYPES[kind], shape)
    if kind in _FIXED:
        values = tensor.numbers(*_FIXED[kind])
    else:
        values = _integers(tensor, _INTEGERS.get(kind, 5))
        if kind in _BITS:
            return from_bytes(values.astype("<u2").tobytes(), _DTYPES[kind], shape)
    if len(values) != math.prod(shape):
        raise ValueError(f"'{name}' has {len(values)} values for shape {shape}")
    return values.astype(_DTYPES[kind]).reshape(shape)


def _integers(tensor: Message, number: int) -> Array:
    parts = tensor.fields.get(number, [])
    if len(parts) == 1 and isinstance(parts[0], memoryview):
        return varints(parts[0])
    return np.array(tensor.integers(number), np.int64)
