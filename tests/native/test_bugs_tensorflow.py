"""Bugs of TensorFlow and Keras, each in native code; docs/framework-bugs.md says how they are
avoided.
"""

import warnings

import keras
import tensorflow as tf

from .bugs import bug


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
