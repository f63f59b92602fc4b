"""What a user's Keras model, `tf.Module` or function computes: the operations of its graph, in
neutral terms.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.backend.dropouts import with_dropout
from googlenet.backend.graph import Graph
from googlenet.errors import CaptureError, TraceError

from . import layout
from .forms import shortest
from .graphs import has_halves, in_full
from .model import name
from .operations import RULES
from .places import Places
from .reading import Reader
from .recording import Drop, LayerCall, Recording, own_kind, record
from .writing import CHANNELS_LAST, Value, Writer

#: What users call the argument that says whether a model is trained.
_TRAINING: Final = ("training", "is_training", "train")
#: Layers that do something in training only, and leave everything as it is in evaluation.
_IN_TRAINING: Final = (
    "ActivityRegularization",
    "GaussianNoise",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)


def trace(model: Any, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model` in evaluation mode on `images` (N, C, H, W), which it is given as (N, H,
    W, C), N at least 2, and its outputs on them, the logits first, maps as (N, C, H, W).

    `model` keeps its weights; layers that are built when they are first called are built. What it
    computes in half precision, whose rounding would hide differences, is computed in float32.
    Raises `TraceError` if TensorFlow cannot run it, or if it does not return tensors, and
    `CaptureError` if TensorFlow runs it, but cannot capture it as one graph.
    """
    if isinstance(model, type) or not callable(model):
        what = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TraceError(f"{name}: expected a Keras model, a tf.Module or a function, got {what}")
    call = _called(model, training=False)
    shape = tuple(images.shape[axis] for axis in CHANNELS_LAST)
    cannot: type[TraceError] = TraceError
    doing = f"cannot be run on images of shape {shape}"
    try:
        with _unchanged(Places(model)) as before:
            given = call(_like(before, images))  # builds what is built lazily
            places = Places(model)
            with _unchanged(places):
                x = _like(places, images)
                outputs = _tensors(call(x) if places.count != before.count else given)
                cannot = CaptureError
                doing = f"runs on images of shape {shape}, but tf.function cannot capture it"
                recording = record(call, places, x)
                graph = _captured(recording, places)
                if has_halves(recording.function.graph):
                    results = _tensors(recording.outputs)
                    outputs = in_full(recording.function, results, layout.images_to_native(images))
                if places.mention("dropout") or _has_idle_dropout(places, graph):
                    graph = with_dropout(graph, _in_training(model, places, x))
                if isinstance(model, keras.layers.Layer) and model.losses:
                    call(x)  # so that it keeps no tensor of a graph
    except TraceError:
        raise
    except tf.errors.OperatorNotAllowedInGraphError as error:
        raise CaptureError(
            f"{name}: the code decides what to compute according to the values of the images, with"
            f" an if or a loop over a tensor, so the model is not one network"
            f" ({_first(error).partition('. You can attempt')[0]})"
        ) from error
    except Exception as error:  # the user's code may raise anything, and so may TensorFlow
        what = f"{type(error).__name__}: {_first(error)}"
        raise cannot(f"{name}: the model {doing} ({what})") from error
    return graph, [_canonical(each) for each in outputs]


def _called(model: Any, *, training: bool) -> Callable[[Any], Any]:
    """`model` as a function of images alone, in training or in evaluation mode."""
    flags = {flag: training for flag in _TRAINING if flag in _parameters(model)}
    return lambda x: model(x, **flags)


def called_as(model: Any, *, training: bool) -> Callable[[Any], Any]:
    """The same, but Keras tells its layers the mode also if the model's own code does not."""
    if isinstance(model, keras.layers.Layer):
        return lambda x: model(x, training=training)
    return _called(model, training=training)


def _captured(recording: Recording, places: Places) -> Graph:
    return Reader(recording, places, RULES, _layer).graph(_tensors(recording.outputs))


def _has_idle_dropout(places: Places, graph: Graph) -> bool:
    """Whether there is a dropout layer that evaluation does not call, as code that asks itself
    whether it trains.
    """
    called = {op.place for op in graph.ops}
    return any(
        isinstance(each, keras.layers.Layer)
        and "Dropout" in type(each).__name__
        and places[each] not in called
        for each in places.found
    )


def _in_training(model: Any, places: Places, x: tf.Tensor) -> Graph | None:
    """The graph of what the user's code does in training, where a function may drop that is no
    layer; None if it cannot be captured then.
    """
    try:
        return _captured(record(_called(model, training=True), places, x, drops=True), places)
    except Exception:  # the user's code may raise anything if it only trains on other things
        return None


def _parameters(model: Any) -> tuple[str, ...]:
    """The names of what a model can be called with."""
    function = model.call if isinstance(model, keras.layers.Layer) else model
    function = getattr(function, "python_function", function)
    if not inspect.isroutine(function):  # an object that can be called
        function = getattr(function.__call__, "python_function", function.__call__)
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _first(error: Exception) -> str:
    """The first line of what an error says, without Keras' colours and its preface."""
    lines = [
        re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(error).strip().splitlines()
    ]
    said = [line for line in lines if line and not line.startswith("Exception encountered when")]
    return next(iter(said), "")


def _like(places: Places, images: Array) -> tf.Tensor:
    """`images` (N, C, H, W) as TensorFlow has them, (N, H, W, C), in the type of the weights."""
    x = layout.images_to_native(images)
    kinds = [each.dtype for each in places.variables if each.dtype.is_floating]
    return tf.cast(x, kinds[0]) if kinds else x


