"""Forms of a model that run faster: one graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from paddle import inference, nn
from paddle.static import InputSpec

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images
from googlenet.backend.compiling import Compiled, prepared, sampled
from googlenet.backend.threads import thread_count
from googlenet.spec import Shape
from googlenet.temporary import temporary_folder

from . import layout
from .model import build, device_of, name, network_of, params_of

compiled_forms: tuple[str, ...] = ("paddle.jit.to_static",)


def compiled(model: nn.Layer, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    network, device = network_of(model), device_of(model)
    native = copy.deepcopy(model)  # `to_static` changes what it is given
    native.eval()
    run = paddle.jit.to_static(native, full_graph=True)

    def outputs(images: Array) -> dict[str, Array]:
        x = layout.images_to_native(check_images(network, images), device)
        with paddle.no_grad():
            found = shared.by_name(network, run(x))
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs


def compile(
    model: nn.Layer,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    Paddle's inference engine on the graph of the network as it is rewritten for that, for any N; in
    bfloat16 what oneDNN has for it.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` other than "float32" and, on a processor that has the instructions, "bfloat16",
    `DataError` for images of `calibration`, which are for int8.
    """
    device = device_of(model)
    on_cpu = not _on_gpu(device)
    network, params = prepared(
        *(network_of(model), params_of(model), input_shape, dtype),
        dtypes=("float32",),
        lower=("bfloat16",) if on_cpu else (),
        framework=name,
        calibration=calibration,
    )
    native = build(
        network, params, device=None if device is None else str(device)[6:-1]
    )  # of Place(gpu:0)
    native.eval()
    images = InputSpec([None, *network.input_shape], "float32", "images")
    graph = paddle.jit.to_static(native, input_spec=[images], full_graph=True)
    with temporary_folder("compiled") as folder:
        paddle.jit.save(graph, str(folder / "model"))
        engine = _engine(str(folder / "model"), device, dtype)

    def run(images: Array) -> list[Array]:
        engine.get_input_handle("images").copy_from_cpu(images)
        engine.run()
        return [engine.get_output_handle(each).copy_to_cpu() for each in engine.get_output_names()]

    return Compiled(network, dtype, run, _state_of(model))


def _on_gpu(device: paddle.base.core.Place | None) -> bool:
    return device is not None and bool(device.is_gpu_place())


def _engine(path: str, device: paddle.base.core.Place | None, dtype: str) -> Any:
    """The engine of the graph at `path`, on a GPU if `device` is one."""
    config = inference.Config(f"{path}.json", f"{path}.pdiparams")
    config.disable_glog_info()  # first: what follows tells of itself
    if device is not None and _on_gpu(device):
        config.enable_use_gpu(100, device.gpu_device_id())
    else:
        config.enable_mkldnn()
        if dtype == "bfloat16":
            config.enable_mkldnn_bfloat16()
        config.set_cpu_math_library_num_threads(thread_count())
    # oneDNN's kernels are only taken by this executor.
    config.enable_new_executor(True)
    config.enable_memory_optim()
    return inference.create_predictor(config)


def _state_of(model: nn.Layer) -> Callable[[], object]:
    """A function whose result changes with the model: with a tensor that is replaced, or changed in
    place.
    """
    held = [
        (each, key)
        for layer in model.sublayers(include_self=True)
        for each in (layer._sub_layers, layer._parameters, layer._buffers)
        for key in each
    ]
    tensors = [*model.parameters(), *model.buffers()]
    # Optimisers count no version. Views of the tensors' own memory, if NumPy can have them.
    here = [each.detach() for each in tensors if each.place.is_cpu_place()]
    look = sampled([np.from_dlpack(each).reshape(-1) for each in here])

    def state() -> object:
        versions = [each.inplace_version for each in tensors]
        return [id(each.get(key)) for each, key in held], versions, look()

    return state
