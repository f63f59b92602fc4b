"""Training data: found or downloaded, resized once, and handed out in order; what does not belong
together is refused by name.
"""

import gzip
import hashlib
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from googlenet.data import download as downloads
from googlenet.data import sets as module
from googlenet.data.batches import AHEAD, check_batch_size, evaluation_batches, training_batches
from googlenet.data.sets import DataSet, Split, check_classes, load_data, save_data
from googlenet.errors import DataError, ShapeError
from googlenet.training import Recipe

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


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(folder))
    monkeypatch.delenv("GOOGLENET_DATA_DIR", raising=False)
    return folder


# Digits -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", (1, 8, 8))


def test_digits(digits):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    assert (digits.train.images.shape, digits.test.images.shape) == (
        (1438, 1, 8, 8),
        (359, 1, 8, 8),
    )
    assert digits.classes == tuple("0123456789")
    for split, chosen in (
        (digits.test, range(4, 1797, 5)),
        (digits.train, [i for i in range(1797) if i % 5 != 4]),
    ):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert np.array_equal(split.labels, bunch.target[chosen])
        # Its size is the digits' own, so nothing is resized: 0 to 16 in sixteenths of 255.
        assert np.array_equal(split.images[:, 0], np.floor(bunch.images[chosen] * 255 / 16 + 0.5))
    assert digits.train.images.max() == 255


def test_digits_are_resized_as_pillow_does(digits):
    resized = load_data("digits", (1, 20, 13)).train.images
    for index in (0, 700, 1437):
        expected = Image.fromarray(digits.train.images[index, 0]).resize(
            (13, 20), Image.Resampling.BILINEAR
        )
        assert np.array_equal(resized[index, 0], np.asarray(expected))


def test_grey_is_repeated_where_three_channels_are_wanted(digits):
    three = load_data("digits", (3, 8, 8)).train.images
    assert all(np.array_equal(three[:, c], digits.train.images[:, 0]) for c in range(3))


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels(channels):
    with pytest.raises(ShapeError, match=f"1 or 3 channels, and the network takes {channels}"):
        load_data("digits", (channels, 8, 8))


def test_what_is_reported_goes_through_the_whole_set():
    heard = []
    load_data("digits", (1, 8, 8), report=lambda *values: heard.append(values))
    assert {what for what, _, _ in heard} == {"resizing"}
    assert [done for _, done, _ in heard] == [*range(64, 1797, 64), 1797]
    assert {total for _, _, total in heard} == {1797}


def test_the_digest_tells_bytes_labels_and_shapes_apart(digits):
    assert load_data("digits", (1, 8, 8)).digest == digits.digest
    images = digits.train.images.copy()
    images[1437, 0, 7, 7] ^= 1
    labels = digits.test.labels.copy()
    labels[0] += 1
    others = [
        replace(digits, train=replace(digits.train, images=images)),
        replace(digits, test=replace(digits.test, labels=labels)),
        replace(
            digits, train=replace(digits.train, images=digits.train.images.reshape(1438, 1, 4, 16))
        ),
        replace(digits, train=digits.test, test=digits.train),
    ]
    assert len({data.digest for data in (digits, *others)}) == 5
    # Names and words are no part of it.
    assert (
        replace(digits, name="other", description="other", classes=tuple("abcdefghij")).digest
        == digits.digest
    )


