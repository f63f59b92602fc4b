"""The TensorFlow model is what a user of TensorFlow would have written: a
functional Keras model.
"""

import functools
import importlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import googlenet
from googlenet.proof.parity.compare import compare_forward, compare_weights
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.spec.blocks import (
    avg_pool,
    conv_layer,
    inception,
    local_response_norm,
    max_pool,
    residual,
    sequential,
)
from googlenet.spec.layers import Dense, Scale
from googlenet.weights.samples import random_images, random_params

# Keras 3.15 on numpy 2 warns of itself when it saves (convert_to_numpy).
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

backend = googlenet.get_backend("tensorflow")

NETWORK = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 79, 95), aux=True)
NORMED = googlenet.get_network("googlenet_bn", num_classes=7, input_shape=(2, 65, 40))

OWN_LAYERS = googlenet.Network(
    "every layer/that Keras lacks",
    sequential(
        conv=conv_layer(6, 4, 2, 1),
        largest=max_pool(3, 2, 1),
        norm=local_response_norm(3, 0.5),
        mean=avg_pool(3, 1, 1),
        sum=residual(conv_layer(6, 3, 1, 1), scale=0.3),
        scale=Scale(0.7, "eval"),
        dense=Dense(5, bias=True),
    ),
    (3, 24, 28),
    "this test",
)


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(NETWORK, framework="tensorflow", weights=random_params(NETWORK))


def native_images(network):
    return tf.constant(np.moveaxis(random_images(network), 1, 3))


def test_is_native(model):
    assert isinstance(model, keras.Model)
    assert type(model.get_layer("b3.inception_3a.branch_5x5.conv.conv")) is keras.layers.Conv2D


@pytest.mark.parametrize(
    ("name", "aux", "parameters"),
    [
        ("googlenet", False, 5_977_530),
        ("googlenet_paper", False, 6_998_552),
        ("googlenet_paper", True, 13_378_280),
    ],
)
def test_parameters(name, aux, parameters):
    assert googlenet.get_model(name, framework="tensorflow", aux=aux).count_params() == parameters


def test_prints_readably_with_our_names(model, capsys):
    model.summary(line_length=140, print_fn=print)
    text = capsys.readouterr().out
    assert 'Model: "googlenet_paper"' in text
    assert "b1.conv.conv (Conv2D)" in text
    assert "b3.inception_3a (Concatenate)" in text


def test_parameter_names_are_ours(model):
    paths = {
        variable.path.replace("/kernel", ".weight").replace("/bias", ".bias")
        for variable in model.trainable_variables
    }
    assert paths == set(googlenet.param_specs(NETWORK))


def test_returns_logits_and_aux(model):
    outputs = model(native_images(NETWORK))
    assert isinstance(outputs, tuple)
    assert [tuple(output.shape) for output in outputs] == [(3, 7)] * 3


@pytest.mark.parametrize("network", [NETWORK, OWN_LAYERS], ids=["googlenet_paper", "own layers"])
def test_saves_and_loads_with_the_frameworks_own_tools(network, tmp_path):
    model = googlenet.get_model(network, framework="tensorflow", weights=random_params(network))
    expected = tf.nest.flatten(model(native_images(network)))

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for actual, output in zip(
        tf.nest.flatten(loaded(native_images(network))), expected, strict=True
    ):
        assert np.array_equal(actual, output)

    model.save_weights(tmp_path / "model.weights.h5")
    other = googlenet.get_model(network, framework="tensorflow", seed=1)
    other.load_weights(tmp_path / "model.weights.h5")
    assert not compare_weights(backend, other, random_params(network))


def test_own_layers_are_all_saved_above():
    """The network of the test above has every layer that this backend adds to Keras."""
    model = googlenet.get_model(OWN_LAYERS, framework="tensorflow")
    added = {
        value
        for value in vars(backend.modules).values()
        if isinstance(value, type) and issubclass(value, keras.layers.Layer)
    }
    assert added == {
        type(layer) for layer in model.layers if type(layer).__module__ == backend.modules.__name__
    }


TWO_DEVICES = """
import googlenet, numpy, tensorflow
(cpu,) = tensorflow.config.list_physical_devices("CPU")
two = [tensorflow.config.LogicalDeviceConfiguration()] * 2
tensorflow.config.set_logical_device_configuration(cpu, two)
model = googlenet.get_model(
    "googlenet", framework="tensorflow", input_shape=(1, 32, 32), device="/CPU:1"
)
backend, images = googlenet.get_backend("tensorflow"), numpy.zeros((2, 1, 32, 32), numpy.float32)
backend.gradients(model, images, numpy.array([0, 1]))
places = {variable.value.device.rpartition("device:")[2] for variable in model.variables}
print(*places, backend.forward(model, images)["logits"].shape)
"""


