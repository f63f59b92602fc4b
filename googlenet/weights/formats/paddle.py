"""Paddle parameters, .pdparams, without Paddle: a pickle of name to numpy array, read without
numpy's own unpickling.

Format: paddle/framework/io.py `_legacy_save` and io_utils.py `_unpack_saved_dict`. Paddle writes
bfloat16 as uint16, which no file distinguishes from integers: such arrays stay uint16. In a state
dict inside another dictionary, each array is a pair of its name and values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...paths import read_file
from . import nested, pickles
from .common import WeightsFile, named, plain_arrays
from .inert import INERT
from .numpys import NUMPY, is_array

ADVICE = "save only layer.state_dict() with paddle.save"

_SPLIT = "UnpackBigParamInfor@@"  # Paddle's own spelling


_ALLOWED: pickles.Allowed = {**INERT, **NUMPY}


def _joined(loaded: dict[Any, Any], arrays: dict[str, Array]) -> dict[str, Array]:
    """`arrays` with those rejoined that Paddle had to split for protocols 2 and 3, which hold at
    most 4 GiB.
    """
    for name, split in loaded.get(_SPLIT, {}).items():
        parts = [arrays.pop(part) for part in split["slices"]]
        meter().take_bytes(sum(part.nbytes for part in parts))
        arrays[named(name)] = np.concatenate(parts).reshape(bounded_shape(split["OriginShape"]))
    return arrays


def _is_leaf(value: Any) -> bool:
    """Whether `value` is an array, or the pair that Paddle makes of one inside a dictionary."""
    pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
    return is_array(value[1] if pair else value)


def read(path: Path) -> WeightsFile:
    """Read a .pdparams file. Raises `WeightsError` for a pickle with more than arrays in it."""
    loaded = pickles.load(path, read_file(path), _ALLOWED, encoding="latin1", advice=ADVICE)
    leaves, metadata = nested.arrays_in(loaded, _is_leaf, ADVICE)
    meter().take_names(len(leaves))
    found = {
        name: (value if is_array(value) else value[1]).array() for name, value in leaves.items()
    }
    if not metadata and isinstance(loaded, dict):
        found = _joined(loaded, found)
    return WeightsFile(path, "Paddle parameters", plain_arrays(found), metadata)
