"""Paddle's parameters for inference, .pdiparams, without Paddle.

The file has each parameter's type, shape and values one after the other, and no names: those are in
the program beside it, a .json (Paddle 3) or .pdmodel, and the arrays are in their order. They are
the names of a program (`conv2d_0.w_0`), not those of the model's layers. Sources:
paddle/phi/core/framework/dense_tensor_serialize.cc, dense_tensor_tostream.cc and framework.proto;
paddle/fluid/pir/serialize_deserialize.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ...arrays import Array
from ...budget import bounded_json, meter
from ...errors import WeightsError
from ...paths import kind_at, read_file
from .common import BFLOAT16, Cursor, WeightsFile, from_bytes, plain_arrays
from .protobuf import Message

_DTYPES: Final = {
    0: "|b1",
    1: "<i2",
    2: "<i4",
    3: "<i8",
    4: "<f2",
    5: "<f4",
    6: "<f8",
    20: "|u1",
    21: "|i1",
    22: BFLOAT16,
}
_LOD_TENSOR: Final = 7
_PROGRAMS: Final = (".json", ".pdmodel")


def begins(head: bytes) -> bool:
    """Whether a file that begins with `head` begins with a parameter: of version 0, without levels,
    again version 0, and the length and the first field of its description.
    """
    size = int.from_bytes(head[16:20], "little")
    return head.startswith(bytes(16)) and 0 < size < 1024 and head[20:21] == b"\x08"


def read(path: Path) -> WeightsFile:
    """Read a .pdiparams file. Raises `WeightsError` if its program is not beside it."""
    programs = [path.with_suffix(suffix) for suffix in _PROGRAMS]
    program = next((each for each in programs if kind_at(each, WeightsError) == "file"), None)
    if program is None:
        raise WeightsError(
            f"{path}: has Paddle's parameters without their names, which are in"
            f" {' or '.join(each.name for each in programs)}, and neither is beside it; put it"
            " there, or save the model's state_dict as .pdparams"
        )
    meter().add_file(program)
    names = sorted(
        _names_of_json(read_file(program))
        if program.suffix == ".json"
        else _names_of_program(read_file(program))
    )
    arrays = list(_arrays(read_file(path)))
    if len(arrays) != len(names):
        raise WeightsError(
            f"{path}: has {len(arrays)} arrays, but {program.name} beside it names {len(names)};"
            " expected the two that were saved together"
        )
    found = dict(zip(names, arrays, strict=True))
    return WeightsFile(path, "Paddle inference parameters", plain_arrays(found), {})


def _arrays(data: bytes) -> Iterator[Array]:
    cursor = Cursor(data)
    while cursor.left:
        meter().take_names(1)
        version, levels = cursor.integer(4), cursor.integer(8)
        if version or levels or cursor.integer(4):
            raise ValueError("a parameter of an unknown version, or with levels of detail")
        description = Message.of(cursor.take(cursor.integer(4)))
        kind = description.integer(1, -1)
        if kind not in _DTYPES:
            raise ValueError(f"a parameter of Paddle's type {kind}, expected numbers")
        shape = description.integers(2)
        size = 2 if _DTYPES[kind] == BFLOAT16 else int(_DTYPES[kind][-1])
        for length in shape:
            size *= length
        yield from_bytes(cursor.take(size), _DTYPES[kind], shape)


def _names_of_program(data: bytes) -> list[str]:
    """The persistent variables of a ProgramDesc."""
    found: list[str] = []
    for block in Message.of(data).messages(1):
        for variable in block.messages(3):
            if variable.integer(3) and variable.message(2).integer(1) == _LOD_TENSOR:
                found.append(variable.text(1))
    meter().check_names(len(found))
    return found


def _names_of_json(data: bytes) -> list[str]:
    """The parameters of a program in Paddle 3's own JSON, where each is an operation `p`."""
    program = bounded_json(data)
    if not isinstance(program, dict) or "program" not in program:
        raise ValueError("the .json beside it is not a program of Paddle's")
    found: list[str] = []
    waiting: list[Any] = [program["program"]]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            attributes = value.get("A")
            if value.get("#") == "p" and isinstance(attributes, list) and attributes:
                if not isinstance(attributes[-1], str):
                    raise ValueError("the .json beside it has a parameter without a name")
                found.append(attributes[-1])
    meter().check_names(len(found))
    return found
