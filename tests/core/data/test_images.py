"""Images: decoded, scaled and resized once; what is no image is refused by its name."""

import gzip

import numpy as np
import pytest
from PIL import Image

from googlenet import DataError, ShapeError
from googlenet.data.images import load_image_set

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 28, 20), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(
        size.to_bytes(4, "big") for size in array.shape
    )
    return header + array.tobytes()


@pytest.fixture
def idx_files(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(PIXELS))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path / "t10k-images-idx3-ubyte"


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
    assert found.description.endswith("labels from t10k-labels-idx1-ubyte")


def test_gzip_is_the_same(idx_files):
    zipped = idx_files.with_name("train-images-idx3-ubyte.gz")
    zipped.write_bytes(gzip.compress(idx(PIXELS)))
    zipped.with_name("train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    one, two = load_image_set(idx_files, (1, 28, 20), 10), load_image_set(zipped, (1, 28, 20), 10)
    np.testing.assert_array_equal(one.images, two.images)
    np.testing.assert_array_equal(one.labels, two.labels)


def test_without_labels_they_are_drawn_from_the_seed_and_said(idx_files):
    idx_files.with_name("t10k-labels-idx1-ubyte").unlink()
    one, two, other = (load_image_set(idx_files, (1, 28, 20), 10, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.labels, two.labels)
    assert not np.array_equal(one.labels, other.labels)
    assert "labels drawn from seed 7" in one.description


def test_grey_is_repeated_and_resized_bilinearly(idx_files):
    found = load_image_set(idx_files, (3, 56, 40), 10)
    assert found.images.shape == (5, 3, 56, 40)
    np.testing.assert_array_equal(found.images[:, 0], found.images[:, 2])
    expected = np.asarray(
        Image.fromarray((PIXELS[0] / 255).astype(np.float32)).resize(
            (40, 56), Image.Resampling.BILINEAR
        )
    )
    np.testing.assert_array_equal(found.images[0, 0], expected)


def test_png_and_jpeg_files_and_folders(tmp_path):
    colour = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "a.png")
    Image.fromarray(PIXELS[0]).save(tmp_path / "b.jpg", quality=95)
    one = load_image_set(tmp_path / "a.png", (3, 6, 9), 10)
    np.testing.assert_array_equal(
        one.images[0], (colour / 255).astype(np.float32).transpose(2, 0, 1)
    )
    assert load_image_set(tmp_path, (1, 6, 9), 10).images.shape == (2, 1, 6, 9)
    grey = load_image_set(tmp_path / "a.png", (1, 6, 9), 10).images[0, 0]
    whole = np.asarray(
        Image.fromarray(colour).convert("L")
    )  # Pillow rounds to whole shades of grey
    assert np.abs(255 * grey - whole).max() < 1


@pytest.mark.parametrize("shape", [(4, 7, 9), (4, 1, 7, 9), (4, 3, 7, 9)])
def test_npy(tmp_path, shape):
    array = RNG.random(shape, dtype=np.float32)
    np.save(tmp_path / "x.npy", array)
    found = load_image_set(tmp_path / "x.npy", (3, 7, 9), 10).images
    np.testing.assert_array_equal(found, np.broadcast_to(array.reshape(4, -1, 7, 9), (4, 3, 7, 9)))


def _npy(tmp_path, array):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    return tmp_path / "x.npy"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.png", "none.png: does not exist"),
        (lambda d: _write(d / "empty.png", b""), "empty.png: is empty"),
        (lambda d: _write(d / "text.png", b"hello"), "text.png: is not a readable image"),
        (lambda d: _write(d / "cut.png", _png()[:100]), "cut.png: is not a readable image"),
        (
            lambda d: _write(d / "notes.txt", b"hello, this is text"),
            "notes.txt: is not an IDX file",
        ),
        (
            lambda d: _write(d / "cut-images", idx(PIXELS)[:-1]),
            "cut-images: is truncated or damaged: its header says 2800 bytes, it holds 2799",
        ),
        (lambda d: _write(d / "zero-images", idx(PIXELS[:0])), "zero-images: is empty"),
        (lambda d: _write(d / "x.gz", gzip.compress(idx(PIXELS))[:-20]), "x.gz: cannot be read"),
        (lambda d: d, "holds no PNG or JPEG image"),
        (
            lambda d: _npy(d, np.zeros((2, 2))),
            r"x.npy: expected numbers of shape \(N, H, W\) or \(N, C, H, W\), got \(2, 2\)",
        ),
        (
            lambda d: _npy(d, np.full((2, 2, 2), 7.0)),
            r"x.npy: floating-point images must be finite and in \[0, 1\]",
        ),
        (
            lambda d: _npy(d, np.full((2, 2, 2), np.nan)),
            "x.npy: floating-point images must be finite",
        ),
        (lambda d: _npy(d, np.full((2, 2, 2), 256)), "x.npy: integer images must be in 0 to 255"),
        (lambda d: _npy(d, np.zeros((2, 5, 2, 2))), "x.npy: expected 1 or 3 channels on axis 1"),
        (lambda d: _npy(d, np.array([object()])), "x.npy: is not an .npy array of numbers"),
        (lambda d: _write(d / "cut.npy", b"\x93NUMPY"), "cut.npy: is not an .npy array"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, make, message):
    with pytest.raises(DataError, match=message):
        load_image_set(make(tmp_path), (1, 8, 8), 10)


def _write(path, data):
    path.write_bytes(data)
    return path


def _png():
    from io import BytesIO

    file = BytesIO()
    Image.fromarray(PIXELS[0]).save(file, "PNG")
    return file.getvalue()


def test_a_pickle_is_not_opened(tmp_path):
    """np.load would run what a pickle says; allow_pickle=False refuses it."""
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (marker.touch, ())

    np.save(tmp_path / "x.npy", np.array([Evil()], object), allow_pickle=True)
    with pytest.raises(DataError):
        load_image_set(tmp_path / "x.npy", (1, 8, 8), 10)
    assert not marker.exists()


def test_labels_that_do_not_belong(idx_files):
    labels = idx_files.with_name("t10k-labels-idx1-ubyte")
    labels.write_bytes(idx(LABELS[:3]))
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: holds 3 labels for 5 images"):
        load_image_set(idx_files, (1, 8, 8), 10)
    labels.write_bytes(idx(LABELS))
    with pytest.raises(
        DataError, match="label 5 is out of range for 5 classes; give --num-classes 6"
    ):
        load_image_set(idx_files, (1, 8, 8), 5)


def test_numbers_that_cannot_be(idx_files):
    with pytest.raises(DataError, match="holds 5 images, and --count asks for 6"):
        load_image_set(idx_files, (1, 8, 8), 10, count=6)
    with pytest.raises(DataError, match="count: expected at least 1, got 0"):
        load_image_set(None, (1, 8, 8), 10, count=0)
    with pytest.raises(ShapeError, match="images: have 1 or 3 channels, and the network takes 2"):
        load_image_set(None, (2, 8, 8), 10)
