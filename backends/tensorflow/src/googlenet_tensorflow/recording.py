"""A user's model recorded as a graph of TensorFlow, with the layer that each operation is in."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import keras
import tensorflow as tf

from googlenet.backend.lines import closed, innermost

from .places import Places, is_users

#: Keras' own layers that are read as the operations that they consist of. Any other one is a whole.
_TAKEN_APART: Final = (
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "Concatenate",
    "Conv2D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "EinsumDense",
    "ELU",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Identity",
    "InputLayer",
    "Lambda",
    "LeakyReLU",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "Permute",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "Subtract",
    "TFSMLayer",
    "ZeroPadding2D",
)


#: What is not the user's, and the files of Keras' containers.
_OTHERS: Final = closed(tf.__file__, __file__)
_CONTAINERS: Final = tuple(
    os.path.join("keras", "src", "models", each) for each in ("sequential.py", "functional.py")
)


def called(node: Any) -> tuple[str, int] | None:
    """The file and the line of the user's that call an operation, or the layer that it is in; None
    for what one of Keras' own containers calls.
    """
    frames = ((frame.filename, frame.lineno) for frame in reversed(node.traceback or ()))
    return innermost(frames, _OTHERS, _CONTAINERS)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A call of a layer that is one operation: its input, and whether something random was drawn or
    the statistics of a batch were computed inside it.
    """

    layer: Any
    input: Any
    inside: frozenset[str]


@dataclass(frozen=True, eq=False)
class Drop:
    """A call of a function that drops elements in training, in place of a layer."""

    rate: float


@dataclass(frozen=True, eq=False)
class Recording:
    """What was recorded: the `function`, and for its graph which operations are in which object,
    innermost last; calls of layers by the name of the operation that is their result.
    """

    function: Any
    outputs: Any
    owners: list[tuple[Any, ...]]
    calls: dict[str, LayerCall]


