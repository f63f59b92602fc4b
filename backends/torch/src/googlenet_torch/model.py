"""Native modules: built from the spec, run, differentiated and saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import torch
from torch import nn
from torch.nn import functional

from googlenet import spec
from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels, check_names, check_taps
from googlenet.files import native_file
from googlenet.spec import Loss, Network, param_specs
from googlenet.weights.check import check_params

from . import layout, leaves, modules

name = "torch"
unbiased_running_variance = True
file_suffix = (".pt", ".pth")

#: Names that no layer can have.
attributes: Final = shared.attribute_names(modules.sequential(), modules.Concatenation({}))


def build(network: Network, params: Params, *, device: str | None = None) -> nn.Module:
    """An `nn.Module` with `params` loaded; `device` is PyTorch's name for it, such as "cpu" or
    "cuda:0".

    Raises `SpecError` for a layer whose name is one of `attributes`, `WeightsError` if the weights
    do not fit, `DeviceError` for a device that does not exist.
    """
    check_names(network, name, attributes)
    params = check_params(network, params)
    # On "meta" the layers draw no initial weights, which would take longer than all the rest.
    with torch.device("meta"):
        model = spec.fold(network, _leaf, lambda site, children: compose(site, children))
    state = {
        path: layout.to_native(each, params[path]) for path, each in param_specs(network).items()
    }
    for path, tensor in model.state_dict().items():
        if path not in state:  # batch norm's weight if the spec has none, and its counter
            state[path] = torch.full(
                tensor.shape, int(path.endswith(".weight")), dtype=tensor.dtype
            )
    model.load_state_dict(state, assign=True)
    object.__setattr__(model, "network", network)  # not a parameter, buffer or child
    try:
        moved = model.to(device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise shared.unusable_device(device, name, error, _devices()) from error
    if any(tensor.is_meta for tensor in moved.state_dict().values()):
        raise shared.unusable_device(device, name, "it holds no values", _devices())
    _lay(moved)
    return moved


def _lay(model: nn.Module) -> None:
    """Put the weights of convolutions into the order in memory that is fastest on their device;
    PyTorch computes in the order of either the images or the weights, so that callers need not
    know. Each keeps its identity, its values and its shape.
    """
    order = layout.memory_format(device_of(model))
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(parameter.dtype, memory_format=order)


def _devices() -> list[str]:
    """The devices that there are, as PyTorch names them."""
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count())), *mps]


def _leaf(site: spec.LeafSite) -> nn.Module:
    (call,) = leaves.leaf(site)
    return cast(nn.Module, call.evaluate())


def compose(site: spec.CompositeSite, children: dict[str, nn.Module]) -> nn.Module:
    """The native module of a composite, its children in place under their own names."""
    return shared.composed(
        site,
        children,
        sequence=lambda layers: modules.sequential(**layers),
        trunk=modules.Trunk,
        concatenation=modules.Concatenation,
        total=modules.ResidualSum,
    )


def params_of(model: nn.Module) -> Params:
    """The weights of `model` by path in canonical layout."""
    state = model.state_dict()
    specs = param_specs(network_of(model))
    return {path: layout.from_native(each, state[path]) for path, each in specs.items()}


def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as its `state_dict`, for `torch.load` and
    `load_state_dict`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network_of(model))) as temporary:
        torch.save(model.state_dict(), temporary)


def forward(
    model: nn.Module, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    network = network_of(model)
    taps = check_taps(network, taps)
    x = layout.images_to_native(check_images(network, images, train=train), device_of(model))
    kept: dict[str, torch.Tensor] = {}
    handles = [
        model.get_submodule(path).register_forward_hook(shared.keeper(path, kept)) for path in taps
    ]
    try:
        with in_mode(model, train), torch.no_grad():
            outputs = shared.by_name(network, model(x))
    finally:
        for handle in handles:
            handle.remove()
    return {path: layout.output_from_native(each) for path, each in {**outputs, **kept}.items()}


def gradients(
    model: nn.Module, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient with respect to every trainable array, in canonical layout. Raises
    as `googlenet.backend.checks` does.
    """
    network = network_of(model)
    images = check_images(network, images, train=train)
    labels = check_labels(network, labels, len(images))
    x = layout.images_to_native(images, device_of(model))
    trainable, tensors = shared.trainable(network), dict(model.named_parameters())
    with in_mode(model, train):
        total = total_loss(shared.by_name(network, model(x)), labels, loss, network)
        grads = torch.autograd.grad(
            total, [tensors[path] for path in trainable], allow_unused=True, materialize_grads=True
        )
    found = zip(trainable.items(), grads, strict=True)
    return total.item(), {path: layout.from_native(each, grad) for (path, each), grad in found}


def total_loss(
    outputs: dict[str, torch.Tensor], labels: Array, loss: Loss, network: Network
) -> torch.Tensor:
    """The loss, a scalar, of outputs (N, K) by name for labels (N,)."""
    targets = torch.from_numpy(labels).to(outputs["logits"].device)
    smoothing = loss.label_smoothing

    def cross_entropy(logits: torch.Tensor) -> torch.Tensor:
        if not smoothing:
            return functional.cross_entropy(logits, targets)
        # Its own label smoothing adds up the K targets, which are 1 but for rounding, on its way
        # back: of 1000 classes that is too large or small by some 2e-6.
        shifted = logits - logits.detach().amax(1, keepdim=True)
        right = shifted.gather(1, targets[:, None]).squeeze(1)
        smoothed = (1 - smoothing) * right + smoothing * shifted.mean(1)
        return (shifted.logsumexp(1) - smoothed).mean()

    weights = loss.output_weights(network)
    return cast(torch.Tensor, shared.weighted_sum(weights, outputs, cross_entropy))


def set_threads(count: int) -> None:
    """Compute with `count` threads."""
    torch.set_num_threads(count)


def set_full_precision() -> dict[str, str]:
    """Use no TensorFloat-32 on a GPU, and no bfloat16 for products of float32."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return {
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cuda.matmul.allow_tf32": str(torch.backends.cuda.matmul.allow_tf32),
        "cudnn.allow_tf32": str(torch.backends.cudnn.allow_tf32),
    }


def network_of(model: nn.Module) -> Network:
    """The network that `model` was built from."""
    return cast(Network, model.network)


def device_of(model: nn.Module) -> torch.device:
    """The device that the model's weights are on."""
    return next((each.device for each in model.state_dict().values()), torch.device("cpu"))


@contextmanager
def in_mode(model: nn.Module, train: bool) -> Iterator[None]:
    """Training or evaluation mode for a while; afterwards every module has its own mode again."""
    before = [(module, module.training) for module in model.modules()]
    model.train(train)
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
