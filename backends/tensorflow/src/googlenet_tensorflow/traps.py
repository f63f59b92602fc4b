"""What goes wrong in TensorFlow and Keras and what is right, in their own code; `googlenet traps`
shows it.

Each function is printed as it stands here, so it imports nothing and names only `NAMESPACES`. Maps
are (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from googlenet.arrays import Array, Params
from googlenet.backend.call import Call, Chain
from googlenet.backend.snippets import Gallery, Shown, agrees, differs, refuses
from googlenet.spec import Network, param_specs

from . import layout, leaves

NAMESPACES: Final[Mapping[str, ModuleType]] = {
    "keras": keras,
    "keras.layers": keras.layers,
    "tf": tf,
}


def shown_traps() -> Gallery:
    """Keras's code for each trap."""
    return Gallery(ENTRIES, NAMESPACES, leaves.leaf)


def run_layers(
    chain: Chain, network: Network, params: Params, images: Array, *, train: bool
) -> dict[str, Array]:
    """The layers of `chain` in sequence on images (N, C, H, W): `output`, `parameters`, and the
    arrays that they have after it.
    """
    layers = [call.evaluate() for call in chain]
    specs = {layout.native_name(each): each for each in param_specs(network).values()}
    x = layout.images_to_native(images)
    for layer in layers:
        layer.build(x.shape)
        for variable in layer.variables:
            if variable.name in specs:
                spec = specs[variable.name]
                variable.assign(layout.to_native(spec, params[spec.path]))
        x = layer(x, training=train) if layer._call_has_training_arg else layer(x)
    held = {each.name: each for layer in layers for each in layer.variables}
    trained = sum(np.prod(each.shape) for layer in layers for each in layer.trainable_variables)
    return {
        "output": layout.output_from_native(x),
        "parameters": np.array(trained),
        **{
            spec.path: layout.from_native(spec, held[name])
            for name, spec in specs.items()
            if name in held
        },
    }


def run_function(function: Callable[..., Any], arguments: Mapping[str, Array]) -> Array:
    """What `function` returns for tensors of `arguments`, as an array."""
    keras.utils.set_random_seed(0)
    native = {
        name: layout.images_to_native(array) if name == "images" else tf.constant(array)
        for name, array in arguments.items()
    }
    return layout.output_from_native(function(**native))


# Layers -------------------------------------------------------------------------------------------


def lrn(images):
    return tf.nn.local_response_normalization(images, depth_radius=2, bias=1, alpha=1e-4, beta=0.75)


def lrn_of_radius_5(images):
    return tf.nn.local_response_normalization(
        images, depth_radius=5, bias=1, alpha=1e-4 / 5, beta=0.75
    )


def lrn_as_it_comes(images):
    return tf.nn.local_response_normalization(images)


def normalise(images, weight, bias, running_mean, running_var):
    return tf.nn.batch_normalization(images, running_mean, running_var, bias, weight, 1e-3)


def running_variance(images, running_var):
    norm = keras.layers.BatchNormalization(momentum=0.9)
    norm.build(images.shape)
    norm.moving_variance.assign(running_var)
    norm(images, training=True)
    return norm.moving_variance


def unbiased_running_variance(images, running_var):
    norm = keras.layers.BatchNormalization(momentum=0.9)
    norm.build(images.shape)
    norm.moving_variance.assign(running_var)
    norm(images, training=True)
    count = tf.size(images) / images.shape[-1]  # values in a channel
    share = norm.moving_variance - 0.9 * running_var  # the batch's, biased
    return 0.9 * running_var + share * tf.cast(count / (count - 1), share.dtype)


def flatten(images, weight):
    x = keras.layers.Flatten()(images)
    return x @ tf.transpose(tf.reshape(weight, (7, -1)))


def flatten_with_the_weight_turned(images, weight):
    x = keras.layers.Flatten()(images)
    weight = tf.transpose(weight, (2, 3, 1, 0))  # (O, C, H, W) to (H, W, C, O)
    return x @ tf.reshape(weight, (-1, 7))


def count_parameters():
    norm = keras.layers.BatchNormalization()
    norm.build((None, 5, 5, 8))
    return norm.count_params()


def count_trainable_parameters():
    norm = keras.layers.BatchNormalization()
    norm.build((None, 5, 5, 8))
    return sum(tf.size(weight) for weight in norm.trainable_weights)


# Modes --------------------------------------------------------------------------------------------


def call(images):
    norm = keras.layers.BatchNormalization(epsilon=1e-5)
    return norm(images)


def call_in_training_mode(images):
    norm = keras.layers.BatchNormalization(epsilon=1e-5)
    return norm(images, training=True)


# Losses -------------------------------------------------------------------------------------------


def smoothed_loss(logits, labels):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(tf.one_hot(labels, 10), logits)
    return tape.gradient(value, logits)


