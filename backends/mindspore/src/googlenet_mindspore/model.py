"""Native cells: built from the spec, run, differentiated and saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.nn.utils import no_init_parameters

from googlenet import spec
from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels, check_names, check_taps
from googlenet.errors import BackendError
from googlenet.files import native_file
from googlenet.spec import Loss, Network, param_specs
from googlenet.weights.check import check_params

from . import layout, leaves, modules

name = "mindspore"
unbiased_running_variance = True
file_suffix = ".ckpt"

#: Names that no layer can have.
attributes: Final = shared.attribute_names(modules.sequential(), modules.Concatenation({}))


def build(network: Network, params: Params, *, device: str | None = None) -> nn.Cell:
    """An `nn.Cell` with `params` loaded, in evaluation mode; `device` is MindSpore's name for it,
    such as "CPU" or "Ascend".

    MindSpore has one device for the whole process, which this sets if `device` is another one; that
    only works before any tensor has been computed. Raises `SpecError` for a layer whose name
    is one of `attributes`, `WeightsError` if the weights do not fit, `DeviceError` for a device
    that cannot be set.
    """
    check_names(network, name, attributes)
    params = check_params(network, params)
    if device not in (None, ms.get_context("device_target")):
        try:
            ms.set_device(device)
        except (RuntimeError, ValueError) as error:
            found = [ms.get_context("device_target")]
            raise shared.unusable_device(device, name, error, found) from error
    # The layers draw no initial weights, which would take longer than all the rest.
    with no_init_parameters():
        model = spec.fold(network, _leaf, lambda site, children: compose(site, children))
    held = model.parameters_dict()
    for path, each in param_specs(network).items():
        held[layout.native_path(each)].set_data(layout.to_native(each, params[path]))
    model.init_parameters_data()  # batch norm's gamma of ones if the spec has none
    model.network = network
    return model


def _leaf(site: spec.LeafSite) -> nn.Cell:
    (call,) = leaves.leaf(site)
    return call.evaluate()


def compose(site: spec.CompositeSite, children: dict[str, nn.Cell]) -> nn.Cell:
    """The native cell of a composite, its children in place under their own names."""
    return shared.composed(
        site,
        children,
        sequence=lambda layers: modules.sequential(**layers),
        trunk=modules.Trunk,
        concatenation=modules.Concatenation,
        total=modules.ResidualSum,
    )


def params_of(model: nn.Cell) -> Params:
    """The weights of `model` by path in canonical layout."""
    held = model.parameters_dict()
    specs = param_specs(network_of(model))
    return {
        path: layout.from_native(each, held[layout.native_path(each)])
        for path, each in specs.items()
    }


def save(model: nn.Cell, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as a checkpoint, for `load_checkpoint` and
    `load_param_into_net`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network_of(model))) as temporary:
        ms.save_checkpoint(model, temporary)


def forward(
    model: nn.Cell, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    network = network_of(model)
    taps = check_taps(network, taps)
    x = layout.images_to_native(check_images(network, images, train=train))
    kept: dict[str, ms.Tensor] = {}
    cells = dict(model.cells_and_names())
    handles = [cells[path].register_forward_hook(shared.keeper(path, kept)) for path in taps]
    try:
        with in_mode(model, train):
            outputs = shared.by_name(network, model(x))
    finally:
        for handle in handles:
            handle.remove()
    return {path: layout.output_from_native(each) for path, each in {**outputs, **kept}.items()}


def gradients(
    model: nn.Cell, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient with respect to every trainable array, in canonical layout. Raises
    as `googlenet.backend.checks` does.
    """
    network = network_of(model)
    images = check_images(network, images, train=train)
    labels = check_labels(network, labels, len(images))
    x = layout.images_to_native(images)
    trainable, held = shared.trainable(network), model.parameters_dict()

    def total_of(x: ms.Tensor) -> ms.Tensor:
        return total_loss(shared.by_name(network, model(x)), labels, loss, network)

    with in_mode(model, train):
        weights = ms.ParameterTuple(held[layout.native_path(each)] for each in trainable.values())
        total, grads = ms.value_and_grad(total_of, None, weights)(x)
    found = zip(trainable.items(), grads, strict=True)
    return total.item(), {path: layout.from_native(each, grad) for (path, each), grad in found}


def total_loss(
    outputs: dict[str, ms.Tensor], labels: Array, loss: Loss, network: Network
) -> ms.Tensor:
    """The loss, a scalar, of outputs (N, K) by name for labels (N,)."""
    # On the CPU `ops.cross_entropy` is several times less exact than this and than float32 allows.
    against = nn.SoftmaxCrossEntropyWithLogits(reduction="mean")

    def cross_entropy(logits: ms.Tensor) -> ms.Tensor:
        return against(logits, targets(labels, logits.shape[1], loss.label_smoothing))

    return shared.weighted_sum(loss.output_weights(network), outputs, cross_entropy)


def targets(labels: Array, classes: int, label_smoothing: float) -> ms.Tensor:
    """The target distribution (N, K) of the loss: MindSpore's own loss has no label smoothing."""
    spread = label_smoothing / classes
    return ms.Tensor((1 - label_smoothing) * np.eye(classes)[labels] + spread, ms.float32)


def set_threads(count: int) -> None:
    """Compute with `count` threads. Raises `BackendError` for a second number: MindSpore accepts
    one per process.
    """
    try:
        ms.device_context.cpu.op_tuning.threads_num(count)
    except RuntimeError as error:
        raise BackendError(f"mindspore: {error}; start a new process") from error


def network_of(model: nn.Cell) -> Network:
    """The network that `model` was built from."""
    return cast(Network, model.network)


def device_of(model: nn.Cell) -> str:
    """The device that the model computes on: MindSpore has one for the whole process."""
    return cast(str, ms.get_context("device_target"))


@contextmanager
def in_mode(model: nn.Cell, train: bool, *, execution: int = ms.PYNATIVE_MODE) -> Iterator[None]:
    """Training or evaluation mode, and eager or graph execution, for a while; afterwards every cell
    has its own mode again.
    """
    before = [(cell, cell.training) for _, cell in model.cells_and_names()]
    execution_before = ms.get_context("mode")
    ms.set_context(mode=execution)  # graph mode calls no hooks
    model.set_train(train)
    try:
        yield
    finally:
        for cell, training in before:
            cell.set_train(training)
        ms.set_context(mode=execution_before)
