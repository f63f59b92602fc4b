"""Forms of a model that run faster: one graph."""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
from mindspore import nn

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images

from . import layout
from .model import build, device_of, in_mode, name, network_of, params_of

compiled_forms: tuple[str, ...] = ("graph mode",)


def compiled(model: nn.Cell, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    network = network_of(model)
    native = build(network, params_of(model), device=device_of(model))

    def outputs(images: Array) -> dict[str, Array]:
        x = layout.images_to_native(check_images(network, images))
        with in_mode(native, False, execution=ms.GRAPH_MODE):
            found = shared.by_name(network, native(x))
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs
