"""Sets of images to train on: found or downloaded, decoded, resized once, and split into those to
train with and those to test with.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import DataError
from ..paths import kind_at
from ..spec.layers import Shape
from .cache import resize_all
from .dataset import DataSet, Split, check_classes, name_of
from .decoding import Raw, image_files, read_idx, read_labels, reading
from .digits import CLASSES as DIGITS_CLASSES
from .digits import DESCRIPTION as DIGITS_DESCRIPTION
from .digits import DIGITS, read_digits
from .download import FASHION_MNIST, Report, download
from .places import idx_files, idx_set, other_files, split_folders, system_set
from .prepared import is_prepared, read_prepared
from .resizing import check_channels

__all__ = ["DIGITS", "FASHION_MNIST", "DataSet", "Split", "check_classes", "load_data"]

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
#: If no test set is given, one image in this many is for testing.
TEST_EVERY = 5

#: Image files with the labels of their classes.
Labelled: TypeAlias = list[tuple[Path, int]]


def load_data(
    data: str,
    input_shape: Shape,
    *,
    data_dir: Path | None = None,
    report: Report = lambda what, done, total: None,
) -> DataSet:
    """The set `data` at `input_shape` (C, H, W): `digits`, `fashion-mnist`, or a path.

    A path is a folder of IDX files with the names of MNIST's, one that `save_data` wrote, or one of
    images: `train/CLASS/…` and `test/CLASS/…`, or `CLASS/…`. The files of Fashion-MNIST are those
    in `data_dir` or in the folder that the environment variable GOOGLENET_DATA_DIR names; otherwise
    they are downloaded once. Images are (N, C, H, W) uint8, stretched to the input; grey is
    repeated where three channels are wanted, and colour turned to grey where one is.

    Raises `DataError`, naming the file, if anything is missing, damaged or does not belong
    together; `ShapeError` for a number of channels other than 1 or 3.
    """
    check_channels(input_shape)
    if data_dir is not None and data != FASHION_MNIST:
        raise DataError(
            f"`data_dir`: is only for `data` {FASHION_MNIST}, got {data_dir} with `data` {data};"
            " leave it out"
        )
    with reading(data):
        if data == DIGITS:
            return _digits(input_shape, report)
        if data == FASHION_MNIST:
            return _fashion_mnist(data_dir, input_shape, report)
        return _from_path(data, input_shape, report)


def _from_path(data: str, input_shape: Shape, report: Report) -> DataSet:
    path = Path(data)
    kind = kind_at(path)
    beside = data and not kind and kind_at(path.parent) == "folder"
    if beside and idx_set(path.parent, path.name) is not None:  # one of several in a folder
        return _idx(name_of(path), path.parent, None, input_shape, report, path.name)
    if not data or not kind:  # an empty path would mean the current folder
        raise DataError(
            f"`data`: expected {DIGITS}, {FASHION_MNIST} or a path that exists, got"
            f" {data or 'an empty one'}"
        )
    if kind != "folder":
        raise DataError(
            f"{path}: is a {kind}; give the folder that holds train-images-idx3-ubyte.gz and the"
            " others, or one that holds a folder of images for each class"
        )
    if is_prepared(path):
        return read_prepared(path, input_shape)
    if idx_set(path) is not None:
        return _idx(name_of(path), path, None, input_shape, report)
    return _folder(path, input_shape, report)


# Digits and IDX files -----------------------------------------------------------------------------


def _digits(input_shape: Shape, report: Report) -> DataSet:
    images, labels = read_digits()
    testing = np.arange(len(labels)) % TEST_EVERY == TEST_EVERY - 1
    train, test = resize_all((images[~testing], images[testing]), input_shape, report)
    return DataSet(
        DIGITS,
        DIGITS_DESCRIPTION,
        DIGITS_CLASSES,
        Split(train, labels[~testing]),
        Split(test, labels[testing]),
    )


def _fashion_mnist(data_dir: Path | None, input_shape: Shape, report: Report) -> DataSet:
    named = str(data_dir or os.environ.get("GOOGLENET_DATA_DIR") or "")
    if not named:
        folder = system_set() or download(report)
        return replace(
            _idx(FASHION_MNIST, folder, FASHION_CLASSES, input_shape, report),
            description="Fashion-MNIST",
        )
    data = _idx(FASHION_MNIST, Path(named), FASHION_CLASSES, input_shape, report)
    counts = f"{len(data.train.labels):,} for training and {len(data.test.labels):,} for testing"
    return replace(data, description=f"Fashion-MNIST's files in {named} ({counts})")


def _idx(
    name: str,
    folder: Path,
    classes: tuple[str, ...] | None,
    input_shape: Shape,
    report: Report,
    prefix: str = "",
) -> DataSet:
    images: list[Raw] = []
    labels = []
    first, second, third, fourth = idx_files(folder, prefix)
    for images_path, labels_path in ((first, second), (third, fourth)):
        images.append(read_idx(images_path, axes=3))
        labels.append(read_labels(labels_path, images_path, len(images[-1])))
        if classes is not None and labels[-1].max() >= len(classes):
            raise DataError(
                f"{labels_path}: label {labels[-1].max()} is out of range for {len(classes)}"
                f" classes; if this is not {FASHION_MNIST}, give its folder as `data`"
            )
    highest = max(int(part.max()) for part in labels)
    if classes is None and highest == 0:
        raise DataError(
            f"{folder}: all labels are 0, and there is nothing to learn with one class; give a set"
            " with at least two"
        )
    train, test = resize_all(images, input_shape, report)
    return DataSet(
        name,
        str(folder),
        classes or tuple(map(str, range(highest + 1))),
        Split(train, labels[0]),
        Split(test, labels[1]),
    )


# Folders of images --------------------------------------------------------------------------------


def _folder(path: Path, input_shape: Shape, report: Report) -> DataSet:
    train, test = split_folders(path)
    if train is not None and test is None and not _folders_in(train):
        train = None  # a class of trains
    root = path if train is None else train
    classes = _folders_in(root)
    if len(classes) < 2:
        what = f"one class, {classes[0]}" if classes else "no class folders"
        if not classes and (others := other_files(root)) is not None:
            raise DataError(f"{root}: holds {others}")
        raise DataError(
            f"{root}: holds {what}; expected a folder of PNG or JPEG images for each of at least"
            " two classes"
        )
    by_class = {name: image_files(root / name) for name in classes}
    parts = (
        _every_fifth(root, by_class)
        if train is None
        else _with_test_folder(path, train, test, by_class)
    )
    images = resize_all([[file for file, _ in part] for part in parts], input_shape, report)
    labels = [np.array([label for _, label in part], np.int64) for part in parts]
    return DataSet(
        name_of(path),
        str(path),
        classes,
        Split(images[0], labels[0]),
        Split(images[1], labels[1]),
    )


def _folders_in(folder: Path) -> tuple[str, ...]:
    names = (each.name for each in folder.iterdir() if kind_at(each) == "folder")
    return tuple(sorted(name for name in names if not name.startswith(".")))


def _with_test_folder(
    path: Path, train: Path, test: Path | None, by_class: dict[str, list[Path]]
) -> tuple[Labelled, Labelled]:
    """What `train` holds, which is `by_class`, and what `test` holds of its classes."""
    if test is None:
        raise DataError(
            f"{path / 'test'}: is missing, although there is {train}; add it, or move the classes"
            f" straight into {path} and remove {train}"
        )
    present = _folders_in(test)
    if stray := [name for name in present if name not in by_class]:
        raise DataError(
            f"{test / stray[0]}: is a class that {train} does not have; add it there, or remove it"
            " here"
        )
    if not present:
        raise DataError(
            f"{test}: holds no PNG or JPEG images of any class; add some, or move the classes from"
            f" {train} straight into {path} and remove both folders"
        )
    for_training = [(file, label) for label, name in enumerate(by_class) for file in by_class[name]]
    for_testing = [
        (file, label)
        for label, name in enumerate(by_class)
        if name in present
        for file in image_files(test / name)
    ]
    return for_training, for_testing


def _every_fifth(root: Path, by_class: dict[str, list[Path]]) -> tuple[Labelled, Labelled]:
    """Split each class: every `TEST_EVERY`th image to test with, and the others to train on."""
    parts: tuple[Labelled, Labelled] = [], []
    for label, (name, files) in enumerate(by_class.items()):
        if len(files) < TEST_EVERY:
            raise DataError(
                f"{root / name}: too few images ({len(files)}), since every {TEST_EVERY}th is for"
                f" testing; give at least {TEST_EVERY}, or make folders named train and test"
            )
        for index, file in enumerate(files):
            testing = index % TEST_EVERY == TEST_EVERY - 1
            parts[testing].append((file, label))
    return parts
