"""The one decoder: what a path means, and the pixels of each image in it.

Images are decoded one at a time and only when asked for, so that a set may be larger than memory,
and no header is believed before the file has been found to hold what it claims.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from ..arrays import Array
from ..budget import LEAST_BYTES, limited, meter, out_of_memory
from ..errors import DataError, GoogLeNetError
from ..npy import read_header
from ..paths import entries, expect_file, kind_at, open_file
from ..printable import shown_path
from .named import NamedImages
from .pictures import OTHER_PICTURES, SUFFIXES, is_picture, read_picture

#: The first bytes of a gzip file.
GZIP = b"\x1f\x8b"
#: What a path of images may be, in words.
KINDS = "an IDX file, a folder, a PNG or JPEG, or an .npy array"
#: deflate expands one byte to at most this many.
MOST_INFLATED = 1032
_MOST_NAMES = 3
#: How a web page begins, which a download may leave in the place of a file.
_HTML = re.compile(rb"\s*<[!?a-z]", re.IGNORECASE)

#: Images that are not decoded yet: PNG or JPEG files, or an array (N, H, W) or (N, H, W, 3).
Raw: TypeAlias = Sequence[Path] | Array


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns every `OSError` of the block, and memory that is used up, into a `DataError` that names
    the file.
    """
    try:
        yield
    except OSError as error:
        named = shown_path(error.filename or path)
        raise DataError(f"{named}: cannot be read ({_words(error)})") from error
    except MemoryError as error:
        raise DataError(out_of_memory(path)) from error


def _words(error: Exception) -> str:
    """What `error` says, in one line; its class if it says nothing."""
    text = str(getattr(error, "strerror", None) or error)
    return " ".join(text.split()) or type(error).__name__


# Paths --------------------------------------------------------------------------------------------


def kind_of(path: Path) -> Literal["folder", "image", "npy", "idx"]:
    """What `path` is by its suffix, or if that says nothing, by the file's first bytes.

    Raises `DataError`, naming the path, if it is missing, empty or cannot be read.
    """
    kind = kind_at(path)
    if kind == "folder":
        return "folder"
    expect_file(path, f"give {KINDS}")
    with reading(path):
        if path.stat().st_size == 0:
            raise DataError(f"{path}: is empty; give {KINDS}")
        if path.suffix.lower() == ".npy":
            return "npy"
        if path.suffix.lower() in SUFFIXES:
            return "image"
        with open_file(path) as file:
            return "image" if is_picture(file.read(8)) else "idx"


def find_images(path: Path) -> Raw:
    """The images that `path` means: an IDX file of bytes (also .gz), a PNG or JPEG, an .npy array
    (N, H, W) or (N, C, H, W), or a folder of PNG and JPEG files, searched with all its subfolders.

    Raises `DataError`, naming the file, if it is missing, empty, truncated or something else.
    """
    match kind_of(path):
        case "folder":
            with reading(path):
                return image_files(path, deep=True)
        case "image":
            return [path]
        case "npy":
            return _read_npy(path)
        case "idx":
            return read_idx(path, axes=3)


def named_images(path: Path) -> NamedImages:
    """Each image that `path` means, with its name. Raises `DataError` as `find_images`."""
    return NamedImages(path, find_images(path))


def image_files(folder: Path, *, deep: bool = False) -> list[Path]:
    """The PNG and JPEG files in `folder`, and with `deep` in its subfolders, in order of their
    paths, without those whose names begin with a dot, which macOS leaves behind. Raises `DataError`
    if there are none, if there are images of other kinds, which would be missing from the set, or
    if folders are nested deeper than the budget allows.
    """
    with limited(folder, DataError):
        files = [path for path in _files_in(folder, deep=deep) if kind_at(path) != "folder"]
        found = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
        others = sorted(path for path in files if path.suffix.lower() in OTHER_PICTURES)
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:_MOST_NAMES])
        more = f" and {len(others) - _MOST_NAMES:,} more" if len(others) > _MOST_NAMES else ""
        raise DataError(
            f"{folder}: holds images that are neither PNG nor JPEG: {names}{more}; save them as"
            " PNG, or move them to another folder"
        )
    if not found:
        raise DataError(f"{folder}: holds no PNG or JPEG images; add some, or leave the folder out")
    return found


def _files_in(folder: Path, *, deep: bool) -> Iterator[Path]:
    """All but the folders in `folder`, and with `deep` in its subfolders, unless hidden; links to
    folders are not followed, since they may lead in a circle.
    """
    folders = [(folder, 1)]
    while folders:
        place, depth = folders.pop()
        with reading(place):
            for path, is_folder in entries(place):
                if path.name.startswith("."):
                    continue
                if not is_folder:
                    yield path
                elif deep:
                    meter().check_depth(depth)
                    folders.append((path, depth + 1))


# Pixels -------------------------------------------------------------------------------------------


def decode(source: Path | Array, name: str = "") -> Array:
    """One image: uint8 (H, W) if it is grey, else (H, W, 3); float32 in [0, 1] if it holds floats.

    `source` is a PNG or JPEG file, in which 16-bit grey becomes 8-bit, or an array (H, W) or (H, W,
    3) of integers from 0 to 255 or of floats in [0, 1]. Otherwise raises `DataError`, which names
    the file, or `name` for an array.
    """
    if isinstance(source, Path):
        with limited(source, DataError), reading(source):
            return read_picture(source)
    if 4 * source.size > LEAST_BYTES:  # it may be mapped, and not read so far
        with limited(name or "the array", DataError) as taken:
            taken.take_bytes(4 * source.size)
    image: Array = np.asarray(source)
    if image.dtype == np.uint8:
        return image
    low, high = image.min(), image.max()
    if image.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # true for NaN as well
            raise DataError(
                f"{name}: floating-point images must be finite and in [0, 1], got {low:g} to"
                f" {high:g}; scale them, or save them as uint8"
            )
        return image.astype(np.float32)
    if low < 0 or high > 255:
        raise DataError(
            f"{name}: integer images must have values from 0 to 255, got {low} to {high}; scale"
            " them"
        )
    return image.astype(np.uint8)


