"""Resized images of a set: in memory, or if there are too many, mapped from the cache folder, where
they are found again by a digest of the bytes that they were made from.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..budget import limited
from ..errors import DataError
from ..files import replacing
from ..locks import held
from ..paths import kind_at, read_file
from ..room import check_disk
from ..spec.layers import Shape
from .decoding import Raw, decode, map_npy, reading
from .download import Report, cache_folder
from .resizing import resize

#: Beyond this many bytes the resized images of a set are kept in the cache folder, not in memory.
IN_MEMORY = 256 * 2**20

_SMALLER = "give a smaller `input_shape`, or set GOOGLENET_CACHE_DIR to another folder"

#: The number of seconds to wait for another process that writes the same.
PATIENCE = 600.0


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
            name = str(source) if isinstance(source, Path) else "an image of the set"
            yield resize(decode(source), input_shape, name=name)
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
            # Before all of them are read: they may be written already, but not if there never was
            # room, and an IDX file that is nothing but a hole may have more than anybody can read.
            with _writing(cache_folder() / size) as part:
                part.parent.mkdir(parents=True, exist_ok=True)
                check_disk(part, math.prod(shape), _SMALLER, whole=True)
            path = cache_folder() / f"{_source_digest(images)[:32]}-{size}.npy"
            before = done
            _write_npy(path, shape, resized(images))
            done = before + len(images)
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
            with limited(source, DataError), reading(source):
                data = read_file(source)
            found.update(f"{len(data)} ".encode())
        else:
            data = source.tobytes()
            found.update(f"{source.shape} ".encode())
        found.update(data)
    return found.hexdigest()


def _write_npy(path: Path, shape: Shape, images: Iterator[Array]) -> None:
    """Write `images` one by one, unless they are there; of several processes that want them one
    writes, and the others wait. With an array mapped to a new file, a full disk would end the
    process with a signal.
    """
    lock = path.with_name(f".{path.name}.lock")
    with _writing(path), ExitStack() as stack:
        if not kind_at(path):
            with suppress(_Busy):  # then both write, and the last one's is there
                stack.enter_context(held(lock, wait=PATIENCE, busy=_Busy))
        if kind_at(path):
            return
        check_disk(path, math.prod(shape), _SMALLER)
        temporary = stack.enter_context(replacing(path))
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            for image in images:
                file.write(image.tobytes())


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """`path` in the cache folder, of which every `OSError` becomes a `DataError` that names it."""
    try:
        yield path
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); set GOOGLENET_CACHE_DIR to"
            " another folder"
        ) from error


class _Busy(Exception):
    """Another process still writes."""


def stored_array(path: Path) -> Array:
    """An array that was written before, memory-mapped. Raises `DataError` if it is damaged."""
    try:
        return map_npy(path)
    except DataError as error:
        advice = "delete it" if kind_at(path) else "it is missing, so delete the rest of its folder"
        raise DataError(f"{error}; {advice}") from error
