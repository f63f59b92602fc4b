"""Forms of a model that run faster: another order in memory, one compiled graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.backend.checks import check_form, check_images
from googlenet.backend.compiling import Compiled, prepared, sampled
from googlenet.errors import BackendError
from googlenet.spec import Shape

from . import layout
from .model import build, device_of, name, network_of, params_of

#: For each form, in what order a map (N, C, H, W) lies in memory, and whether it is compiled.
_FORMS: Final = {
    "channels last": (torch.channels_last, False),
    "torch.compile": (torch.contiguous_format, True),
    "torch.compile, channels last": (torch.channels_last, True),
}
compiled_forms = tuple(_FORMS)
#: What `compile` computes in.
_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def compiled(model: nn.Module, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another, and when called, `BackendError` if
    PyTorch cannot compile it.
    """
    order, compiles = _FORMS[check_form(name, form, compiled_forms)]
    network, device = network_of(model), device_of(model)
    native: Any = copy.deepcopy(model).eval()  # PyTorch's types do not know `memory_format`
    native = native.to(memory_format=order)
    run = _compiled(native) if compiles else native

    def outputs(images: Array) -> dict[str, Array]:
        x = layout.images_to_native(check_images(network, images), device)
        with torch.no_grad():
            found = shared.by_name(network, _called(run, x.contiguous(memory_format=order)))
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs


def compile(
    model: nn.Module,
    *,
    input_shape: Shape,
    dtype: str = "float32",
    calibration: Array | None = None,
) -> Compiled:
    """`model` as a function of images (N, C, H, W) of `input_shape` (C, H, W), in evaluation mode:
    what `torch.compile` makes of the network as it is rewritten for that, channels last and with
    its weights as constants. It compiles when it is called first, with another N, and with one
    image.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for
    a `dtype` that is none of `_DTYPES`, or for which the device has no instructions, `DataError`
    for images of `calibration`, which are for int8; the first call raises `BackendError` if PyTorch
    cannot compile it.
    """
    device = device_of(model)
    network, params = prepared(
        *(network_of(model), params_of(model), input_shape, dtype),
        dtypes=[*_DTYPES] if _has_bfloat16(device) else ["float32"],
        framework=name,
        calibration=calibration,
    )
    native: Any = build(network, params, device=str(device)).eval()
    native = native.to(_DTYPES[dtype], memory_format=torch.channels_last)
    frozen = _compiled(native, options={"freezing": True})

    def run(images: Array) -> list[Array]:
        x = layout.images_to_native(images, device)
        x = x.to(_DTYPES[dtype], memory_format=torch.channels_last)
        with torch.no_grad():
            found = shared.by_name(network, _called(frozen, x))
        return [layout.output_from_native(each.float()) for each in found.values()]

    return Compiled(network, dtype, run, _state_of(model))


def _has_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16: without them it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(known.get(each) for each in ("avx512_bf16", "amx_bf16", "bf16"))


def _compiled(native: nn.Module, **settings: Any) -> Any:
    """`native` as `torch.compile` makes it."""

    def call(x: torch.Tensor) -> Any:
        return native(x)

    # PyTorch keeps what it compiled with the code of a function, and gives up after eight: all
    # models of a class would count together.
    call.__code__ = call.__code__.replace()
    return torch.compile(call, fullgraph=True, **settings)


def _called(run: Any, x: torch.Tensor) -> Any:
    """`run(x)`. Raises `BackendError` if it cannot be compiled."""
    try:
        return run(x)
    # Named here and not imported: with it PyTorch loads its compiler, which takes longer than all
    # else, and most users never compile.
    except torch._dynamo.exc.BackendCompilerFailed as error:
        first = str(error).strip().splitlines()[0]
        advice = "; install a C++ compiler, such as g++" if "compiler" in first else ""
        raise BackendError(f"torch: torch.compile failed: {first}{advice}") from error


def _state_of(model: nn.Module) -> Callable[[], object]:
    """A function whose result changes with the model: with a layer or a tensor that is replaced, or
    changed in place.
    """
    held = [
        (each, key)
        for module in model.modules()
        for each in (module._modules, module._parameters, module._buffers)
        for key in each
    ]
    tensors = [*model.parameters(), *model.buffers()]
    # What is changed through `.data` counts no version.
    flat = [
        torch.as_strided(t.detach(), (t.untyped_storage().size() // t.itemsize,), (1,), 0)
        for t in tensors
    ]
    samples = sampled([each.numpy() for each in flat if each.device.type == "cpu"])

    def state() -> object:
        return (
            [id(each.get(key)) for each, key in held],
            [each._version for each in tensors],
            samples(),
        )

    return state
