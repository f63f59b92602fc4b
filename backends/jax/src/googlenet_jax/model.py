"""Native modules: built from the spec, run, differentiated and saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from pathlib import Path
from typing import Any, Final, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, serialization

from googlenet import spec
from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.call import signature
from googlenet.backend.checks import check_images, check_labels, check_names, check_taps
from googlenet.files import native_file
from googlenet.spec import Loss, Network, param_specs
from googlenet.weights.check import check_params

from . import layout, leaves, modules

name = "jax"
unbiased_running_variance = False
file_suffix = ".msgpack"

#: Names that no layer can have.
attributes: Final = shared.attribute_names(
    modules.Sequential(), modules.Concatenation({}), modules.Trunk({}, (), ())
) | {"self"}  # which Flax's own constructors cannot pass on by name


def build(network: Network, params: Params, *, device: str | None = None) -> nnx.Module:
    """An `nnx.Module` of images (N, H, W, C) with `params` loaded, in training mode as all of
    Flax's; `device` is the name of one of JAX's platforms, such as "cpu" or "cuda", with a number
    if there are several: "cuda:1".

    Raises `SpecError` for a layer whose name is one of `attributes`, `WeightsError` if the weights
    do not fit, `DeviceError` for a device that does not exist.
    """
    check_names(network, name, attributes)
    params = check_params(network, params)
    with jax.default_device(_device(device)):
        rngs = nnx.Rngs(0)  # dropout's masks, until `nnx.reseed`
        model: Any = spec.fold(
            network,
            lambda site: _leaf(site, rngs),
            lambda site, children: compose(site, children),
        )
        model.network = network
        variables = variables_of(model)
        for path, each in param_specs(network).items():
            variables[path].set_value(layout.to_native(each, params[path]))
        nnx.update(model, jax.device_put(nnx.state(model), _device(device)))
    return cast(nnx.Module, model)


def _device(device: str | None) -> jax.Device:
    """Raises `DeviceError` if JAX has no such device."""
    if device is None:
        return jax.local_devices()[0]
    platform, _, index = device.partition(":")
    known = {"gpu": "gpu", "cuda": "cuda", "rocm": "rocm", "tpu": "tpu", "cpu": "cpu"}
    if platform not in known or (":" in device and not (index.isascii() and index.isdecimal())):
        raise shared.unusable_device(device, name, "there is no such device", _devices())
    try:
        return jax.local_devices(backend=platform)[int(index or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        raise shared.unusable_device(device, name, error, _devices()) from error


def _devices() -> list[str]:
    """The devices that there are, as `build` takes them."""
    gpus = [f"{each.platform}:{each.id}" for each in jax.local_devices() if each.platform != "cpu"]
    return ["cpu", *gpus]


def _leaf(site: spec.LeafSite, rngs: nnx.Rngs) -> nnx.Module:
    (call,) = leaves.leaf(site)
    taken = signature(call.target).parameters
    # All weights are set afterwards: drawing them would take longer than all the rest.
    blank = dict.fromkeys(("kernel_init", "bias_init", "scale_init"), _blank)
    more = {"rngs": rngs, **blank}
    return cast(nnx.Module, call.evaluate(**{key: more[key] for key in more if key in taken}))


def _blank(key: jax.Array, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    return np.zeros(shape, np.float32)


def compose(site: spec.CompositeSite, children: dict[str, nnx.Module]) -> nnx.Module:
    """The native module of a composite, its children in place under their own names."""
    return shared.composed(
        site,
        children,
        sequence=lambda layers: modules.Sequential(**layers),
        trunk=modules.Trunk,
        concatenation=modules.Concatenation,
        total=modules.ResidualSum,
    )


def params_of(model: nnx.Module) -> Params:
    """The weights of `model` by path in canonical layout."""
    variables = variables_of(model)
    specs = param_specs(network_of(model))
    return {path: layout.from_native(each, variables[path][...]) for path, each in specs.items()}


def save(model: nnx.Module, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as Flax's msgpack, for
    `flax.serialization.msgpack_restore` and `nnx.update`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network_of(model))) as temporary:
        write(nnx.to_pure_dict(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))), temporary)


def write(state: dict[str, Any], path: str) -> None:
    """A state in a file, which Flax leaves to its users."""
    Path(path).write_bytes(serialization.to_bytes(state))


def forward(
    model: nnx.Module, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    network = network_of(model)
    taps = tuple(sorted(check_taps(network, taps)))
    x = layout.images_to_native(check_images(network, images, train=train), device_of(model))
    graph, state = nnx.split(model)
    found, changed = _forward(graph, state, x, train=train, taps=taps)
    if train:
        nnx.update(model, changed)
    # A compiled function returns a dictionary sorted by its keys.
    return {path: layout.output_from_native(found[path]) for path in (*network.outputs, *taps)}


@partial(jax.jit, static_argnames=("graph", "train", "taps"))
def _forward(
    graph: nnx.GraphDef[Any],
    state: nnx.State[Any, Any],
    x: jax.Array,
    *,
    train: bool,
    taps: tuple[str, ...],
) -> tuple[dict[str, jax.Array], nnx.State[Any, Any]]:
    """The outputs by name, the tapped layers, and what the pass changed in the model."""
    model = nnx.merge(graph, state, copy=True)
    in_mode(model, train)
    kept: dict[str, jax.Array] = {}
    with _tapped(model, taps, kept):
        outputs = shared.by_name(network_of(model), model(x))
    return {**outputs, **kept}, nnx.state(model, nnx.Not(nnx.Param))


@contextmanager
def _tapped(model: nnx.Module, taps: Iterable[str], kept: dict[str, jax.Array]) -> Iterator[None]:
    """The output of each layer of `taps` goes to `kept`."""
    places = []
    for path in taps:
        parent, _, last = path.rpartition(".")
        above = module_at(model, parent)
        places.append((above, last, getattr(above, last), shared.keeper(path, kept)))
    # Past Flax, which takes what is no module for another kind of attribute.
    for above, last, layer, hook in places:
        object.__setattr__(above, last, _hooked(layer, hook))
    try:
        yield
    finally:
        for above, last, layer, _ in places:
            object.__setattr__(above, last, layer)


def _hooked(layer: Any, hook: Any) -> Any:
    def call(x: jax.Array) -> Any:
        output = layer(x)
        hook(layer, x, output)
        return output

    return call


def gradients(
    model: nnx.Module, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient with respect to every trainable array, in canonical layout. Raises
    as `googlenet.backend.checks` does.
    """
    network = network_of(model)
    images = check_images(network, images, train=train)
    labels = check_labels(network, labels, len(images))
    loss.output_weights(network)  # raises if the loss does not fit
    x = layout.images_to_native(images, device_of(model))
    graph, state = nnx.split(model)
    (total, changed), grads = _gradients(
        graph, values_of(model), state, x, jnp.asarray(labels, jnp.int32), loss=loss, train=train
    )
    if train:
        nnx.update(model, changed)
    trainable = shared.trainable(network)
    return float(total), {
        path: layout.from_native(each, grads[path]) for path, each in trainable.items()
    }


