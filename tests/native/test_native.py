"""The models are what a user of the framework named by `GOOGLENET_FRAMEWORK` would have written.

What a user writes is told by the framework's module in `described`; what only one framework has
is in a file of its own.
"""

import ast
import errno
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import googlenet
from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance.networks import LEAVES, composites, sandwich
from googlenet.proof.parity.compare import compare_weights
from googlenet.proof.parity.tolerance import distance, limit
from googlenet.source.write import write
from googlenet.spec import walk
from googlenet.spec.blocks import concat, conv, conv_layer, inception, sequential
from googlenet.spec.layers import Aux, Dense, GlobalAvgPool
from googlenet.spec.loss import cross_entropy
from googlenet.weights.samples import random_images, random_params

from ..frameworks.native import LOADERS
from ..named import named_framework, skip_if_lacking
from .described import described
from .networks import NETWORKS, OWN_LAYERS, PAPER, as_tuple, check_outputs, ending, exact_and_limits

pytestmark = [
    # Keras 3.15 on numpy 2 warns of itself when it saves (convert_to_numpy).
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
    # MXNet's `imports` asks for a dtype that no argument of it can give.
    pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning"),
]

#: Whose backends compile what their users may run operation by operation, which rounds otherwise.
COMPILED_APART = {"jax"}

EVERY_NETWORK = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def pytest_generate_tests(metafunc):
    """A test for each of the framework's ways to copy, to compile and to export a model."""
    for argument, ways in {
        "copies": "COPIES",
        "compiles": "GRAPHS",
        "exports": "EXPORTS",
        "unknown_device": "UNKNOWN_DEVICES",
    }.items():
        if argument in metafunc.fixturenames:
            found = getattr(described(named_framework()), ways)
            values = found.values() if isinstance(found, dict) else found
            metafunc.parametrize(argument, values, ids=list(found))


@pytest.fixture
def build(native, framework):
    """A model in evaluation mode, with the weights of this seed."""
    return lambda network, seed=0: native.evaluating(
        googlenet.get_model(network, framework=framework, weights=random_params(network, seed=seed))
    )


@pytest.fixture
def outputs(native):
    """The outputs of a model, or of what was made of one, of `random_images`: arrays (N, K)."""

    def run(model, network):
        return [
            native.array(output)
            for output in as_tuple(model(native.tensor(random_images(network))))
        ]

    return run


@pytest.fixture(scope="module")
def model(native, framework):
    """The paper's network, which no test changes."""
    return native.evaluating(
        googlenet.get_model(PAPER, framework=framework, weights=random_params(PAPER))
    )


