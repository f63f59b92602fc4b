"""TensorFlow.js models: model.json and the shards of weights that it names, beside it.

Layers models of Keras have its own names (`conv2d/kernel`). Weights that were quantized become
float32 as TensorFlow.js makes them. Sources: tensorflow/tfjs, tfjs-core/src/io/types.ts and
io_utils.ts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from ...arrays import Array
from ...budget import bounded_json, bounded_shape, meter
from ...errors import WeightsError
from ...paths import kind_at, read_file
from .common import Cursor, WeightsFile, named, plain_arrays

_DTYPES: Final = {"float32": "<f4", "int32": "<i4", "bool": "|b1"}
_QUANTIZED: Final = {"uint8": "|u1", "uint16": "<u2", "float16": "<f2"}
#: What Keras 2 and TensorFlow write behind a variable's name.
_SUFFIX: Final = ":0"


def read(path: Path) -> WeightsFile:
    """Read a model.json with the shards beside it. Raises `WeightsError` if one is missing, or is
    not beside it.
    """
    model = bounded_json(read_file(path))
    if not isinstance(model, dict) or "weightsManifest" not in model:
        raise ValueError("it names no weights")
    arrays: dict[str, Array] = {}
    for group in model["weightsManifest"]:
        shards = [beside(path, name) for name in group["paths"]]
        for shard in shards:
            meter().add_file(shard)
        joined = b"".join(read_file(shard) for shard in shards)
        meter().take_bytes(len(joined))
        cursor = Cursor(joined)
        for weight in group["weights"]:
            meter().take_names(1)
            name = named(weight["name"]).removesuffix(_SUFFIX)
            if name in arrays:
                raise ValueError(f"two arrays are called '{name}'")
            arrays[name] = _array(name, weight, cursor)
        if cursor.left:
            raise ValueError(f"its shards have {cursor.left} bytes more than it says")
    return WeightsFile(path, "TensorFlow.js model", plain_arrays(arrays), {})


def beside(path: Path, name: object) -> Path:
    """The file `name` in the folder of the file `path`, which names it. Raises `WeightsError` if it
    is not there, or would be anywhere else: a stranger's file may not say what is opened.
    """
    text = named(name)
    text = text.removeprefix("./")
    if not text or text in (".", "..") or any(each in text for each in "/\\\0:"):
        raise WeightsError(
            f"{path}: names the file {text[:100]!r}, expected one in its own folder, by its plain"
            " name"
        )
    found = path.with_name(text)
    if kind_at(found, WeightsError) != "file":
        raise WeightsError(
            f"{path}: its weights are in {text}, which is not beside it; put it there"
        )
    return found


def _array(name: str, weight: Any, cursor: Cursor) -> Array:
    shape, dtype = bounded_shape(weight["shape"]), weight["dtype"]
    quantization = weight.get("quantization")
    stored = dtype if quantization is None else quantization["dtype"]
    known = _DTYPES if quantization is None else _QUANTIZED
    if stored not in known or dtype not in _DTYPES:
        raise ValueError(
            f"'{name}' is {stored!r}, expected one of {', '.join((*_DTYPES, *_QUANTIZED))}"
        )
    size = np.dtype(known[stored]).itemsize
    for length in shape:
        size *= length
    values = np.frombuffer(cursor.take(size), known[stored]).reshape(shape)
    if quantization is None:
        return values
    meter().take_bytes(8 * values.size)
    if stored == "float16":
        return values.astype(np.float32)
    scale, least = (float(quantization[each]) for each in ("scale", "min"))
    restored: Array = (values * scale + least).astype(_DTYPES[dtype])
    return restored