# IDX ----------------------------------------------------------------------------------------------


def read_idx(path: Path, *, axes: int) -> Array:
    """An IDX file of unsigned bytes with `axes` axes, plain (which is mapped) or gzip-compressed:
    uint8 (N, H, W) for images, (N,) for labels.

    Source: the format of the MNIST database. Raises `DataError`, naming the file, if it is
    something else, empty, or holds fewer or more bytes than its header says.
    """
    start = 4 + 4 * axes
    try:
        with limited(path, DataError), open_file(path) as file:
            held = os.fstat(file.fileno()).st_size
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            if not packed:
                shape = _idx_shape(path, file.read(start), axes)
                _check_length(path, shape, held - start)
                return np.memmap(file, np.uint8, "r", start, shape)
            with gzip.GzipFile(fileobj=file) as unpacked:
                shape = _idx_shape(path, unpacked.read(start), axes)
                size = math.prod(shape)
                if size > MOST_INFLATED * held:
                    raise DataError(
                        f"{path}: is truncated or damaged: its header says {_bytes(size)}, more"
                        f" than its {held} compressed bytes can hold"
                    )
                meter().take_bytes(size)
                data = bytearray()
                # Reading one byte more than expected reveals a file that is too long.
                while block := unpacked.read(min(1 << 20, size + 1 - len(data))):
                    data += block
                    meter().check_time()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: is truncated or damaged ({_words(error)}); copy or download it again"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_words(error)})") from error
    _check_length(path, shape, len(data))
    return np.frombuffer(data, np.uint8).reshape(shape)


def _idx_shape(path: Path, header: bytes, axes: int) -> tuple[int, ...]:
    """What the header says. Raises `DataError` if it is not one of `axes` axes."""
    if _HTML.match(header):
        raise DataError(
            f"{path}: is a web page, saved in the place of the file; download the file itself"
        )
    if header[:3] != b"\x00\x00\x08" or len(header) < 4 + 4 * axes or header[3] != axes:
        expected = f"images (N, H, W); give {KINDS}" if axes == 3 else "labels (N,)"
        raise DataError(f"{path}: is not an IDX file of bytes with {expected}")
    shape = tuple(
        int.from_bytes(header[4 * axis : 4 * axis + 4], "big") for axis in range(1, axes + 1)
    )
    if 0 in shape:
        raise DataError(f"{path}: is empty: its header says {shape}")
    return shape


def _check_length(path: Path, shape: tuple[int, ...], held: int) -> None:
    size = math.prod(shape)
    if held != size:
        holds = f"but it holds {held}" if held < size else "but it holds more"
        raise DataError(
            f"{path}: is truncated or damaged: its header says {_bytes(size)}, {holds}; copy or"
            " download it again"
        )


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


def read_labels(path: Path, images: Path, count: int) -> Array:
    """The labels (N,) int64 of an IDX file, which go with the `count` images in the file `images`.

    Raises `DataError` as `read_idx`, and if there are more or fewer.
    """
    with limited(path, DataError) as taken:
        labels = read_idx(path, axes=1)
        if len(labels) != count:
            amount = "few" if len(labels) < count else "many"
            raise DataError(
                f"{path}: too {amount} labels ({len(labels)}) for the images in {images.name}"
                f" ({count}); give the files that belong together"
            )
        taken.take_bytes(8 * count)
        return labels.astype(np.int64)


# .npy ---------------------------------------------------------------------------------------------


def map_npy(path: Path) -> Array:
    """The array in an .npy file, of integers or floats, mapped and not read.

    Raises `DataError`, naming the file, if it is something else, or shorter than its header says.
    """

    def refused(why: str) -> DataError:
        return DataError(f"{path}: is not a complete .npy array of numbers ({why})")

    with reading(path), limited(path, DataError), open_file(path) as file:
        try:
            shape, fortran, dtype = read_header(file)
        except GoogLeNetError:
            raise
        except ValueError as error:
            raise refused(_words(error)) from error
        start, end = file.tell(), os.fstat(file.fileno()).st_size
        if dtype.kind not in "iuf":
            raise refused(f"its dtype is {dtype}")
        if any(side < 1 for side in shape):
            raise refused(f"its shape is {shape}")
        size = math.prod(shape) * dtype.itemsize
        if size > end - start:
            raise refused(f"its header says {_bytes(size)}, but it holds {end - start}")
        try:
            return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")
        except ValueError as error:  # such as more axes than this NumPy has
            raise refused(_words(error)) from error


def _read_npy(path: Path) -> Array:
    """Numbers (N, H, W) or (N, H, W, 3) from a file that holds (N, H, W) or (N, C, H, W)."""
    array = map_npy(path)
    if array.ndim == 3:
        return array
    if array.ndim != 4:
        raise DataError(
            f"{path}: expected numbers of shape (N, H, W) or (N, C, H, W), got {array.shape}"
        )
    if array.shape[1] not in (1, 3):
        raise DataError(
            f"{path}: expected 1 or 3 channels on axis 1 of (N, C, H, W), got shape {array.shape}"
        )
    return array[:, 0] if array.shape[1] == 1 else array.transpose(0, 2, 3, 1)
