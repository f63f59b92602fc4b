"""The backend `mindspore`: native MindSpore cells."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.nn.utils import no_init_parameters

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

name = "mindspore"
capabilities = frozenset({"train", "gradients", "save", "trainer", "parallel"})
unbiased_running_variance = True
file_suffix = ".ckpt"


def build(network: Network, params: Params, *, device: str | None = None) -> nn.Cell:
    """An `nn.Cell` with `params` loaded, in evaluation mode; `device` is MindSpore's name of it,
    such as "CPU" or "Ascend".

    MindSpore has one device for the whole process, which this sets if `device` is another one; that
    only works before any tensor has been computed. Raises `WeightsError` if the weights do not fit,
    `DeviceError` for a device that cannot be set.
    """
    params = check_params(network, params)
    _set_device(device)
    # The layers draw no initial weights of their own, which would take longer than all the rest.
    with no_init_parameters():
        model = fold(network, layers.leaf, layers.compose)
    held = model.parameters_dict()
    for path, spec in param_specs(network).items():
        held[layout.native_path(spec)].set_data(layout.to_native(spec, params[path]))
    model.init_parameters_data()  # batch norm's gamma of ones where the spec has none
    model.network = network
    return model


def params_of(model: nn.Cell) -> Params:
    """The weights of `model` by path in canonical layout."""
    held = model.parameters_dict()
    return {
        path: layout.from_native(spec, held[layout.native_path(spec)])
        for path, spec in param_specs(model.network).items()
    }


def save(model: nn.Cell, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as a checkpoint, for `load_checkpoint` and
    `load_param_into_net`.

    Raises `WeightsError` for another ending or a file that cannot be written; an old file then
    stays whole.
    """
    with native_file(path, file_suffix) as temporary:
        ms.save_checkpoint(model, temporary)


def forward(
    model: nn.Cell, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    taps = check_taps(model.network, taps)
    x = layout.images_to_native(check_images(model.network, images))
    tapped: dict[str, ms.Tensor] = {}

    def keep(path: str):
        def hook(cell: nn.Cell, args: object, output: ms.Tensor | tuple[ms.Tensor, ...]) -> None:
            tapped[path] = output[0] if isinstance(output, tuple) else output

        return hook

    cells = dict(model.cells_and_names())
    handles = [cells[path].register_forward_hook(keep(path)) for path in taps]
    try:
        with _mode(model, train):
            outputs = _by_name(model, model(x))
    finally:
        for handle in handles:
            handle.remove()
    return {
        path: layout.output_from_native(tensor) for path, tensor in {**outputs, **tapped}.items()
    }


def gradients(
    model: nn.Cell, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient by every trainable array, canonical. Raises as
    `googlenet.backend.checks` does.
    """
    images = check_images(model.network, images)
    labels = check_labels(model.network, labels, len(images))
    x = layout.images_to_native(images)
    # On the CPU `ops.cross_entropy` is several times less exact than this and than float32 allows.
    cross_entropy = nn.SoftmaxCrossEntropyWithLogits(reduction="mean")
    trainable = {path: spec for path, spec in param_specs(model.network).items() if spec.trainable}
    held = model.parameters_dict()

    def total_loss(x: ms.Tensor) -> ms.Tensor:
        outputs = _by_name(model, model(x))
        return sum(
            weight
            * cross_entropy(
                outputs[output], _targets(labels, outputs[output].shape[1], loss.label_smoothing)
            )
            for output, weight in loss.output_weights(model.network).items()
        )

    with _mode(model, train):
        weights = ms.ParameterTuple([held[layout.native_path(spec)] for spec in trainable.values()])
        total, grads = ms.value_and_grad(total_loss, None, weights)(x)
    found = {
        path: layout.from_native(spec, grad)
        for (path, spec), grad in zip(trainable.items(), grads, strict=True)
    }
    return float(total.asnumpy()), found


def trainer(model: nn.Cell, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """What trains `model` in place as `recipe` says, with `parallel` together with the processes
    that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


def _targets(labels: Array, classes: int, label_smoothing: float) -> ms.Tensor:
    """The distribution (N, K) that the loss is taken against: this loss has no label smoothing of
    its own.
    """
    return ms.Tensor(
        (1 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes, ms.float32
    )


def _set_device(device: str | None) -> None:
    if device in (None, ms.get_context("device_target")):
        return
    try:
        ms.set_device(device)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"device: '{device}' cannot be used by mindspore: {str(error).splitlines()[0]}"
        ) from error


def _by_name(model: nn.Cell, outputs: ms.Tensor | tuple[ms.Tensor, ...]) -> dict[str, ms.Tensor]:
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return dict(zip(model.network.outputs, tensors, strict=True))


@contextmanager
def _mode(model: nn.Cell, train: bool, *, execution: int = ms.PYNATIVE_MODE) -> Iterator[None]:
    """Training or evaluation mode, and eager or graph execution, for a while; every cell then has
    its own mode again.
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
