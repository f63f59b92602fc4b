"""Forms of a model that run faster: one graph."""

from __future__ import annotations

import copy
from collections.abc import Callable

import paddle
from paddle import nn

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images

from . import layout
from .model import device_of, name, network_of

compiled_forms = ("paddle.jit.to_static",)


def compiled(model: nn.Layer, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    network, device = network_of(model), device_of(model)
    native = copy.deepcopy(model)  # `to_static` changes what it is given
    native.eval()
    run = paddle.jit.to_static(native, full_graph=True)

    def outputs(images: Array) -> dict[str, Array]:
        x = layout.images_to_native(check_images(network, images), device)
        with paddle.no_grad():
            found = shared.by_name(network, run(x))
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs
