"""Resized images of a set: in memory, or if there are too many, mapped from the cache folder, where
they are found again by a digest of the bytes that they were made from.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError
from ..files import replacing
from ..spec.layers import Shape
from .decoding import Raw, decode, map_npy, reading
from .download import Report, cache_folder
from .resizing import resize

#: Beyond this many bytes the resized images of a set are kept in the cache folder, not in memory.
IN_MEMORY = 256 * 2**20


def resize_all(parts: Sequence[Raw], input_shape: Shape, report: Report) -> list[Array]:
    """Each of `parts` as (N, C, H, W) uint8 of `input_shape` (C, H, W): in memory, or mapped from
    the cache folder if together they take more than `IN_MEMORY` bytes.

    Raises `DataError`, naming the file, if an image cannot be read, or the cache cannot be written
    or is damaged.
    """
    total = sum(len(images) for images in parts)
    in_memory = total * math.prod(input_shape) <= IN_MEMORY
    done = 0

    def resized(images: Raw) -> Iterator[Array]:
        nonlocal done
        for source in images:
            yield resize(decode(source), input_shape)
            done += 1
            if done % 64 == 0 or done == total:
                report("resizing", done, total)

    arrays: list[Array] = []
    for images in parts:
        shape = (len(images), *input_shape)
        if in_memory:
            array: Array = np.empty(shape, np.uint8)
            for index, pixels in enumerate(resized(images)):
                array[index] = pixels
        else:
            size = "x".join(map(str, input_shape))
            path = cache_folder() / f"{_source_digest(images)[:32]}-{size}.npy"
            if path.exists():
                done += len(images)
            else:
                _write_npy(path, shape, resized(images))
            array = stored_array(path)
            if array.shape != shape or array.dtype != np.uint8:
                raise DataError(
                    f"{path}: is damaged: expected {shape} of uint8, but it holds {array.shape} of"
                    f" {array.dtype}; delete it"
                )
        arrays.append(array)
    return arrays


def _source_digest(images: Raw) -> str:
    """SHA-256 over the bytes of files or arrays, one after the other."""
    found = hashlib.sha256()
    for source in images:
        if isinstance(source, Path):
            with reading(source):
                data = source.read_bytes()
            found.update(f"{len(data)} ".encode())
        else:
            data = source.tobytes()
            found.update(f"{source.shape} ".encode())
        found.update(data)
    return found.hexdigest()


def _write_npy(path: Path, shape: Shape, images: Iterator[Array]) -> None:
    """Write `images` one by one. With an array mapped to a new file, a full disk would end the
    process with a signal.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            for image in images:
                file.write(image.tobytes())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); set GOOGLENET_CACHE_DIR to"
            " another folder"
        ) from error


def stored_array(path: Path) -> Array:
    """An array that was written before, memory-mapped. Raises `DataError` if it is damaged."""
    try:
        return map_npy(path)
    except DataError as error:
        advice = "delete it" if path.exists() else "it is missing, so delete the rest of its folder"
        raise DataError(f"{error}; {advice}") from error
