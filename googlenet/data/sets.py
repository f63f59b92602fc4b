"""Images to train on: found or downloaded, decoded and resized once in neutral code, and handed out
in the recipe's order.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError, ShapeError
from ..files import replacing, write_atomically
from ..spec.layers import Shape
from .download import FASHION_MNIST, FILES, Report, cache_folder, download
from .images import SUFFIXES, open_image, read_idx

DIGITS = "digits"
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
#: Where no set for testing is given, every so many-th image is for testing.
TEST_EVERY = 5
#: Beyond so many bytes the resized images of a set lie in the cache folder and not in memory.
IN_MEMORY = 256 * 2**20


#: Images (H, W) of bytes in an array (N, H, W), or their files.
Raw = Sequence[Path] | Array


@dataclass(frozen=True)
class Split:
    """`images` (N, C, H, W) uint8, maybe memory-mapped, and `labels` (N,) int64."""

    images: Array
    labels: Array


@dataclass(frozen=True)
class DataSet:
    """Images to train on and to test with, the names of their classes, and where they come from, in
    words.
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


def load_data(
    source: str,
    input_shape: Shape,
    *,
    data_dir: Path | None = None,
    report: Report = lambda what, done, total: None,
) -> DataSet:
    """The set `source` at `input_shape` (C, H, W): `digits`, `fashion-mnist`, or a path.

    A path is a folder of IDX files under the names of MNIST's, one that `save_data` wrote, or one
    of images: `train/CLASS/…` and `test/CLASS/…`, or `CLASS/…`. The files of Fashion-MNIST are
    those in `data_dir` or in the folder that the environment variable GOOGLENET_DATA_DIR names;
    else they are downloaded once. Grey is repeated where three channels are wanted, and colour
    turned to grey where one is.

    Raises `DataError`, naming the file, for what is missing, damaged or does not belong together;
    `ShapeError` for a number of channels other than 1 or 3.
    """
    if input_shape[0] not in (1, 3):
        raise ShapeError(
            f"images: have 1 or 3 channels, and the network takes {input_shape[0]}; build it with 1"
            " or 3"
        )
    if data_dir is not None and source != FASHION_MNIST:
        raise DataError(
            f"--data-dir {data_dir}: goes with --data {FASHION_MNIST} alone, got --data {source};"
            " leave it out"
        )
    try:
        if source == DIGITS:
            return _digits(input_shape, report)
        if source == FASHION_MNIST:
            return _fashion_mnist(data_dir, input_shape, report)
        return _from_path(source, input_shape, report)
    except OSError as error:
        raise DataError(
            f"{error.filename or source}: cannot be read ({error.strerror or error})"
        ) from error


def _from_path(source: str, input_shape: Shape, report: Report) -> DataSet:
    path = Path(source)
    if not path.exists():
        raise DataError(
            f"--data {source}: is neither {DIGITS}, {FASHION_MNIST}, nor a path that exists"
        )
    if not path.is_dir():
        raise DataError(
            f"--data {source}: is a file; give the folder that holds train-images-idx3-ubyte.gz and"
            " the others, or classes of images"
        )
    if (path / "data.json").exists():
        return _prepared(path, input_shape)
    if any(_idx_file(path, name) for name in FILES):
        return _idx(path.resolve().name, path, None, input_shape, report)
    return _folder(path, input_shape, report)


def check_classes(data: DataSet, num_classes: int) -> None:
    """Raises `DataError` if `data` has more classes than the network, or a label beyond them."""
    if len(data.classes) > num_classes:
        raise DataError(
            f"{data.description}: has {len(data.classes)} classes, and the network {num_classes};"
            f" give --num-classes {len(data.classes)}"
        )
    for what, split in (("train", data.train), ("test", data.test)):
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= num_classes:
            wrong = low if low < 0 else high
            raise DataError(
                f"{data.description}: a {what} label is {wrong}, out of range for {num_classes}"
                f" classes (0 to {num_classes - 1})"
            )


# Sets ---------------------------------------------------------------------------------------------


def _digits(input_shape: Shape, report: Report) -> DataSet:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    testing = np.arange(len(labels)) % TEST_EVERY == TEST_EVERY - 1
    train, test = _resized((images[~testing], images[testing]), input_shape, report)
    classes = tuple(map(str, bunch.target_names))
    description = "scikit-learn's digits (real handwriting, 8×8)"
    return DataSet(
        DIGITS, description, classes, Split(train, labels[~testing]), Split(test, labels[testing])
    )


