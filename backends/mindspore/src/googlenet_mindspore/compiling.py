"""Forms of a model that run faster: one graph."""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
from mindspore import nn

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images
from googlenet.backend.compiling import Compiled, prepared, sampled
from googlenet.spec import Shape

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


def compile(
    model: nn.Cell,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    in graph mode, for each N that it meets, the network as it is rewritten for that.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32", `DataError` for images of `calibration`, which are for int8.
    """
    network, params = prepared(
        *(network_of(model), params_of(model), input_shape, dtype),
        dtypes=("float32",),
        framework=name,
        calibration=calibration,
    )
    native = build(network, params, device=device_of(model))

    def run(images: Array) -> list[Array]:
        with in_mode(native, False, execution=ms.GRAPH_MODE):
            found = shared.by_name(network, native(layout.images_to_native(images)))
        return [layout.output_from_native(each) for each in found.values()]

    return Compiled(network, dtype, run, _state_of(model))


def _state_of(model: nn.Cell) -> Callable[[], object]:
    """A function whose result changes with the arrays of the model."""
    held = list(model.get_parameters())
    # Read anew each time, since `set_data` may put another array in the place of one.
    return lambda: sampled([each.asnumpy().reshape(-1) for each in held])()
