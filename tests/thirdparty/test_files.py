"""The example's own weight files: written by its `save`, read by the reader that it registers."""

import json
import subprocess
import sys

import numpy as np
import pytest

import googlenet
from googlenet import get_network, init_params, load_params, save_params
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.weights.formats import read_weights_file

NETWORK = get_network("googlenet", num_classes=3, input_shape=(1, 24, 32))
PARAMS = init_params(NETWORK, seed=5)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "googlenet", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of ours, and the same weights as the example's own."""
    folder = tmp_path_factory.mktemp("files")
    save_params(folder / "a.safetensors", NETWORK, PARAMS)
    done = command("convert", folder / "a.safetensors", folder / "a.own", "--to", "example")
    assert done.returncode == 0, done.stderr
    return folder


def test_there_and_back_again(files):
    done = command("convert", files / "a.own", files / "b.safetensors", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["format"] == "example file"
    assert (answer["name"], answer["input_shape"]) == ("googlenet", [1, 24, 32])
    held = load_params(files / "b.safetensors", NETWORK)
    assert all(np.array_equal(held[path], PARAMS[path]) for path in PARAMS)


def test_predict_takes_the_file(files):
    rng = np.random.default_rng(0)
    np.save(files / "in.npy", rng.random((2, 1, 24, 32)).astype(np.float32))
    logits = {}
    for weights, framework in (
        ("a.own", "example"),
        ("a.own", "numpy"),
        ("a.safetensors", "numpy"),
    ):
        out = files / "out.npy"
        done = command(
            *("predict", "--weights", files / weights, "--framework", framework),
            *("--npy", files / "in.npy", "--out", out),
        )
        assert done.returncode == 0, done.stderr
        logits[weights, framework] = np.load(out)
    expected = logits["a.safetensors", "numpy"]
    assert expected.shape == (2, 3)
    assert np.array_equal(logits["a.own", "numpy"], expected)
    params = googlenet.load_params(files / "a.safetensors", NETWORK)
    problem = Problem(NETWORK, params, np.load(files / "in.npy"))
    reference = googlenet.get_backend("numpy").build(NETWORK, params, dtype=np.float64)
    most = limit(forward_yardstick(problem, chunk=8)["logits"])
    assert distance(logits["a.own", "example"], reference(problem.images)) <= most


def test_get_model_takes_the_file(files):
    model = googlenet.get_model(NETWORK, "example", weights=files / "a.own")
    assert all(np.array_equal(model.params[path], PARAMS[path]) for path in PARAMS)


def test_reading_imports_no_framework(files):
    code = (
        "import sys; from googlenet.weights.formats import read_weights_file;"
        f" read_weights_file({str(files / 'a.own')!r});"
        " print(*({'scipy', 'googlenet_example'} & set(sys.modules)), 'read')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["read"], done.stderr


def test_a_damaged_file_is_one_line(files):
    content = (files / "a.own").read_bytes()
    damaged = files / "damaged.own"
    for cut, message in (
        (len(content) - 5, r"damaged.own: ends within 'head.dense.bias'; save it again$"),
        (40, r"damaged.own: the reader of .own files, googlenet_example_format:read, failed \("),
        (5, r"damaged.own: is not a file of the example's"),
    ):
        damaged.write_bytes(content[:cut])
        with pytest.raises(googlenet.WeightsError, match=message):
            read_weights_file(damaged)


def test_its_version_is_that_of_scipy_and_its_alias_is_known():
    import scipy

    from googlenet.backend.discovery import canonical_name, framework_version

    assert framework_version("example") == scipy.__version__
    assert canonical_name("EX") == "example"