def _tensors(outputs: Any) -> list[Any]:
    found = [outputs] if isinstance(outputs, tf.Tensor) else outputs
    is_many = isinstance(found, tuple | list) and len(found) > 0
    if not is_many or not all(isinstance(each, tf.Tensor) for each in found):
        raise TraceError(
            f"{name}: expected a model that returns a tensor, or a tuple of tensors with the logits"
            f" first, got {type(outputs).__name__}"
        )
    return list(found)


def _canonical(tensor: tf.Tensor) -> Array:
    """(N, H, W, C) → (N, C, H, W), any other shape as it is, in float64."""
    array = np.asarray(tensor, np.float64)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)


@contextmanager
def _unchanged(places: Places) -> Iterator[Places]:
    """Whatever is assigned to variables inside is undone."""
    values = [(each, tf.identity(each.value())) for each in places.variables]
    try:
        yield places
    finally:
        for variable, value in values:
            if not np.array_equal(variable.numpy(), value.numpy()):
                variable.assign(value)


# Layers -------------------------------------------------------------------------------------------


def _layer(writer: Writer, call: LayerCall, x: Value, node: Any) -> Value:
    """A layer of Keras' that is one operation."""
    layer = call.layer
    if isinstance(layer, Drop):
        attributes = {"rate": shortest(layer.rate), "active": False}
        return writer.same(node, "dropout", x, attributes)
    kind = own_kind(layer)
    assert kind is not None  # it was recorded as one
    is_random = any("Random" in each for each in call.inside)
    match kind.__name__:
        case "BatchNormalization" if (normed := _norm(writer, call, x, node)) is not None:
            return normed
        case "Dropout":
            attributes = {"rate": shortest(layer.rate), "active": is_random}
            return writer.same(node, "dropout", x, attributes)
        case "AlphaDropout":
            attributes = {"rate": shortest(layer.rate), "active": is_random}
            return writer.same(node, "alpha_dropout", x, attributes)
        case "SpatialDropout2D" if layer.data_format == "channels_last":
            attributes = {"rate": shortest(layer.rate), "active": is_random}
            return writer.same(node, "spatial_dropout", x, attributes)
        case "AdaptiveAveragePooling2D" if layer.data_format == "channels_last":
            return _adaptive(writer, writer.apart(x), node, tuple(layer.output_size))
        case "UpSampling2D" if _repeats_one_pixel(layer, x):
            return _adaptive(writer, x, node, tuple(layer.size))
        case inactive if inactive in _IN_TRAINING and not is_random:
            return writer.same(node, "identity", x)
    shape = tuple(int(size) for size in node.outputs[0].shape)
    axes = CHANNELS_LAST if len(shape) == 4 else tuple(range(len(shape)))
    ours = tuple(shape[axis] for axis in np.argsort(axes))
    settings = {
        key: value
        for key, value in layer.get_config().items()
        if key not in ("name", "trainable", "dtype", "seed")
        and isinstance(value, bool | int | float | str | tuple)
    }
    if "Dropout" in kind.__name__:
        settings["active"] = is_random
    for variable in layer.trainable_variables:
        writer.origins.read[id(variable.value)] = variable.value
    found = writer.emit(node, f"tf.{kind.__name__}", (writer.canonical(x),), ours, settings)
    return Value(found, shape, axes)


def _adaptive(writer: Writer, x: Value, node: Any, size: tuple[int, int]) -> Value:
    name = writer.ordered(x, CHANNELS_LAST)
    shape = (*writer.shape(name)[:2], *size)
    found = writer.emit(node, "adaptive_avg_pool", (name,), shape, {"output_size": size})
    return Value(found, tuple(shape[axis] for axis in CHANNELS_LAST), CHANNELS_LAST)


def _repeats_one_pixel(layer: Any, x: Value) -> bool:
    """Whether a layer only repeats the one pixel of a map, as an adaptive average does."""
    is_last = layer.data_format == "channels_last" and layer.interpolation == "nearest"
    return is_last and x.lead is None and x.shape[1:3] == (1, 1)


def _norm(writer: Writer, call: LayerCall, x: Value, node: Any) -> Value | None:
    layer = call.layer
    rank = len(x.shape)
    axis = layer.axis % rank if isinstance(layer.axis, int) else None
    if x.lead is not None or rank not in (2, 4) or axis is None or axis < 1:
        return None
    # Axis 1 of the graph is the one that has statistics.
    along = {1: (0, 1, 2, 3), 2: (0, 2, 1, 3), 3: CHANNELS_LAST}
    axes = (0, 1) if rank == 2 else along[axis]
    name = writer.ordered(x, axes)
    train = "Mean" in call.inside
    held = {"weight": layer.gamma, "bias": layer.beta}
    if not train:
        held |= {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
    arrays = {
        role: writer.array(writer.weight(each), "vector")
        for role, each in held.items()
        if each is not None
    }
    # Keras' momentum is the share of the old statistic.
    momentum = round(1 - shortest(layer.momentum), 12)
    attributes = {"eps": shortest(layer.epsilon), "train": train, "momentum": momentum}
    found = writer.emit(node, "batch_norm", (name,), writer.shape(name), attributes, arrays)
    return Value(found, x.shape, axes)
