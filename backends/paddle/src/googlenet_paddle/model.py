"""Native layers: built from the spec, run, differentiated and saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import paddle
from paddle import nn
from paddle.nn import functional

from googlenet import spec
from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels, check_names, check_taps
from googlenet.files import native_file
from googlenet.spec import Loss, Network, num_classes, param_specs
from googlenet.weights.check import check_params

from . import layout, leaves, modules

name = "paddle"
unbiased_running_variance = False
file_suffix = ".pdparams"

with paddle.utils.unique_name.guard():  # the user's layers are numbered as if there were no others
    #: Names that no layer can have.
    attributes: Final = shared.attribute_names(modules.sequential(), modules.Concatenation({}))


def build(network: Network, params: Params, *, device: str | None = None) -> nn.Layer:
    """An `nn.Layer` with `params` loaded; `device` is Paddle's name for it, such as "cpu" or
    "gpu:0".

    Raises `SpecError` for a layer whose name is one of `attributes`, `WeightsError` if the weights
    do not fit, `DeviceError` for a device that does not exist.
    """
    check_names(network, name, attributes)
    params = check_params(network, params)
    with _uninitialised():
        model = spec.fold(network, _leaf, lambda site, children: compose(site, children))
    state = model.state_dict()
    for path, each in param_specs(network).items():
        state[layout.native_path(each)].set_value(layout.to_native(each, params[path]))
    model.network = network
    try:
        return model.to(device)
    except (ValueError, RuntimeError, OSError) as error:
        others = [each for each in paddle.device.get_available_device() if each != "cpu"]
        raise shared.unusable_device(device, name, error, ["cpu", *others]) from error


def _leaf(site: spec.LeafSite) -> nn.Layer:
    (call,) = leaves.leaf(site)
    return cast(nn.Layer, call.evaluate())


def compose(site: spec.CompositeSite, children: dict[str, nn.Layer]) -> nn.Layer:
    """The native layer of a composite, its children in place under their own names."""
    return shared.composed(
        site,
        children,
        sequence=lambda layers: modules.sequential(**layers),
        trunk=modules.Trunk,
        concatenation=modules.Concatenation,
        total=modules.ResidualSum,
    )


def params_of(model: nn.Layer) -> Params:
    """The weights of `model` by path in canonical layout."""
    state = model.state_dict()
    return {
        path: layout.from_native(each, state[layout.native_path(each)])
        for path, each in param_specs(network_of(model)).items()
    }


def save(model: nn.Layer, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as its `state_dict`, for `paddle.load` and
    `set_state_dict`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network_of(model))) as temporary:
        paddle.save(model.state_dict(), temporary)


def forward(
    model: nn.Layer, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    network = network_of(model)
    taps = check_taps(network, taps)
    x = layout.images_to_native(check_images(network, images, train=train), device_of(model))
    kept: dict[str, paddle.Tensor] = {}
    sublayers = dict(model.named_sublayers())
    # `Any`, since Paddle's types only know hooks that return another output.
    hooks: dict[str, Any] = {path: shared.keeper(path, kept) for path in taps}
    handles = [sublayers[path].register_forward_post_hook(hook) for path, hook in hooks.items()]
    try:
        with in_mode(model, train), paddle.no_grad():
            outputs = shared.by_name(network, model(x))
    finally:
        for handle in handles:
            handle.remove()
    return {path: layout.output_from_native(each) for path, each in {**outputs, **kept}.items()}


def gradients(
    model: nn.Layer, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient with respect to every trainable array, in canonical layout. Raises
    as `googlenet.backend.checks` does.
    """
    network = network_of(model)
    images = check_images(network, images, train=train)
    labels = check_labels(network, labels, len(images))
    x = layout.images_to_native(images, device_of(model))
    trainable, state = shared.trainable(network), model.state_dict()
    tensors = [state[layout.native_path(each)] for each in trainable.values()]
    with in_mode(model, train):
        total = total_loss(shared.by_name(network, model(x)), labels, loss, network)
        grads = paddle.grad(total, tensors, allow_unused=True)
    found = {
        path: layout.from_native(each, paddle.zeros_like(tensor) if grad is None else grad)
        for (path, each), tensor, grad in zip(trainable.items(), tensors, grads, strict=True)
    }
    return float(total), found


def total_loss(
    outputs: dict[str, paddle.Tensor], labels: Array, loss: Loss, network: Network
) -> paddle.Tensor:
    """The loss, a scalar, of outputs (N, K) by name for labels (N,)."""
    classes = paddle.to_tensor(labels, place=outputs["logits"].place)
    onehot = functional.one_hot(classes, num_classes(network))
    targets = functional.label_smooth(onehot, epsilon=loss.label_smoothing)

    def cross_entropy(logits: paddle.Tensor) -> paddle.Tensor:
        # Not `functional.cross_entropy` or `log_softmax`: on the CPU they clip logits that are more
        # than 64 below the largest. The targets sum to 1. Far from zero a logarithm of a sum, which
        # its gradient takes, would be rounded to as much as the logits: hence the shift.
        shifted = logits - logits.detach().max(1, keepdim=True)
        return (paddle.logsumexp(shifted, 1) - (targets * shifted).sum(1)).mean()

    weights = loss.output_weights(network)
    return cast(paddle.Tensor, shared.weighted_sum(weights, outputs, cross_entropy))


def network_of(model: nn.Layer) -> Network:
    """The network that `model` was built from."""
    return cast(Network, model.network)


def device_of(model: nn.Layer) -> paddle.base.core.Place | None:
    """The device that the model's weights are on; None, Paddle's default, if there are none."""
    return next((each.place for each in model.state_dict().values()), None)


@contextmanager
def in_mode(model: nn.Layer, train: bool) -> Iterator[None]:
    """Training or evaluation mode for a while; afterwards every layer has its own mode again."""
    before = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    model.train(train)
    try:
        yield
    finally:
        for layer, training in before:
            layer.training = training


@contextmanager
def _uninitialised() -> Iterator[None]:
    """Layers made here are float32 and draw no initial weights, which would take longer than all
    the rest and change the random state.
    """
    before = paddle.get_default_dtype()
    paddle.set_default_dtype("float32")
    try:
        with paddle.LazyGuard():
            yield
    finally:
        paddle.set_default_dtype(before)
