"""Forms of a model that run faster: one graph."""

from __future__ import annotations

from collections.abc import Callable

from mxnet import autograd
from mxnet.gluon import HybridBlock

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images

from . import layout
from .model import build, device_of, name, network_of, numpy_semantics, params_of

compiled_forms = ("hybridize",)


def compiled(model: HybridBlock, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    network, device = network_of(model), device_of(model)
    native = build(network, params_of(model), device=str(device))
    native.hybridize(static_alloc=True, static_shape=True)

    @numpy_semantics()
    def outputs(images: Array) -> dict[str, Array]:
        x = layout.images_to_native(check_images(network, images), device)
        with autograd.pause():
            found = shared.by_name(network, native(x))
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs
