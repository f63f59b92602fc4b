"""Sets as people have them: IDX files under other names, and folders called otherwise."""

import gzip
import shutil

import numpy as np
import pytest
from PIL import Image

from googlenet.data import places
from googlenet.data.decoding import decode
from googlenet.data.sets import load_data
from googlenet.errors import DataError

from .helpers import NAMES, SHAPE, idx, idx_set, pixels, write_images

PLAIN = [name.removesuffix(".gz") for name in NAMES]


def same(found, arrays):
    assert found.train.labels.tolist() == arrays[1].tolist()
    assert found.test.labels.tolist() == arrays[3].tolist()
    own = (arrays[0].shape[1], arrays[0].shape[2])
    again = load_data(found.description, (1, *own))
    np.testing.assert_array_equal(again.train.images[:, 0], arrays[0])
    np.testing.assert_array_equal(again.test.images[:, 0], arrays[2])


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("-idx", ".idx"),
        lambda name: name.upper(),
        lambda name: name.replace("t10k", "test"),
        lambda name: name.replace("t10k", "Validation"),
        lambda name: f"emnist-letters-{name.replace('t10k', 'test')}",
        lambda name: f"raw/{name}",
        lambda name: f"FashionMNIST/raw/{name}",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_names_of_idx_files(tmp_path, rename, packed):
    files, arrays = idx_set()
    for name, content in files.items():
        path = tmp_path / (rename(name) + (".gz" if packed else ""))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if packed else content)
    (tmp_path / ".cache" / "raw").mkdir(parents=True)
    same(load_data(str(tmp_path), SHAPE), arrays)


def test_several_sets_in_one_folder(tmp_path):
    """EMNIST's archive has six of them."""
    expected = {}
    for name, train in (("letters", 13), ("digits", 9)):
        files, expected[name] = idx_set(train=train)
        for plain, content in files.items():
            (tmp_path / f"emnist-{name}-{plain}").write_bytes(content)
    with pytest.raises(DataError, match=r"sets \(emnist-digits, emnist-letters\); give one"):
        load_data(str(tmp_path), SHAPE)
    for name, arrays in expected.items():
        found = load_data(str(tmp_path / f"emnist-{name}"), SHAPE)
        assert found.train.labels.tolist() == arrays[1].tolist()


def test_labels_beside_images(tmp_path):
    files, _ = idx_set()
    for name, content in files.items():
        (tmp_path / name.replace("-idx", ".idx")).write_bytes(content)
    found = places.labels_of(tmp_path / "t10k-images.idx3-ubyte")
    assert found == tmp_path / "t10k-labels.idx1-ubyte"
    assert places.labels_of(tmp_path / "photograph.png") is None


def test_the_systems_fashion_mnist(tmp_path, monkeypatch):
    files, arrays = idx_set(classes=10)
    for name, content in files.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, mtime=1))
    monkeypatch.setattr(places, "SYSTEM", tmp_path)
    monkeypatch.setattr("googlenet.data.sets.download", lambda report: pytest.fail("downloaded"))
    found = load_data("fashion-mnist", SHAPE)
    assert (found.name, found.description) == ("fashion-mnist", "Fashion-MNIST")
    assert found.classes[0] == "T-shirt/top"
    assert found.train.labels.tolist() == arrays[1].tolist()


def test_the_systems_fashion_mnist_is_not_whole(tmp_path, monkeypatch):
    (tmp_path / PLAIN[0]).write_bytes(idx(pixels(3)))
    monkeypatch.setattr(places, "SYSTEM", tmp_path)
    assert places.system_set() is None


@pytest.mark.parametrize("test", ["test", "val", "Validation", "TESTING", "valid"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_names_of_the_two_folders(tmp_path, train, test):
    for part, count in ((train, 3), (test, 2)):
        for name in ("cat", "dog"):
            write_images(tmp_path / part / name, count)
        (tmp_path / part / ".ipynb_checkpoints").mkdir()
    found = load_data(str(tmp_path), SHAPE)
    assert found.classes == ("cat", "dog")
    assert (len(found.train.labels), len(found.test.labels)) == (6, 4)


def test_test_comes_before_val(tmp_path):
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        for name in ("cat", "dog"):
            write_images(tmp_path / part / name, count)
    assert len(load_data(str(tmp_path), SHAPE).test.labels) == 4


def test_a_class_of_trains(tmp_path):
    for name in ("car", "train"):
        write_images(tmp_path / name, 5)
    assert load_data(str(tmp_path), SHAPE).classes == ("car", "train")


def test_tables_in_the_place_of_images(tmp_path):
    (tmp_path / "fashion-mnist_train.csv").write_text("label,pixel1")
    with pytest.raises(DataError, match=r"fashion-mnist_train\.csv, which is not read .* IDX"):
        load_data(str(tmp_path), SHAPE)


def test_images_of_other_formats_are_named_and_not_left_out(tmp_path):
    for name in ("cat", "dog"):
        write_images(tmp_path / name, 5)
    for number in range(5):
        shutil.copy(tmp_path / "dog" / "00.png", tmp_path / "dog" / f"{number}.webp")
    with pytest.raises(
        DataError, match=r"dog: holds images .*: 0\.webp, 1\.webp, 2\.webp and 2 more; save"
    ):
        load_data(str(tmp_path), SHAPE)


def test_a_picture_that_a_camera_turned(tmp_path):
    """Pillow writes the mark, and turns by its own rule."""
    from PIL import ImageOps

    upright = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(upright).save(path, exif=exif)
        with Image.open(path) as picture:
            expected = np.asarray(ImageOps.exif_transpose(picture))
        np.testing.assert_array_equal(decode(path), expected)
