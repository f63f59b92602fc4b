"""Forms of a model that run faster: one graph, compiled by XLA or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images
from googlenet.backend.compiling import SAMPLE, Compiled, prepared
from googlenet.spec import Shape

from . import layout
from .model import build, device_of, name, network_of, params_of

#: For each form, whether XLA compiles the graph.
_FORMS: Final = {"tf.function": False, "tf.function(jit_compile=True)": True}
compiled_forms = tuple(_FORMS)


def compiled(model: keras.Model, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    xla = _FORMS[check_form(name, form, compiled_forms)]
    network, device = network_of(model), device_of(model)
    native = build(network, params_of(model), device=device)
    run = tf.function(lambda x: native(x, training=False), jit_compile=xla, autograph=False)

    def outputs(images: Array) -> dict[str, Array]:
        with tf.device(device):
            found = shared.by_name(
                network, run(layout.images_to_native(check_images(network, images)))
            )
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs


def compile(
    model: keras.Model,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    the graph of the network as it is rewritten for that, with its weights as constants, for any N;
    in bfloat16 with weights and maps of that dtype.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32" and, on a processor that has the instructions, "bfloat16",
    `DataError` for images of `calibration`, which are for int8.
    """
    device = device_of(model)
    on_cpu = device is None or "CPU" in device
    network, params = prepared(
        *(network_of(model), params_of(model), input_shape, dtype),
        dtypes=("float32",),
        lower=("bfloat16",) if on_cpu else (),
        framework=name,
        calibration=calibration,
    )
    with _layers_in(dtype):
        native = build(network, params, device=device)
    channels, height, width = network.input_shape

    def outputs(x: tf.Tensor) -> Any:
        """The outputs (N, K) of x (N, H, W, C), float32 both."""
        found = native(tf.cast(x, dtype), training=False)
        return tf.nest.map_structure(lambda each: tf.cast(each, tf.float32), found)

    graph = tf.function(outputs, autograph=False)
    with tf.device(device):
        frozen = convert_variables_to_constants_v2(
            graph.get_concrete_function(tf.TensorSpec((None, height, width, channels), tf.float32))
        )

    def run(images: Array) -> list[Array]:
        with tf.device(device):
            found = frozen(layout.images_to_native(images))
        return [layout.output_from_native(each) for each in found]

    return Compiled(network, dtype, run, _state_of(model))


@contextmanager
def _layers_in(dtype: str) -> Iterator[None]:
    """Within this context Keras makes layers that hold and compute `dtype`; Keras keeps that for
    each thread.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _state_of(model: keras.Model) -> Callable[[], object]:
    """A function whose result changes with the variables of the model."""
    held = [each.value for each in model.variables if each.dtype == "float32"]
    steps = [-(-each.shape.num_elements() // SAMPLE) or 1 for each in held]

    def sample() -> tf.Tensor:
        """Some of their values (n,), the first of each among them."""
        return tf.concat(
            [tf.reshape(each, [-1])[::step] for each, step in zip(held, steps, strict=True)], 0
        )

    look = tf.function(sample, autograph=False)
    return lambda: bytes(memoryview(look()))
