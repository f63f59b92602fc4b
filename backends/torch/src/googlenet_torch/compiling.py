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
from googlenet.errors import BackendError

from . import layout
from .model import device_of, name, network_of

#: For each form, in what order a map (N, C, H, W) lies in memory, and whether it is compiled.
_FORMS: Final = {
    "channels last": (torch.channels_last, False),
    "torch.compile": (torch.contiguous_format, True),
    "torch.compile, channels last": (torch.channels_last, True),
}
compiled_forms = tuple(_FORMS)


def compiled(model: nn.Module, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another, and when called, `BackendError` if
    PyTorch cannot compile it.
    """
    order, compiles = _FORMS[check_form(name, form, compiled_forms)]
    network, device = network_of(model), device_of(model)
    native: Any = copy.deepcopy(model).eval()  # PyTorch's types do not know `memory_format`
    native = native.to(memory_format=order)
    run = torch.compile(native, fullgraph=True) if compiles else native

    def outputs(images: Array) -> dict[str, Array]:
        x = layout.images_to_native(check_images(network, images), device)
        with torch.no_grad():
            try:
                found = shared.by_name(network, run(x.contiguous(memory_format=order)))
            # Named here and not imported: with it PyTorch loads its compiler, which takes longer
            # than all else, and most users never compile.
            except torch._dynamo.exc.BackendCompilerFailed as error:
                first = str(error).strip().splitlines()[0]
                advice = "; install a C++ compiler, such as g++" if "compiler" in first else ""
                raise BackendError(f"torch: {form} failed: {first}{advice}") from error
        return {path: layout.output_from_native(each) for path, each in found.items()}

    return outputs
