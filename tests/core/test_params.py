"""Weights: the same bytes everywhere, files that are whole or not there, and errors that name the
first offender.
"""

import hashlib
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet import (
    Network,
    UnknownNameError,
    WeightsError,
    check_params,
    get_network,
    init_params,
    load_params,
    param_specs,
    save_params,
)
from googlenet.proof.conformance.networks import probe
from googlenet.spec import blocks
from googlenet.weights.files import read_safetensors
from googlenet.weights.initial import _log as logarithm
from googlenet.weights.samples import random_params

from .networks import networks

NETWORK = probe()


@pytest.fixture
def params():
    return random_params(NETWORK)


def _digest(params):
    return hashlib.sha256(b"".join(array.tobytes() for array in params.values())).hexdigest()


@pytest.mark.parametrize(
    ("initializer", "digest"),
    [
        ("xavier_uniform", "ba9b0f686e0105d2617981f7727718ce6d8b8baf7b4ecab824907f20c212536e"),
        ("he_normal", "7fefda0983d9b9297d840b473c12fccc1b0407ff7641e83a8247c74e95482f5c"),
    ],
)
def test_the_same_bytes_on_every_machine_and_numpy(initializer, digest):
    """Every environment of tox runs this, on numpy 1.23 to 2.x."""
    assert _digest(init_params(get_network(), seed=0, initializer=initializer)) == digest


def test_another_layer_disturbs_no_other():
    network = Network(
        "n", blocks.sequential(a=blocks.conv(4, 3), c=blocks.conv(5, 3)), (3, 9, 9), ""
    )
    longer = Network(
        "n",
        blocks.sequential(a=blocks.conv(4, 3), b=blocks.conv(4, 1), c=blocks.conv(5, 3)),
        (3, 9, 9),
        "",
    )
    one, two = init_params(network), init_params(longer)
    assert all(np.array_equal(array, two[path]) for path, array in one.items())
    assert not np.array_equal(init_params(network, seed=1)["a.conv.weight"], one["a.conv.weight"])


def test_xavier_uniform_fills_its_bounds():
    """U(±√(6 / (fan in + fan out))), Glorot and Bengio 2010, equation 16."""
    weight = init_params(get_network())["b4.inception_4e.branch_3x3.conv.conv.weight"]
    bound = math.sqrt(6 / (9 * (160 + 320)))
    assert 0.9999 * bound < np.abs(weight).max() <= np.float32(bound)
    # Six standard errors of mean and variance of a uniform sample.
    assert abs(weight.mean()) < 6 * bound / math.sqrt(3 * weight.size)
    assert abs(weight.var() / (bound**2 / 3) - 1) < 6 * math.sqrt(0.8 / weight.size)


def test_he_normal_is_normal():
    """N(0, 2 / fan in), arXiv:1502.01852, equation 10: mean, variance, kurtosis and tails."""
    weight = (
        init_params(get_network(), initializer="he_normal")[
            "b4.inception_4e.branch_3x3.conv.conv.weight"
        ]
        .ravel()
        .astype(float)
    )
    z = weight / math.sqrt(2 / (9 * 160))
    assert abs(z.mean()) < 6 / math.sqrt(z.size)
    assert abs(z.var() - 1) < 6 * math.sqrt(2 / z.size)
    assert abs((z**4).mean() - 3) < 6 * math.sqrt(96 / z.size)
    share = (np.abs(z) > 2).mean()
    assert abs(share - math.erfc(math.sqrt(2))) < 6 * math.sqrt(share / z.size)


@given(st.floats(min_value=1e-300, max_value=1.0, exclude_max=True))
def test_the_portable_logarithm(x):
    ours, exact = float(logarithm(np.array([x]))[0]), math.log(x)
    assert abs(ours - exact) <= 8 * np.finfo(float).eps * max(abs(exact), 1e-3)


def test_biases_are_zero_and_variances_one():
    params = init_params(NETWORK)
    specs = param_specs(NETWORK)
    assert all(
        not params[path].any() for path in specs if specs[path].name in ("bias", "running_mean")
    )
    assert (params["normed.norm.running_var"] == 1).all()
    assert (params["normed.norm.weight"] == 1).all()


def test_unknown_initialiser_and_seed():
    with pytest.raises(
        UnknownNameError,
        match=r"initializer: expected one of xavier_uniform, he_normal, got 'zeros'",
    ):
        init_params(NETWORK, initializer="zeros")
    with pytest.raises(WeightsError, match="seed: expected an integer of at least 0, got -1"):
        init_params(NETWORK, seed=-1)


