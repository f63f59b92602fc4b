"""The backend `paddle`: native PaddlePaddle layers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import paddle
from paddle import nn
from paddle.nn import functional

from googlenet.arrays import Array, Params
from googlenet.backend.checks import check_images, check_labels, check_taps
from googlenet.errors import DeviceError
from googlenet.files import native_file
from googlenet.spec.layers import Network
from googlenet.spec.loss import Loss
from googlenet.spec.params import param_specs
from googlenet.spec.traversal import fold, num_classes
from googlenet.training import Recipe
from googlenet.weights.check import check_params

from . import layers, layout
from .training import Trainer, start_parallel

__all__ = ["build", "forward", "gradients", "params_of", "save", "start_parallel", "trainer"]

name = "paddle"
capabilities = frozenset({"train", "gradients", "save", "trainer", "parallel"})
unbiased_running_variance = False
file_suffix = ".pdparams"


def build(network: Network, params: Params, *, device: str | None = None) -> nn.Layer:
    """An `nn.Layer` with `params` loaded; `device` is Paddle's name of it, such as "cpu" or
    "gpu:0".

    Raises `WeightsError` if the weights do not fit, `DeviceError` for a device that is not there.
    """
    params = check_params(network, params)
    with _uninitialised():
        model = fold(network, layers.leaf, layers.compose)
    state = model.state_dict()
    for path, spec in param_specs(network).items():
        state[layout.native_path(spec)].set_value(layout.to_native(spec, params[path]))
    model.network = network
    try:
        return model.to(device)
    except (ValueError, RuntimeError, OSError) as error:
        raise DeviceError(
            f"device: '{device}' cannot be used by paddle: {str(error).strip().splitlines()[0]}"
        ) from error


def params_of(model: nn.Layer) -> Params:
    """The weights of `model` by path in canonical layout."""
    state = model.state_dict()
    return {
        path: layout.from_native(spec, state[layout.native_path(spec)])
        for path, spec in param_specs(model.network).items()
    }


def save(model: nn.Layer, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as its `state_dict`, for `paddle.load` and
    `set_state_dict`.

    Raises `WeightsError` for another ending or a file that cannot be written; an old file then
    stays whole.
    """
    with native_file(path, file_suffix) as temporary:
        paddle.save(model.state_dict(), temporary)


def forward(
    model: nn.Layer, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    taps = check_taps(model.network, taps)
    x = layout.images_to_native(check_images(model.network, images), _device(model))
    tapped: dict[str, paddle.Tensor] = {}

    def keep(path: str):
        def hook(
            layer: nn.Layer, args: object, output: paddle.Tensor | tuple[paddle.Tensor, ...]
        ) -> None:
            tapped[path] = output[0] if isinstance(output, tuple) else output

        return hook

    sublayers = dict(model.named_sublayers())
    handles = [sublayers[path].register_forward_post_hook(keep(path)) for path in taps]
    try:
        with _mode(model, train), paddle.no_grad():
            outputs = _by_name(model, model(x))
    finally:
        for handle in handles:
            handle.remove()
    return {
        path: layout.output_from_native(tensor) for path, tensor in {**outputs, **tapped}.items()
    }


def gradients(
    model: nn.Layer, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient by every trainable array, canonical. Raises as
    `googlenet.backend.checks` does.
    """
    images = check_images(model.network, images)
    labels = check_labels(model.network, labels, len(images))
    x = layout.images_to_native(images, _device(model))
    onehot = functional.one_hot(paddle.to_tensor(labels, place=x.place), num_classes(model.network))
    targets = functional.label_smooth(onehot, epsilon=loss.label_smoothing)
    trainable = {path: spec for path, spec in param_specs(model.network).items() if spec.trainable}
    state = model.state_dict()
    tensors = [state[layout.native_path(spec)] for spec in trainable.values()]
    with _mode(model, train):
        outputs = _by_name(model, model(x))
        total = sum(
            weight * _cross_entropy(outputs[output], targets)
            for output, weight in loss.output_weights(model.network).items()
        )
        grads = paddle.grad(total, tensors, allow_unused=True)
    grads = [
        paddle.zeros_like(tensor) if grad is None else grad
        for tensor, grad in zip(tensors, grads, strict=True)
    ]
    found = {
        path: layout.from_native(spec, grad)
        for (path, spec), grad in zip(trainable.items(), grads, strict=True)
    }
    return total.item(), found


def trainer(model: nn.Layer, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """What trains `model` in place as `recipe` says, with `parallel` together with the processes
    that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


def _cross_entropy(logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """The mean over the batch for `targets` (N, K), which sum to 1.

    Not `functional.cross_entropy` or `log_softmax`: on the CPU they cut off logits that are more
    than 64 below the largest.
    """
    return (paddle.logsumexp(logits, 1) - (targets * logits).sum(1)).mean()


def _device(model: nn.Layer) -> paddle.base.core.Place | None:
    return next((tensor.place for tensor in model.parameters()), None)


def _by_name(
    model: nn.Layer, outputs: paddle.Tensor | tuple[paddle.Tensor, ...]
) -> dict[str, paddle.Tensor]:
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return dict(zip(model.network.outputs, tensors, strict=True))


@contextmanager
def _uninitialised() -> Iterator[None]:
    """Layers made here are float32 and draw no initial weights, which would take longer than all
    the rest and move the random state.
    """
    before = paddle.get_default_dtype()
    paddle.set_default_dtype("float32")
    try:
        with paddle.LazyGuard():
            yield
    finally:
        paddle.set_default_dtype(before)


@contextmanager
def _mode(model: nn.Layer, train: bool) -> Iterator[None]:
    """Training or evaluation mode for a while; every layer then has its own mode again."""
    before = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    model.train(train)
    try:
        yield
    finally:
        for layer, training in before:
            layer.training = training
