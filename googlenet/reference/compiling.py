"""The reference as one function: smaller, and no faster than that."""

from __future__ import annotations

from ..arrays import Array
from ..backend.compiling import Compiled, prepared, sampled
from ..spec.layers import Shape
from .model import build, forward, name, params_of
from .network import Model


def compile(model: Model, *, input_shape: Shape, dtype: str = "float32") -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    the network as it is rewritten for that.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32".
    """
    network, params = prepared(
        *(model.network, params_of(model), input_shape, dtype),
        dtypes=("float32",),
        framework=name,
    )
    native = build(network, params)

    def run(images: Array) -> list[Array]:
        return [*forward(native, images).values()]

    look = sampled([each.reshape(-1) for each in model.params.values()])
    return Compiled(
        network, dtype, run, lambda: ([id(each) for each in model.params.values()], look())
    )