def _fashion_mnist(data_dir: Path | None, input_shape: Shape, report: Report) -> DataSet:
    named = str(data_dir or os.environ.get("GOOGLENET_DATA_DIR") or "")
    if not named:
        return replace(
            _idx(FASHION_MNIST, download(report), FASHION_CLASSES, input_shape, report),
            description="Fashion-MNIST",
        )
    data = _idx(FASHION_MNIST, Path(named), FASHION_CLASSES, input_shape, report)
    counts = f"{len(data.train.labels)} to train and {len(data.test.labels)} to test"
    return replace(data, description=f"Fashion-MNIST's files in {named} ({counts})")


def _idx_file(folder: Path, name: str) -> Path | None:
    return next(
        (path for path in (folder / name, folder / name.removesuffix(".gz")) if path.is_file()),
        None,
    )


def _idx(
    name: str, folder: Path, classes: tuple[str, ...] | None, input_shape: Shape, report: Report
) -> DataSet:
    if not folder.is_dir():
        raise DataError(
            f"{folder}: is no folder; --data-dir takes the one that holds {', '.join(FILES)}"
        )
    paths = {each: _idx_file(folder, each) for each in FILES}
    if missing := [each for each, path in paths.items() if path is None]:
        raise DataError(
            f"{folder}: lacks {', '.join(missing)} (plain or .gz); all four of {', '.join(FILES)}"
            " are needed"
        )
    found = [path for path in paths.values() if path is not None]
    images, labels = [], []
    for images_path, labels_path in (found[:2], found[2:]):
        images.append(read_idx(images_path, axes=3))
        labels.append(read_idx(labels_path, axes=1).astype(np.int64))
        if len(images[-1]) != len(labels[-1]):
            raise DataError(
                f"{labels_path}: holds {len(labels[-1])} labels for {len(images[-1])} images of"
                f" {images_path.name}; they do not belong together"
            )
        if classes is not None and labels[-1].max() >= len(classes):
            raise DataError(
                f"{labels_path}: label {labels[-1].max()} is out of range for {len(classes)}"
                f" classes; give a set of other classes as --data {folder}"
            )
    names = classes or tuple(
        str(label) for label in range(max(int(part.max()) for part in labels) + 1)
    )
    if len(names) < 2:
        raise DataError(
            f"{folder}: all labels are 0; there is nothing to learn with one class, give a set of"
            " at least two"
        )
    train, test = _resized(images, input_shape, report)
    return DataSet(name, str(folder), names, Split(train, labels[0]), Split(test, labels[1]))


def _folder(path: Path, input_shape: Shape, report: Report) -> DataSet:
    train, test = path / "train", path / "test"
    root = train if train.is_dir() else path
    classes = tuple(
        sorted(
            folder.name
            for folder in root.iterdir()
            if folder.is_dir() and not folder.name.startswith(".")
        )
    )
    if len(classes) < 2:
        what = f"one class, {classes[0]}" if classes else "no folder of a class"
        raise DataError(
            f"{root}: holds {what}; expected a folder for each of at least two classes, with PNG or"
            " JPEG images"
        )
    by_class = {name: _images_in(root / name) for name in classes}
    chosen: dict[str, list[tuple[Path, int]]] = {"train": [], "test": []}
    if root is train:
        if not test.is_dir():
            raise DataError(
                f"{test}: is missing beside {train}; give one, or put the classes straight into"
                f" {path}"
            )
        if stray := sorted(
            each.name for each in test.iterdir() if each.is_dir() and each.name not in classes
        ):
            raise DataError(
                f"{test / stray[0]}: is a class that {train} has not; add it there, or take it away"
                " here"
            )
        chosen["train"] = [
            (file, label) for label, name in enumerate(classes) for file in by_class[name]
        ]
        chosen["test"] = [
            (file, label)
            for label, name in enumerate(classes)
            if (test / name).is_dir()
            for file in _images_in(test / name)
        ]
        if not chosen["test"]:
            raise DataError(f"{test}: holds no PNG or JPEG image of a class")
    else:
        for label, name in enumerate(classes):
            if len(by_class[name]) < TEST_EVERY:
                raise DataError(
                    f"{root / name}: holds {len(by_class[name])} images, of which every"
                    f" {TEST_EVERY}th is for testing; give at least {TEST_EVERY}, or folders train"
                    " and test"
                )
            for index, file in enumerate(by_class[name]):
                chosen["test" if index % TEST_EVERY == TEST_EVERY - 1 else "train"].append(
                    (file, label)
                )
    images = _resized([[file for file, _ in part] for part in chosen.values()], input_shape, report)
    labels = [np.array([label for _, label in part], np.int64) for part in chosen.values()]
    return DataSet(
        path.resolve().name,
        str(path),
        classes,
        Split(images[0], labels[0]),
        Split(images[1], labels[1]),
    )


def _images_in(folder: Path) -> list[Path]:
    files = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise DataError(f"{folder}: holds no PNG or JPEG image; add some, or remove the folder")
    return files


# Resizing -----------------------------------------------------------------------------------------


