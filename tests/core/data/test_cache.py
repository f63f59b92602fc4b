"""Sets beyond memory, resized once into the cache."""

import math
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from googlenet.data import cache as module
from googlenet.data.sets import load_data
from googlenet.errors import DataError
from googlenet.locks import held

from .helpers import SHAPE, idx, pixels, refused, sources


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
    refused(path, "is not a complete .npy array", "delete it", source="digits")
    np.save(path, np.zeros((3, *SHAPE), np.uint8))
    refused(path, "is damaged", f"(3, {', '.join(map(str, SHAPE))})", "delete it", source="digits")


def test_one_of_two_processes_resizes_and_the_other_waits(monkeypatch, cache):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    load_data("digits", SHAPE)
    (path, *_) = sorted(cache.iterdir())
    data, began = path.read_bytes(), threading.Event()
    path.unlink()

    def other():
        with held(path.with_name(f".{path.name}.lock"), wait=0, busy=AssertionError):
            began.set()
            time.sleep(0.5)
            path.write_bytes(data)

    thread = threading.Thread(target=other)
    thread.start()
    assert began.wait(30)
    monkeypatch.setattr(module, "replacing", None)  # nothing is written here
    load_data("digits", SHAPE)
    thread.join()
    assert all(each.suffix == ".npy" for each in cache.iterdir())


def test_a_process_that_writes_for_ever_is_not_waited_for(monkeypatch, cache):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    load_data("digits", SHAPE)
    (path, *_) = sorted(cache.iterdir())
    data = path.read_bytes()
    path.unlink()
    with held(path.with_name(f".{path.name}.lock"), wait=0, busy=AssertionError):
        load_data("digits", SHAPE)
    assert path.read_bytes() == data


def test_what_no_disk_could_hold_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """An IDX file that is nothing but a hole may have more images than anybody can hash."""
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_source_digest", pytest.fail)
    images = np.broadcast_to(np.uint8(0), (2**31, 9, 9))
    with pytest.raises(DataError, match=r"takes .* on disk, but it has .*GOOGLENET_CACHE_DIR"):
        module.resize_all([images], (3, 2000, 2000), lambda *told: None)
    assert list((tmp_path / "cache").iterdir()) == []
