"""Folders of images, one a class; what is missing or cannot be read is named."""

import shutil

import numpy as np
import pytest
from PIL import Image

from googlenet.data.sets import load_data

from .helpers import SHAPE, pixels, refused, write_images


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
        "`data`: expected digits, fashion-mnist or a path that exists, got",
        tmp_path / "nowhere",
        source=tmp_path / "nowhere",
    )
    refused("cannot be read", source="x" * 5000)


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is a file; give the folder", source=tmp_path / "file")


def test_a_folder_with_no_class_or_one(tmp_path):
    refused(tmp_path, "holds no class folders", "at least two classes", source=tmp_path)
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
    refused(tmp_path / "dog", "too few images (4)", "at least 5", source=tmp_path)


def test_a_test_class_that_has_no_training_folder(tmp_path):
    for name in ("train/cat", "train/dog", "test/cat", "test/eel"):
        write_images(tmp_path / name, 2)
    refused(tmp_path / "test" / "eel", f"{tmp_path / 'train'} does not have", source=tmp_path)


def test_no_test_folder_or_none_of_a_class(tmp_path):
    for name in ("train/cat", "train/dog"):
        write_images(tmp_path / name, 2)
    refused(tmp_path / "test", "is missing, although there is", source=tmp_path)
    (tmp_path / "test").mkdir()
    refused(tmp_path / "test", "holds no PNG or JPEG images of any class", source=tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image", "half"])
def test_an_unreadable_image_is_named(tmp_path, content):
    for name in ("cat", "dog"):
        write_images(tmp_path / name, 5)
    path = tmp_path / "dog" / "03.png"
    path.write_bytes(path.read_bytes()[:60] if content == "half" else content)
    refused(path, "is not a readable image", source=tmp_path)