def _resized(parts: Sequence[Raw], input_shape: Shape, report: Report) -> list[Array]:
    """Each of `parts` as (N, C, H, W) uint8: in memory, or where all together take more than
    `IN_MEMORY` mapped from the cache folder.
    """
    total = sum(len(images) for images in parts)
    done = 0

    def resized(images: Raw) -> Iterator[Array]:
        nonlocal done
        for source in images:
            yield _resize(source, input_shape)
            done += 1
            if done % 64 == 0 or done == total:
                report("resizing", done, total)

    arrays: list[Array] = []
    for images in parts:
        shape = (len(images), *input_shape)
        if total * math.prod(input_shape) <= IN_MEMORY:
            array: Array = np.empty(shape, np.uint8)
            for index, pixels in enumerate(resized(images)):
                array[index] = pixels
        else:
            path = (
                cache_folder()
                / f"{_source_digest(images)[:32]}-{'x'.join(map(str, input_shape))}.npy"
            )
            if path.exists():
                done += len(images)
            else:
                _write_npy(path, shape, resized(images))
            array = _mapped(path)
            if array.shape != shape or array.dtype != np.uint8:
                raise DataError(
                    f"{path}: is damaged: expected {shape} of uint8, it holds {array.shape} of"
                    f" {array.dtype}; delete it"
                )
        arrays.append(array)
    return arrays


def _resize(source: Path | Array, input_shape: Shape) -> Array:
    """A file or bytes (H, W) as (C, H, W) uint8, bilinear as Pillow resizes bytes."""
    from PIL import Image

    channels, height, width = input_shape
    image = open_image(source) if isinstance(source, Path) else Image.fromarray(source)
    pixels = np.asarray(
        image.convert("L" if channels == 1 else "RGB").resize(
            (width, height), Image.Resampling.BILINEAR
        )
    )
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _source_digest(images: Raw) -> str:
    """SHA-256 over the bytes of files or arrays, one after the other."""
    found = hashlib.sha256()
    for source in images:
        data = source.read_bytes() if isinstance(source, Path) else source.tobytes()
        found.update(f"{len(data) if isinstance(source, Path) else source.shape} ".encode())
        found.update(data)
    return found.hexdigest()


def _write_npy(path: Path, shape: Shape, images: Iterator[Array]) -> None:
    """Write `images` one by one; an array that is mapped to a new file would end the process with a
    signal where the disk is full.
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
            f"{path}: cannot be written ({error.strerror or error}); GOOGLENET_CACHE_DIR names"
            " another folder"
        ) from error


def _mapped(path: Path) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: is not a whole .npy array ({error}); delete it, and prepare the set again"
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: is not an .npy array; delete it, and prepare the set again")
    return array


# Prepared sets ------------------------------------------------------------------------------------

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def save_data(folder: Path, data: DataSet) -> None:
    """Write `data` to `folder`, from where `load_data` reads it as it is, memory-mapped.

    Raises `DataError` if a file cannot be written. A set that was written in part is refused when
    it is read: its description comes last.
    """
    arrays = (data.train.images, data.train.labels, data.test.images, data.test.labels)
    try:
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
        write_atomically(folder / "data.json", json.dumps(text, indent=2).encode())
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error})") from error


def _prepared(folder: Path, input_shape: Shape) -> DataSet:
    try:
        text = json.loads((folder / "data.json").read_text())
        name, description, classes, digest = (
            text["name"],
            text["description"],
            tuple(text["classes"]),
            text["digest"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder / 'data.json'}: does not describe a prepared set ({error!r}); prepare the set"
            " again"
        ) from error
    arrays = [_mapped(folder / f"{each}.npy") for each in ARRAYS]
    data = DataSet(name, description, classes, Split(*arrays[:2]), Split(*arrays[2:]))
    for part, split in (("train", data.train), ("test", data.test)):
        images, labels = split.images, split.labels
        if (
            images.ndim != 4
            or images.dtype != np.uint8
            or labels.shape != images.shape[:1]
            or labels.dtype != np.int64
            or not labels.size
        ):
            raise DataError(
                f"{folder}: expected {part}_images.npy of (N, C, H, W) uint8 and {part}_labels.npy"
                f" of (N,) int64, got {images.shape} {images.dtype} and {labels.shape}"
                f" {labels.dtype}; prepare the set again"
            )
        if images.shape[1:] != tuple(input_shape):
            raise DataError(
                f"{folder}: {part}_images.npy holds images of {images.shape[1:]}, and the network"
                f" takes {tuple(input_shape)}; prepare the set again"
            )
    if data.digest != digest:
        raise DataError(
            f"{folder}: its arrays are not those that data.json describes (digest {digest}), but of"
            f" digest {data.digest}; prepare the set again"
        )
    return data
