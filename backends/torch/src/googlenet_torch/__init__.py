"""The backend `torch`: native PyTorch modules."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from googlenet.arrays import Array, Params
from googlenet.backend.checks import check_images, check_labels, check_taps
from googlenet.errors import DeviceError
from googlenet.files import native_file
from googlenet.spec.layers import Network
from googlenet.spec.loss import Loss
from googlenet.spec.params import param_specs
from googlenet.spec.traversal import fold
from googlenet.training import Recipe
from googlenet.weights.check import check_params

from . import layers, layout
from .training import Trainer, start_parallel

__all__ = ["build", "forward", "gradients", "params_of", "save", "start_parallel", "trainer"]

name = "torch"
capabilities = frozenset({"train", "gradients", "save", "trainer", "parallel"})
unbiased_running_variance = True
file_suffix = ".pt"


def build(network: Network, params: Params, *, device: str | None = None) -> nn.Module:
    """An `nn.Module` with `params` loaded; `device` is PyTorch's name of it, such as "cpu" or
    "cuda:0".

    Raises `WeightsError` if the weights do not fit, `DeviceError` for a device that is not there.
    """
    params = check_params(network, params)
    # On "meta" the layers draw no initial weights of their own, which would take longer than all
    # the rest.
    with torch.device("meta"):
        model = fold(network, layers.leaf, layers.compose)
    state = {
        path: layout.to_native(spec, params[path]) for path, spec in param_specs(network).items()
    }
    for path, tensor in model.state_dict().items():
        if (
            path not in state
        ):  # batch norm's weight of ones where the spec has none, and its counter of batches
            state[path] = torch.full(
                tensor.shape, int(path.endswith(".weight")), dtype=tensor.dtype
            )
    model.load_state_dict(state, assign=True)
    model.network = network
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            f"device: '{device}' cannot be used by torch: {str(error).splitlines()[0]}"
        ) from error


def params_of(model: nn.Module) -> Params:
    """The weights of `model` by path in canonical layout."""
    state = model.state_dict()
    return {
        path: layout.from_native(spec, state[path])
        for path, spec in param_specs(model.network).items()
    }


def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as its `state_dict`, for `torch.load` and
    `load_state_dict`.

    Raises `WeightsError` for another ending or a file that cannot be written; an old file then
    stays whole.
    """
    with native_file(path, file_suffix) as temporary:
        torch.save(model.state_dict(), temporary)


def forward(
    model: nn.Module, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    taps = check_taps(model.network, taps)
    x = layout.images_to_native(check_images(model.network, images), _device(model))
    tapped: dict[str, torch.Tensor] = {}

    def keep(path: str):
        def hook(
            module: nn.Module, args: object, output: torch.Tensor | tuple[torch.Tensor, ...]
        ) -> None:
            tapped[path] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [model.get_submodule(path).register_forward_hook(keep(path)) for path in taps]
    try:
        with _mode(model, train), torch.no_grad():
            outputs = _by_name(model, model(x))
    finally:
        for handle in handles:
            handle.remove()
    return {
        path: layout.output_from_native(tensor) for path, tensor in {**outputs, **tapped}.items()
    }


def gradients(
    model: nn.Module, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient by every trainable array, canonical. Raises as
    `googlenet.backend.checks` does.
    """
    images = check_images(model.network, images)
    labels = check_labels(model.network, labels, len(images))
    x = layout.images_to_native(images, _device(model))
    targets = torch.from_numpy(labels).to(x.device)
    trainable = {path: spec for path, spec in param_specs(model.network).items() if spec.trainable}
    tensors = dict(model.named_parameters())
    with _mode(model, train):
        outputs = _by_name(model, model(x))
        total = sum(
            weight
            * functional.cross_entropy(
                outputs[output], targets, label_smoothing=loss.label_smoothing
            )
            for output, weight in loss.output_weights(model.network).items()
        )
        grads = torch.autograd.grad(
            total, [tensors[path] for path in trainable], allow_unused=True, materialize_grads=True
        )
    found = {
        path: layout.from_native(spec, grad)
        for (path, spec), grad in zip(trainable.items(), grads, strict=True)
    }
    return total.item(), found


def trainer(model: nn.Module, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """What trains `model` in place as `recipe` says, with `parallel` together with the processes
    that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


def _device(model: nn.Module) -> torch.device:
    return next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))


def _by_name(
    model: nn.Module, outputs: torch.Tensor | tuple[torch.Tensor, ...]
) -> dict[str, torch.Tensor]:
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return dict(zip(model.network.outputs, tensors, strict=True))


@contextmanager
def _mode(model: nn.Module, train: bool) -> Iterator[None]:
    """Training or evaluation mode for a while; every module then has its own mode again."""
    before = [(module, module.training) for module in model.modules()]
    model.train(train)
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
