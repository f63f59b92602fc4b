"""Native Gluon blocks: built from the spec, run, differentiated and saved."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from operator import attrgetter
from typing import Any, Final, cast

import mxnet as mx
from mxnet import autograd, gluon
from mxnet.gluon import HybridBlock, nn

from googlenet import spec
from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels, check_names, check_taps
from googlenet.files import native_file
from googlenet.spec import Loss, Network, ParamSpec, num_classes, param_specs
from googlenet.weights.check import check_params

from . import layout, leaves, modules

name = "mxnet"
unbiased_running_variance = False
file_suffix = ".params"

#: Names that no layer can have. A layer may hide `add`, which only `HybridSequential` has and Gluon
#: never calls.
attributes: Final = shared.attribute_names(HybridBlock(prefix=""))


@contextmanager
def numpy_semantics() -> Iterator[None]:
    """MXNet's NumPy semantics in this thread for a while."""
    with mx.util.np_shape(True), mx.util.np_array(True):
        yield


@numpy_semantics()
def build(network: Network, params: Params, *, device: str | None = None) -> HybridBlock:
    """A `HybridBlock` with `params` loaded; `device` is MXNet's name for it, such as "cpu", "gpu"
    or "gpu(1)".

    It takes arrays of `mx.np` and turns on NumPy semantics inside its own methods and those of its
    blocks, whatever the thread's setting, which is left as it is. Gluon's own losses, trainers and
    layers need `npx.set_np()` to take such arrays, and so do `SymbolBlock.imports` and the methods
    of `collect_params()` that make arrays.

    Raises `SpecError` for a layer whose name is one of `attributes`, `WeightsError` if the weights
    do not fit, `DeviceError` for a device that does not exist.
    """
    check_names(network, name, attributes)
    params = check_params(network, params)
    context = _context(device)
    model = spec.fold(network, _leaf, lambda site, children: compose(site, children))
    # Zeros, since random values take longer than all the rest; batch norm's gamma is one by its own
    # rule.
    model.initialize(mx.init.Zero(), ctx=context)
    for path, each in param_specs(network).items():
        parameter_of(model, each).set_data(layout.to_native(each, params[path]))
    model.apply(_with_numpy_semantics)
    model.network = network
    return model


def _leaf(site: spec.LeafSite) -> HybridBlock:
    (call,) = leaves.leaf(site)
    return call.evaluate(prefix=_prefix(site))


def compose(site: spec.CompositeSite, children: dict[str, HybridBlock]) -> HybridBlock:
    """The native block of a composite, its children in place under their own names."""
    prefix = _prefix(site)
    return shared.composed(
        site,
        children,
        sequence=lambda layers: modules.sequential(prefix, **layers),
        trunk=partial(modules.Trunk, prefix=prefix),
        concatenation=partial(modules.Concatenation, prefix=prefix),
        total=partial(modules.ResidualSum, prefix=prefix),
    )


def params_of(model: HybridBlock) -> Params:
    """The weights of `model` by path in canonical layout."""
    return {
        path: layout.from_native(each, parameter_of(model, each).list_data()[0])
        for path, each in param_specs(network_of(model)).items()
    }


@numpy_semantics()
def save(model: HybridBlock, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as Gluon does, for `load_parameters`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network_of(model))) as temporary:
        HybridBlock.save_parameters(model, temporary)  # Gluon's own method, without the wrapper
        # MXNet does not notice if the last bytes could not be written; reading the file does.
        mx.npx.load(temporary)


