"""Forms of a model that run faster: one graph."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.base import _LIB, check_call
from mxnet.gluon import HybridBlock

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images
from googlenet.backend.compiling import Compiled, prepared, sampled
from googlenet.spec import Shape, param_specs

from . import layout
from .model import (
    build,
    device_of,
    name,
    network_of,
    numpy_semantics,
    parameter_of,
    params_of,
)

compiled_forms: tuple[str, ...] = ("hybridize",)


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


def compile(
    model: HybridBlock,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    hybridized, with oneDNN's fused operators on a CPU, the network as it is rewritten for that.

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
    with numpy_semantics():
        native = build(network, params, device=str(device))
        if device.device_type == "cpu":
            blank = np.zeros((1, *network.input_shape), np.float32)
            native.optimize_for(
                layout.images_to_native(blank, device),
                backend="MKLDNN",
                static_alloc=True,
                static_shape=True,
            )
        else:
            native.hybridize(static_alloc=True, static_shape=True)

    @numpy_semantics()
    def run(images: Array) -> list[Array]:
        with autograd.pause():
            found = shared.by_name(network, native(layout.images_to_native(images, device)))
        return [layout.output_from_native(each) for each in found.values()]

    return Compiled(network, dtype, run, _state_of(model))


def _state_of(model: HybridBlock) -> Callable[[], object]:
    """A function whose result changes with the arrays of the model: some values of each on a CPU,
    elsewhere the sum of squares of each, which would cost milliseconds there.
    """
    held = [parameter_of(model, each) for each in param_specs(network_of(model)).values()]
    if not held:
        return lambda: b""
    before: list[tuple[int, Any, int]] = []
    look = sampled(())

    def state() -> object:
        nonlocal before, look
        arrays = [each.list_data()[0].as_nd_ndarray() for each in held]
        if any(each.context.device_type != "cpu" for each in arrays):
            return mx.nd.multi_sum_sq(*arrays, num_arrays=len(arrays)).asnumpy().tobytes()
        places = [(_place(each), each.dtype, each.size) for each in arrays]
        if places != before:
            before, look = places, sampled([_in_memory(*each) for each in places])
        return look()

    return state


def _place(array: mx.nd.NDArray) -> int:
    """Where the values of `array` are in memory, once all that was to be written is. oneDNN may
    have put them into an order of its own, from which this brings them back.
    """
    array.wait_to_read()
    place = ctypes.c_void_p()
    check_call(_LIB.MXNDArrayGetData(array.handle, ctypes.byref(place)))
    assert place.value is not None
    return place.value


def _in_memory(place: int, dtype: Any, size: int) -> Array:
    count = size * np.dtype(dtype).itemsize
    pointer = ctypes.cast(place, ctypes.POINTER(ctypes.c_uint8))
    return np.ctypeslib.as_array(pointer, (count,)).view(dtype)
