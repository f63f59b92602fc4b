"""The backend `tensorflow`: native Keras models on TensorFlow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from googlenet.arrays import Array, Params
from googlenet.backend.checks import check_images, check_labels, check_taps
from googlenet.errors import DeviceError
from googlenet.files import native_file
from googlenet.spec.layers import Network
from googlenet.spec.loss import Loss
from googlenet.spec.params import param_specs
from googlenet.spec.traversal import Site, fold, num_classes
from googlenet.training import Recipe
from googlenet.weights.check import check_params

from . import layers, layout
from .training import Trainer, start_parallel

__all__ = ["build", "forward", "gradients", "params_of", "save", "start_parallel", "trainer"]

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.config.backend()} here; set KERAS_BACKEND=tensorflow in the"
        " environment"
    )

name = "tensorflow"
capabilities = frozenset({"train", "gradients", "save", "trainer", "parallel"})
unbiased_running_variance = False
file_suffix = ".weights.h5"


def build(network: Network, params: Params, *, device: str | None = None) -> keras.Model:
    """A functional `keras.Model` of images (N, H, W, C) with `params` loaded; `device` is
    TensorFlow's name of it, such as "/GPU:0".

    Raises `WeightsError` if the weights do not fit, `DeviceError` for a device that is not there.
    """
    params = check_params(network, params)
    _check_device(device)
    channels, height, width = network.input_shape
    tensors: dict[str, keras.KerasTensor] = {}

    def keep(site: Site, call: layers.Call) -> layers.Call:
        def kept(x: keras.KerasTensor) -> Any:
            output = call(x)
            tensors[site.path] = output[0] if isinstance(output, tuple) else output
            return output

        return kept

    with tf.device(device):
        # A capital letter, so that no layer has this path too.
        images = keras.Input((height, width, channels), name="Images")
        call = fold(
            network,
            lambda site: keep(site, layers.leaf(site)),
            lambda site, children: keep(site, layers.compose(site, children)),
        )
        outputs = call(images)
        # TensorFlow takes no other characters in a name.
        model = keras.Model(
            images, outputs, name=re.sub(r"^[^A-Za-z0-9]|[^A-Za-z0-9_.-]", ".", network.name)
        )
        model.network = network
        variables = _variables(model)
        for path, spec in param_specs(network).items():
            variables[path].assign(layout.to_native(spec, params[path]))
    # Shares every layer. A function, because Keras would take a model for one layer more.
    model.tapped = cache(lambda: keras.Model(images, (outputs, tensors)))
    return model


def params_of(model: keras.Model) -> Params:
    """The weights of `model` by path in canonical layout."""
    variables = _variables(model)
    return {
        path: layout.from_native(spec, variables[path])
        for path, spec in param_specs(model.network).items()
    }


def save(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as Keras does, for `load_weights`.

    Raises `WeightsError` for another ending or a file that cannot be written; an old file then
    stays whole.
    """
    with native_file(path, file_suffix) as temporary:
        model.save_weights(temporary)


def forward(
    model: keras.Model, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    taps = check_taps(model.network, taps)
    images = check_images(model.network, images)
    training = (
        True if train else None
    )  # None is inference too; False, which Keras tells every layer, costs 4 % of a pass
    with tf.device(_device(model)):
        x = layout.images_to_native(images)
        outputs, tapped = (
            model.tapped()(x, training=training) if taps else (model(x, training=training), {})
        )
    tensors = {**_by_name(model, outputs), **{path: tapped[path] for path in taps}}
    return {path: layout.output_from_native(tensor) for path, tensor in tensors.items()}


def gradients(
    model: keras.Model, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient by every trainable array, canonical. Raises as
    `googlenet.backend.checks` does.
    """
    images = check_images(model.network, images)
    labels = check_labels(model.network, labels, len(images))
    targets = tf.one_hot(labels, num_classes(model.network))
    trainable = {path: spec for path, spec in param_specs(model.network).items() if spec.trainable}
    variables = _variables(model)
    cross_entropy = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=loss.label_smoothing
    )
    with tf.device(_device(model)):
        x = layout.images_to_native(images)
        with tf.GradientTape() as tape:
            outputs = _by_name(model, model(x, training=train))
            total = sum(
                weight * cross_entropy(targets, outputs[output])
                for output, weight in loss.output_weights(model.network).items()
            )
        grads = tape.gradient(
            total,
            [variables[path] for path in trainable],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
    found = {
        path: layout.from_native(spec, grad)
        for (path, spec), grad in zip(trainable.items(), grads, strict=True)
    }
    return float(total), found


def trainer(model: keras.Model, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """What trains `model` in place as `recipe` says, with `parallel` together with the processes
    that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


def _check_device(device: str | None) -> None:
    """Raises `DeviceError` where TensorFlow would, and where it would silently
    take another device.
    """
    if device is None:
        return
    try:
        with tf.device(device):
            placed = tf.DeviceSpec.from_string(tf.zeros(()).device)
        wanted = placed.make_merged_spec(tf.DeviceSpec.from_string(device))
    except (ValueError, tf.errors.OpError) as error:
        raise DeviceError(
            f"device: '{device}' cannot be used by tensorflow: {str(error).splitlines()[0]}"
        ) from error
    if wanted != placed:
        known = ", ".join(found.name for found in tf.config.list_logical_devices())
        raise DeviceError(f"device: '{device}' cannot be used by tensorflow: it has {known}")


def _device(model: keras.Model) -> str | None:
    return next((variable.value.device for variable in model.variables), None)


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight by its canonical path, whatever name scope the model was built in."""
    named = {layer.name: layer for layer in model.layers}
    return {
        path: getattr(named[spec.site.path], layout.native_name(spec))
        for path, spec in param_specs(model.network).items()
    }


def _by_name(
    model: keras.Model, outputs: tf.Tensor | tuple[tf.Tensor, ...]
) -> dict[str, tf.Tensor]:
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return dict(zip(model.network.outputs, tensors, strict=True))
