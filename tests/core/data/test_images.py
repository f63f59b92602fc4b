"""Images for a network: those that are measured with, and those whose classes are asked for."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from googlenet import DataError, ShapeError
from googlenet.data.batches import evaluation_batches
from googlenet.data.images import load_image_set, load_inputs
from googlenet.data.preprocessing import PREPROCESSINGS
from googlenet.data.sets import load_data

from .helpers import idx

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 28, 20), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)
UNIT = PREPROCESSINGS["unit"]


@pytest.fixture
def idx_files(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(PIXELS))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path / "t10k-images-idx3-ubyte"


# One pipeline -------------------------------------------------------------------------------------


def training_pixels(folder, input_shape):
    """What the batches of a whole set hold, float32 (N, C, H, W): first what is trained on, then
    what is tested with.
    """
    data = load_data(str(folder), input_shape)
    return np.concatenate(
        [
            batch.images
            for split in (data.train, data.test)
            for batch in evaluation_batches(split, 4)
        ]
    )


def check_same(training, path, input_shape):
    """Parity's pixels of the file `path`, and prediction's, are the bytes of `training`."""
    parity = load_image_set(path, input_shape, 256).images
    predicted = load_inputs([path], input_shape, UNIT).images
    for found in (parity, predicted):
        assert (found.dtype, found.shape) == (training.dtype, training.shape)
        assert found.tobytes() == training.tobytes()


sizes = {"height": st.integers(1, 40), "width": st.integers(1, 40)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
@given(**sizes)
@settings(max_examples=15, deadline=None)
def test_training_parity_and_prediction_give_the_same_bytes_for_a_png(
    mode, channels, height, width
):
    pixels = np.random.default_rng(height * 41 + width).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    image = (
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 251)
        if mode == "I;16"
        else Image.fromarray(pixels).convert(mode)
    )
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "test"):
            for name in ("cat", "dog"):
                file = Path(folder, part, name, "a.png")
                file.parent.mkdir(parents=True)
                image.save(file)
        shape = (channels, height, width)
        training = training_pixels(folder, shape)
        assert (training == training[0]).all()
        check_same(training[:1], file, shape)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("packed", [False, True])
@given(**sizes)
@settings(max_examples=15, deadline=None)
def test_training_parity_and_prediction_give_the_same_bytes_for_idx_and_npy(
    packed, channels, height, width
):
    """An .npy file is not to be trained on: its pixels are those of the IDX file that holds the
    same.
    """
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "t10k"):
            for name, array in (("images-idx3", PIXELS), ("labels-idx1", LABELS)):
                content = gzip.compress(idx(array)) if packed else idx(array)
                file = Path(folder, f"{part}-{name}-ubyte{'.gz' if packed else ''}")
                file.write_bytes(content)
        shape = (channels, height, width)
        training = training_pixels(folder, shape)[: len(PIXELS)]
        check_same(training, file.with_name(file.name.replace("labels-idx1", "images-idx3")), shape)
        for array in (PIXELS, PIXELS[:, None], PIXELS.astype(np.int64)):
            np.save(Path(folder, "x.npy"), array)
            check_same(training, Path(folder, "x.npy"), shape)


def test_training_and_parity_give_the_same_bytes_for_the_digits():
    data = load_data("digits", (3, 11, 5))
    found = load_image_set(None, (3, 11, 5), 10).images
    testing = np.arange(1797) % 5 == 4
    for split, chosen in ((data.train, ~testing), (data.test, testing)):
        (batch,) = evaluation_batches(split, 2000)
        assert batch.images.tobytes() == found[chosen].tobytes()


# Parity -------------------------------------------------------------------------------------------


def test_digits_are_the_default():
    found = load_image_set(None, (1, 8, 8), 10, count=40)
    assert found.images.shape == (40, 1, 8, 8)
    assert found.images.dtype == np.float32
    assert found.images.max() == 1
    assert found.images.min() == 0
    assert list(found.labels[:10]) == list(range(10))
    assert "scikit-learn's digits" in found.description


def test_idx_with_its_labels(idx_files):
    found = load_image_set(idx_files, (1, 28, 20), 10)
    np.testing.assert_array_equal(found.images[:, 0], (PIXELS / 255).astype(np.float32))
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.labels.dtype == np.int64
    assert found.description.endswith("labels from t10k-labels-idx1-ubyte")


def test_labels_are_found_plain_or_packed(idx_files):
    labels = idx_files.with_name("t10k-labels-idx1-ubyte")
    labels.with_name(f"{labels.name}.gz").write_bytes(gzip.compress(idx(LABELS[::-1])))
    # The file of the same kind comes first, and the other where there is none.
    np.testing.assert_array_equal(load_image_set(idx_files, (1, 8, 8), 10).labels, LABELS)
    labels.unlink()
    np.testing.assert_array_equal(load_image_set(idx_files, (1, 8, 8), 10).labels, LABELS[::-1])


def test_labels_go_with_idx_files_only(idx_files):
    folder = idx_files.parent
    np.save(folder / "images.npy", PIXELS)
    np.save(folder / "labels.npy", LABELS)
    assert "labels drawn" in load_image_set(folder / "images.npy", (1, 8, 8), 10).description


def test_without_labels_they_are_drawn_from_the_seed_and_said(idx_files):
    idx_files.with_name("t10k-labels-idx1-ubyte").unlink()
    one, two, other = (load_image_set(idx_files, (1, 28, 20), 10, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.labels, two.labels)
    assert not np.array_equal(one.labels, other.labels)
    assert "labels drawn from seed 7" in one.description


def test_the_first_images_of_a_source(idx_files):
    found = load_image_set(idx_files, (1, 28, 20), 10, count=2)
    np.testing.assert_array_equal(found.images[:, 0], (PIXELS[:2] / 255).astype(np.float32))
    np.testing.assert_array_equal(found.labels, LABELS[:2])


def test_png_and_jpeg_files_and_folders(tmp_path):
    colour = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "a.png")
    Image.fromarray(PIXELS[0]).save(tmp_path / "b.jpg", quality=95)
    one = load_image_set(tmp_path / "a.png", (3, 6, 9), 10)
    np.testing.assert_array_equal(
        one.images[0], (colour / 255).astype(np.float32).transpose(2, 0, 1)
    )
    folder = load_image_set(tmp_path, (1, 6, 9), 10)
    assert folder.images.shape == (2, 1, 6, 9)
    assert folder.description.startswith(f"{tmp_path} (2 images)")
    grey = np.asarray(Image.fromarray(colour).convert("L"))
    np.testing.assert_array_equal(folder.images[0, 0], (grey / 255).astype(np.float32))


@pytest.mark.parametrize("shape", [(4, 7, 9), (4, 1, 7, 9), (4, 3, 7, 9)])
def test_floats_of_the_inputs_size_are_kept(tmp_path, shape):
    array = RNG.random(shape, dtype=np.float32)
    np.save(tmp_path / "x.npy", array)
    found = load_image_set(tmp_path / "x.npy", (3, 7, 9), 10).images
    np.testing.assert_array_equal(found, np.broadcast_to(array.reshape(4, -1, 7, 9), (4, 3, 7, 9)))


def test_labels_that_do_not_belong(idx_files):
    labels = idx_files.with_name("t10k-labels-idx1-ubyte")
    labels.write_bytes(idx(LABELS[:3]))
    message = r"t10k-labels-idx1-ubyte: too few labels \(3\) for the images in .* \(5\); give"
    with pytest.raises(DataError, match=message):
        load_image_set(idx_files, (1, 8, 8), 10)
    labels.write_bytes(idx(LABELS))
    with pytest.raises(
        DataError, match="label 5 is out of range, expected 0 to 4; give `num_classes` 6"
    ):
        load_image_set(idx_files, (1, 8, 8), 5)


def test_numbers_that_cannot_be(idx_files):
    with pytest.raises(DataError, match="holds 5 images, but `count` is 6; give at most 5"):
        load_image_set(idx_files, (1, 8, 8), 10, count=6)
    with pytest.raises(DataError, match="`count`: expected an integer of at least 1, got 0"):
        load_image_set(None, (1, 8, 8), 10, count=0)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_than_an_image_has(idx_files, channels):
    message = f"images have 1 or 3 channels, but the network expects {channels}"
    with pytest.raises(ShapeError, match=message):
        load_image_set(None, (channels, 8, 8), 10)
    with pytest.raises(ShapeError, match=message):
        load_inputs([idx_files], (channels, 8, 8), UNIT)


# Prediction ---------------------------------------------------------------------------------------


def test_every_image_has_a_name(idx_files):
    folder = idx_files.parent / "inner"
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "deeper/c.jpeg"):
        Image.new("RGB", (3, 3)).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    np.save(idx_files.parent / "one.npy", PIXELS[:1])
    paths = [folder / "b.png", idx_files, folder, idx_files.parent / "one.npy"]
    found = load_inputs(paths, (3, 8, 8), UNIT)
    assert found.names == (
        str(folder / "b.png"),
        *(f"{idx_files}[{index}]" for index in range(5)),
        *(str(folder / name) for name in ("a.JPG", "b.png", "deeper/c.jpeg")),
        str(idx_files.parent / "one.npy"),
    )
    assert found.images.shape == (10, 3, 8, 8)


def test_chunks_are_the_images_in_order(idx_files):
    found = load_inputs([idx_files], (1, 28, 20), UNIT)
    chunks = list(found.chunks(2))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    for chunk in chunks:
        assert (chunk.dtype, chunk.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(np.concatenate(chunks), found.images)
    np.testing.assert_array_equal(found.images[:, 0], (PIXELS / 255).astype(np.float32))


def test_an_image_is_decoded_when_its_chunk_is_asked_for(tmp_path):
    for number in range(4):
        Image.fromarray(PIXELS[number]).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"not an image")
    chunks = load_inputs([tmp_path], (1, 28, 20), UNIT).chunks(2)
    np.testing.assert_array_equal(next(chunks)[:, 0], (PIXELS[:2] / 255).astype(np.float32))
    with pytest.raises(DataError, match=r"2\.png: is not a readable image"):
        next(chunks)


def test_an_image_that_cannot_be_is_named_by_its_number(tmp_path):
    array = RNG.random((3, 7, 9))
    array[2] += 1
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=r"x\.npy\[2\]: floating-point images must be finite"):
        load_inputs([tmp_path / "x.npy"], (1, 7, 9), UNIT).images  # noqa: B018


def test_no_paths():
    with pytest.raises(DataError, match="`images`: expected at least one file or folder"):
        load_inputs([], (1, 8, 8), UNIT)


def test_many_small_images_are_charged_and_the_first_few_are_not(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((10**5, 1, 1), np.uint8))
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=16M")
    with pytest.raises(DataError, match=r"x\.npy: asks for 51\.2 MB of memory"):
        load_inputs([path], (1, 8, 8), UNIT)
    assert load_image_set(path, (1, 8, 8), 10, count=2).images.shape == (2, 1, 8, 8)
