"""TensorFlow: Keras models, whose maps are (N, H, W, C)."""

import copy
import pickle

import keras
import numpy as np
import tensorflow as tf

MODEL = keras.Model
PRINTED = [
    'Model: "googlenet_paper"',
    "b1.conv.conv (Conv2D)",
    "b3.inception_3a (Concatenate)",
]
UNKNOWN_DEVICES = ["no-such-device", "/CPU:99", "/job:worker/CPU:0"]
SAVE = "keras.Model.save_weights"
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}
GRAPHS = {
    "tf.function": tf.function,
    "XLA": lambda model: tf.function(model, jit_compile=True),
}


def _save_whole(model, images, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def _export(model, images, folder):
    model.export(folder / "model", verbose=False)
    loaded = tf.saved_model.load(folder / "model")
    return lambda images: loaded.serve(images)  # which holds the variables too


EXPORTS = {"keras": _save_whole, "SavedModel": _export}


def tensor(images):
    return tf.constant(np.moveaxis(images, 1, 3))


def array(output):
    return output.numpy()


def shape(batch, channels, height, width):
    return (batch, height, width, channels)


def evaluating(model):
    return model


def layers(model):
    return [model, *model.layers]


def printed(model):
    lines = []
    model.summary(line_length=140, print_fn=lines.append)
    return "\n".join(lines)


def count(model):
    return model.count_params()


def names(model):
    return [
        variable.path.replace("/kernel", ".weight").replace("/bias", ".bias")
        for variable in model.trainable_variables
    ]


def trained(model):
    return model.trainable_variables


def save(model, file):
    model.save_weights(file)


def train(model, images, labels, steps):
    optimiser = keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    targets = tf.constant(labels)
    losses = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = cross_entropy(targets, model(images, training=True))
        optimiser.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        losses.append(float(loss))
    return losses
