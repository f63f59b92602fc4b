"""IDX files in a folder, of Fashion-MNIST or of any set; damaged ones are named."""

import gzip

import numpy as np
import pytest

from googlenet.data import sets as module
from googlenet.data.decoding import read_labels
from googlenet.data.sets import load_data
from googlenet.errors import DataError

from .helpers import NAMES, SHAPE, idx, pixels, refused, write_idx


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
    for words in (str(tmp_path / "files"), "13 for training", "7 for testing"):
        assert words in data.description


def test_a_folder_that_is_named_comes_before_the_variable(tmp_path, monkeypatch):
    write_idx(tmp_path / "files")
    monkeypatch.setenv("GOOGLENET_DATA_DIR", str(tmp_path / "nowhere"))
    assert len(load_data("fashion-mnist", SHAPE, data_dir=tmp_path / "files").train.labels) == 13
    refused(tmp_path / "nowhere", "is not a folder", "`data_dir`", *NAMES, source="fashion-mnist")


def test_a_folder_for_a_set_that_is_not_fashion_mnist(tmp_path):
    refused(
        f"`data_dir`: is only for `data` fashion-mnist, got {tmp_path} with `data` digits",
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
    corrupt[-8] ^= 255  # of the checksum
    return {
        "truncated gzip": (packed[: len(packed) // 2], "is truncated or damaged"),
        "corrupt gzip": (bytes(corrupt), "is truncated or damaged"),
        "truncated": (content[:-1], "is truncated or damaged"),
        "too long": (content + b"x", "is truncated or damaged"),
        "another magic": (b"\x00\x00\x0d" + content[3:], "is not an IDX file of bytes"),
        "another number of axes": (
            content[:3] + b"\x02" + content[4:],
            "is not an IDX file of bytes",
        ),
        "a web page": (b"<!DOCTYPE html><html>" + bytes(99), "download the file itself"),
        "a packed web page": (gzip.compress(b"\n<HTML>sorry" + bytes(99)), "is a web page"),
        "nothing": (b"", "is not an IDX file of bytes"),
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
        "too few labels (6) for the images in t10k-images-idx3-ubyte (7)",
        source=tmp_path,
    )


def test_a_label_beyond_fashion_mnists_classes(tmp_path):
    write_idx(tmp_path, classes=11)
    options = {"source": "fashion-mnist", "data_dir": tmp_path}
    refused(
        tmp_path / "train-labels-idx1-ubyte",
        "label 10 is out of range for 10 classes",
        "give its folder as `data`",
        **options,
    )
    assert len(load_data(str(tmp_path), SHAPE).classes) == 11


def test_idx_files_of_one_class(tmp_path):
    write_idx(tmp_path, classes=1)
    refused(tmp_path, "one class", source=tmp_path)


def test_labels_are_counted_before_they_are_read(tmp_path):
    """A file of four gigabytes that is nothing but a hole, beside one image."""
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(idx(pixels(1)))
    path = tmp_path / "train-labels-idx1-ubyte"
    with path.open("wb") as file:
        file.write(bytes([0, 0, 8, 1]) + (2**32 - 1).to_bytes(4, "big"))
        file.truncate(8 + 2**32 - 1)
    with pytest.raises(DataError, match=r"too many labels \(4294967295\)"):
        read_labels(path, images, 1)
    with pytest.raises(DataError, match=r"labels-idx1-ubyte: asks for 34\.4 GB of memory"):
        read_labels(path, images, 2**32 - 1)
