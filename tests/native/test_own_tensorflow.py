"""Users' own TensorFlow models in files: functions, and what goes wrong with TensorFlow."""

import numpy as np
import pytest

import googlenet
from googlenet import ModelFileError, TraceError

FILE = """
import keras
import tensorflow as tf
from keras import layers as L


def variable(*shape):
    return tf.Variable(tf.random.stateless_uniform(shape, (1, 2), -0.5, 0.5))


weights = {"kernel": variable(3, 3, 1, 4), "bias": variable(4), "head": variable(4, 3)}
old = L.Dense(5)


def net(x):
    x = tf.nn.relu(tf.nn.conv2d(x, weights["kernel"], 1, "VALID") + weights["bias"])
    return tf.reduce_mean(x, [1, 2]) @ weights["head"]


@tf.function
def graph(x, training=False):
    return net(x)


def made():
    images = keras.Input((12, 10, 1))
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu")(images))
    return keras.Model(images, L.Dense(3, use_bias=False)(x))


def narrow(channels):
    return keras.Sequential([L.Conv2D(int(channels), 3)])


class Broken(keras.Model):
    def call(self, x):
        return self.deep(x)

    def deep(self, x):
        raise ValueError("this line")


class Named(keras.Model):
    def call(self, x):
        return {"logits": net(x)}


colour = keras.Sequential([keras.Input((12, 10, 3)), L.Conv2D(4, 3)])
loss = keras.losses.CategoricalCrossentropy()
optimizer = keras.optimizers.SGD()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keras.py").write_text(FILE)  # a name that must not hide Keras
    return tmp_path


@pytest.mark.parametrize("name", ["net", "graph", "made"])
def test_a_function_of_the_images_is_a_model(place, name):
    found = googlenet.own_network(f"keras.py:{name}", input_shape=(1, 12, 10))
    assert found.params["conv_1.weight"].shape == (4, 1, 3, 3)
    assert found.params["dense_1.weight"].shape == (3, 4)
    assert all(np.abs(array).max() > 0 for array in found.params.values() if array.ndim > 1)
    place_of = found.places["conv_1"]
    assert place_of == "weights['kernel']" or place_of.startswith("net.get_layer(")


def test_a_check_of_a_function_finds_its_own_network(place):
    network = googlenet.own_network("keras.py:net", input_shape=(1, 12, 10)).network
    found = googlenet.check_file("keras.py:made", against=network, input_shape=(1, 12, 10))
    assert found, str(found)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("narrow", TraceError, r"'narrow' needs the argument 'channels', so it was called with"),
        ("colour", TraceError, "to have value 3, but received input.*give `input_shape`"),
        ("Broken", TraceError, "ValueError: this line.*give `input_shape`"),
        ("Named", TraceError, "expected a model that returns a tensor.*got dict"),
        ("loss", TraceError, "missing 1 required positional argument: 'y_pred'"),
        ("optimizer", ModelFileError, "'optimizer' is not a model of tensorflow, but a keras"),
    ],
)
def test_what_cannot_be_traced(place, name, error, message):
    with pytest.raises(error, match=message) as caught:
        googlenet.own_network(f"keras.py:{name}", input_shape=(1, 12, 10))
    if name == "Broken":
        lines = [line.strip() for line in caught.value.details.splitlines()]
        assert 'raise ValueError("this line")' in lines
        assert "this line" in lines  # without Keras's colours
