"""The family in one framework: parameters counted on the native model, and weights through the
framework's own file.

The framework is named by `GOOGLENET_FRAMEWORK`.
"""

import json
import math
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

import googlenet
from googlenet.errors import WeightsError
from googlenet.proof.conformance.networks import LEAVES, architectures, composites, sandwich
from googlenet.weights.formats import read_weights_file
from googlenet.weights.samples import random_params

from ..frameworks.native import LOADERS
from .networks import ending

# Keras 3.15 on numpy 2 warns of itself when it saves (convert_to_numpy).
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


# Parameters ---------------------------------------------------------------------------------------

PARAMETERS = [
    ("googlenet_bn", False, 5_984_810),
    ("torchvision:googlenet_paper", False, 6_624_904),
    ("torchvision:googlenet_paper", True, 13_004_888),
    ("mindcv:googlenet_paper", False, 6_991_272),
    ("paddle:googlenet_paper", True, 11_535_736),
    ("bn_inception", False, 11_285_224),
    ("caffe:bn_inception", False, 11_295_240),
    ("inception_v3", False, 23_834_568),
    ("inception_v3", True, 27_161_264),
    ("keras:inception_v3", False, 23_817_352),
    ("inception_v4", False, 42_679_816),
    ("inception_resnet_v1", False, 22_756_328),
    ("facenet:inception_resnet_v1", False, 23_995_624),
    ("inception_resnet_v2", False, 55_843_464),
    ("keras:inception_resnet_v2", False, 55_813_192),
    ("alexnet", False, 46_764_746),
    ("vgg11", False, 128_806_154),
    ("vgg11_small", False, 43_093_322),
    ("nin", False, 1_992_166),
]


def zeros(network):
    """Weights of 0, which take no memory until they are copied."""
    return {
        path: np.zeros(spec.shape, np.float32)
        for path, spec in googlenet.param_specs(network).items()
    }


@pytest.mark.parametrize(
    ("name", "aux", "parameters"),
    PARAMETERS,
    ids=[f"{name}{'-aux' * aux}" for name, aux, _ in PARAMETERS],
)
def test_parameters(backend, native, name, aux, parameters):
    """At the network's own input size, on which the dense layers of some depend; nothing is run."""
    network = googlenet.get_network(name, aux=aux)
    trained = native.trained(backend.build(network, zeros(network)))
    assert sum(math.prod(each.shape) for each in trained) == parameters


# The framework's own file -------------------------------------------------------------------------

SAVED = {
    "googlenet_bn": architectures()["googlenet_bn"],
    "batch norm without scale": sandwich("no scale", LEAVES["batch_norm_without_scale"]),
    "residual": composites()["residual_projected"],
    "residual with batch norm": composites()["norm_residual"],
    "auxiliary heads": composites()["auxiliary"],
    "dense on a map": composites()["local_response_norm_pool"],
}
SMALL = SAVED["residual with batch norm"]


def same(found, expected):
    assert set(found) == set(expected)
    for path, array in expected.items():
        assert found[path].dtype == array.dtype, path
        assert found[path].shape == array.shape, path
        assert found[path].tobytes() == array.tobytes(), path


def loaded(backend, framework, network, file):
    """The weights of a model that held others, after the framework's own loader."""
    model = backend.build(network, random_params(network, seed=1))
    LOADERS[framework](model, str(file))
    return backend.params_of(model)


def name_in_file(backend, spec):
    if backend.name in ("torch", "onnx"):
        return spec.path
    if backend.name == "jax":
        return f"{spec.site.path.replace('.', '/')}/{backend.layout.native_name(spec)}"
    if backend.name != "tensorflow":
        return backend.layout.native_path(spec)
    # Keras numbers the variables, and of three no file says whether the first is beta or gamma.
    lacks_scale = getattr(spec.site.layer, "scale", None) is False
    lacking = lacks_scale and spec.name == "bias"
    return f"{spec.site.path}/{'0' if lacking else backend.layout.native_name(spec)}"


@pytest.mark.parametrize("network", SAVED.values(), ids=SAVED)
def test_the_frameworks_own_file_keeps_every_bit(backend, framework, network, tmp_path):
    params, file = random_params(network), tmp_path / f"w{ending(backend)}"
    backend.save(backend.build(network, params), file)
    assert os.listdir(tmp_path) == [file.name]
    same(loaded(backend, framework, network, file), params)


def test_every_ending_of_its_own_files_is_written_and_read(backend, framework, tmp_path):
    network = SAVED["googlenet"] if "googlenet" in SAVED else next(iter(SAVED.values()))
    params = random_params(network)
    for suffix in np.ravel(backend.file_suffix):
        file = tmp_path / f"w{suffix}"
        backend.save(backend.build(network, params), file)
        same(loaded(backend, framework, network, file), params)


def in_numpy(native):
    if hasattr(native, "asnumpy"):
        return native.asnumpy()
    if hasattr(native, "raw_data"):  # of ONNX
        return np.frombuffer(native.raw_data, np.float32).reshape(native.dims)
    return np.asarray(native)


