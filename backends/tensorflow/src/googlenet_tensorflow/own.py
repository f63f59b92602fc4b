"""A user's own TensorFlow or Keras model, run and differentiated as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.errors import WeightsError
from googlenet.spec import Loss, Network

from . import layout
from .model import total_loss
from .origins import trained
from .places import Places
from .tracing import called_as

#: Keras' layers that drop at random.
_LAYERS: Final = (
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)
#: Functions that drop at random, besides Keras' layers.
_DROPPING: Final = ("dropout", "dropout_v2")


def own(model: Any, network: Network, outputs: tuple[str, ...]) -> OwnModel:
    """`model`, which `trace` told to be `network`, with its outputs in the order in which it
    returns them.
    """
    return OwnModel(model, network, outputs)


def load(model: Any, path: str | os.PathLike[str]) -> None:
    """Load a file of Keras' `save_weights` into a user's model. Raises `WeightsError` for a file
    that does not fit, and for a model that is none of Keras'.
    """
    if not isinstance(model, keras.Model):
        raise WeightsError(
            f"{path}: only a keras.Model loads weights from files, and this model is a"
            f" {type(model).__name__}; load them in its own code"
        )
    try:
        model.load_weights(path)
    except Exception as error:  # Keras and h5py have many, for files and for models
        said = " ".join(str(error).split())
        raise WeightsError(f"{path}: cannot be loaded into the model ({said[:300]})") from error


class OwnModel:
    """See `googlenet.backend.protocols.OwnModel`."""

    def __init__(self, model: Any, network: Network, outputs: tuple[str, ...]) -> None:
        self._model, self._network, self._names = model, network, outputs
        places = Places(model)
        self._layers = places.layers
        weights = trained(places)
        held = [each for each in places.variables if each.dtype in (tf.float32, tf.float64)]
        self._held = {str(number): each for number, each in enumerate(held)}
        self._trained = {name: each for name, each in self._held.items() if id(each) in weights}

    def arrays(self) -> dict[str, Array]:
        """Copies of all variables of numbers."""
        return {name: np.array(variable.numpy()) for name, variable in self._held.items()}

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Set all of them."""
        for name, array in arrays.items():
            self._held[name].assign(array)

    def outputs(self, images: Array, *, train: bool) -> list[Array]:
        """The outputs (N, K) of images (N, C, H, W)."""
        return [layout.output_from_native(each) for each in self._run(images, train)]

    def gradients(
        self, images: Array, labels: Array, *, loss: Loss, train: bool
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient with respect to each variable that is trained."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in self._trained.values():
                tape.watch(variable)
            outputs = dict(zip(self._names, self._run(images, train), strict=True))
            total = total_loss(outputs, tf.constant(labels), loss, self._network)
        grads = tape.gradient(
            total, self._trained, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return float(total), {name: np.asarray(grad) for name, grad in grads.items()}

    def evaluation(self) -> Callable[[Array], list[Array]]:
        """The model as its user calls it, in evaluation mode."""
        model = called_as(self._model, training=False)

        def call(images: Array) -> list[Array]:
            found = _several(model(layout.images_to_native(images)))
            return [layout.output_from_native(each) for each in found]

        return call

    def _run(self, images: Array, train: bool) -> list[tf.Tensor]:
        with _still(self._layers):
            return _several(called_as(self._model, training=train)(layout.images_to_native(images)))


def _several(found: Any) -> list[tf.Tensor]:
    """What a model returned, as vectors (N, K)."""
    several = found if isinstance(found, tuple | list) else [found]
    return [tf.reshape(each, (each.shape[0], -1)) for each in several]


@contextmanager
def _still(layers: list[keras.layers.Layer]) -> Iterator[None]:
    """Nothing is dropped, neither by Keras' layers nor by TensorFlow's functions."""
    dropping: list[Any] = [each for each in layers if isinstance(each, _LAYERS)]
    rates = [each.rate for each in dropping]
    functions = {each: getattr(tf.nn, each) for each in _DROPPING if hasattr(tf.nn, each)}
    try:
        for layer in dropping:
            layer.rate = 0
        for name in functions:
            setattr(tf.nn, name, lambda x, *args, **more: tf.identity(x))
        yield
    finally:
        for layer, rate in zip(dropping, rates, strict=True):
            layer.rate = rate
        for name, function in functions.items():
            setattr(tf.nn, name, function)
