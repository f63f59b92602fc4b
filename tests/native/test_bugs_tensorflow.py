"""Bugs of TensorFlow and Keras, each in native code; docs/framework-bugs.md says how they are
avoided.
"""

import warnings

import keras
import tensorflow as tf

from .bugs import bug, raised_by


@bug("it computes on the first CPU, and says nothing")
def test_a_device_that_does_not_exist():
    try:
        with tf.device("/CPU:7"):
            placed = tf.zeros(()).device
    except (ValueError, tf.errors.OpError):
        return
    assert placed.endswith("CPU:7")


@bug("DeprecationWarning: __array__ implementation doesn't accept a copy keyword")
def test_saving_weights_warns_of_nothing(tmp_path):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.save_weights(tmp_path / "model.weights.h5")
    assert not found


@bug("ValueError: Negative dimension size caused by subtracting 2 from 1")
def test_an_adaptive_average_of_one_pixel_in_a_graph():
    layer = keras.layers.AdaptiveAveragePooling2D(6)
    pixel = tf.ones((1, 1, 1, 2))
    assert layer(pixel).shape == (1, 6, 6, 2)
    assert raised_by(lambda: tf.function(layer)(pixel)) is None


@bug("ValueError: Negative dimension size caused by subtracting 8 from 7")
def test_an_adaptive_average_to_one_pixel_in_a_graph():
    layer = keras.layers.AdaptiveAveragePooling2D(1)
    images = tf.ones((1, 7, 7, 2))
    assert layer(images).shape == (1, 1, 1, 2)
    assert raised_by(lambda: tf.function(layer)(images)) is None
