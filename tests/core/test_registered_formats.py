"""Weight files of formats that plugins read: who is asked, and what is said if it goes wrong."""

import sys

import numpy as np
import pytest

import googlenet
from googlenet import get_network, init_params, reference, save_params
from googlenet.weights.formats import read_weights_file
from googlenet.weights.zoo import load_weights

from .plugins import distribution

NETWORK = get_network("googlenet", num_classes=3, input_shape=(1, 24, 32))

#: A reader of files that hold a line of text.
READER = """
import numpy as np
from googlenet import WeightsError
from googlenet.weights.formats import WeightsFile

def read(path):
    text = path.read_text().strip()
    if text == "refuse":
        raise WeightsError(f"{path}: is refused;\\n save it again")
    if text == "raise":
        raise ValueError("no such\\n  number")
    if text == "nothing":
        return {}
    if text == "objects":
        return WeightsFile(path, "text", {"a": np.array([None])}, {})
    return WeightsFile(path, "text file", {"a": np.array([float(text)], ">f4")}, {"by": "hand"})
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "text_reader.py").write_text(READER)
    (folder / "other_reader.py").write_text(READER.replace("text file", "longer"))
    points = {
        "txt": "text_reader:read",
        "weights.txt": "other_reader:read",
        "npz": "text_reader:read",
        "gone": "no_such_module:read",
    }
    distribution(folder, "texts", groups={"googlenet.formats": points})
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in ("text_reader", "other_reader"):
        sys.modules.pop(name, None)


def write(path, text):
    path.write_text(text)
    return path


def test_a_registered_reader_is_asked_by_the_end_of_the_name(site, tmp_path):
    assert "text_reader" not in sys.modules
    found = read_weights_file(write(tmp_path / "a.b.txt", "2.5"))
    assert (found.format, found.metadata) == ("text file", {"by": "hand"})
    assert list(found.arrays) == ["a"]
    assert found.arrays["a"].dtype == np.dtype("f4")  # in this machine's byte order, as all are
    assert found.arrays["a"].tolist() == [2.5]
    assert read_weights_file(write(tmp_path / "a.weights.txt", "1")).format == "longer"


def test_our_own_readers_come_first(site, tmp_path):
    np.savez(tmp_path / "a.npz", w=np.ones(3, np.float32))
    assert read_weights_file(tmp_path / "a.npz").format == "NumPy archive"
    (tmp_path / "a.npz").rename(tmp_path / "a.txt")
    assert read_weights_file(tmp_path / "a.txt").format == "NumPy archive"
    assert "text_reader" not in sys.modules
    # What is no whole file of ours may be one of theirs: \n is how MindSpore's files begin.
    assert read_weights_file(write(tmp_path / "b.txt", "\n2.5")).format == "text file"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "refuse", "{path}: is refused; save it again"),
        (
            "a.txt",
            "raise",
            "{path}: the reader of .txt files, text_reader:read, failed (ValueError: no such"
            " number); save the file again, or report this to the author of the reader",
        ),
        ("a.txt", "nothing", "failed (TypeError: expected a WeightsFile, got dict);"),
        ("a.txt", "objects", "failed (ValueError: 'a' has object dtype, expected numbers);"),
        (
            "a.gone",
            "2.5",
            "{path}: the reader of .gone files, no_such_module:read, cannot be imported"
            " (ModuleNotFoundError: No module named 'no_such_module'); install its plugin again",
        ),
        ("a.other", "hello", "a plugin's format (.gone), a plugin's format (.npz)"),
        ("txt", "hello", "{path}: unknown format, expected one of PyTorch checkpoints"),
        ("none.txt", None, "{path}: does not exist; expected a weights file, one of PyTorch"),
    ],
)
def test_errors_are_one_line_and_name_the_file(site, tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        write(path, text)
    with pytest.raises(googlenet.WeightsError) as raised:
        read_weights_file(path)
    assert message.format(path=path) in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_two_readers_of_one_suffix(site, tmp_path):
    points = {"txt": "other_reader:read", "npz": "text_reader:read"}
    distribution(site, "more-texts", groups={"googlenet.formats": points})
    with pytest.raises(
        googlenet.WeightsError,
        match=r"\.txt files have two readers, .*_reader:read and .*_reader:read; uninstall",
    ):
        read_weights_file(write(tmp_path / "a.txt", "2.5"))
    # The same one twice is one.
    assert read_weights_file(write(tmp_path / "a.npz", "2.5")).format == "text file"


def test_get_model_takes_what_has_the_paths_of_the_spec(tmp_path):
    params = init_params(NETWORK, seed=3)
    model = reference.build(NETWORK, params)
    reference.save(model, tmp_path / "own.npz")
    save_params(tmp_path / "ours.safetensors", NETWORK, params)
    for name in ("own.npz", "ours.safetensors"):
        built = googlenet.get_model(NETWORK, "numpy", weights=tmp_path / name)
        held = reference.params_of(built)
        assert list(held) == list(params)
        assert all(np.array_equal(held[path], params[path]) for path in params)


def test_weights_of_another_network_are_refused(tmp_path):
    network = googlenet.get_network("nin", num_classes=3, input_shape=(1, 68, 67))
    save_params(tmp_path / "nin.safetensors", network, init_params(network))
    with pytest.raises(
        googlenet.WeightsError, match=r"nin.safetensors: holds weights of network 'nin', expected"
    ):
        load_weights(tmp_path / "nin.safetensors", googlenet.get_network())
    np.savez(tmp_path / "a.npz", w=np.ones(3, np.float32))
    with pytest.raises(googlenet.WeightsError, match=r"a.npz: 'b1\.conv\.conv\.weight' is missing"):
        load_weights(tmp_path / "a.npz", googlenet.get_network())
