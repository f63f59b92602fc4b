"""Prepared sets: resized once, written to a folder, and read back unchanged, memory-mapped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import bounded_json, limited
from ..errors import DataError, GoogLeNetError
from ..files import replacing, write_atomically, writing
from ..paths import kind_at, read_file
from ..spec.layers import Shape
from ..typed import MALFORMED, made
from .cache import stored_array
from .dataset import DataSet, Split, check_name

#: The arrays of a prepared set, each in its own .npy file.
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
#: The file that says what they are, written last.
DESCRIPTION = "data.json"


def save_data(folder: Path, data: DataSet) -> None:
    """Write `data` to `folder`, from which `load_data` reads it back unchanged, memory-mapped.

    Images are (N, C, H, W) uint8, labels (N,) int64. Raises `DataError` if a file cannot be
    written, or if the set's name is none. A set that was only partly written is refused when it is
    read: its description comes last.
    """
    try:
        check_name(data.name)
    except ValueError as error:
        raise DataError(
            f"{folder}: the set cannot be written ({error}); give it another"
        ) from error
    arrays = (data.train.images, data.train.labels, data.test.images, data.test.labels)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in zip(ARRAYS, arrays, strict=True):
            with replacing(folder / f"{name}.npy") as temporary:
                np.save(temporary, array)
        text = {
            "name": data.name,
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
        with limited(path, DataError):
            text = made(_Description.of, bounded_json(read_file(path)))
        name = check_name(text.name)
    except GoogLeNetError:
        raise
    except (OSError, *MALFORMED) as error:
        what = " ".join((str(error) or type(error).__name__).split())[:200]
        raise DataError(
            f"{path}: does not describe a prepared set ({what}); prepare the set again"
        ) from error
    try:
        arrays = [stored_array(folder / f"{each}.npy") for each in ARRAYS]
    except DataError as error:
        raise DataError(f"{error}, and prepare the set again") from error
    data = DataSet(name, text.description, text.classes, Split(*arrays[:2]), Split(*arrays[2:]))
    _check_split(folder, "train", data.train, input_shape)
    _check_split(folder, "test", data.test, input_shape)
    if data.digest != text.digest:
        raise DataError(
            f"{folder}: its arrays do not match {DESCRIPTION} (expected digest"
            f" {text.digest[:64]}, got {data.digest}); prepare the set again"
        )
    return data


@dataclass(frozen=True)
class _Description:
    """What `DESCRIPTION` says."""

    name: str
    description: str
    classes: tuple[str, ...]
    digest: str

    @classmethod
    def of(cls, values: Any) -> _Description:
        classes = values["classes"]
        if not isinstance(classes, list) or not classes:
            raise ValueError("its classes are not a list of names")
        return cls(values["name"], values["description"], tuple(classes), values["digest"])


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
