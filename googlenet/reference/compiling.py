"""The reference as one function: smaller, and no faster than that."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..backend.compiling import Compiled, prepared, sampled
from ..spec.layers import Shape
from .model import build, forward, name, params_of
from .network import Model
from .quantised import Quantised

#: What int8 makes of a model is computed in float32: it says what is lost, and is no faster.
quantised_dtypes: tuple[str, ...] = ("int8",)


def compile(
    model: Model,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    the network as it is rewritten for that, in int8 with what `Quantised` rounds, by images
    `calibration` (N, C, H, W) float32.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32" and "int8", `DataError` for a `calibration` that is missing or
    too much.
    """
    network, params = prepared(
        *(model.network, params_of(model), input_shape, dtype),
        dtypes=("float32", *quantised_dtypes),
        framework=name,
        calibration=calibration,
    )
    if calibration is None:
        native = build(network, params)

        def run(images: Array) -> list[Array]:
            return [*forward(native, images).values()]
    else:
        in_int8 = Quantised(network, params, np.asarray(calibration, np.float32), dtype=np.float32)

        def run(images: Array) -> list[Array]:
            return [*in_int8(images).values()]

    look = sampled([each.reshape(-1) for each in model.params.values()])
    return Compiled(
        network, dtype, run, lambda: ([id(each) for each in model.params.values()], look())
    )