@dataclass(eq=False)
class _Recorder:
    """Notes calls. `drops` says that the code runs as in training, but with nothing random: where
    it would drop elements it only says so, and Keras' own layers are evaluated.
    """

    places: Places
    drops: bool
    stack: list[Any] = field(default_factory=list)
    graph: Any = None
    owners: list[tuple[Any, ...]] = field(default_factory=list)
    calls: dict[str, LayerCall] = field(default_factory=dict)

    def call(self, each: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """`function(*args, **kwargs)` as a call of `each`."""
        graph = tf.compat.v1.get_default_graph()
        if graph is not self.graph:
            return function(*args, **kwargs)
        self.note()
        start = len(self.owners)
        is_whole = _is_whole(each)
        if self.drops and is_whole and "training" in each.call_signature_parameters:
            kwargs = {**kwargs, "training": False}
        self.stack.append(each)
        try:
            result = function(*args, **kwargs)
        finally:
            self.note()
            self.stack.pop()
        if not is_whole:
            return result
        (x,) = _tensors(args)[:1] or _tensors(tuple(kwargs.values()))[:1] or (None,)
        if x is None or not tf.is_tensor(result) or len(_tensors(args)) > 1:
            return result
        inside = frozenset(op.type for op in graph.get_operations()[start:])
        result = tf.identity(result)
        self.stack.append(each)
        self.note()
        self.stack.pop()
        self.calls[result.op.name] = LayerCall(each, x, inside)
        return result

    def dropped(self, x: Any, rate: float, *args: Any, **kwargs: Any) -> Any:
        """`x`, with a note that the user's code drops elements of it."""
        result = tf.identity(x)
        self.note()
        self.calls[result.op.name] = LayerCall(Drop(float(rate)), x, frozenset())
        return result

    def note(self) -> None:
        """All operations since the last note are in what is on the stack."""
        new = self.graph.version - len(self.owners)
        self.owners += [tuple(self.stack)] * new


def record(
    call: Callable[[Any], Any], places: Places, images: Any, *, drops: bool = False
) -> Recording:
    """What `call` computes for `images`, not as numbers but as a graph; if it `drops`, that is
    recorded, but not done.

    Functions of `tf.function` are read like any others: their operations are in the same graph.
    """
    recorder = _Recorder(places, drops)
    kept: list[Any] = []

    def function(x: Any) -> Any:
        recorder.graph = tf.compat.v1.get_default_graph()
        recorder.owners.clear()
        recorder.calls.clear()
        recorder.note()
        result = call(x)
        recorder.note()
        kept[:] = [result]
        return result

    with _hooked(recorder), _inlined(), _kept(places):
        spec = tf.TensorSpec(images.shape, images.dtype)
        concrete = tf.function(function, autograph=False).get_concrete_function(spec)
    return Recording(concrete, kept[0], recorder.owners, recorder.calls)


@contextmanager
def _kept(places: Places) -> Iterator[None]:
    """What the user's code keeps in attributes and lists is as before: no tensor of the graph."""
    attributes = [
        (vars(each), dict(vars(each)))
        for each in places.found
        if is_users(type(each)) and hasattr(each, "__dict__")
    ]
    lists = [(each, list(each)) for each in places.found if isinstance(each, list)]
    try:
        yield
    finally:
        for names, values in attributes:
            names.clear()
            names.update(values)
        for each, items in lists:
            list.__setitem__(each, slice(None), items)  # a list of Keras' would track it


@contextmanager
def _inlined() -> Iterator[None]:
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextmanager
def _hooked(recorder: _Recorder) -> Iterator[None]:
    """Every call of a layer, or of an object of the user's, is noted."""
    classes = {keras.layers.Layer: None}
    for each in recorder.places.found:
        if not isinstance(each, keras.layers.Layer):
            owner = next((c for c in type(each).__mro__ if "__call__" in vars(c)), object)
            own = vars(owner)["__call__"] if owner is not object else None
            if is_users(owner) and not isinstance(own, types.WrapperDescriptorType | None):
                classes[owner] = None
    with ExitStack() as stack:
        for each in classes:
            stack.enter_context(_wrapped(each, recorder))
        for module in (tf.nn, keras.random) if recorder.drops else ():
            stack.enter_context(_replaced(module, "dropout", recorder.dropped))
        stack.enter_context(_replaced(_ADAPTIVE, "call", _adaptive_average))
        yield


def _wrapped(kind: Any, recorder: _Recorder) -> AbstractContextManager[None]:
    """Every call of an object of a class is noted."""
    before = vars(kind)["__call__"]

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return recorder.call(self, before.__get__(self, type(self)), args, kwargs)

    return _replaced(kind, "__call__", wrapped)


#: Keras's class whose `call` an adaptive average is.
_ADAPTIVE: Final = next(
    kind for kind in keras.layers.AdaptiveAveragePooling2D.__mro__ if "call" in vars(kind)
)


def _adaptive_average(layer: Any, inputs: tf.Tensor) -> tf.Tensor:
    """What the layer computes, which Keras's own code can do in a graph only if no axis has one
    pixel, or is to have one: docs/framework-bugs.md.
    """
    first = 1 if layer.data_format == "channels_last" else 2
    for axis, count in enumerate(layer.output_size, first):
        size = int(inputs.shape[axis])
        edges = [(n * size // count, -(-(n + 1) * size // count)) for n in range(count)]
        parts = [tf.gather(inputs, tf.range(*edge), axis=axis) for edge in edges]
        inputs = tf.concat([tf.reduce_mean(each, axis, keepdims=True) for each in parts], axis)
    return inputs


@contextmanager
def _replaced(owner: Any, attribute: str, other: Any) -> Iterator[None]:
    before = vars(owner)[attribute]
    setattr(owner, attribute, other)
    try:
        yield
    finally:
        setattr(owner, attribute, before)


def _tensors(args: Any) -> list[Any]:
    return [each for each in tf.nest.flatten(args) if tf.is_tensor(each)]


def _is_whole(each: Any) -> bool:
    """Whether a layer is one operation: one of Keras' own, or a user's that computes what its base
    class of Keras does.
    """
    if not isinstance(each, keras.layers.Layer) or isinstance(each, keras.Model):
        return False
    base = own_kind(each)
    return base is not None and base.__name__ not in _TAKEN_APART


def own_kind(layer: Any) -> type | None:
    """The class of Keras' whose `call` a layer has; None if the user wrote it."""
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("keras.src.layers.") and kind is not keras.layers.Layer:
            return kind
        if "call" in vars(kind):
            return None
    return None
