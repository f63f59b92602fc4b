"""Sets that were prepared before, and are read as they are."""

import json

import numpy as np
import pytest

from googlenet.data import prepared as module
from googlenet.data.prepared import save_data
from googlenet.data.sets import load_data
from googlenet.errors import DataError

from .helpers import SHAPE, data_set, refused, sources


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
    refused(
        tmp_path,
        "(1, 2, 3)",
        "(1, 9, 7)",
        "build the network at that `input_shape`",
        source=tmp_path,
    )
    refused(tmp_path, "build the network for 1 channel, or", source=tmp_path, shape=(3, 2, 3))


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
