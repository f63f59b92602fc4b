"""The example's own weight files, written and read.

A package beside `googlenet_example`, because importing a module of that package would import SciPy:
reading a file needs no framework.

A file is a line that says what it is, a line of JSON, and all arrays as little-endian float32.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import numpy as np

from googlenet import Params, WeightsError
from googlenet.weights.formats import WeightsFile

MAGIC = b"googlenet-example 1\n"


def write(path: str, arrays: Params, metadata: dict[str, str]) -> None:
    """Write `arrays` by name, and `metadata`."""
    shapes = {name: array.shape for name, array in arrays.items()}
    head = json.dumps({"shapes": shapes, "metadata": metadata}).encode()
    content = b"".join(array.astype("<f4").tobytes() for array in arrays.values())
    Path(path).write_bytes(MAGIC + head + b"\n" + content)


def read(path: Path) -> WeightsFile:
    """What `googlenet.formats` asks for. Raises `WeightsError` for a file that is not whole."""
    magic, _, rest = path.read_bytes().partition(b"\n")
    if magic + b"\n" != MAGIC:
        raise WeightsError(f"{path}: is not a file of the example's; save it again")
    head, _, content = rest.partition(b"\n")
    about = json.loads(head)
    arrays, start = {}, 0
    for name, shape in about["shapes"].items():
        count = prod(shape)
        if len(content) < start + 4 * count:
            raise WeightsError(f"{path}: ends within '{name}'; save it again")
        arrays[name] = np.frombuffer(content, "<f4", count, start).reshape(shape)
        start += 4 * count
    return WeightsFile(path, "example file", arrays, about["metadata"])
