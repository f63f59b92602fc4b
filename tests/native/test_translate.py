"""A user's own model, and the files that it is translated to, take part in the proof as they are.

`tests/frameworks/test_translate.py` translates from framework to framework.
"""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import googlenet
from googlenet.backend.protocols import capabilities
from googlenet.proof.parity.tolerance import distance, limit
from googlenet.proof.written import written_backend
from googlenet.source.folder import write_model
from googlenet.spec.layers import BatchNorm
from googlenet.spec.traversal import walk
from googlenet.weights.samples import random_images, random_params

from ..frameworks.own_models import FILES
from ..named import skip_if_lacking
from .networks import NETWORKS
from .own_run import compared, named, own_backend_of

SHAPE = (1, 16, 15)
pytestmark = [
    # The frameworks' own of NumPy and SciPy: Keras 3.15 where it saves, MXNet where it runs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _semantics(framework):
    """The user's model takes classic arrays."""
    if framework == "mxnet":
        importlib.import_module("mxnet").npx.reset_np()


@pytest.fixture
def model(framework, backend, tmp_path):
    """The user's model: convolutions in branches, batch norm, dropout by a layer and by a function,
    a head.
    """
    skip_if_lacking(framework, {"own"} - capabilities(backend))
    file = tmp_path / "mynet.py"
    file.write_text(FILES[framework])
    name = f"mynet_{len(sys.modules)}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # MindSpore reads a class's file
    spec.loader.exec_module(module)
    return module.Net()


def test_the_users_own_model_is_proved(framework, backend, model):
    before = named(backend, model, SHAPE)
    comparison = compared(framework, model, SHAPE)
    assert comparison.passed, comparison
    assert comparison.proved
    norms = [each.layer for each in walk(before.network) if isinstance(each.layer, BatchNorm)]
    # The share of the batch, in whatever way the framework says it.
    assert [each.momentum for each in norms] == [0.25, 0.25]
    assert_same(named(backend, model, SHAPE).params, before.params, shapes=True)


def test_it_is_called_as_its_user_calls_it(backend, model):
    """For timing: the same outputs as in the proof, but dropout at its own rate and in evaluation
    mode, whatever the mode was.
    """
    found = named(backend, model, SHAPE)
    own = backend.own(model, found.network, found.outputs)
    images = random_images(found.network, batch=2)
    call = own.evaluation()
    for again in (call(images), call(images)):
        for given, expected in zip(again, own.outputs(images, train=False), strict=True):
            assert given.shape == expected.shape
            assert distance(given, expected.astype("float64")) < limit(0)


@pytest.mark.parametrize("norm", [{"momentum": 0.2}, {"eps": 1e-2}], ids=str)
def test_another_function_is_not(framework, model, norm):
    """Of a network that the user's model is not."""
    assert not compared(framework, model, SHAPE, **norm).passed


def test_other_weights_can_be_set_in_it(backend, model):
    found = named(backend, model, SHAPE)
    subject = own_backend_of(backend, model, found, SHAPE)
    params = random_params(found.network, seed=3)
    images = random_images(found.network)
    given = subject.forward(subject.build(found.network, params), images)
    right = backend.forward(backend.build(found.network, params), images)
    assert list(given) == list(right) == list(found.network.outputs)
    for name, array in right.items():
        assert distance(given[name], array) <= limit(0)
    assert_same(named(backend, model, SHAPE).params, params)


@pytest.mark.parametrize("name", NETWORKS)
def test_written_files_are_proved(backend, tmp_path, name):
    """The source that is printed and the weights file, loaded by `load.py`, bit for bit."""
    network = NETWORKS[name]
    params, images = random_params(network), random_images(network)
    subject = written_backend(backend, tmp_path)
    taps = [site.path for site in googlenet.nodes(network)]
    found = subject.forward(subject.build(network, params), images, taps=taps)
    right = backend.forward(backend.build(network, params), images, taps=taps)
    assert found.keys() == right.keys()
    assert all((found[path] == array).all() for path, array in right.items())


def test_written_files_need_nothing_of_this_project(backend, native, tmp_path):
    network = NETWORKS["own layers"]
    write_model(tmp_path, network, random_params(network), backend)
    code = "import sys; from load import load; load(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not [name for name in done.stdout.split() if name.startswith("googlenet")]


def test_a_weights_file_is_loaded_into_it(backend, model, tmp_path):
    """And one of another model is an error that names it."""
    found = named(backend, model, SHAPE)
    suffix = backend.file_suffix
    suffix = suffix if isinstance(suffix, str) else suffix[0]
    other = tmp_path / f"other{suffix}"
    network = NETWORKS["own layers"]
    backend.save(backend.build(network, random_params(network)), other)
    damaged = tmp_path / f"damaged{suffix}"
    damaged.write_bytes(other.read_bytes()[: other.stat().st_size // 2])
    for path in (other, damaged, tmp_path / f"none{suffix}"):
        with pytest.raises(googlenet.GoogLeNetError, match=str(path)):
            backend.load(model, path)
    assert_same(named(backend, model, SHAPE).params, found.params)


def assert_same(given, expected, *, shapes=False):
    """Bit for bit, or only their `shapes`."""
    assert given.keys() == expected.keys()
    for path, array in expected.items():
        same = given[path].shape == array.shape
        assert same if shapes else (given[path] == array).all(), path


def test_a_users_weights_become_those_of_the_network_that_it_is(framework, backend, tmp_path):
    """What the framework saved of a model that is written in a file, which holds others."""
    skip_if_lacking(framework, {"own"} - capabilities(backend))
    network = googlenet.get_network("googlenet", num_classes=3, input_shape=(1, 64, 64))
    first, params = random_params(network, seed=1), random_params(network)
    files = write_model(tmp_path, network, first, backend)
    saved = tmp_path / f"saved{Path(files.weights).suffix}"
    if framework == "tensorflow":
        saved = tmp_path / "saved.weights.h5"
    backend.save(backend.build(network, params), saved)
    found = googlenet.convert(
        saved,
        tmp_path / "out.safetensors",
        model=f"{tmp_path / files.loader}:load",
        own_framework=framework,
        input_size=(64, 64),
    )
    assert found.network == network
    loaded = googlenet.load_params(tmp_path / "out.safetensors", network)
    assert all(loaded[path].tobytes() == array.tobytes() for path, array in params.items())