@numpy_semantics()
def forward(
    model: HybridBlock, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    network = network_of(model)
    taps = check_taps(network, taps)
    x = layout.images_to_native(check_images(network, images, train=train), device_of(model))
    kept: dict[str, mx.np.ndarray] = {}
    handles = [
        attrgetter(path)(model).register_forward_hook(shared.keeper(path, kept)) for path in taps
    ]
    if train:
        x.attach_grad()
    mode = _mode(model, train) if train else autograd.pause()
    try:
        with _eager(model) if taps else nullcontext(), mode:
            outputs = shared.by_name(network, model(x))
    finally:
        for handle in handles:
            handle.detach()
    if train:
        # MXNet updates batch norm's running statistics in the backward pass; asked for the images'
        # gradient, it leaves those of parameters alone.
        autograd.grad(list(outputs.values()), [x])
    return {path: layout.output_from_native(each) for path, each in {**outputs, **kept}.items()}


@numpy_semantics()
def gradients(
    model: HybridBlock, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient with respect to every trainable array, in canonical layout. Raises
    as `googlenet.backend.checks` does.
    """
    network, device = network_of(model), device_of(model)
    images = check_images(network, images, train=train)
    targets = mx.np.array(check_labels(network, labels, len(images)), dtype="int64", ctx=device)
    x, trainable = layout.images_to_native(images, device), shared.trainable(network)
    arrays = [parameter_of(model, each).data(device) for each in trainable.values()]
    with _mode(model, train):
        total = total_loss(shared.by_name(network, model(x)), targets, loss, network)
    grads = autograd.grad(total, arrays, train_mode=train)
    found = zip(trainable.items(), grads, strict=True)
    return total.item(), {path: layout.from_native(each, grad) for (path, each), grad in found}


def total_loss(
    outputs: dict[str, mx.np.ndarray], labels: mx.np.ndarray, loss: Loss, network: Network
) -> mx.np.ndarray:
    """The loss, a scalar of float64, of outputs (N, K) by name for labels (N,): arrays, or in a
    graph symbols.
    """
    F, classes = mx.sym if isinstance(labels, mx.sym.Symbol) else mx.nd, num_classes(network)
    # Gluon's own loss has no label smoothing.
    onehot = F.npx.one_hot(labels, classes, dtype="float64")
    targets = (1 - loss.label_smoothing) * onehot + loss.label_smoothing / classes
    per_image = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False, prefix="")

    def cross_entropy(logits: mx.np.ndarray) -> mx.np.ndarray:
        # In float64: oneDNN's log_softmax, which MXNet uses for float32, is twenty times less exact
        # than float32 allows.
        return per_image(logits.astype("float64"), targets).mean()

    return shared.weighted_sum(loss.output_weights(network), outputs, cross_entropy)


def network_of(model: HybridBlock) -> Network:
    """The network that `model` was built from."""
    return cast(Network, model.network)


def device_of(model: HybridBlock) -> mx.Context:
    """The device that the model's weights are on."""
    specs = param_specs(network_of(model)).values()
    return next((parameter_of(model, each).list_ctx()[0] for each in specs), mx.current_context())


@contextmanager
def _mode(model: HybridBlock, train: bool) -> Iterator[None]:
    """Recording in training or evaluation mode for a while.

    Recorded in evaluation mode, oneDNN's max pool does not keep which element won, and its gradient
    is noise: so only max pools are in training mode then, and nothing is in graph mode.
    """
    handles: list[gluon.utils.HookHandle] = []

    def switch(block: HybridBlock) -> None:
        if isinstance(block, nn.MaxPool2D):
            before, after = block.register_forward_pre_hook, block.register_forward_hook
            handles.append(before(lambda block, inputs: autograd.set_training(True)))
            handles.append(after(lambda block, inputs, output: autograd.set_training(False)))

    if not train:
        model.apply(switch)
    try:
        with nullcontext() if train else _eager(model), autograd.record(train_mode=train):
            yield
    finally:
        for handle in handles:
            handle.detach()


@contextmanager
def _eager(model: HybridBlock) -> Iterator[None]:
    """No graph mode for a while: Gluon calls no hook inside a hybridized block. Afterwards every
    block has its own mode and graph again.
    """
    before: list[tuple[HybridBlock, bool]] = []
    model.apply(lambda block: before.append((block, block._active)))
    for block, _ in before:
        block._active = False
    try:
        yield
    finally:
        for block, active in before:
            block._active = active


def _with_numpy_semantics(block: HybridBlock) -> None:
    block.__class__ = _numpy_class(block.__class__)


class _Like(type):
    """A class that counts every instance of its base as its own, so that Gluon, which checks, lets
    a user put a plain layer in a layer's place.
    """

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])


@cache
def _numpy_class(cls: Any) -> Any:
    """`cls` with NumPy semantics inside its methods, and otherwise the same."""

    def reduce(block: HybridBlock, protocol: int) -> tuple[Any, ...]:
        return _blank, (cls,), vars(block)  # pickle cannot find classes made here

    members = {"__module__": cls.__module__, "__doc__": cls.__doc__, "__reduce_ex__": reduce}
    return mx.util.use_np(_Like(cls.__name__, (cls,), members))


def _blank(cls: Any) -> HybridBlock:
    return object.__new__(_numpy_class(cls))


def _context(device: str | None) -> mx.Context:
    """A device such as "cpu", "gpu", "gpu:1" or "gpu(1)". Raises `DeviceError` for another name or
    a GPU that is not there.
    """
    if device is None:
        return mx.current_context()
    match = re.fullmatch(r"(cpu|gpu)(?:\((\d+)\)|:(\d+))?", device)
    if match is None:
        expected = "expected cpu, gpu, or gpu(1) for the second one"
        raise shared.unusable_device(device, name, expected, _devices())
    kind, index = match[1], int((match[2] or match[3] or "0")[:9])
    if index >= (mx.context.num_gpus() if kind == "gpu" else 2**15):
        raise shared.unusable_device(device, name, "there is no such device", _devices())
    return mx.Context(kind, index)


def _devices() -> list[str]:
    """The devices that there are, as MXNet names them."""
    return ["cpu", *(f"gpu({index})" for index in range(mx.context.num_gpus()))]


def parameter_of(model: HybridBlock, array: ParamSpec) -> gluon.Parameter:
    """The parameter that holds an array."""
    return attrgetter(layout.native_path(array))(model)


def _prefix(site: spec.LeafSite | spec.CompositeSite) -> str:
    """What Gluon puts before a parameter's name, so that `collect_params` names it by its path."""
    return f"{site.path}." if site.path else ""