@pytest.mark.parametrize("network", SAVED.values(), ids=SAVED)
def test_the_frameworks_own_file_is_read_without_it(backend, network, tmp_path):
    """Every array of ours is there in the backend's layout; besides them, scales of 1 that our spec
    has not, counters, and the one number of an operation.
    """
    params, file = random_params(network), tmp_path / f"w{ending(backend)}"
    backend.save(backend.build(network, params), file)
    arrays = dict(read_weights_file(file).arrays)
    for path, spec in googlenet.param_specs(network).items():
        native = backend.layout.to_native(spec, params[path])
        expected = in_numpy(native)
        array = arrays.pop(name_in_file(backend, spec))
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape), path
        assert array.tobytes() == expected.tobytes(), path
    norms = [site for site in googlenet.walk(network) if hasattr(site.layer, "momentum")]
    without_scale = {site.path: site.in_shape[:1] for site in norms if not site.layer.scale}
    for name, array in arrays.items():
        module, _, last = name.rpartition(".")
        if last == "num_batches_tracked":
            assert array == 0
        elif last == "factor":
            assert array.shape == ()
        else:
            assert last in ("weight", "gamma")
            assert array.shape == without_scale.pop(module)
            assert (array == 1).all()
    assert not without_scale or backend.name in (
        "jax",
        "tensorflow",
        "paddle",
    )  # which then have no scale either


@pytest.mark.parametrize("name", ["googlenet_bn", "keras:inception_v3"])
def test_convert_writes_the_frameworks_own_file(backend, framework, name, tmp_path):
    network = googlenet.get_network(name, num_classes=7, input_shape=(3, 75, 91))
    params, ours, file = (
        random_params(network),
        tmp_path / "ours.safetensors",
        tmp_path / f"w{ending(backend)}",
    )
    googlenet.save_params(ours, network, params)
    command = [
        sys.executable,
        "-m",
        "googlenet",
        "convert",
        str(ours),
        str(file),
        "--to",
        framework,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["name"], answer["arrays"], answer["bytes"]) == (
        name,
        len(params),
        file.stat().st_size,
    )
    assert sorted(os.listdir(tmp_path)) == [ours.name, file.name]
    same(loaded(backend, framework, network, file), params)


# Saving that fails --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(backend):
    return backend.build(SMALL, random_params(SMALL))


def test_a_wrong_ending_is_refused_and_leaves_nothing(backend, model, tmp_path):
    with pytest.raises(WeightsError, match=f"expected a name that ends in {ending(backend)}"):
        backend.save(model, tmp_path / "w.other")
    assert not os.listdir(tmp_path)


def test_a_missing_folder_is_refused_and_not_made(backend, model, tmp_path):
    with pytest.raises(WeightsError, match="cannot be written"):
        backend.save(model, tmp_path / "no" / f"w{ending(backend)}")
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_is_refused_and_left_as_it_is(backend, model, tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    user = os.geteuid()
    if user == 0:  # root may write anywhere
        os.seteuid(65534)
    try:
        with pytest.raises(WeightsError, match="cannot be written"):
            backend.save(model, folder / f"w{ending(backend)}")
    finally:
        os.seteuid(user)
    assert not os.listdir(folder)


def test_a_folder_in_the_files_place_is_refused_and_left_as_it_is(backend, model, tmp_path):
    folder = tmp_path / f"w{ending(backend)}"
    folder.mkdir()
    with pytest.raises(WeightsError, match="cannot be written"):
        backend.save(model, folder)
    assert os.listdir(tmp_path) == [folder.name]


@pytest.mark.parametrize(
    ("error", "raised"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left"), WeightsError)],
)
def test_an_interrupted_save_leaves_the_old_file_whole(
    backend, native, model, error, raised, tmp_path, monkeypatch
):
    file = tmp_path / f"w{ending(backend)}"
    backend.save(model, file)
    before = file.read_bytes()
    save = pkgutil.resolve_name(native.SAVE)
    written = []

    def half(what, path):
        save(what, path)
        size = os.path.getsize(path)
        os.chmod(path, 0o600)  # MindSpore's files are read-only
        os.truncate(path, size // 2)
        written.append(size)
        raise error

    monkeypatch.setattr(native.SAVE, half)
    with pytest.raises(raised):
        backend.save(backend.build(SMALL, random_params(SMALL, seed=1)), file)
    assert written == [pytest.approx(len(before), rel=0.01)]
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == [file.name]


FULL = """
import os, resource, sys
import googlenet
from googlenet.proof.conformance.networks import composites
from googlenet.weights.samples import random_params
framework, file, share, less = sys.argv[1:]
backend, network = googlenet.get_backend(framework), composites()["norm_residual"]
model = backend.build(network, random_params(network, seed=1))
backend.save(model, file)
size = os.path.getsize(file)
with open(file, "wb") as old:
    old.write(b"old")
most = int(size * float(share)) - int(less)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    backend.save(model, file)
except googlenet.WeightsError as error:
    print(error, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
@pytest.mark.parametrize(("share", "less"), [(0.5, 0), (1, 1)], ids=["half", "all but a byte"])
def test_a_full_disk_leaves_the_old_file_whole(framework, backend, share, less, tmp_path):
    """No file may grow beyond a limit, in a process of its own: what the framework's own writing
    makes of it.
    """
    file = tmp_path / f"w{ending(backend)}"
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        FULL,
        framework,
        str(file),
        str(share),
        str(less),
    ]
    # The exit status is left alone: HDF5 may break down at the end of a process in which it could
    # not write.
    done = subprocess.run(command, capture_output=True, text=True)
    assert file.read_bytes() == b"old", "a file that is not whole has replaced the old one"
    assert os.listdir(tmp_path) == [file.name]
    lines = done.stdout.splitlines()
    assert len(lines) == 1, f"expected a WeightsError in one line, got {lines or done.stderr}"
    assert lines[0].startswith(f"{file}: cannot be written")
