"""What is TensorFlow's own about its models, which are functional Keras models."""

import functools
import importlib
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import googlenet
from googlenet.spec.layers import SAME, AvgPool, Conv, MaxPool
from googlenet.spec.rewrite import map_leaves
from googlenet.weights.samples import random_images, random_params
from googlenet_tensorflow import compiling

from .lower import check_bfloat16, check_refused, has
from .networks import OWN_LAYERS, PAPER, first_divergence

backend = googlenet.get_backend("tensorflow")


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(PAPER, framework="tensorflow", weights=random_params(PAPER))


def test_convolutions_are_keras_own(model):
    assert type(model.get_layer("b3.inception_3a.branch_5x5.conv.conv")) is keras.layers.Conv2D


def test_the_summary_shows_every_layer_by_our_name(model):
    lines = []
    model.summary(line_length=200, print_fn=lines.append)
    text = "\n".join(lines)
    for site in googlenet.walk(PAPER):
        assert f" {site.path} (" in text


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


def same_for_all(network, monkeypatch):
    """What the book's TensorFlow tab does today: at stride 2, SAME is another padding than
    PyTorch's.
    """
    return map_leaves(
        network,
        lambda leaf: (
            replace(leaf, padding=SAME) if isinstance(leaf, (Conv, MaxPool, AvgPool)) else leaf
        ),
    )


def softmax_in_the_head(network, monkeypatch):
    """What it did once, while its loss took logits (d2l-en#1096)."""
    monkeypatch.setattr(
        keras.layers, "Dense", functools.partial(keras.layers.Dense, activation="softmax")
    )
    return network


@pytest.mark.parametrize(
    ("bug", "divergence"), [(same_for_all, "b1.conv.conv"), (softmax_in_the_head, "head.dense")]
)
def test_the_books_bugs_are_caught(monkeypatch, bug, divergence):
    """Neither changes a shape or the number of parameters."""
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    model = backend.build(bug(network, monkeypatch), random_params(network))
    if bug is same_for_all:
        assert model.get_layer("b1.conv.conv").padding == "same"
    assert model.output_shape == (None, 10)
    assert model.count_params() == googlenet.count_parameters(network)
    assert first_divergence(backend, model, network) == divergence


# bfloat16 -----------------------------------------------------------------------------------------


def test_bfloat16_stays_within_its_own_limit():
    """And it is not float32 in disguise."""
    check_bfloat16("tensorflow")


def test_bfloat16_is_refused_where_the_processor_lacks_it(monkeypatch):
    check_refused("tensorflow", monkeypatch)


def test_the_graph_of_bfloat16_computes_in_it(monkeypatch):
    """Every convolution, and float32 is left at the two ends alone."""
    has(monkeypatch, "amx_bf16")
    graphs = []
    freeze = compiling.convert_variables_to_constants_v2
    monkeypatch.setattr(
        compiling,
        "convert_variables_to_constants_v2",
        lambda function: graphs.append(freeze(function)) or graphs[-1],
    )
    model = googlenet.get_model(framework="tensorflow")
    backend.compile(model, input_shape=(1, 96, 96), dtype="bfloat16")
    (graph,) = (each.graph.as_graph_def() for each in graphs)
    kinds = {node.op: tf.as_dtype(node.attr["T"].type) for node in graph.node if "T" in node.attr}
    assert kinds["Conv2D"] == kinds["MatMul"] == tf.bfloat16
    constants = [node.attr["value"].tensor for node in graph.node if node.op == "Const"]
    single = [each for each in constants if each.dtype == tf.float32.as_datatype_enum]
    assert not [each for each in single if each.tensor_shape.dim]  # no array of weights


def test_compiling_for_bfloat16_leaves_keras_as_it_was(monkeypatch):
    has(monkeypatch, "amx_bf16")
    model = googlenet.get_model(framework="tensorflow")
    before = keras.config.dtype_policy()
    backend.compile(model, input_shape=(1, 96, 96), dtype="bfloat16")
    assert keras.config.dtype_policy() is before