def test_the_core_imports_nothing_for_it_but_numpy():
    code = (
        "import sys, googlenet.data.sets; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    names = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not names & {"pooch", "PIL", "sklearn", "requests"}


# IDX files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
def test_a_folder_of_idx_files(tmp_path, compressed):
    arrays = write_idx(tmp_path / "some", compressed=compressed)
    data = load_data(str(tmp_path / "some"), (1, 6, 5))
    assert (data.name, data.classes) == ("some", ("0", "1", "2"))
    assert str(tmp_path / "some") in data.description
    assert np.array_equal(data.train.images[:, 0], arrays[0])
    assert np.array_equal(data.train.labels, arrays[1])
    assert np.array_equal(data.test.images[:, 0], arrays[2])
    assert np.array_equal(data.test.labels, arrays[3])
    assert data.train.labels.dtype == np.int64


@pytest.mark.parametrize("by_variable", [False, True])
def test_fashion_mnist_from_a_folder_downloads_nothing(tmp_path, monkeypatch, by_variable):
    write_idx(tmp_path / "files", compressed=True)
    monkeypatch.setattr(module, "download", lambda report: pytest.fail("downloads"))
    if by_variable:
        monkeypatch.setenv("GOOGLENET_DATA_DIR", str(tmp_path / "files"))
    data = load_data("fashion-mnist", SHAPE, data_dir=None if by_variable else tmp_path / "files")
    assert data.name == "fashion-mnist"
    assert data.classes[0] == "T-shirt/top"
    assert data.classes[9] == "Ankle boot"
    for words in (str(tmp_path / "files"), "13 to train", "7 to test"):
        assert words in data.description


def test_a_folder_that_is_named_comes_before_the_variable(tmp_path, monkeypatch):
    write_idx(tmp_path / "files")
    monkeypatch.setenv("GOOGLENET_DATA_DIR", str(tmp_path / "nowhere"))
    assert len(load_data("fashion-mnist", SHAPE, data_dir=tmp_path / "files").train.labels) == 13
    refused(tmp_path / "nowhere", "is no folder", "--data-dir", *NAMES, source="fashion-mnist")


def test_a_folder_for_a_set_that_is_not_fashion_mnist(tmp_path):
    refused(
        "--data-dir",
        "goes with --data fashion-mnist",
        "got --data digits",
        source="digits",
        data_dir=tmp_path,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_idx_file(tmp_path, name):
    write_idx(tmp_path)
    (tmp_path / name.removesuffix(".gz")).unlink()
    refused(tmp_path, f"lacks {name}", source=tmp_path)
    refused(tmp_path, f"lacks {name}", source="fashion-mnist", data_dir=tmp_path)


def test_an_empty_folder_for_fashion_mnist(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(
        tmp_path / "empty", "lacks", *NAMES, source="fashion-mnist", data_dir=tmp_path / "empty"
    )


def damaged(content):
    """How a file may be damaged, by what the message then says."""
    packed = gzip.compress(content)
    corrupt = bytearray(packed)
    corrupt[len(packed) // 2] ^= 255
    return {
        "truncated gzip": (packed[: len(packed) // 2], "cannot be read"),
        "corrupt gzip": (bytes(corrupt), "cannot be read"),
        "truncated": (content[:-1], "is truncated or damaged"),
        "too long": (content + b"x", "is truncated or damaged"),
        "another magic": (b"\x00\x00\x0d" + content[3:], "is not an IDX file of bytes with"),
        "another number of axes": (
            content[:3] + b"\x02" + content[4:],
            "is not an IDX file of bytes with",
        ),
        "nothing": (b"", "is not an IDX file of bytes with"),
        "no images": (
            content[:4] + bytes(len(idx(np.zeros((0,) * content[3], np.uint8))) - 4),
            "is empty",
        ),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", list(damaged(idx(pixels(2)))))
def test_a_damaged_idx_file(tmp_path, name, how):
    write_idx(tmp_path)
    path = tmp_path / name.removesuffix(".gz")
    content, message = damaged(path.read_bytes())[how]
    path.write_bytes(content)
    refused(path, message, source=tmp_path)


def test_images_and_labels_of_different_counts(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(6)))
    refused(
        tmp_path / "t10k-labels-idx1-ubyte",
        "holds 6 labels for 7 images of t10k-images-idx3-ubyte",
        source=tmp_path,
    )


def test_a_label_beyond_fashion_mnists_classes(tmp_path):
    write_idx(tmp_path, classes=11)
    options = {"source": "fashion-mnist", "data_dir": tmp_path}
    refused(
        tmp_path / "train-labels-idx1-ubyte",
        "label 10 is out of range for 10 classes",
        f"--data {tmp_path}",
        **options,
    )
    assert len(load_data(str(tmp_path), SHAPE).classes) == 11


def test_idx_files_of_one_class(tmp_path):
    write_idx(tmp_path, classes=1)
    refused(tmp_path, "one class", source=tmp_path)


# Folders of images --------------------------------------------------------------------------------


def test_folders_train_and_test(tmp_path):
    # Written in another order than the classes have.
    expected = {
        part: [
            write_images(tmp_path / part / name, 3, seed=ord(name[0])) for name in ("dog", "cat")
        ]
        for part in ("train", "test")
    }
    data = load_data(str(tmp_path), (1, 6, 5))
    assert data.classes == ("cat", "dog")
    for part, split in (("train", data.train), ("test", data.test)):
        assert split.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert np.array_equal(split.images[:, 0], np.concatenate(expected[part][::-1]))


def test_classes_alone_give_every_fifth_image_for_testing(tmp_path):
    cats, dogs = write_images(tmp_path / "cat", 11), write_images(tmp_path / "dog", 5, seed=1)
    data = load_data(str(tmp_path), (1, 6, 5))
    assert np.array_equal(data.test.images[:, 0], [cats[4], cats[9], dogs[4]])
    assert data.test.labels.tolist() == [0, 0, 1]
    assert np.array_equal(data.train.images[:, 0], [*cats[:4], *cats[5:9], cats[10], *dogs[:4]])
    assert data.train.labels.tolist() == [0] * 9 + [1] * 4


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "JPG"])
def test_kinds_of_images(tmp_path, suffix):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(pixels(1, number)[0]).save(tmp_path / name / f"{number}.{suffix}")
        (tmp_path / name / "notes.txt").write_text("not an image")
        (tmp_path / name / "._0.png").write_text("what a Mac leaves")
    (tmp_path / ".hidden").mkdir()
    assert len(load_data(str(tmp_path), SHAPE).train.labels) == 8


def test_colour(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    for name in ("cat", "dog"):
        write_images(tmp_path / name, 4, colour=True)
        Image.fromarray(colours).save(tmp_path / name / "99.png")
    test = load_data(str(tmp_path), (3, 6, 5)).test.images
    assert np.array_equal(test[0], colours.transpose(2, 0, 1))
    grey = load_data(str(tmp_path), (1, 6, 5)).test.images
    assert np.array_equal(grey[0, 0], np.asarray(Image.fromarray(colours).convert("L")))
    resized = load_data(str(tmp_path), (3, 9, 7)).test.images
    assert np.array_equal(
        resized[0],
        np.asarray(Image.fromarray(colours).resize((7, 9), Image.Resampling.BILINEAR)).transpose(
            2, 0, 1
        ),
    )


def test_a_path_that_is_not_there(tmp_path):
    refused(
        f"--data {tmp_path / 'nowhere'}",
        "digits, fashion-mnist, nor a path that exists",
        source=tmp_path / "nowhere",
    )
    refused("cannot be read", source="x" * 5000)


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    refused(f"--data {tmp_path / 'file'}", "is a file; give the folder", source=tmp_path / "file")


def test_a_folder_with_no_class_or_one(tmp_path):
    refused(tmp_path, "holds no folder of a class", "at least two classes", source=tmp_path)
    write_images(tmp_path / "cat", 5)
    refused(tmp_path, "holds one class, cat", "at least two classes", source=tmp_path)


@pytest.mark.parametrize("root", ["", "train", "test"])
def test_an_empty_class(tmp_path, root):
    for part in ("train", "test") if root else ("",):
        for name in ("cat", "dog"):
            write_images(tmp_path / part / name, 5)
    shutil.rmtree(tmp_path / root / "dog")
    (tmp_path / root / "dog").mkdir()
    refused(tmp_path / root / "dog", "holds no PNG or JPEG image", source=tmp_path)


def test_a_class_too_small_to_test(tmp_path):
    write_images(tmp_path / "cat", 5)
    write_images(tmp_path / "dog", 4)
    refused(tmp_path / "dog", "holds 4 images", "at least 5", source=tmp_path)


def test_a_test_class_that_has_no_training_folder(tmp_path):
    for name in ("train/cat", "train/dog", "test/cat", "test/eel"):
        write_images(tmp_path / name, 2)
    refused(tmp_path / "test" / "eel", f"{tmp_path / 'train'} has not", source=tmp_path)


def test_no_test_folder_or_none_of_a_class(tmp_path):
    for name in ("train/cat", "train/dog"):
        write_images(tmp_path / name, 2)
    refused(tmp_path / "test", "is missing beside", source=tmp_path)
    (tmp_path / "test").mkdir()
    refused(tmp_path / "test", "holds no PNG or JPEG image of a class", source=tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image", "half"])
def test_an_unreadable_image_is_named(tmp_path, content):
    for name in ("cat", "dog"):
        write_images(tmp_path / name, 5)
    path = tmp_path / "dog" / "03.png"
    path.write_bytes(path.read_bytes()[:60] if content == "half" else content)
    refused(path, "is not a readable image", source=tmp_path)


# Beyond memory ------------------------------------------------------------------------------------


def sources(tmp_path):
    write_idx(tmp_path / "idx")
    for name in ("cat", "dog"):
        write_images(tmp_path / "images" / name, 10, seed=ord(name[0]))
    return {"digits": "digits", "idx": str(tmp_path / "idx"), "images": str(tmp_path / "images")}


@pytest.mark.parametrize("kind", ["digits", "idx", "images"])
def test_a_large_set_is_resized_once_into_the_cache(tmp_path, monkeypatch, cache, kind):
    source = sources(tmp_path)[kind]
    in_memory = load_data(source, SHAPE)
    assert not cache.exists()
    monkeypatch.setattr(
        module,
        "IN_MEMORY",
        (len(in_memory.train.labels) + len(in_memory.test.labels)) * math.prod(SHAPE) - 1,
    )
    heard = []
    mapped = load_data(source, SHAPE, report=lambda what, done, total: heard.append(done))
    assert isinstance(mapped.train.images, np.memmap)
    assert isinstance(mapped.test.images, np.memmap)
    assert mapped.digest == in_memory.digest
    assert heard
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(files) == 2
    heard.clear()
    assert (
        load_data(source, SHAPE, report=lambda what, done, total: heard.append(done)).digest
        == in_memory.digest
    )
    assert not heard
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files
    # Another size is another file.
    assert load_data(source, (3, 11, 8)).train.images.shape[1:] == (3, 11, 8)
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("file", ["idx/train-images-idx3-ubyte", "images/cat/00.png"])
def test_the_cache_knows_images_by_their_bytes(tmp_path, monkeypatch, file):
    """A file of the same name, size and time, and of another content."""
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    source, path = tmp_path / file.partition("/")[0], tmp_path / file
    sources(tmp_path)
    one, other = pixels(1)[0], 255 - pixels(1)[0]
    size = 1000

    def write(array):
        if path.suffix:
            Image.fromarray(array).save(path)
            path.write_bytes(
                path.read_bytes().ljust(size, b"\0")
            )  # nothing reads what follows the end of a PNG
        else:
            path.write_bytes(idx(np.repeat(array[None], 13, axis=0)))
        os.utime(path, ns=(0, 0))
        return load_data(str(source), (1, 6, 5)).train.images[0, 0]

    assert np.array_equal(write(one), one)
    assert np.array_equal(write(other), other)


def test_an_image_that_cannot_be_read_leaves_nothing_in_the_cache(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    source = sources(tmp_path)["images"]
    (tmp_path / "images" / "dog" / "03.png").write_bytes(b"x")
    refused(tmp_path / "images" / "dog" / "03.png", "is not a readable image", source=source)
    assert list(cache.iterdir()) == []


def test_a_file_that_is_gone_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    source = sources(tmp_path)["images"]
    (tmp_path / "images" / "dog" / "99.png").symlink_to(tmp_path / "gone.png")
    refused(
        tmp_path / "images" / "dog" / "99.png",
        "cannot be read (No such file or directory)",
        source=source,
    )


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(tmp_path / "file"))
    refused(tmp_path / "file", "cannot be written", "GOOGLENET_CACHE_DIR", source="digits")
    refused(tmp_path / "file", "cannot be written", "GOOGLENET_CACHE_DIR", source="fashion-mnist")


def test_a_damaged_file_in_the_cache(monkeypatch, cache):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    load_data("digits", SHAPE)
    path = next(cache.iterdir())
    path.write_bytes(path.read_bytes()[:-10])
    refused(path, "is not a whole .npy array", "delete it", source="digits")
    np.save(path, np.zeros((3, *SHAPE), np.uint8))
    refused(path, "is damaged", f"(3, {', '.join(map(str, SHAPE))})", "delete it", source="digits")


# Prepared sets ------------------------------------------------------------------------------------


def test_a_prepared_set_is_read_as_it_was_written(tmp_path):
    data = load_data(sources(tmp_path)["images"], SHAPE)
    save_data(tmp_path / "prepared", data)
    assert {path.name for path in (tmp_path / "prepared").iterdir()} == {
        *(f"{name}.npy" for name in module.ARRAYS),
        "data.json",
    }
    read = load_data(str(tmp_path / "prepared"), SHAPE)
    assert (read.name, read.description, read.classes, read.digest) == (
        data.name,
        data.description,
        data.classes,
        data.digest,
    )
    assert isinstance(read.train.images, np.memmap)
    assert json.loads((tmp_path / "prepared" / "data.json").read_text())["digest"] == data.digest
    save_data(tmp_path / "prepared", read)  # over what it is mapped from
    assert load_data(str(tmp_path / "prepared"), SHAPE).digest == data.digest


def test_a_prepared_set_of_another_size(tmp_path):
    save_data(tmp_path, data_set())
    refused(tmp_path, "(1, 2, 3)", "(1, 9, 7)", "prepare the set again", source=tmp_path)


@pytest.mark.parametrize("name", module.ARRAYS)
@pytest.mark.parametrize(
    "how",
    [
        "other values",
        "other shape",
        "other dtype",
        "truncated",
        "missing",
        "no array",
        "objects",
        "scalar",
    ],
)
def test_a_prepared_set_whose_arrays_do_not_match(tmp_path, name, how):
    save_data(tmp_path, data_set())
    path = tmp_path / f"{name}.npy"
    array = np.load(path)
    match how:
        case "other values":
            array.flat[0] ^= 1
            np.save(path, array)
        case "other shape":
            np.save(path, array[:-1])
        case "other dtype":
            np.save(path, array.astype(np.int16))
        case "truncated":
            path.write_bytes(path.read_bytes()[:-1])
        case "missing":
            path.unlink()
        case "no array":
            path.write_text("not an array")
        case "objects":
            np.save(path, np.array([{}], dtype=object))
        case "scalar":
            np.save(path, array.flat[0])
    refused(tmp_path, "prepare the set again", source=tmp_path, shape=(1, 2, 3))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name": "x", "description": "x", "classes": 3, "digest": "x"}']
)
def test_a_prepared_set_without_its_description(tmp_path, text):
    save_data(tmp_path, data_set())
    (tmp_path / "data.json").write_text(text)
    refused(
        tmp_path / "data.json", "does not describe a prepared set", source=tmp_path, shape=(1, 2, 3)
    )


def test_a_prepared_set_is_described_last(tmp_path, monkeypatch):
    def full(path, data):
        assert all((tmp_path / "new" / f"{name}.npy").exists() for name in module.ARRAYS)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(DataError, match="cannot be written \\(No space left on device\\)"):
        save_data(tmp_path / "new", data_set())
    assert not (tmp_path / "new" / "data.json").exists()


# Downloads ----------------------------------------------------------------------------------------


class Mirror:
    """A server of `files` that can go on with a file, cut it, give another or none; it remembers
    what it was asked for.
    """

    def __init__(self, files):
        self.files = files
        self.asked = []
        self.cut_after = None  # bytes that it sends before it hangs up
        self.ranges = True
        self.lengths = True  # whether it says how long an answer is
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler):
                self.answer(handler)

            def log_message(handler, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def answer(self, handler):
        name, wanted = handler.path.removeprefix("/"), handler.headers.get("Range")
        self.asked.append((name, wanted))
        content, status, start = (
            self.files.get(name, b""),
            self.status if name in self.files else 404,
            0,
        )
        if wanted and self.ranges and status == 200:
            status, start = 206, int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = content[start:]
        handler.send_response(status)
        if self.lengths:
            handler.send_header("Content-Length", str(len(body)))
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        handler.wfile.write(body[: self.cut_after])


@contextmanager
def serving(*mirrors):
    threads = [
        threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
        for mirror in mirrors
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for mirror, thread in zip(mirrors, threads, strict=True):
            mirror.server.shutdown()
            mirror.server.server_close()
            thread.join()


@pytest.fixture
def files(monkeypatch):
    """A small set in place of Fashion-MNIST, with its own checksums."""
    contents = {
        f"{name}.gz": gzip.compress(content, mtime=0)
        for name, content in idx_set(train=200, test=50)[0].items()
    }
    monkeypatch.setattr(
        downloads,
        "FILES",
        {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()},
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return contents


@pytest.fixture
def mirrors(files, monkeypatch):
    first, second = Mirror(files), Mirror(files)
    monkeypatch.setattr(downloads, "MIRRORS", (first.url, second.url))
    with serving(first, second):
        yield first, second


FIRST = NAMES[0]


def downloaded(cache):
    return {
        path.name: path.read_bytes()
        for path in (cache / "fashion-mnist").iterdir()
        if not path.name.startswith(".")
    }


def test_the_table_of_files():
    assert [size for _, size in downloads.FILES.values()] == [26421880, 29515, 4422102, 5148]
    assert all(len(digest) == 64 and int(digest, 16) for digest, _ in downloads.FILES.values())
    assert len(downloads.MIRRORS) == 2


def test_a_fresh_download(mirrors, files, cache):
    heard = []
    data = load_data("fashion-mnist", SHAPE, report=lambda *values: heard.append(values))
    assert (data.name, data.description) == ("fashion-mnist", "Fashion-MNIST")
    assert len(data.classes) == 10
    assert (len(data.train.labels), len(data.test.labels)) == (200, 50)
    assert downloaded(cache) == files
    assert [name for name, _ in mirrors[0].asked] == list(NAMES)
    assert not mirrors[1].asked
    for name, content in files.items():
        assert (f"downloading {name}", len(content), len(content)) in heard


def test_what_is_there_is_not_downloaded_again(mirrors, files):
    first = load_data("fashion-mnist", SHAPE)
    asked = len(mirrors[0].asked)
    assert load_data("fashion-mnist", SHAPE).digest == first.digest
    assert len(mirrors[0].asked) == asked


def test_a_file_that_was_damaged_later_is_downloaded_again(mirrors, files, cache):
    load_data("fashion-mnist", SHAPE)
    (cache / "fashion-mnist" / FIRST).write_bytes(b"x")
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert [name for name, _ in mirrors[0].asked] == [*NAMES, FIRST]


def test_a_download_that_was_cut_goes_on(mirrors, files, cache):
    for mirror in mirrors:
        mirror.cut_after = 1000
    # The first mirror gives 1000 bytes, the second the next 1000, and both hang up.
    size = len(files[FIRST])
    refused(
        FIRST,
        f"after 1000 of {size} bytes",
        f"after 2000 of {size} bytes",
        "--data-dir",
        source="fashion-mnist",
    )
    assert (cache / "fashion-mnist" / f"{FIRST}.part").read_bytes() == files[FIRST][:2000]
    mirrors[0].cut_after = None
    heard = []
    load_data("fashion-mnist", SHAPE, report=lambda what, done, total: heard.append((what, done)))
    assert downloaded(cache) == files
    assert mirrors[0].asked[:2] == [(FIRST, None), (FIRST, "bytes=2000-")]
    assert mirrors[1].asked == [(FIRST, "bytes=1000-")]
    assert min(done for what, done in heard if FIRST in what) > 2000


def test_a_server_that_cannot_go_on_begins_again(mirrors, files, cache):
    mirrors[0].cut_after, mirrors[1].ranges = 1000, False
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert mirrors[1].asked[0] == (FIRST, "bytes=1000-")


@pytest.mark.parametrize("kept", ["whole", "too long"])
def test_a_part_with_nothing_left_to_ask_for(mirrors, files, cache, kept):
    (cache / "fashion-mnist").mkdir(parents=True)
    (cache / "fashion-mnist" / f"{FIRST}.part").write_bytes(
        files[FIRST] + b"x" * (kept == "too long")
    )
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert mirrors[0].asked[0] == (FIRST, None)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_the_second_mirror(mirrors, files, cache, status):
    mirrors[0].status = status
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert [name for name, _ in mirrors[1].asked] == list(NAMES)


@pytest.mark.parametrize("lengths", [True, False])
def test_a_page_that_says_sorry_is_no_part_of_the_file(mirrors, files, cache, lengths):
    mirrors[0].files, mirrors[0].lengths = dict.fromkeys(NAMES, b"<html>sorry</html>"), lengths
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert mirrors[1].asked[0] == (FIRST, None)


def test_an_answer_without_its_length(mirrors, files, cache):
    mirrors[0].lengths = False
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert not mirrors[1].asked


def test_an_answer_that_does_not_end(mirrors, files, cache):
    mirrors[0].files, mirrors[0].lengths = dict.fromkeys(NAMES, bytes(10 * 2**20)), False
    heard = []
    load_data("fashion-mnist", SHAPE, report=lambda what, done, total: heard.append(done))
    assert downloaded(cache) == files
    assert max(heard) < 2**20


def test_a_wrong_checksum(mirrors, files, cache):
    wrong = bytes(len(files[FIRST]))
    mirrors[0].files = {**files, FIRST: wrong}
    load_data("fashion-mnist", SHAPE)  # from the second mirror, from its beginning
    assert downloaded(cache) == files
    assert mirrors[1].asked == [(FIRST, None)]


def test_a_wrong_checksum_everywhere(mirrors, files, cache):
    wrong = bytes(len(files[FIRST]))
    for mirror in mirrors:
        mirror.files = {**files, FIRST: wrong}
    words = (
        FIRST,
        mirrors[0].url,
        mirrors[1].url,
        downloads.FILES[FIRST][0],
        hashlib.sha256(wrong).hexdigest(),
        "--data-dir",
    )
    refused(*words, source="fashion-mnist")
    assert downloaded(cache) == {}


def test_no_network(files, cache, monkeypatch):
    closed = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as server:
            closed.append(f"http://127.0.0.1:{server.getsockname()[1]}/")
    monkeypatch.setattr(downloads, "MIRRORS", tuple(closed))
    refused(FIRST, *closed, "refused", "--data-dir", source="fashion-mnist")
    monkeypatch.setattr(downloads, "MIRRORS", ("http://mirror.invalid/",))
    refused(FIRST, "http://mirror.invalid/", "--data-dir", source="fashion-mnist")


def test_a_server_that_says_nothing(files, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(downloads, "MIRRORS", (f"http://127.0.0.1:{silent.getsockname()[1]}/",))
        refused(FIRST, "timed out", source="fashion-mnist")


def test_a_server_that_speaks_something_else(files, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak():
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        monkeypatch.setattr(downloads, "MIRRORS", (f"http://127.0.0.1:{server.getsockname()[1]}/",))
        refused(FIRST, "220 mail.example", source="fashion-mnist")
        thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_processes_that_train_together_download_once(mirrors, files, cache):
    """Each in a process of its own, at the same time."""
    code = (
        "import json, sys\nfrom googlenet.training import data, download\nvalues ="
        " json.loads(sys.argv[1])\ndownload.MIRRORS, download.FILES = values['mirrors'],"
        " values['files']\nprint(data.load_data('fashion-mnist', (1, 9, 7)).digest)"
    )
    values = json.dumps({"mirrors": downloads.MIRRORS, "files": downloads.FILES})
    processes = [
        subprocess.Popen([sys.executable, "-c", code, values], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    digests = {process.communicate(timeout=120)[0] for process in processes}
    assert digests == {load_data("fashion-mnist", SHAPE).digest + "\n"}
    assert [name for name, _ in mirrors[0].asked] == list(NAMES)


# Checks -------------------------------------------------------------------------------------------


def test_more_classes_than_the_network_has():
    check_classes(data_set(classes=3), 3)
    check_classes(data_set(classes=3), 5)
    with pytest.raises(
        DataError, match="numbered images: has 3 classes, and the network 2; give --num-classes 3"
    ):
        check_classes(data_set(classes=3), 2)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range(part, label):
    data = data_set()
    getattr(data, part).labels[5] = label
    with pytest.raises(
        DataError, match=f"numbered images: a {part} label is {label}, out of range for 3 classes"
    ):
        check_classes(data, 3)


def test_a_batch_larger_than_the_set():
    check_batch_size(Recipe(batch_size=13), data_set(train=13))
    with pytest.raises(
        DataError,
        match="--batch-size 14: is larger than the 13 images to train on; give at most 13",
    ):
        check_batch_size(Recipe(batch_size=14), data_set(train=13))


@pytest.mark.parametrize(
    ("batch_size", "processes", "message"),
    [
        (
            4,
            2,
            (
                r"--batch-size 4: batch 4 of 13 images has 1, fewer than the 2 processes; give"
                r" --batch-size 5"
            ),
        ),
        (
            2,
            3,
            (
                r"--batch-size 2: batch 1 of 13 images has 2, fewer than the 3 processes; give"
                r" --batch-size 5"
            ),
        ),
        (5, 14, r"13 images to train on are fewer than the 14 processes; start at most 13"),
    ],
)
def test_more_processes_than_images_in_a_batch(batch_size, processes, message):
    with pytest.raises(DataError, match=message):
        check_batch_size(Recipe(batch_size=batch_size), data_set(train=13), processes=processes)
    with pytest.raises(DataError, match=message):  # before the first batch is asked for
        training_batches(numbered(13), Recipe(batch_size=batch_size), 0, processes=processes)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 8))
def test_the_batch_size_that_is_advised_will_do(count, batch_size, processes):
    data, sizes = data_set(train=count), [batch_size]
    for size in sizes:
        parts = [min(size, count - start) for start in range(0, count, size)]
        try:
            check_batch_size(Recipe(batch_size=size), data, processes=processes)
        except DataError as error:
            assert size > count or min(parts) < processes
            assert len(sizes) < 4
            if "start at most" not in str(error):
                sizes.append(int(str(error).split()[-1]))
        else:
            assert size <= count
            assert min(parts) >= processes


# Batches ------------------------------------------------------------------------------------------

settings_of_batches = {
    "count": st.integers(1, 50),
    "batch_size": st.integers(1, 20),
    "seed": st.integers(0, 9),
    "epoch": st.integers(0, 3),
}


@given(**settings_of_batches)
def test_an_epoch_takes_every_image_once_in_the_recipes_order(count, batch_size, seed, epoch):
    split, recipe = numbered(count), Recipe(batch_size=batch_size, seed=seed)
    batches = list(training_batches(split, recipe, epoch))
    assert [number for batch in batches for number in numbers(batch)] == recipe.order(
        epoch, count
    ).tolist()
    assert [len(batch.labels) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert len(batches) == recipe.steps_per_epoch(count)
    for batch in batches:
        assert batch.labels.tolist() == [number % 3 for number in numbers(batch)]
        assert batch.share == 1


def test_a_batch_is_bytes_divided_by_255():
    images = np.arange(256, dtype=np.uint8).reshape(2, 1, 8, 16)
    (batch,) = evaluation_batches(Split(images, np.array([1, 0])), 2)
    assert batch.images.dtype == np.float32
    assert batch.labels.dtype == np.int64
    assert batch.images.flags["C_CONTIGUOUS"]
    assert np.array_equal(batch.images, images.astype(np.float32) / np.float32(255))
    assert (batch.images.min(), batch.images.max()) == (0, 1)


def test_same_seed_same_bytes_and_another_order_each_epoch(digits):
    def epoch_bytes(seed, epoch):
        found = hashlib.sha256()
        for batch in training_batches(digits.train, Recipe(batch_size=100, seed=seed), epoch):
            found.update(batch.images.tobytes() + batch.labels.tobytes())
        return found.hexdigest()

    assert epoch_bytes(0, 0) == epoch_bytes(0, 0)
    assert len({epoch_bytes(seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)}) == 6


@given(**settings_of_batches, first=st.integers(0, 60))
def test_the_rest_of_an_epoch(count, batch_size, seed, epoch, first):
    split, recipe = numbered(count), Recipe(batch_size=batch_size, seed=seed)
    whole = [numbers(batch) for batch in training_batches(split, recipe, epoch)]
    assert [
        numbers(batch) for batch in training_batches(split, recipe, epoch, first=first)
    ] == whole[first:]


@given(**settings_of_batches, processes=st.integers(1, 7))
def test_the_parts_of_all_processes_are_the_batch(count, batch_size, seed, epoch, processes):
    split, recipe = numbered(count), Recipe(batch_size=batch_size, seed=seed)
    whole = list(training_batches(split, recipe, epoch))
    if min(len(batch.labels) for batch in whole) < processes:
        with pytest.raises(DataError, match="processes"):
            training_batches(split, recipe, epoch, processes=processes)
        return
    ranks = [
        list(training_batches(split, recipe, epoch, rank=rank, processes=processes))
        for rank in range(processes)
    ]
    check_parts(whole, ranks, processes)
    assert all(len(batch.labels) for own in ranks for batch in own)


@given(count=st.integers(1, 50), batch_size=st.integers(1, 20), processes=st.integers(1, 7))
def test_the_parts_of_a_test(count, batch_size, processes):
    whole = list(evaluation_batches(numbered(count), batch_size))
    assert [number for batch in whole for number in numbers(batch)] == list(range(count))
    ranks = [
        list(evaluation_batches(numbered(count), batch_size, rank=rank, processes=processes))
        for rank in range(processes)
    ]
    check_parts(whole, ranks, processes)


def check_parts(whole, ranks, processes):
    for batch, parts in zip(whole, zip(*ranks, strict=True), strict=True):
        assert np.array_equal(np.concatenate([part.images for part in parts]), batch.images)
        assert np.array_equal(np.concatenate([part.labels for part in parts]), batch.labels)
        sizes = [len(part.labels) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert math.isclose(sum(part.share for part in parts), processes)
        # What a loss counts by makes the mean over processes the mean over images.
        assert all(
            math.isclose(part.share, processes * size / sum(sizes))
            for part, size in zip(parts, sizes, strict=True)
        )


def test_batches_from_a_file(tmp_path):
    save_data(tmp_path, data_set(train=40))
    mapped = load_data(str(tmp_path), (1, 2, 3)).train
    recipe = Recipe(batch_size=8)
    for batch, expected in zip(
        training_batches(mapped, recipe, 0), training_batches(numbered(40), recipe, 0), strict=True
    ):
        assert np.array_equal(batch.images, expected.images)
        assert not isinstance(batch.images, np.memmap)


# The thread that prepares them --------------------------------------------------------------------


def preparing():
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Watched(np.ndarray):
    """An array that counts how often something is taken out of it, and fails at a chosen time."""

    taken = 0
    fails_at = None

    def __getitem__(self, index):
        self.taken += 1
        if self.taken == self.fails_at:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def watched(count, **attributes):
    split = numbered(count)
    images = split.images.view(Watched)
    for name, value in attributes.items():
        setattr(images, name, value)
    return replace(split, images=images)


def test_batches_are_prepared_ahead_but_not_all():
    split = watched(50)
    batches = training_batches(split, Recipe(batch_size=2), 0)
    assert split.images.taken == 0
    next(batches)
    # One was taken; AHEAD wait in the queue, and one is held by the thread.
    until(lambda: split.images.taken == 1 + AHEAD + 1)
    time.sleep(0.05)
    assert split.images.taken == 1 + AHEAD + 1
    (thread,) = preparing()
    assert thread.daemon
    batches.close()


def test_the_thread_ends_with_the_epoch():
    assert len(list(training_batches(numbered(20), Recipe(batch_size=3), 0))) == 7
    assert not preparing()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_the_thread_ends_when_nobody_wants_more(taken):
    split = watched(100)
    batches = training_batches(split, Recipe(batch_size=2), 0)
    for _ in range(taken):
        next(batches)
    batches.close()
    assert not preparing()
    assert split.images.taken <= taken + AHEAD + 2  # not the rest of the epoch
    assert list(batches) == []


def test_the_thread_ends_with_a_loop_that_fails():
    def loop():
        for _ in training_batches(numbered(50), Recipe(batch_size=2), 0):
            raise KeyError("in the loop")

    with pytest.raises(KeyError):
        loop()
    until(lambda: not preparing())


def test_what_goes_wrong_in_the_thread_is_raised_where_the_batch_is_wanted():
    batches = training_batches(watched(50, fails_at=3), Recipe(batch_size=2), 0)
    next(batches)
    next(batches)
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert not preparing()
