"""The backend `mxnet`: native Gluon HybridBlocks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from operator import attrgetter

import mxnet as mx
from mxnet import autograd, gluon
from mxnet.gluon import nn

from googlenet.arrays import Array, Params
from googlenet.backend.checks import check_images, check_labels, check_taps
from googlenet.errors import DeviceError
from googlenet.files import native_file
from googlenet.spec.layers import Network
from googlenet.spec.loss import Loss
from googlenet.spec.params import ParamSpec, param_specs
from googlenet.spec.traversal import fold
from googlenet.training import Recipe
from googlenet.weights.check import check_params

from . import layers, layout
from .training import Trainer, start_parallel

__all__ = ["build", "forward", "gradients", "params_of", "save", "start_parallel", "trainer"]

name = "mxnet"
capabilities = frozenset({"train", "gradients", "save", "trainer", "parallel"})
unbiased_running_variance = False
file_suffix = ".params"


def build(network: Network, params: Params, *, device: str | None = None) -> gluon.HybridBlock:
    """A `HybridBlock` with `params` loaded; `device` is MXNet's name of it, such as "cpu", "gpu" or
    "gpu(1)".

    Turns on MXNet's NumPy semantics for the calling thread, as `npx.set_np()` does. The model needs
    them wherever it is called: another thread calls `npx.set_np()` first; `forward` and `gradients`
    do without.

    Raises `WeightsError` if the weights do not fit, `DeviceError` for a device that is not there.
    """
    params = check_params(network, params)
    context = _context(device)
    mx.npx.set_np()
    model = fold(network, layers.leaf, layers.compose)
    # Zeros, since a random draw takes longer than all the rest; batch norm's gamma is one by its
    # own rule.
    model.initialize(mx.init.Zero(), ctx=context)
    for path, spec in param_specs(network).items():
        _parameter(model, spec).set_data(layout.to_native(spec, params[path]))
    model.network = network
    return model


def params_of(model: gluon.HybridBlock) -> Params:
    """The weights of `model` by path in canonical layout."""
    return {
        path: layout.from_native(spec, _parameter(model, spec).list_data()[0])
        for path, spec in param_specs(model.network).items()
    }


@mx.util.use_np
def save(model: gluon.HybridBlock, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as Gluon does, for `load_parameters`.

    Raises `WeightsError` for another ending or a file that cannot be written; an old file then
    stays whole.
    """
    with native_file(path, file_suffix) as temporary:
        model.save_parameters(temporary)
        mx.npx.load(
            temporary
        )  # MXNet does not notice if the last bytes could not be written: reading does


@mx.util.use_np
def forward(
    model: gluon.HybridBlock, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    taps = check_taps(model.network, taps)
    x = layout.images_to_native(check_images(model.network, images), _device(model))
    tapped: dict[str, mx.np.ndarray] = {}

    def keep(path: str):
        def hook(
            block: gluon.HybridBlock,
            args: object,
            output: mx.np.ndarray | tuple[mx.np.ndarray, ...],
        ) -> None:
            tapped[path] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [attrgetter(path)(model).register_forward_hook(keep(path)) for path in taps]
    if train:
        x.attach_grad()
    try:
        with (
            _eager(model) if taps else nullcontext(),
            autograd.record() if train else autograd.pause(),
        ):
            outputs = _by_name(model, model(x))
    finally:
        for handle in handles:
            handle.detach()
    if train:
        # MXNet moves batch norm's running statistics on the way back; asked for the images'
        # gradient, it leaves parameters' alone.
        autograd.grad(list(outputs.values()), [x])
    return {path: layout.output_from_native(array) for path, array in {**outputs, **tapped}.items()}


@mx.util.use_np
def gradients(
    model: gluon.HybridBlock,
    images: Array,
    labels: Array,
    *,
    loss: Loss = Loss(),
    train: bool = True,
) -> tuple[float, Params]:
    """The loss and its gradient by every trainable array, canonical. Raises as
    `googlenet.backend.checks` does.
    """
    images = check_images(model.network, images)
    labels = check_labels(model.network, labels, len(images))
    x = layout.images_to_native(images, _device(model))
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False)
    trainable = {path: spec for path, spec in param_specs(model.network).items() if spec.trainable}
    arrays = [_parameter(model, spec).data(x.ctx) for spec in trainable.values()]
    with (
        nullcontext() if train else _max_pools_in_training(model),
        autograd.record(train_mode=train),
    ):
        # In float64 from here: oneDNN's log_softmax, which MXNet takes for float32, is twenty times
        # less exact than float32 is.
        outputs = {
            output: logits.astype("float64") for output, logits in _by_name(model, model(x)).items()
        }
        total = sum(
            weight
            * cross_entropy(
                outputs[output], _targets(labels, outputs[output], loss.label_smoothing)
            ).mean()
            for output, weight in loss.output_weights(model.network).items()
        )
    grads = autograd.grad(total, arrays, train_mode=train)
    found = {
        path: layout.from_native(spec, grad)
        for (path, spec), grad in zip(trainable.items(), grads, strict=True)
    }
    return total.item(), found