@partial(jax.jit, static_argnames=("graph", "loss", "train"))
def _gradients(
    graph: nnx.GraphDef[Any],
    values: dict[str, jax.Array],
    state: nnx.State[Any, Any],
    x: jax.Array,
    labels: jax.Array,
    *,
    loss: Loss,
    train: bool,
) -> tuple[tuple[jax.Array, nnx.State[Any, Any]], dict[str, jax.Array]]:
    """The loss and what the pass changed in the model, and the gradient by path."""

    def total(values: dict[str, jax.Array]) -> tuple[jax.Array, nnx.State[Any, Any]]:
        model = nnx.merge(graph, state, copy=True)
        in_mode(model, train)
        assign(model, values)
        outputs = shared.by_name(network_of(model), model(x))
        changed = nnx.state(model, nnx.Not(nnx.Param))
        return total_loss(outputs, labels, loss, network_of(model)), changed

    return jax.value_and_grad(total, has_aux=True)(values)


def total_loss(
    outputs: dict[str, jax.Array], labels: jax.Array, loss: Loss, network: Network
) -> jax.Array:
    """The loss, a scalar, of outputs (N, K) by name for labels (N,)."""
    smoothing = loss.label_smoothing

    def cross_entropy(logits: jax.Array) -> jax.Array:
        if not smoothing:
            losses: jax.Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean()
        # Flax's users would smooth the targets, which add up to 1 but for rounding: with 1000
        # classes gradients would be off by that.
        shifted = logits - jax.lax.stop_gradient(logits.max(1, keepdims=True))
        right = jnp.take_along_axis(shifted, labels[:, None], 1)[:, 0]
        smoothed = (1 - smoothing) * right + smoothing * shifted.mean(1)
        return (jnp.log(jnp.exp(shifted).sum(1)) - smoothed).mean()

    weights = loss.output_weights(network)
    return cast(jax.Array, shared.weighted_sum(weights, outputs, cross_entropy))


def set_threads(count: int) -> None:
    """Compute with `count` threads. JAX reads the number when it first looks for devices: later it
    has no effect.
    """
    os.environ["NPROC"] = str(count)


def set_full_precision() -> dict[str, str]:
    """Use no TensorFloat-32 on a GPU, and no bfloat16 on a TPU."""
    jax.config.update("jax_default_matmul_precision", "highest")
    return {"jax_default_matmul_precision": str(cast(Any, jax.config).jax_default_matmul_precision)}


def network_of(model: nnx.Module) -> Network:
    """The network that `model` was built from."""
    return cast(Network, cast(Any, model).network)


def device_of(model: nnx.Module) -> jax.Device:
    """The device that the model's weights are on."""
    # What its user set may be an array of NumPy's.
    arrays = [each for each in jax.tree.leaves(nnx.state(model)) if isinstance(each, jax.Array)]
    return next((device for array in arrays for device in array.devices()), _device(None))


def module_at(model: nnx.Module, path: str) -> Any:
    """The layer at a path; the model itself at ""."""
    return reduce(getattr, path.split(".") if path else [], model)


def variables_of(model: nnx.Module) -> dict[str, nnx.Variable[Any]]:
    """Every weight by its canonical path."""
    return {
        path: getattr(module_at(model, each.site.path), layout.native_name(each))
        for path, each in param_specs(network_of(model)).items()
    }


def values_of(model: nnx.Module) -> dict[str, jax.Array]:
    """The arrays that training changes by gradient, by path."""
    variables = variables_of(model)
    return {path: variables[path][...] for path in shared.trainable(network_of(model))}


def assign(model: nnx.Module, values: dict[str, jax.Array]) -> None:
    """Set the arrays at these paths."""
    variables = variables_of(model)
    for path, value in values.items():
        variables[path].set_value(value)


def in_mode(model: nnx.Module, train: bool) -> None:
    """Training or evaluation mode from now on."""
    if train:
        model.train()
    else:
        model.eval()
