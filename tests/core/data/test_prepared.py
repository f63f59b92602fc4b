"""Sets beyond memory, resized once into the cache, and sets that were prepared before."""

import json
import math
import os

import numpy as np
import pytest
from PIL import Image

from googlenet.data import sets as module
from googlenet.data.sets import load_data, save_data
from googlenet.errors import DataError

from .helpers import SHAPE, data_set, idx, pixels, refused, sources

# Beyond memory ------------------------------------------------------------------------------------


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
