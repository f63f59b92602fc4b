"""Safetensors files of weights, this project's own format."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from ..arrays import Array, Params
from ..budget import TEXT_PER_NAME, bounded_json, bounded_shape, limited, meter
from ..errors import WeightsError
from ..files import unwritable, write_atomically
from ..paths import expect_file, open_file
from ..spec.layers import Network
from ..version import __version__
from .check import check_params

#: What NumPy calls the dtypes of the format; it lacks the others.
DTYPES: Final = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


def safetensors_bytes(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of `arrays`, the same bytes for the same content: the library itself
    writes its header in any order.
    """
    import safetensors.numpy

    data = safetensors.numpy.save(dict(arrays), dict(metadata))
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the arrays stay aligned
    return len(header).to_bytes(8, "little") + header + data[start:]


def network_metadata(network: Network) -> dict[str, str]:
    """The metadata with which a weights file names its network, so that both can be loaded."""
    return {
        "format": "googlenet",
        "version": __version__,
        "network": network.name,
        "input_shape": ",".join(map(str, network.input_shape)),
        "outputs": ",".join(network.outputs),
    }


def is_own(metadata: Mapping[str, str]) -> bool:
    """Whether `metadata` is that of a file that `save_params` wrote."""
    return metadata.get("format") == "googlenet"


def save_params(
    path: str | os.PathLike[str],
    network: Network,
    params: Mapping[str, Array],
    *,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write float32 `params` of `network` to a safetensors file, with the network's name, version
    and input shape as metadata.

    `extra` is further metadata, such as `classes`. Raises `WeightsError` if the weights do not fit
    the network or the file cannot be written; an existing file is then left unchanged.
    """
    checked = check_params(network, params)
    metadata = {**(extra or {}), **network_metadata(network)}
    try:
        write_atomically(path, safetensors_bytes(checked, metadata))
    except OSError as error:
        raise unwritable(path, error) from error


def read_safetensors(path: str | os.PathLike[str]) -> tuple[Params, dict[str, str]]:
    """All arrays of a safetensors file, and its metadata.

    Raises `WeightsError`, naming the file, if it is missing, unreadable, truncated or of another
    format.
    """
    path = Path(path)
    expect_file(path, "give the path of a .safetensors file", WeightsError)
    try:
        with limited(path, WeightsError), open_file(path) as file:
            header = _header(file)
            metadata = header.pop("__metadata__", {})
            if not all(isinstance(text, str) for text in metadata.values()):
                raise ValueError("its metadata is not text by name")
            return _arrays(file, header), metadata
    except WeightsError:
        raise
    # A header may hold anything that JSON has in the place of an array.
    except Exception as error:
        raise WeightsError(
            f"{path}: is not a complete safetensors file of arrays that NumPy can hold"
            f" ({' '.join(str(error).split())[:500]}); download or save it again"
        ) from error


def safetensors_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: each array's dtype, shape and place, and the metadata.

    Raises `ValueError` if it is none, and what the meter raises if it holds too much.
    """
    with open_file(path) as file:
        return _header(file)


def _header(file: BinaryIO) -> dict[str, Any]:
    """The header, after which `file` is at the first array."""
    held = os.fstat(file.fileno()).st_size
    size = int.from_bytes(file.read(8), "little")
    if held < 8 or size > held - 8:
        raise ValueError(f"its header has {size} bytes, but it holds {max(0, held - 8)}")
    if size > meter().budget.names * TEXT_PER_NAME:
        meter().take_bytes(meter().left + size)
    header = bounded_json(file.read(size))
    if not isinstance(header, dict):
        raise ValueError("its header is not an object of JSON")
    meter().check_names(len(header))
    return header


def _arrays(file: BinaryIO, header: Mapping[str, Any]) -> Params:
    """The arrays of a header, in the order of the file, read from where it ends: charged together
    before the first is. Raises `ValueError` unless each begins where the one before it ends, up to
    the end of the file.
    """
    taken, start, end = meter(), file.tell(), 0
    entries = []
    for name, entry in header.items():
        taken.check_name(name)
        first, last = bounded_shape(entry["data_offsets"])
        taken.take_bytes(last - first)
        entries.append((first, last, name, bounded_shape(entry["shape"]), entry["dtype"]))
    for first, last, name, shape, code in sorted(entries):
        if code not in DTYPES:
            raise ValueError(f"'{name}' has dtype {str(code)[:60]}")
        expected = math.prod(shape) * np.dtype(DTYPES[code]).itemsize
        if first != end or last - first != expected:
            raise ValueError(
                f"'{name}' is in bytes {first} to {last}, expected {expected} at {end}"
            )
        end = last
    held = os.fstat(file.fileno()).st_size - start
    if end != held:
        raise ValueError(f"its arrays have {end} bytes, but it holds {held}")
    arrays: Params = {}
    for first, last, name, shape, code in sorted(entries):
        values = np.empty(last - first, np.uint8)
        taken.check_time()
        if file.readinto(values.data) < len(values):  # type: ignore[attr-defined]
            raise ValueError("it became shorter while it was read")
        arrays[name] = values.view(DTYPES[code]).reshape(shape)
    return arrays


#: The format that a training run's checkpoint names in its metadata.
CHECKPOINT_FORMAT = "googlenet-checkpoint"


def refuse_checkpoint(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> None:
    """Raises `WeightsError` if a file's metadata say that it is a checkpoint of a training run."""
    if metadata.get("format") == CHECKPOINT_FORMAT:
        raise WeightsError(
            f"{path}: is a checkpoint of a training run, expected weights; resume that run, and"
            " give the weights.safetensors that it ends with"
        )


def load_params(path: str | os.PathLike[str], network: Network) -> Params:
    """The weights of `network` from a safetensors file: path → float32 array.

    Raises `WeightsError`, naming the file and the first offending path, if they do not fit.
    """
    params, metadata = read_safetensors(path)
    return check_file(network, params, metadata, path)


def check_file(
    network: Network,
    params: Mapping[str, Array],
    metadata: Mapping[str, str],
    path: str | os.PathLike[str],
) -> Params:
    """`check_params` for what a file holds. Also raises `WeightsError` if the file's metadata name
    another network.
    """
    refuse_checkpoint(path, metadata)
    made_for = metadata.get("network", network.name)
    if made_for != network.name:
        raise WeightsError(
            f"{path}: holds weights of network '{made_for}', expected '{network.name}'; use network"
            f" '{made_for}' instead"
        )
    return check_params(network, params, source=str(path))
