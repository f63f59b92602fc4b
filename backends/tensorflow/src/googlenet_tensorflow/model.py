"""Native Keras models: built from the spec, run, differentiated and saved."""

from __future__ import annotations

import inspect
import os
import re
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from googlenet import spec
from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.call import Call
from googlenet.backend.checks import check_images, check_labels, check_taps
from googlenet.files import native_file
from googlenet.spec import Loss, Network, num_classes, param_specs
from googlenet.weights.check import check_params

from . import layout, leaves, modules

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.config.backend()} here; set KERAS_BACKEND=tensorflow in the"
        " environment"
    )

name = "tensorflow"
unbiased_running_variance = False
file_suffix = ".weights.h5"

#: The functional API builds a model by calling: a layer, or several in a row, on symbolic tensors.
Layers: TypeAlias = Callable[[Any], Any]

#: The endings of the names of a chain's layers before its last one, after the path of that.
FIRST = {
    keras.layers.ZeroPadding2D: "padding",
    keras.layers.Flatten: "flatten",
    keras.layers.UpSampling2D: "repeated",
    keras.layers.AdaptiveAveragePooling2D: "fitted",
    keras.layers.AveragePooling2D: "mean",
}

# A saved model loads wherever this module was imported.
for _layer in (
    modules.PaddedMaxPooling2D,
    modules.PaddedAveragePooling2D,
    modules.LocalResponseNormalization,
    modules.Scaled,
    modules.ResidualSum,
):
    keras.saving.register_keras_serializable(package="googlenet")(_layer)


def build(network: Network, params: Params, *, device: str | None = None) -> keras.Model:
    """A functional `keras.Model` of images (N, H, W, C) with `params` loaded; `device` is
    TensorFlow's name for it, such as "/GPU:0".

    Raises `WeightsError` if the weights do not fit, `DeviceError` for a device that does not exist.
    """
    params = check_params(network, params)
    _check_device(device)
    channels, height, width = network.input_shape
    kept: dict[str, Any] = {}

    def keep(site: spec.Site, layers: Layers) -> Layers:
        hook = shared.keeper(site.path, kept)

        def call(x: Any) -> Any:
            output = layers(x)
            hook(None, x, output)
            return output

        return call

    with tf.device(device):
        # A capital letter, so that no layer can have the same path.
        images = keras.Input((height, width, channels), name="Images")
        layers = spec.fold(
            network,
            lambda site: keep(site, _leaf(site)),
            lambda site, children: keep(site, compose(site, children)),
        )
        # TensorFlow allows no other characters in a name.
        named = re.sub(r"^[^A-Za-z0-9]|[^A-Za-z0-9_.-]", ".", network.name)
        model = keras.Model(images, layers(images), name=named)
        # For taps: the layer whose output belongs to a path.
        sources = {path: each._keras_history.operation.name for path, each in kept.items()}
        attach(model, network, sources)
        variables = variables_of(model)
        for path, each in param_specs(network).items():
            variables[path].assign(layout.to_native(each, params[path]))
    return model


def attach(model: keras.Model, network: Network, sources: dict[str, str]) -> keras.Model:
    """`model` with our own attributes, which Keras would leave out of a copy or a pickle."""
    model.network, model.sources = network, sources

    kind: Any = type(model)

    def reduce(protocol: object) -> tuple[Any, ...]:
        return _restored, (kind.__reduce__(model), network, sources)

    object.__setattr__(model, "__reduce_ex__", reduce)
    return model


def _restored(reduced: tuple[Any, ...], network: Network, sources: dict[str, str]) -> keras.Model:
    restore, arguments = reduced
    return attach(restore(*arguments), network, sources)


def _leaf(site: spec.LeafSite) -> Layers:
    *before, last = leaves.leaf(site)
    first = [_evaluate(call, f"{site.path}.{FIRST[call.target]}") for call in before]
    return _in_sequence(*first, _evaluate(last, site.path))


def _evaluate(call: Call, named: str) -> Layers:
    """The layer, with its name, and channels last whatever a user's keras.json says."""
    ordered = "data_format" in inspect.signature(call.target).parameters
    layer: Layers = call.evaluate(
        name=named, **({"data_format": "channels_last"} if ordered else {})
    )
    return layer


def compose(site: spec.CompositeSite, children: dict[str, Layers]) -> Layers:
    """The native layers of a composite, its children in place under their own paths."""
    return shared.composed(
        site,
        children,
        sequence=lambda layers: _in_sequence(*layers.values()),
        trunk=_trunk,
        concatenation=lambda layers: _joined(
            keras.layers.Concatenate(name=site.path), *layers.values()
        ),
        total=lambda body, shortcut, scale: _joined(
            modules.ResidualSum(scale, name=site.path), body, shortcut
        ),
    )


