"""MindSpore checkpoints, .ckpt, without MindSpore and without protobuf.

The file is a protobuf message `Checkpoint` (`protobuf.py` reads the wire format):

    message Checkpoint { repeated Value value = 1; } message Value { required string tag = 1;
    TensorProto tensor = 2; MapTensorProto maptensor = 3; } message TensorProto { repeated int64
    dims = 1; required string tensor_type = 2; required bytes tensor_content = 3; }

A tensor over 512 MiB comes in slices, each a value under the same tag with the dims of the whole.
Text given to `append_dict` is metadata; a number given there is an array without axes, which the
file does not distinguish from a parameter. A file that was cut exactly between two parameters looks
complete, unless it was saved with crc_check=True. Format: mindspore/train/serialization.py.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path

from ...arrays import Array
from ...budget import meter
from ...errors import WeightsError
from ...paths import read_file
from .common import BFLOAT16, WeightsFile, from_bytes, plain_arrays
from .protobuf import fields

ENCRYPTED = (b"\xd8\x5e\x3a\x7f", b"\xd9\x5e\x3a\x7f", b"\xda\x5e\x3a\x7f")
"""The first bytes of a file that was saved with enc_key: AES-GCM, AES-CBC and SM4-CBC."""

_DTYPES = {
    "Bool": "|b1",
    "Int8": "|i1",
    "Int16": "<i2",
    "Int32": "<i4",
    "Int64": "<i8",
    "UInt8": "|u1",
    "UInt16": "<u2",
    "UInt32": "<u4",
    "UInt64": "<u8",
    "Float16": "<f2",
    "Float32": "<f4",
    "Float64": "<f8",
    "BFloat16": BFLOAT16,
}
_CRC = b"crc_num"
_CRC_BYTES = 10


@dataclass
class _Tensor:
    """A tensor, its slices so far joined."""

    type: str
    dims: tuple[int, ...]
    content: bytearray = field(default_factory=bytearray)

    def array(self) -> Array:
        if self.type not in _DTYPES:
            raise ValueError(f"a tensor of type {self.type}, expected one of {', '.join(_DTYPES)}")
        # Older versions write a scalar with the dims [0].
        shape = () if self.dims == (0,) and self.content else self.dims
        return from_bytes(self.content, _DTYPES[self.type], shape)


def _tensor(message: memoryview) -> _Tensor:
    """One slice of a tensor."""
    dims: list[int] = []
    kind: str | None = None
    content: memoryview | None = None
    for number, value in fields(message):
        match number, value:
            case 1, int():
                dims.append(value)
                meter().check_axes(len(dims))
            case 2, memoryview():
                kind = bytes(value).decode("utf-8")
            case 3, memoryview():
                content = value
            case _:
                raise ValueError(f"field {number} of a tensor, expected 1 to 3")
    if kind is None or content is None:
        raise ValueError("a tensor without type or content")
    return _Tensor(kind, tuple(dims), bytearray(content))


def _value(message: memoryview) -> tuple[str, _Tensor]:
    """One value: its tag, and a slice of its tensor."""
    tag: str | None = None
    tensor: _Tensor | None = None
    for number, value in fields(message):
        match number, value:
            case 1, memoryview():
                tag = bytes(value).decode("utf-8")
            case 2, memoryview():
                tensor = _tensor(value)
            case 3, memoryview():
                raise ValueError("a hash table (maptensor), expected dense tensors")
            case _:
                raise ValueError(f"field {number} of a value, expected 1 or 2")
    if tag is None or tensor is None:
        raise ValueError("a value without tag or tensor")
    return tag, tensor


def _without_crc(data: bytes) -> memoryview:
    """`data` without the checksum at its end, if it has one. Raises `ValueError` if
    that is wrong.
    """
    content, mark = memoryview(data)[: -len(_CRC) - _CRC_BYTES], data[-len(_CRC) - _CRC_BYTES :]
    if not mark.startswith(_CRC):
        return memoryview(data)
    if zlib.crc32(content) != int.from_bytes(data[-_CRC_BYTES:], "big"):
        raise ValueError("its checksum does not match its content")
    return content


def _tensors(data: memoryview) -> dict[str, _Tensor]:
    tensors: dict[str, _Tensor] = {}
    for number, message in fields(data):
        if number != 1 or not isinstance(message, memoryview):
            raise ValueError(f"field {number} of a checkpoint, expected 1")
        meter().take_names(1)
        tag, slice_ = _value(message)
        known = tensors.setdefault(tag, _Tensor(slice_.type, slice_.dims))
        if (known.type, known.dims) != (slice_.type, slice_.dims):
            raise ValueError(f"'{tag}' with two shapes or types")
        known.content += slice_.content
    return tensors


def read(path: Path) -> WeightsFile:
    """Read a .ckpt file. Raises `WeightsError` if it is encrypted."""
    data = read_file(path)
    if data.startswith(ENCRYPTED):
        raise WeightsError(
            f"{path}: an encrypted MindSpore checkpoint, expected a plain one; load it in MindSpore"
            " with its key and save it without one"
        )
    arrays: dict[str, Array] = {}
    metadata: dict[str, str] = {}
    for tag, tensor in _tensors(_without_crc(data)).items():
        if tensor.type == "str":
            metadata[tag] = tensor.content.decode("utf-32-le").rstrip("\0")
        else:
            arrays[tag] = tensor.array()
    return WeightsFile(path, "MindSpore checkpoint", plain_arrays(arrays), metadata)
