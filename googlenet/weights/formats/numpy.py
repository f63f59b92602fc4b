"""NumPy archives, .npz, and safetensors files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...arrays import Params
from ...errors import WeightsError
from ...npy import read_array
from ...paths import read_file
from ..files import DTYPES, read_safetensors, refuse_checkpoint, safetensors_header
from . import archives
from .common import BFLOAT16, WeightsFile, from_bytes, plain_arrays

_SAFETENSORS = {**DTYPES, "BF16": BFLOAT16}


def read_npz(path: Path) -> WeightsFile:
    """Read a .npz file, compressed or not. Raises `ValueError` for arrays of Python objects, which
    need unpickling.
    """
    arrays: Params = {}
    with archives.opened(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            with archives.stream(archive, member) as (file, size):
                arrays[name] = read_array(file, size, f"'{name}'")
    return WeightsFile(path, "NumPy archive", plain_arrays(arrays), {})


def _with_bfloat16(path: Path) -> tuple[Params, dict[str, str]]:
    """What `read_safetensors` returns, for a file with a dtype that numpy lacks."""
    import safetensors

    deserialize: Callable[[bytes], list[tuple[str, Any]]] = safetensors.deserialize
    views = deserialize(read_file(path))
    arrays = {
        name: from_bytes(view["data"], _SAFETENSORS[view["dtype"]], view["shape"])
        for name, view in views
    }
    return arrays, dict(safetensors_header(path).get("__metadata__", {}))


def read_safetensors_file(path: Path) -> WeightsFile:
    """Read a safetensors file. Raises `WeightsError` if it is incomplete, or has a dtype that is
    neither numpy's nor bfloat16.
    """
    try:
        arrays, metadata = read_safetensors(path)
    except WeightsError as error:
        try:
            arrays, metadata = _with_bfloat16(path)
        except Exception:  # then the file is damaged, whatever the second reading says
            raise error from None
    refuse_checkpoint(path, metadata)
    header = safetensors_header(path)
    names = sorted(
        arrays, key=lambda name: (header[name]["data_offsets"], name)
    )  # the library returns them in any order
    return WeightsFile(
        path, "safetensors file", plain_arrays({name: arrays[name] for name in names}), metadata
    )