def loss_after_softmax_layer(logits, labels):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, keras.layers.Softmax()(logits))
    return tape.gradient(value, logits)


def loss_after_softmax(logits, labels):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, tf.nn.softmax(logits))
    return tape.gradient(value, logits)


def loss_of_logits(logits, labels):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits)
    return tape.gradient(value, logits)


# Initial values -----------------------------------------------------------------------------------


def default_weights():
    conv = keras.layers.Conv2D(208, 3, padding="same")
    conv.build((None, 12, 12, 96))
    return conv.kernel


def default_bias():
    conv = keras.layers.Conv2D(208, 3, padding="same")
    conv.build((None, 12, 12, 96))
    return conv.bias


def normal_weights_too_late():
    conv = keras.layers.Conv2D(208, 3, padding="same")
    conv.build((None, 12, 12, 96))
    conv.kernel_initializer = keras.initializers.RandomNormal(stddev=0.01)
    return conv.kernel


def normal_weights():
    normal = keras.initializers.RandomNormal(stddev=0.01)
    conv = keras.layers.Conv2D(208, 3, padding="same", kernel_initializer=normal)
    conv.build((None, 12, 12, 96))
    return conv.kernel


# Data ---------------------------------------------------------------------------------------------


def batch_then_shuffle():
    batches = tf.data.Dataset.range(64).batch(8).shuffle(64)
    return tf.stack([tf.stack(list(batches)) for epoch in range(2)])


def shuffle_then_batch():
    batches = tf.data.Dataset.range(64).shuffle(64).batch(8)
    return tf.stack([tf.stack(list(batches)) for epoch in range(2)])


_CONV, _MAX = keras.layers.Conv2D, keras.layers.MaxPooling2D
_AVERAGE, _NORM = keras.layers.AveragePooling2D, keras.layers.BatchNormalization

ENTRIES: Final[Mapping[str, Shown]] = {
    "same-convolution": differs((Call(_CONV, (64, 7), {"strides": 2, "padding": "same"}),)),
    "same-pooling": differs((Call(_MAX, (3, 2), {"padding": "same"}),)),
    "zero-padding": differs((Call(keras.layers.ZeroPadding2D, (1,)), Call(_MAX, (3, 2)))),
    "default-padding": agrees((Call(_CONV, (16, 3)),)),
    "ceil-mode": differs((Call(_MAX, (3, 2)),)),
    "ceil-window": refuses(
        "ValueError: Unrecognized keyword arguments passed to MaxPooling2D",
        (Call(_MAX, (2, 3), {"ceil_mode": True}),),
        remark="Pools always round down.",
    ),
    "pool-stride": agrees((Call(_MAX, (2,)),)),
    "average-border": differs((Call(_AVERAGE, (3, 1), {"padding": "same"}),)),
    "average-border-excluded": agrees((Call(_AVERAGE, (3, 1), {"padding": "same"}),)),
    "auxiliary-pool": differs((Call(keras.layers.AdaptiveAveragePooling2D, (4,)),)),
    "head-pool": differs((Call(_AVERAGE, (7,)), Call(keras.layers.Flatten))),
    "lrn-alpha": differs(lrn),
    "lrn-window": differs(lrn_of_radius_5),
    "lrn-defaults": differs(lrn_as_it_comes),
    "norm-eps": agrees((Call(_NORM),)),
    "norm-momentum": differs((Call(_NORM, (), {"momentum": 0.1}),)),
    "norm-momentum-default": differs((Call(_NORM),)),
    "norm-variance": differs(running_variance, unbiased_running_variance),
    "norm-statistics": agrees((Call(_NORM, (), {"momentum": 0.9}),)),
    "norm-gamma": agrees(normalise),
    "convolution-bias": agrees((Call(_CONV, (64, 1)),)),
    "bias-none": differs((Call(_CONV, (32, 5), {"padding": "same", "use_bias": None}),)),
    "parameter-count": differs(count_parameters, count_trainable_parameters),
    "flatten-order": differs(flatten, flatten_with_the_weight_turned),
    "evaluation-mode": agrees(call),
    "training-mode": differs(call, call_in_training_mode, "`fit` trains in training mode."),
    "dropout-rate": agrees((Call(keras.layers.Dropout, (0.4,)),)),
    "dropout-mode": agrees((Call(keras.layers.Dropout, (0.4,)),)),
    "label-smoothing": agrees(smoothed_loss),
    "softmax-layer": agrees(
        loss_after_softmax_layer, "Keras finds the logits behind its own softmax, and warns."
    ),
    "softmax-function": differs(loss_after_softmax, loss_of_logits),
    "loss-reduction": agrees(loss_of_logits),
    "initial-weights": agrees(default_weights),
    "initial-bias": agrees(default_bias),
    "initialiser-not-applied": differs(normal_weights_too_late, normal_weights),
    "batch-before-shuffle": differs(batch_then_shuffle, shuffle_then_batch),
}
