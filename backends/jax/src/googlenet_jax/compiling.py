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
from googlenet.backend.compiling import Compiled, prepared
from googlenet.spec import Shape

from . import layout
from .model import build, device_of, in_mode, name, network_of, params_of, variables_of

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


def compile(
    model: nnx.Module,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    what XLA makes, for each N that it meets, of the network as it is rewritten for that, with its
    weights as constants.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32", `DataError` for images of `calibration`, which are for int8.
    """
    network, params = prepared(
        *(network_of(model), params_of(model), input_shape, dtype),
        dtypes=("float32",),
        framework=name,
        calibration=calibration,
    )
    device = device_of(model)
    native: Any = build(network, params, device=str(device))
    in_mode(native, False)
    jitted = jax.jit(lambda x: native(x))

    def run(images: Array) -> list[Array]:
        found = shared.by_name(network, jitted(layout.images_to_native(images, device)))
        return [layout.output_from_native(each) for each in found.values()]

    # JAX changes no array in place.
    held = variables_of(model)
    return Compiled(network, dtype, run, lambda: [id(each[...]) for each in held.values()])