def test_is_put_on_a_device():
    """Two logical devices, which a process must ask for before it uses TensorFlow."""
    finished = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == ["CPU:1", "(2,", "10)"]


@pytest.mark.parametrize("device", ["no-such-device", "/CPU:99", "/job:worker/CPU:0"])
def test_unknown_device_is_refused(device):
    """Also where TensorFlow itself would silently take another."""
    with pytest.raises(
        googlenet.GoogLeNetError, match=f"device: '{device}' cannot be used by tensorflow: "
    ):
        googlenet.get_model("googlenet", framework="tensorflow", device=device)


@functools.cache
def exact_and_limit(network):
    """The float64 logits, and how far from them float32 may be."""
    params, images = random_params(network), random_images(network)
    exact = googlenet.get_backend("numpy").build(network, params, dtype=np.float64)(images)
    return exact[0] if isinstance(exact, tuple) else exact, limit(
        forward_yardstick(network, params, images, chunk=3)["logits"]
    )


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize(
    "network", [NETWORK, NORMED, OWN_LAYERS], ids=["googlenet_paper", "googlenet_bn", "own layers"]
)
def test_runs_in_graph_mode(network, jit_compile):
    """tf.function gives the same outputs, compiled by XLA or not, within the limit that holds for
    eager mode.
    """
    model = googlenet.get_model(network, framework="tensorflow", weights=random_params(network))
    logits, *_ = tf.nest.flatten(
        tf.function(model, jit_compile=jit_compile)(native_images(network))
    )
    exact, most = exact_and_limit(network)
    assert distance(logits.numpy(), exact) <= most


def test_trains_with_the_frameworks_own_optimiser():
    """The README's loop, on one batch: the loss falls."""
    model = googlenet.get_model(
        "googlenet", framework="tensorflow", input_shape=(1, 32, 32), seed=0
    )
    optimiser = keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images, labels = tf.random.uniform((4, 32, 32, 1), seed=0), tf.constant([0, 3, 5, 9])
    losses = []
    for _ in range(12):
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, model(images, training=True))
        optimiser.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        losses.append(float(loss))
    assert losses[-1] < losses[0]


def test_a_lone_inception_block():
    block = googlenet.Network(
        "block",
        sequential(inception_3a=inception(64, 96, 128, 16, 32, 32)),
        (192, 28, 20),
        "arXiv:1409.4842",
    )
    assert googlenet.get_model(block, framework="tensorflow")(tf.zeros((2, 28, 20, 192))).shape == (
        2,
        28,
        20,
        256,
    )


def test_a_users_image_data_format_changes_nothing():
    expected = backend.forward(
        backend.build(OWN_LAYERS, random_params(OWN_LAYERS)), random_images(OWN_LAYERS)
    )
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        actual = backend.forward(
            backend.build(OWN_LAYERS, random_params(OWN_LAYERS)), random_images(OWN_LAYERS)
        )
    finally:
        keras.config.set_image_data_format(before)
    assert np.array_equal(actual["logits"], expected["logits"])


def test_keras_on_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ImportError, match="Keras runs on jax here; set KERAS_BACKEND=tensorflow"):
        importlib.reload(backend.model)


def same_for_all(monkeypatch):
    """What the book's TensorFlow tab does today: at stride 2, SAME is another padding than
    PyTorch's.
    """
    monkeypatch.setattr(backend.leaves, "_said", lambda site, layer, padding: "same")


def softmax_in_the_head(monkeypatch):
    """What it did once, while its loss took logits (d2l-en#1096)."""
    monkeypatch.setattr(
        keras.layers, "Dense", functools.partial(keras.layers.Dense, activation="softmax")
    )


@pytest.mark.parametrize(
    ("bug", "divergence"), [(same_for_all, "b1.conv.conv"), (softmax_in_the_head, "head.dense")]
)
def test_the_books_bugs_are_caught(monkeypatch, bug, divergence):
    """Neither changes a shape or the number of parameters."""
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    params, images = random_params(network), random_images(network)
    bug(monkeypatch)
    model = backend.build(network, params)
    assert model.output_shape == (None, 10)
    assert model.count_params() == googlenet.count_parameters(network)
    rows = compare_forward(
        backend,
        model,
        network,
        params,
        images,
        forward_yardstick(network, params, images, chunk=3),
        chunk=3,
    )
    assert next(row.name for row in rows if not row.passed) == divergence
