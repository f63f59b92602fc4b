"""Small sets of images, in the files that they are read from, and what a refusal says."""

import gzip

import numpy as np
import pytest
from PIL import Image

from googlenet.data import download as downloads
from googlenet.data.sets import DataSet, Split, load_data
from googlenet.errors import DataError

SHAPE = (1, 9, 7)
NAMES = tuple(downloads.FILES)


def pixels(count, seed=0, height=6, width=5):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(
        size.to_bytes(4, "big") for size in array.shape
    )
    return header + np.asarray(array, np.uint8).tobytes()


def idx_set(train=13, test=7, classes=3):
    """The four files of a set by their names without .gz, and its arrays."""
    arrays = [
        pixels(train),
        np.arange(train) % classes,
        pixels(test, seed=1),
        np.arange(test) % classes,
    ]
    return {
        name.removesuffix(".gz"): idx(array) for name, array in zip(NAMES, arrays, strict=True)
    }, arrays


def write_idx(folder, *, compressed=False, **sizes):
    folder.mkdir(exist_ok=True)
    files, arrays = idx_set(**sizes)
    for name, content in files.items():
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(
            gzip.compress(content) if compressed else content
        )
    return arrays


def write_images(folder, count, *, colour=False, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = pixels(count, seed)
    for number, array in enumerate(arrays):
        image = Image.fromarray(array)
        (image.convert("RGB") if colour else image).save(folder / f"{number:02}.png")
    return arrays


def numbered(count, classes=3, shape=(1, 2, 3)):
    """A split whose images tell their own number: all pixels of image i are i."""
    images = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, *shape)
    ).copy()
    return Split(images, np.arange(count) % classes)


def data_set(train=13, test=7, classes=3):
    return DataSet(
        "numbers",
        "numbered images",
        tuple(map(str, range(classes))),
        numbered(train, classes),
        numbered(test, classes),
    )


def numbers(batch):
    return np.rint(batch.images[:, 0, 0, 0] * 255).astype(int).tolist()


def refused(*words, source, shape=SHAPE, **options):
    """`source` raises a `DataError` in one line that has all `words`."""
    with pytest.raises(DataError) as caught:
        load_data(str(source), shape, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message, (word, message)


def sources(tmp_path):
    write_idx(tmp_path / "idx")
    for name in ("cat", "dog"):
        write_images(tmp_path / "images" / name, 10, seed=ord(name[0]))
    return {"digits": "digits", "idx": str(tmp_path / "idx"), "images": str(tmp_path / "images")}
