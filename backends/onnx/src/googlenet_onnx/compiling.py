"""Models made for speed: what onnxruntime makes of a graph."""

from __future__ import annotations

import copy
from collections.abc import Callable

from googlenet.arrays import Array
from googlenet.backend.checks import check_form, check_images
from googlenet.backend.compiling import Compiled, prepared
from googlenet.spec import Shape

from . import layout
from .model import Model, build, name, params_of
from .quantising import quantised
from .sessions import device_of, on_cpu, session

#: All of onnxruntime's optimisations, which every session of an adapter's model has.
compiled_forms: tuple[str, ...] = ("ORT_ENABLE_ALL",)


def compiled(model: Model, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    return copy.copy(model).run  # with a session of its own


def compile(
    model: Model,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    the graph of the network as it is rewritten for that, in int8 as onnxruntime quantises it by
    images `calibration` (N, C, H, W) float32.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32" and, on a processor that has the instructions, "int8",
    `DataError` for a `calibration` that is missing or too much.
    """
    network, params = prepared(
        *(model.network, params_of(model), input_shape, dtype),
        dtypes=("float32",),
        lower=("int8",) if on_cpu(model.provider) else (),
        framework=name,
        calibration=calibration,
    )
    native = build(network, params, device=device_of(model.provider))

    if calibration is None:

        def run(images: Array) -> list[Array]:
            return [*native.run(images).values()]
    else:
        few = layout.images_to_native(check_images(network, calibration))
        in_int8 = session(quantised(native.proto, few), native.provider, name)

        def run(images: Array) -> list[Array]:
            found = in_int8.run([*network.outputs], {"images": layout.images_to_native(images)})
            return [layout.output_from_native(each) for each in found]

    return Compiled(network, dtype, run, lambda: model.serialized)
