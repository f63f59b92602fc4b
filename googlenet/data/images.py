"""Images from files, decoded and resized once in neutral code, so that every framework sees the
same bytes.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ..arrays import Array, uniform
from ..errors import DataError, ShapeError
from ..spec.layers import Shape

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class ImageSet:
    """`images` (N, C, H, W) float32 in [0, 1], `labels` (N,) int64, and where both come from, in
    words.
    """

    images: Array
    labels: Array
    description: str


def load_image_set(
    source: Path | None,
    input_shape: Shape,
    num_classes: int,
    *,
    count: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """The first `count` images of `source`, resized to `input_shape` (C, H, W), with labels.

    `source` is an IDX file (also .gz), a folder or file of PNG or JPEG, or an .npy array; None
    takes scikit-learn's handwritten digits. Labels come from the IDX label file beside it, else
    from `seed`. Grey is repeated where three channels are wanted, and colour turned to grey where
    one is.

    Raises `DataError`, naming the file, if it is missing, unreadable, empty, truncated or no image,
    or if labels do not fit; `ShapeError` for a number of channels other than 1 or 3.
    """
    channels, height, width = input_shape
    if channels not in (1, 3):
        raise ShapeError(
            f"images: have 1 or 3 channels, and the network takes {channels}; build it with 1 or 3"
        )
    if count is not None and count < 1:
        raise DataError(f"count: expected at least 1, got {count}")
    raw, labels, origin = _digits() if source is None else _read(source, count)
    if count is not None and count > len(raw):
        raise DataError(
            f"{origin if source is None else source}: holds {len(raw)} images, and --count asks for"
            f" {count}"
        )
    raw = raw[:count]
    images = np.stack([_fit(_scaled(image), channels, height, width) for image in raw])
    if labels is None:
        labels = (uniform(seed, "labels")(len(images)) * num_classes).astype(np.int64)
        origin += f", labels drawn from seed {seed}"
    labels = labels[: len(images)]
    if labels.max() >= num_classes:
        raise DataError(
            f"{origin}: label {labels.max()} is out of range for {num_classes} classes; give"
            f" --num-classes {labels.max() + 1}"
        )
    return ImageSet(images, labels, origin)


def _digits() -> tuple[list[Array], Array, str]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = list((bunch.images / 16).astype(np.float32))
    return images, bunch.target.astype(np.int64), "scikit-learn's digits (real handwriting, 8×8)"


def _read(path: Path, count: int | None) -> tuple[list[Array], Array | None, str]:
    if not path.exists():
        raise DataError(
            f"{path}: does not exist; give an IDX file, a folder, a PNG or JPEG, or an .npy array"
        )
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"{path}: holds no PNG or JPEG image")
        return [_decode(file) for file in files[:count]], None, f"{path} ({len(files)} images)"
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty")
    if path.suffix.lower() in SUFFIXES:
        return [_decode(path)], None, str(path)
    if path.suffix.lower() == ".npy":
        return _read_npy(path), None, str(path)
    images = read_idx(path, axes=3)
    labels_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if labels_path == path or not labels_path.is_file():
        return list(images), None, str(path)
    labels = read_idx(labels_path, axes=1)
    if len(labels) != len(images):
        raise DataError(
            f"{labels_path}: holds {len(labels)} labels for {len(images)} images of {path.name};"
            " they do not belong together"
        )
    return list(images), labels.astype(np.int64), f"{path}, labels from {labels_path.name}"


def read_idx(path: Path, *, axes: int) -> Array:
    """An IDX file of unsigned bytes with `axes` axes, plain or gzip-compressed: (N, H, W) images or
    (N,) labels.

    Source: the format of the MNIST database. Raises `DataError`, naming the file, if it is
    something else or truncated.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    start = 4 + 4 * axes
    if data[:3] != b"\x00\x00\x08" or len(data) < start or data[3] != axes:
        raise DataError(
            f"{path}: is not an IDX file of bytes with {axes} axes, a PNG or JPEG, a folder, or an"
            " .npy array"
        )
    shape = tuple(
        int.from_bytes(data[4 * axis : 4 * axis + 4], "big") for axis in range(1, axes + 1)
    )
    if len(data) != start + math.prod(shape):
        raise DataError(
            f"{path}: is truncated or damaged: its header says {math.prod(shape)} bytes, it holds"
            f" {len(data) - start}"
        )
    if 0 in shape:
        raise DataError(f"{path}: is empty: its header says {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _read_npy(path: Path) -> list[Array]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, BadZipFile) as error:
        raise DataError(f"{path}: is not an .npy array of numbers ({error})") from error
    if (
        not isinstance(array, np.ndarray)
        or array.ndim not in (3, 4)
        or array.dtype.kind not in "fiu"
        or array.size == 0
    ):
        shape = getattr(array, "shape", None)
        raise DataError(f"{path}: expected numbers of shape (N, H, W) or (N, C, H, W), got {shape}")
    if array.ndim == 4:
        if array.shape[1] not in (1, 3):
            raise DataError(
                f"{path}: expected 1 or 3 channels on axis 1 of (N, C, H, W), got shape"
                f" {array.shape}"
            )
        array = array.transpose(0, 2, 3, 1)
    if array.dtype.kind == "f" and not (
        np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1
    ):
        raise DataError(
            f"{path}: floating-point images must be finite and in [0, 1]; scale them, or save them"
            " as uint8"
        )
    if array.dtype.kind != "f" and (array.min() < 0 or array.max() > 255):
        raise DataError(
            f"{path}: integer images must be in 0 to 255, got {array.min()} to {array.max()}"
        )
    return list(array)


def open_image(path: Path) -> Any:
    """A Pillow image in mode L if it is grey, else RGB; 16 bits of grey become 8. Raises
    `DataError` if it is no readable image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # Pillow's own conversion would cut off, not scale
                return Image.fromarray(
                    (np.asarray(image, np.float64) / 257).round().clip(0, 255).astype(np.uint8)
                )
            return image.convert("L" if image.mode in ("1", "L", "F") else "RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: is not a readable image ({error})") from error


def _decode(path: Path) -> Array:
    return np.asarray(open_image(path))


def _scaled(image: Array) -> Array:
    """(H, W) or (H, W, C) as float32 in [0, 1]: integers are 0 to 255."""
    return (image if image.dtype.kind == "f" else image / 255).astype(np.float32)


def _fit(image: Array, channels: int, height: int, width: int) -> Array:
    """(H, W) or (H, W, C) → (channels, height, width), bilinear as Pillow resizes floats."""
    from PIL import Image

    planes = [image] if image.ndim == 2 else [image[..., c] for c in range(image.shape[2])]
    if channels == 1 and len(planes) == 3:  # ITU-R 601-2 luma, as Pillow turns colour to grey
        planes = [
            np.float32(0.299) * planes[0]
            + np.float32(0.587) * planes[1]
            + np.float32(0.114) * planes[2]
        ]
    resized = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR))
        for plane in planes
    ]
    return np.stack(resized * (channels // len(resized))).clip(0, 1)
