"""Prepared sets: resized once, written to a folder, and read back unchanged, memory-mapped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..files import replacing, write_atomically, writing
from ..paths import file_name, kind_at, read_file
from ..spec.layers import Shape
from .cache import stored_array
from .dataset import DataSet, Split

#: The arrays of a prepared set, each in its own .npy file.
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
#: The file that says what they are, written last.
DESCRIPTION = "data.json"


def save_data(folder: Path, data: DataSet) -> None:
    """Write `data` to `folder`, from which `load_data` reads it back unchanged, memory-mapped.

    Images are (N, C, H, W) uint8, labels (N,) int64. Raises `DataError` if a file cannot be
    written. A set that was only partly written is refused when it is read: its description comes
    last.
    """
    arrays = (data.train.images, data.train.labels, data.test.images, data.test.labels)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in zip(ARRAYS, arrays, strict=True):
            with replacing(folder / f"{name}.npy") as temporary:
                np.save(temporary, array)
        text = {
            "name": file_name(data.name),
            "description": data.description,
            "classes": list(data.classes),
            "digest": data.digest,
        }
        write_atomically(folder / DESCRIPTION, json.dumps(text, indent=2).encode())


def is_prepared(folder: Path) -> bool:
    """Whether `save_data` wrote a set to `folder`."""
    return bool(kind_at(folder / DESCRIPTION))


def read_prepared(folder: Path, input_shape: Shape) -> DataSet:
    """The set that `save_data` wrote to `folder`.

    Raises `DataError`, naming the file, if it is damaged or not what its description says, or if
    its images are not of `input_shape` (C, H, W).
    """
    path = folder / DESCRIPTION
    try:
        text = json.loads(read_file(path))
        name, description, digest = text["name"], text["description"], text["digest"]
        classes = tuple(text["classes"])
        if any(not isinstance(each, str) for each in (name, description, digest, *classes)):
            raise TypeError("names are strings")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: does not describe a prepared set ({error!r}); prepare the set again"
        ) from error
    if file_name(name) != name:
        raise DataError(
            f"{path}: expected the name of a set, which becomes that of a folder, got {name!r};"
            " prepare the set again"
        )
    try:
        arrays = [stored_array(folder / f"{each}.npy") for each in ARRAYS]
    except DataError as error:
        raise DataError(f"{error}, and prepare the set again") from error
    data = DataSet(name, description, classes, Split(*arrays[:2]), Split(*arrays[2:]))
    _check_split(folder, "train", data.train, input_shape)
    _check_split(folder, "test", data.test, input_shape)
    if data.digest != digest:
        raise DataError(
            f"{folder}: its arrays do not match {DESCRIPTION} (expected digest {digest}, got"
            f" {data.digest}); prepare the set again"
        )
    return data


def _check_split(folder: Path, part: str, split: Split, input_shape: Shape) -> None:
    images, labels = split.images, split.labels
    if (
        images.ndim != 4
        or images.dtype != np.uint8
        or labels.shape != images.shape[:1]
        or labels.dtype != np.int64
    ):
        raise DataError(
            f"{folder}: expected {part}_images.npy of (N, C, H, W) uint8 and {part}_labels.npy of"
            f" (N,) int64, got {images.shape} {images.dtype} and {labels.shape} {labels.dtype};"
            " prepare the set again"
        )
    channels, *sides = images.shape[1:]
    if (channels, *sides) != tuple(input_shape):
        same = channels == input_shape[0]
        needed = "1 channel" if channels == 1 else f"{channels} channels"
        how = "at that `input_shape`" if same else f"for {needed}"
        raise DataError(
            f"{folder}: {part}_images.npy holds images of {images.shape[1:]}, but the network"
            f" expects {tuple(input_shape)}; build the network {how}, or prepare the set again"
        )
