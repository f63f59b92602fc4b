"""What a set of images to train on is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError


@dataclass(frozen=True)
class Split:
    """`images` (N, C, H, W) uint8, maybe memory-mapped, and `labels` (N,) int64."""

    images: Array
    labels: Array


#: The most characters of a set's name.
LONGEST = 100


def check_name(name: str) -> str:
    """The name of a set, which becomes part of the names of folders. Raises `ValueError` unless it
    is one word or several, and leads to no other folder.
    """
    if not 0 < len(name) <= LONGEST or not name.isprintable() or set(name) & {"/", "\\"}:
        raise ValueError(f"its name is {name[:LONGEST]!r}, expected words without slashes")
    if name.strip(". ") == "":
        raise ValueError(f"its name is {name!r}, expected words")
    return name


def name_of(folder: Path) -> str:
    """What the set in a folder is called: as the folder, as far as that is a name."""
    name = "".join(
        "-" if each in "/\\" or not each.isprintable() else each for each in folder.resolve().name
    )
    return name[:LONGEST] if name.strip(". ") else "images"


@dataclass(frozen=True)
class DataSet:
    """Images to train on and to test with, the names of their classes, and a description of where
    they come from.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    train: Split
    test: Split

    @cached_property
    def digest(self) -> str:
        """SHA-256 over shapes and bytes of all images and labels."""
        found = hashlib.sha256()
        for array in (self.train.images, self.train.labels, self.test.images, self.test.labels):
            found.update(f"{array.shape} {array.dtype}".encode())
            for start in range(0, len(array), 1024):
                found.update(np.ascontiguousarray(array[start : start + 1024]).tobytes())
        return found.hexdigest()


def check_classes(data: DataSet, num_classes: int) -> None:
    """Raises `DataError` if `data` has more classes than the network, or a label out of range."""
    if len(data.classes) > num_classes:
        raise DataError(
            f"{data.description}: has {len(data.classes)} classes, but the network has"
            f" {num_classes}; give `num_classes` {len(data.classes)}"
        )
    for what, split in (("training", data.train), ("test", data.test)):
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= num_classes:
            wrong = low if low < 0 else high
            raise DataError(
                f"{data.description}: a {what} label is {wrong}, out of range for {num_classes}"
                f" classes (0 to {num_classes - 1})"
            )
