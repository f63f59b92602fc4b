"""Forms of a model that run faster: one graph, compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images

from . import layout
from .model import device_of, in_mode, name, network_of

compiled_forms: tuple[str, ...] = ("jax.jit",)


def compiled(model: nnx.Module, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    network, device = network_of(model), device_of(model)
    graph, now = nnx.split(model)
    # Variables of its own, which hold the arrays of today: JAX changes no array in place.
    state = jax.tree.map(lambda each: each if isinstance(each, jax.Array) else jnp.array(each), now)

    @jax.jit
    def run(state: nnx.State[Any, Any], x: jax.Array) -> Any:
        native = nnx.merge(graph, state, copy=True)
        in_mode(native, False)
        return native(x)

    def outputs(images: Array) -> dict[str, Array]:
        x = layout.images_to_native(check_images(network, images), device)
        found = shared.by_name(network, run(state, x))
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs
