"""Models made for speed: what onnxruntime makes of a graph."""

from __future__ import annotations

import copy
from collections.abc import Callable

from googlenet.arrays import Array
from googlenet.backend.checks import check_form
from googlenet.backend.compiling import Compiled, prepared
from googlenet.spec import Shape

from .model import Model, build, name, params_of
from .sessions import device_of

#: All of onnxruntime's optimisations, which every session of an adapter's model has.
compiled_forms: tuple[str, ...] = ("ORT_ENABLE_ALL",)


def compiled(model: Model, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    return copy.copy(model).run  # with a session of its own


def compile(model: Model, *, input_shape: Shape, dtype: str = "float32") -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    the graph of the network as it is rewritten for that.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32".
    """
    network, params = prepared(
        *(model.network, params_of(model), input_shape, dtype),
        dtypes=("float32",),
        framework=name,
    )
    native = build(network, params, device=device_of(model.provider))
    return Compiled(network, dtype, lambda x: [*native.run(x).values()], lambda: model.serialized)