def same(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_descriptions_have_the_same_names():
    names = {}
    for path in Path(__file__).with_name("described").glob("[a-z]*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        constants = {node.targets[0].id for node in body if isinstance(node, ast.Assign)}
        functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        names[path.stem] = {name for name in constants | functions if not name.startswith("_")}
    assert set(names) == set(LOADERS)
    assert "tensor" in names["torch"]
    assert all(found == names["torch"] for found in names.values())


# What it is ---------------------------------------------------------------------------------------


def test_is_native(model, native):
    assert isinstance(model, native.MODEL)


@pytest.mark.parametrize(
    ("name", "aux", "parameters"),
    [
        ("googlenet", False, 5_977_530),
        ("googlenet_paper", False, 6_998_552),
        ("googlenet_paper", True, 13_378_280),
    ],
)
def test_parameters(native, framework, name, aux, parameters):
    assert native.count(googlenet.get_model(name, framework=framework, aux=aux)) == parameters


def test_prints_readably_with_our_names(model, native):
    text = native.printed(model)
    for part in native.PRINTED:
        assert part in text


def test_parameter_names_are_ours(model, native):
    assert sorted(native.names(model)) == sorted(googlenet.param_specs(PAPER))


def test_returns_logits_and_aux(model, native):
    outputs = model(native.tensor(random_images(PAPER)))
    assert isinstance(outputs, tuple)
    assert [tuple(output.shape) for output in outputs] == [(3, 7)] * 3


@EVERY_NETWORK
def test_returns_what_the_spec_says_in_the_order_of_the_outputs(build, outputs, network):
    check_outputs(network, outputs(build(network), network))


def test_a_lone_inception_block(native, framework):
    block = googlenet.Network(
        "block",
        sequential(inception_3a=inception(64, 96, 128, 16, 32, 32)),
        (192, 28, 20),
        "arXiv:1409.4842",
    )
    output = googlenet.get_model(block, framework=framework)(
        native.tensor(np.zeros((2, 192, 28, 20), np.float32))
    )
    assert tuple(output.shape) == native.shape(2, 256, 28, 20)


#: Attributes of the layers of one framework or of all, and ordinary words.
NAMES = {
    *("forward", "train", "training", "type", "float", "params", "name", "prefix", "construct"),
    *("hybrid_forward", "collect_params", "phase", "append", "keys", "network", "add", "class"),
    *("body", "shortcut", "scale", "heads", "trunks", "names", "x", "self", "weight", "data"),
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_works_or_is_refused(backend, framework, build, outputs, name):
    """A model and its source refuse the same ones, in the same words."""
    aux = Aux(sequential(**{name: conv(3, 1)}, pool=GlobalAvgPool(), last=Dense(5, bias=True)), 0.3)
    layers = {
        "stage": sequential(**{name: conv(4, 3, 1, 1)}),
        "branches": concat(**{name: conv_layer(3, 1)}, other=conv_layer(2, 1)),
        name: sequential(first=conv(4, 1), aux1=aux),
    }
    layers |= {"pool": GlobalAvgPool(), "dense": Dense(5, bias=True)}
    network = googlenet.Network("n", sequential(**layers), (2, 6, 5), "this test")
    if name in backend.spelling.attributes:
        refused = rf"stage\.{name}: {framework} cannot have a layer called '{name}', .*; rename it"
        with pytest.raises(googlenet.SpecError, match=refused):
            googlenet.get_model(network, framework=framework)
        with pytest.raises(googlenet.SpecError, match=refused):
            write(network, backend)
        return
    model = build(network)
    check_outputs(network, outputs(model, network))
    taps = [site.path for site in googlenet.nodes(network)]
    assert set(taps) <= set(backend.forward(model, random_images(network), taps=taps))
    assert not compare_weights(backend, model, random_params(network))


def test_unknown_device_is_refused(framework, unknown_device):
    """Also where the framework itself would silently take another."""
    with pytest.raises(googlenet.GoogLeNetError) as caught:
        googlenet.get_model("googlenet", framework=framework, device=unknown_device)
    message = str(caught.value)
    assert message.startswith(f"device: '{unknown_device}' cannot be used by {framework}: ")
    assert "\n" not in message


def test_a_full_disk_is_said_in_the_systems_words(backend, monkeypatch, tmp_path):
    """And before the framework's own function writes, which may end the process instead."""
    network = googlenet.get_network("googlenet", num_classes=3, input_shape=(1, 32, 32))
    model = backend.build(network, random_params(network))
    path = tmp_path / f"model{ending(backend)}"
    asked = []

    def full(handle, start, size):
        asked.append(size)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(googlenet.WeightsError) as caught:
        backend.save(model, path)
    assert str(caught.value).startswith(f"{path}: cannot be written (No space left on device)")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    backend.save(model, path)
    assert asked[0] >= path.stat().st_size  # what was found to be there is enough


@pytest.mark.parametrize("device", ["meta", "", "cuda:99", "x" * 300, "\x1b[31m", "\udcff"])
def test_odd_devices_are_refused_in_one_line(backend, framework, device):
    network = googlenet.get_network("nin", num_classes=2)
    if (framework, device) == ("tensorflow", ""):
        pytest.skip("is TensorFlow's name for its default")
    with pytest.raises(googlenet.DeviceError) as caught:
        backend.build(network, random_params(network), device=device)
    assert "\n" not in str(caught.value)
    assert "; it has " in str(caught.value)
    assert "cpu" in str(caught.value).rpartition("; it has ")[2].lower()


def test_own_layers_are_all_tested_below(native, backend):
    """The network has every layer of ours that any network of the conformance suite has."""

    def ours(network):
        model = backend.build(network, random_params(network))
        types = {type(layer) for layer in native.layers(model)}
        return {kind for kind in types if kind.__module__.startswith("googlenet_")}

    leaves = [sandwich(name, layer) for name, layer in LEAVES.items()]
    everywhere = set().union(*map(ours, [*leaves, *composites().values()]))
    assert everywhere
    assert ours(OWN_LAYERS) == everywhere


# Saved, copied, compiled, exported ----------------------------------------------------------------


@EVERY_NETWORK
def test_saves_and_loads_with_the_frameworks_own_tools(
    native, backend, framework, build, outputs, network, tmp_path
):
    model, file = build(network), str(tmp_path / f"model{ending(backend)}")
    native.save(model, file)
    other = build(network, seed=1)
    assert not same(outputs(other, network), outputs(model, network))
    LOADERS[framework](other, file)
    assert same(outputs(other, network), outputs(model, network))
    assert not compare_weights(backend, other, random_params(network))


@EVERY_NETWORK
def test_a_copy_is_a_model_of_its_own(
    native, backend, framework, build, outputs, copies, network, tmp_path
):
    model, images = build(network), random_images(network)
    expected = outputs(model, network)
    copied = copies(model)
    assert same(outputs(copied, network), expected)
    file = str(tmp_path / f"model{ending(backend)}")
    native.save(build(network, seed=1), file)
    LOADERS[framework](copied, file)
    assert same(outputs(model, network), expected)
    assert not same(outputs(copied, network), expected)
    forward = backend.forward(copied, images)
    limits = exact_and_limits(network)
    assert list(forward) == list(limits)
    for name, output in zip(forward, outputs(copied, network), strict=True):
        _, most = limits[name]
        assert distance(forward[name], output) <= (most if framework in COMPILED_APART else 0)
    assert not compare_weights(backend, copied, random_params(network, seed=1))


@EVERY_NETWORK
def test_runs_in_graph_mode(native, build, compiles, network):
    """The same outputs, in a tuple where there are heads, within the limit that holds for eager
    mode.
    """
    outputs = compiles(build(network))(native.tensor(random_images(network)))
    assert isinstance(outputs, tuple) == (len(network.outputs) > 1)
    check_outputs(network, [native.array(output) for output in as_tuple(outputs)])


@EVERY_NETWORK
def test_exports_what_it_is(native, build, outputs, exports, network, tmp_path):
    """A file of the whole model, read again, gives the same outputs to the bit."""
    expected = outputs(build(network), network)
    exported = exports(build(network), native.tensor(random_images(network)), tmp_path)
    assert same(outputs(exported, network), expected)


def test_trains_with_the_frameworks_own_optimiser(native, backend, framework):
    """The loop of docs/frameworks.md, on one batch: the loss falls."""
    skip_if_lacking(framework, {"trainer"} - capabilities(backend))
    model = googlenet.get_model("googlenet", framework=framework, input_shape=(1, 32, 32), seed=0)
    images = native.tensor(random_images(model.network, batch=4))
    losses = native.train(model, images, [0, 3, 5, 9], 12)
    assert losses[-1] < losses[0]


@EVERY_NETWORK
def test_the_summary_has_the_models_own_layers_and_axes(native, framework, network):
    """As often as the model has them, and in the order of axes that the framework's users know."""
    (found,) = googlenet.summary(
        network, framework=framework, depth=4, interpreters={framework: sys.executable}
    ).natives
    model = googlenet.get_model(network, framework=framework)
    held = Counter(type(layer).__name__ for layer in native.layers(model))
    named = Counter(found.layers[""].classes)
    assert named
    assert {name: held[name] for name in named} == named
    for site in walk(network):
        layer = found.layers[site.path]
        assert layer.classes
        whole = (None, *site.out_shape)
        assert layer.native_shape == (native.shape(*whole) if len(whole) == 4 else whole)
        assert len(layer.spelled) == len(layer.classes)
    images = np.zeros((1, *network.input_shape), np.float32)
    assert found.input_shape[1:] == tuple(native.tensor(images).shape)[1:]


def test_the_command_prints_its_result_and_nothing_else(framework):
    command = [sys.executable, "-m", "googlenet", "summary", "--size", "32"]
    done = subprocess.run([*command, "--framework", framework], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("googlenet (Dive into Deep Learning, section 8.4), as")


def test_parity_compares_the_compiled_forms_too(framework):
    network = composites()["inception"].at((3, 8, 16))
    report = googlenet.parity(
        network,
        [framework],
        count=2,
        gradients=False,
        exact=True,
        compiled=True,
    )
    (result,) = report.results
    assert result.exact.passed, result.error
    forms = googlenet.get_backend(framework).compiled_forms
    logits = report.exact.outputs["logits"].size
    assert result.exact.values["compiled"] == len(forms) * logits
    assert result.exact.differing["compiled"] == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_of_a_loss_of_many_classes_adds_up_to_zero(framework, smoothing):
    """Σ softmax − Σ q = 1 − 1: a framework that adds up the thousand numbers of q one after another
    is off by ten times as much, and deep in a network, where gradients nearly cancel, by more.
    """
    layers = sequential(pool=GlobalAvgPool(), dense=Dense(1000, bias=True))
    network = googlenet.Network("many classes", layers, (3, 2, 2), "test")
    backend = googlenet.get_backend(framework)
    skip_if_lacking(framework, {"gradients"} - capabilities(backend))
    loss, labels = googlenet.Loss(label_smoothing=smoothing), np.arange(8)
    model = backend.build(network, random_params(network))
    _, grads = backend.gradients(model, random_images(network, batch=8), labels, loss=loss)
    assert abs(grads["dense.bias"].sum(dtype=np.float64)) <= limit(0.0)  # of Σ q = 1


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_logits_far_from_zero_leave_the_loss_as_exact(framework, smoothing):
    """Of softmax only the differences count: at 4096 a logarithm of a sum is rounded to 2⁻¹²."""
    layers = sequential(pool=GlobalAvgPool(), dense=Dense(8, bias=True))
    network = googlenet.Network("far", layers, (3, 2, 2), "test")
    logits = np.arange(8, dtype=np.float32) % 3 + 4096
    params = {"dense.weight": np.zeros((8, 3), np.float32), "dense.bias": logits}
    backend = googlenet.get_backend(framework)
    skip_if_lacking(framework, {"gradients"} - capabilities(backend))
    labels, loss = np.array([0, 3, 3, 5, 7]), googlenet.Loss(label_smoothing=smoothing)
    model = backend.build(network, params)
    _, grads = backend.gradients(model, random_images(network, batch=5), labels, loss=loss)
    of_each = cross_entropy(np.tile(logits.astype(np.float64), (5, 1)), labels, smoothing)[1]
    assert distance(grads["dense.bias"], of_each.sum(axis=0)) <= limit(0.0)
