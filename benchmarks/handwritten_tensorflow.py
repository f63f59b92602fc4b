"""The book's GoogLeNet as a reader of *Dive into Deep Learning* writes it in TensorFlow, its
padding symmetric: 96×96, 10 classes.
"""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

import googlenet


class Inception(keras.Model):
    """(N, H, W, C) → (N, H, W, c1 + c2[1] + c3[1] + c4)."""

    def __init__(self, c1, c2, c3, c4):
        super().__init__()
        self.b1_1 = layers.Conv2D(c1, 1, activation="relu")
        self.b2_1 = layers.Conv2D(c2[0], 1, activation="relu")
        self.b2_2 = layers.Conv2D(c2[1], 3, padding="same", activation="relu")
        self.b3_1 = layers.Conv2D(c3[0], 1, activation="relu")
        self.b3_2 = layers.Conv2D(c3[1], 5, padding="same", activation="relu")
        self.b4_1 = layers.MaxPool2D(3, 1, padding="same")
        self.b4_2 = layers.Conv2D(c4, 1, activation="relu")
        self.concatenate = layers.Concatenate()

    def call(self, x):
        b1 = self.b1_1(x)
        b2 = self.b2_2(self.b2_1(x))
        b3 = self.b3_2(self.b3_1(x))
        b4 = self.b4_2(self.b4_1(x))
        return self.concatenate([b1, b2, b3, b4])


def _pool():
    return [layers.ZeroPadding2D(1), layers.MaxPool2D(3, 2)]  # zeros change no maximum after a ReLU


def construct():
    """The network with Keras's own initial weights."""
    b1 = keras.Sequential(
        [layers.ZeroPadding2D(3), layers.Conv2D(64, 7, strides=2, activation="relu"), *_pool()]
    )
    b2 = keras.Sequential(
        [
            layers.Conv2D(64, 1, activation="relu"),
            layers.Conv2D(192, 3, padding="same", activation="relu"),
            *_pool(),
        ]
    )
    b3 = keras.Sequential(
        [Inception(64, (96, 128), (16, 32), 32), Inception(128, (128, 192), (32, 96), 64), *_pool()]
    )
    b4 = keras.Sequential(
        [
            Inception(192, (96, 208), (16, 48), 64),
            Inception(160, (112, 224), (24, 64), 64),
            Inception(128, (128, 256), (24, 64), 64),
            Inception(112, (144, 288), (32, 64), 64),
            Inception(256, (160, 320), (32, 128), 128),
            *_pool(),
        ]
    )
    b5 = keras.Sequential(
        [
            Inception(256, (160, 320), (32, 128), 128),
            Inception(384, (192, 384), (48, 128), 128),
            layers.GlobalAvgPool2D(),
        ]
    )
    net = keras.Sequential([b1, b2, b3, b4, b5, layers.Dense(10)])
    net(tf.zeros((1, 96, 96, 1)))  # Keras draws the weights when it first sees an image
    return net


def build(params):
    """The network with `params`, which its variables take in the order in which its layers are
    written.
    """
    net = construct()
    for variable, path in zip(
        net.variables, googlenet.param_specs(googlenet.get_network()), strict=True
    ):
        array = params[path]
        variable.assign(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T)
    return net


def predict(model, images):
    """Images (N, 1, 96, 96) → logits (N, 10), both float32, eagerly, without gradients, and for
    inference as Keras is by default.
    """
    return model(tf.constant(np.moveaxis(images, 1, 3))).numpy()


def book_step(model, rate):
    """One step of the book's loop, eager: images (N, 1, 96, 96) of float32 and labels (N,) of int64
    → the loss.
    """
    optimizer = keras.optimizers.SGD(rate)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = cross_entropy(
                labels, model(tf.constant(np.moveaxis(images, 1, 3)), training=True)
            )
        optimizer.apply_gradients(
            zip(
                tape.gradient(loss, model.trainable_variables),
                model.trainable_variables,
                strict=True,
            )
        )
        return float(loss)

    return step