def test_a_file_gives_back_every_bit_and_says_what_it_is(params, tmp_path):
    path = tmp_path / "probe.safetensors"
    save_params(path, NETWORK, params)
    loaded = load_params(path, NETWORK)
    assert _digest(loaded) == _digest(params)
    assert list(loaded) == list(params)
    _, metadata = read_safetensors(path)
    assert metadata["network"] == "probe"
    assert metadata["input_shape"] == "2,46,38"
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


@settings(max_examples=25)
@given(networks())
def test_any_network_round_trips(network):
    params = random_params(network)
    with tempfile.TemporaryDirectory() as folder:
        save_params(f"{folder}/w.safetensors", network, params)
        assert _digest(load_params(f"{folder}/w.safetensors", network)) == _digest(params)


FIRST = "stem.conv.weight"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda p: p.pop(FIRST),
            f"weights: '{FIRST}' is missing; network 'probe' needs it with shape \\(8, 2, 7, 7\\)",
        ),
        (
            lambda p: p.update(extra=p[FIRST]),
            r"weights: 'extra' does not belong to network 'probe' \(1 such array\)",
        ),
        (
            lambda p: p.update({FIRST: p[FIRST][:4]}),
            f"weights: '{FIRST}' has shape \\(4, 2, 7, 7\\), expected \\(8, 2, 7, 7\\)",
        ),
        (
            lambda p: p[FIRST].__setitem__((0, 0, 3, 3), np.nan),
            f"weights: '{FIRST}' contains NaN or infinity",
        ),
        (
            lambda p: p.update({FIRST: p[FIRST].astype(int)}),
            f"weights: '{FIRST}' has dtype int64, expected floating point",
        ),
        (
            lambda p: p["normed.norm.running_var"].__setitem__(0, -1),
            "weights: 'normed.norm.running_var' contains a negative variance",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(params, spoil, message):
    spoil(params)
    with pytest.raises(WeightsError, match=message):
        check_params(NETWORK, params)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is not a complete safetensors file"),
        (b"PK\x03\x04 a zip, as torch writes it", "is not a complete safetensors file"),
        (b"\x80\x04\x95 a pickle", "is not a complete safetensors file"),
    ],
)
def test_foreign_files_are_refused(tmp_path, content, message):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"weights.safetensors: {message}"):
        load_params(path, NETWORK)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(WeightsError, match="is a folder"):
        load_params(tmp_path, NETWORK)


@pytest.mark.parametrize("keep", [4, 100, -1])
def test_truncated_files_are_refused(params, tmp_path, keep):
    path = tmp_path / "weights.safetensors"
    save_params(path, NETWORK, params)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="is not a complete safetensors file"):
        load_params(path, NETWORK)


def test_weights_of_another_network_are_refused_by_its_name(params, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_params(path, NETWORK, params)
    with pytest.raises(
        WeightsError, match="holds weights of network 'probe', expected 'googlenet'"
    ):
        load_params(path, get_network())


FULL_DISK = """
import resource, signal, sys
from googlenet import WeightsError, save_params
from googlenet.proof.conformance.networks import probe
from googlenet.weights.samples import random_params
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
try:
    save_params(sys.argv[1], probe(), random_params(probe(), seed=1))
except WeightsError as error:
    sys.exit(f"refused: {error}")
"""


def test_a_disk_that_fills_up_leaves_the_old_file_whole(params, tmp_path):
    """The file size limit stops the write in its middle, as a full disk does."""
    path = tmp_path / "weights.safetensors"
    save_params(path, NETWORK, params)
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(len(before) // 2)],
        capture_output=True,
        text=True,
    )
    assert "refused:" in done.stderr
    assert "cannot be written (File too large); the old file, if any, is unchanged" in done.stderr
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.safetensors"]


def test_an_interrupted_save_leaves_the_old_file_whole(params, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_params(path, NETWORK, params)
    before = path.read_bytes()

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_params(path, NETWORK, random_params(NETWORK, seed=1))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.safetensors"]


def test_a_folder_that_is_not_there(params, tmp_path):
    with pytest.raises(WeightsError, match="cannot be written"):
        save_params(tmp_path / "no" / "weights.safetensors", NETWORK, params)


def test_bad_weights_are_not_written(params, tmp_path):
    params[FIRST][0] = np.inf
    with pytest.raises(WeightsError, match="contains NaN or infinity"):
        save_params(tmp_path / "weights.safetensors", NETWORK, params)
    assert not list(tmp_path.iterdir())