def _in_sequence(*layers: Layers) -> Layers:
    """Each one applied to the result of the one before."""

    def call(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return call


def _joined(join: Layers, *layers: Layers) -> Layers:
    """All applied to one tensor, their results joined."""
    return lambda x: join([layer(x) for layer in layers])


def _trunk(children: dict[str, Layers], heads: tuple[str, ...], trunks: tuple[str, ...]) -> Layers:
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...)."""

    def call(x: Any) -> tuple[Any, ...]:
        outputs: list[Any] = []
        for child, layers in children.items():
            if child in heads:
                outputs.append(layers(x))
            elif child in trunks:
                x, *more = layers(x)
                outputs.extend(more)
            else:
                x = layers(x)
        return (x, *outputs)

    return call


def params_of(model: keras.Model) -> Params:
    """The weights of `model` by path in canonical layout."""
    variables = variables_of(model)
    specs = param_specs(network_of(model))
    return {path: layout.from_native(each, variables[path]) for path, each in specs.items()}


def save(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as Keras does, for `load_weights`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network_of(model))) as temporary:
        model.save_weights(temporary)


def forward(
    model: keras.Model, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers. Raises as
    `googlenet.backend.checks` does.
    """
    network = network_of(model)
    taps = check_taps(network, taps)
    images = check_images(network, images, train=train)
    # None also means inference; False, which Keras passes to every layer, costs 4 % of a pass.
    training = True if train else None
    with tf.device(device_of(model)):
        x = layout.images_to_native(images)
        outputs, kept = (
            _tapped(model)(x, training=training) if taps else (model(x, training=training), {})
        )
    found = {**shared.by_name(network, outputs), **{path: kept[path] for path in taps}}
    return {path: layout.output_from_native(each) for path, each in found.items()}


def gradients(
    model: keras.Model, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss and its gradient with respect to every trainable array, in canonical layout. Raises
    as `googlenet.backend.checks` does.
    """
    network = network_of(model)
    images = check_images(network, images, train=train)
    labels = check_labels(network, labels, len(images))
    trainable, variables = shared.trainable(network), variables_of(model)
    with tf.device(device_of(model)):
        x = layout.images_to_native(images)
        with tf.GradientTape() as tape:
            outputs = shared.by_name(network, model(x, training=train))
            total = total_loss(outputs, tf.constant(labels), loss, network)
        grads = tape.gradient(
            total,
            [variables[path] for path in trainable],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
    found = zip(trainable.items(), grads, strict=True)
    return float(total), {path: layout.from_native(each, grad) for (path, each), grad in found}


def total_loss(
    outputs: dict[str, tf.Tensor], labels: tf.Tensor, loss: Loss, network: Network
) -> tf.Tensor:
    """The loss, a scalar, of outputs (N, K) by name for labels (N,)."""
    targets = tf.one_hot(labels, num_classes(network))
    cross_entropy = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=loss.label_smoothing
    )
    weights = loss.output_weights(network)
    return shared.weighted_sum(weights, outputs, lambda logits: cross_entropy(targets, logits))


def set_threads(count: int) -> None:
    """Compute with `count` threads. TensorFlow only accepts this before it has computed anything:
    later it has no effect.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:
        return


def set_full_precision() -> dict[str, str]:
    """Use no TensorFloat-32 on a GPU."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    return {"tensor_float_32_execution_enabled": str(enabled)}


def network_of(model: keras.Model) -> Network:
    """The network that `model` was built from."""
    network: Network = model.network
    return network


def device_of(model: keras.Model) -> str | None:
    """The device that the model's weights are on, None for a model without any."""
    return next((variable.value.device for variable in model.variables), None)


def variables_of(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight by its canonical path, whatever name scope the model was built in."""
    named = {layer.name: layer for layer in model.layers}
    return {
        path: getattr(named[each.site.path], layout.native_name(each))
        for path, each in param_specs(network_of(model)).items()
    }


_with_taps: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _tapped(model: keras.Model) -> keras.Model:
    """A model that shares every layer of `model`, and returns (outputs, {path: output there})."""
    if model not in _with_taps:
        taps = {path: model.get_layer(source).output for path, source in model.sources.items()}
        _with_taps[model] = keras.Model(model.inputs[0], (_structure(model), taps))
    return _with_taps[model]


def _structure(model: keras.Model) -> Any:
    """The model's symbolic outputs as it returns them: one tensor, or a tuple."""
    return tuple(model.outputs) if len(model.outputs) > 1 else model.outputs[0]


@contextmanager
def without_xla(model: keras.Model) -> Iterator[None]:
    """Nothing traced inside is compiled by XLA."""
    pools = [each for each in model.layers if isinstance(each, modules.PaddedMaxPooling2D)]
    for pool in pools:
        pool.xla = False
    try:
        yield
    finally:
        for pool in pools:
            pool.xla = True


def _check_device(device: str | None) -> None:
    """Raises `DeviceError` if TensorFlow would, or if it would silently use another device."""
    if device is None:
        return
    try:
        with tf.device(device):
            placed = tf.DeviceSpec.from_string(tf.zeros(()).device)
        wanted = placed.make_merged_spec(tf.DeviceSpec.from_string(device))
    except (ValueError, tf.errors.OpError) as error:
        raise shared.unusable_device(device, name, error, _devices()) from error
    if wanted != placed:
        raise shared.unusable_device(device, name, "there is no such device", _devices())


def _devices() -> list[str]:
    """The devices that there are, as TensorFlow names them."""
    return [found.name for found in tf.config.list_logical_devices()]
