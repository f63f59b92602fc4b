"""Forms of a model that run faster: one graph, compiled by XLA or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import keras
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images

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