def trainer(model: gluon.HybridBlock, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """What trains `model` in place as `recipe` says, with `parallel` together with the processes
    that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


def _targets(labels: Array, logits: mx.np.ndarray, label_smoothing: float) -> mx.np.ndarray:
    """The distribution (N, K) that the loss is taken against: Gluon's has no label smoothing of its
    own.
    """
    classes = logits.shape[1]
    onehot = mx.npx.one_hot(mx.np.array(labels, ctx=logits.ctx), classes, dtype=logits.dtype)
    return (1 - label_smoothing) * onehot + label_smoothing / classes


def _context(device: str | None) -> mx.Context:
    """A device such as "cpu", "gpu", "gpu:1" or "gpu(1)". Raises `DeviceError` for another name or
    a GPU that is not there.
    """
    if device is None:
        return mx.current_context()
    match = re.fullmatch(r"(cpu|gpu)(?:\((\d+)\)|:(\d+))?", device)
    if match is None:
        raise DeviceError(
            f"device: '{device}' cannot be used by mxnet: expected cpu, gpu, or gpu(1) for the"
            " second one"
        )
    kind, index = match[1], int(match[2] or match[3] or 0)
    if kind == "gpu" and index >= mx.context.num_gpus():
        raise DeviceError(
            f"device: '{device}' cannot be used by mxnet: it finds {mx.context.num_gpus()} GPUs"
            " here"
        )
    return mx.Context(kind, index)


def _device(model: gluon.HybridBlock) -> mx.Context:
    return next(
        (_parameter(model, spec).list_ctx()[0] for spec in param_specs(model.network).values()),
        mx.current_context(),
    )


def _parameter(model: gluon.HybridBlock, spec: ParamSpec) -> gluon.Parameter:
    return attrgetter(layout.native_path(spec))(model)


def _by_name(
    model: gluon.HybridBlock, outputs: mx.np.ndarray | tuple[mx.np.ndarray, ...]
) -> dict[str, mx.np.ndarray]:
    arrays = outputs if isinstance(outputs, tuple) else (outputs,)
    return dict(zip(model.network.outputs, arrays, strict=True))


@contextmanager
def _eager(model: gluon.HybridBlock) -> Iterator[None]:
    """No graph mode for a while: Gluon calls no hook inside a hybridized block. Every block then
    has its own mode and graph again.
    """
    before: list[tuple[gluon.HybridBlock, bool]] = []
    model.apply(lambda block: before.append((block, block._active)))
    for block, _ in before:
        block._active = False
    try:
        yield
    finally:
        for block, active in before:
            block._active = active


@contextmanager
def _max_pools_in_training(model: gluon.HybridBlock) -> Iterator[None]:
    """Evaluation mode is training mode inside max pools for a while, and no graph mode.

    Recorded in evaluation mode, oneDNN's max pool does not keep which element won, and its gradient
    is noise.
    """
    handles: list[gluon.utils.HookHandle] = []

    def switch(block: gluon.HybridBlock) -> None:
        if isinstance(block, nn.MaxPool2D):
            handles.append(
                block.register_forward_pre_hook(lambda block, args: autograd.set_training(True))
            )
            handles.append(
                block.register_forward_hook(
                    lambda block, args, output: autograd.set_training(False)
                )
            )

    model.apply(switch)
    try:
        with _eager(model):
            yield
    finally:
        for handle in handles:
            handle.detach()
