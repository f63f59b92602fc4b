"""MindSpore's MindIR: the parameters of an exported graph, which have the names that a checkpoint
has. Schema: mindspore/core/proto/mind_ir.proto.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...errors import WeightsError
from ...paths import read_file
from .common import BFLOAT16, WeightsFile, from_bytes, plain_arrays
from .protobuf import Message

_DTYPES: Final = {
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
    17: "<f8",
}


def read(path: Path) -> WeightsFile:
    """Read a .mindir file. Raises `WeightsError` if its parameters are in other files."""
    model = Message.of(read_file(path))
    graphs = [*model.messages(7), *model.messages(8)]
    arrays: dict[str, Array] = {}
    for graph in graphs:
        for tensor in graph.messages(3):
            meter().take_names(1)
            name = tensor.text(7).rpartition(":")[2]  # before it, the graph's own
            if tensor.has(12):
                raise WeightsError(
                    f"{path}: its parameters are in other files, as those of a model of more than"
                    " 1 GB; save a checkpoint (.ckpt) with mindspore.save_checkpoint instead"
                )
            arrays[name] = _array(name, tensor)
    return WeightsFile(path, "MindIR model", plain_arrays(arrays), {})


def _array(name: str, tensor: Message) -> Array:
    kind = tensor.integer(2)
    if kind not in _DTYPES:
        raise ValueError(f"'{name}' has type {kind} of MindIR, expected numbers")
    shape = bounded_shape(tensor.integers(1))
    if kind == 1 and tensor.has(3):
        values = tensor.numbers(3, "<f4")
        if len(values) != int(np.prod(shape, dtype=object)):
            raise ValueError(f"'{name}' has {len(values)} values for shape {shape}")
        return values.reshape(shape)
    return from_bytes(tensor.content(9), _DTYPES[kind], shape)
