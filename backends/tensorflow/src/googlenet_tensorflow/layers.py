"""Each layer of the spec as Keras has it, named by the spec's own path. Maps are (N, H, W, C).

The layers that Keras lacks are registered with it under `googlenet`: a saved model loads wherever
this module was imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias, assert_never

import keras
import tensorflow as tf

from googlenet.backend.geometry import (
    average_divisor,
    explicit_padding,
    extent_padding,
    window_count,
)
from googlenet.spec.layers import (
    NO_PADDING,
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    ExplicitPadding,
    GlobalAvgPool,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    Residual,
    Scale,
    Sequential,
    aux_heads,
)
from googlenet.spec.traversal import CompositeSite, LeafSite

#: The functional API builds a model by calling: a native layer, or a function of several, on
#: symbolic tensors.
Call: TypeAlias = Callable[[Any], Any]

#: Said to every layer that has the choice, because the default is whatever a user's keras.json
#: says.
CHANNELS_LAST = {"data_format": "channels_last"}

register = keras.saving.register_keras_serializable(package="googlenet")


def leaf(site: LeafSite) -> Call:
    """The native layer of a leaf, its weights not yet set."""
    match site.layer:
        case Conv() as layer:
            return _conv(layer, site)
        case BatchNorm(eps, momentum, scale):
            return keras.layers.BatchNormalization(
                momentum=1 - momentum, epsilon=eps, scale=scale, name=site.path
            )
        case LocalResponseNorm(size, alpha, beta, k):
            return LocalResponseNormalization(size, alpha, beta, k, name=site.path)
        case MaxPool() as layer:
            return _max_pool(layer, site)
        case AvgPool() as layer:
            return _avg_pool(layer, site)
        case AdaptiveAvgPool(output_size):
            return keras.layers.AdaptiveAveragePooling2D(
                output_size, **CHANNELS_LAST, name=site.path
            )
        case GlobalAvgPool():
            return keras.layers.GlobalAveragePooling2D(**CHANNELS_LAST, name=site.path)
        case ReLU():
            return keras.layers.ReLU(name=site.path)
        case Dropout(rate):
            return keras.layers.Dropout(rate, name=site.path)
        case Dense(out_features, bias):
            dense = keras.layers.Dense(out_features, use_bias=bias, name=site.path)
            if len(site.in_shape) == 1:
                return dense
            return _chain(keras.layers.Flatten(**CHANNELS_LAST, name=f"{site.path}.flatten"), dense)
        case Scale(factor, when):
            return Scaled(factor, when, name=site.path)
        case _:
            assert_never(site.layer)


def compose(site: CompositeSite, children: dict[str, Call]) -> Call:
    """The native layers of a composite, its children in place."""
    match site.layer:
        case Sequential() if aux_heads(site.layer):
            return _trunk(site.layer, children)
        case Sequential():
            return _chain(*children.values())
        case Concat():
            return _parallel(keras.layers.Concatenate(name=site.path), *children.values())
        case Residual(scale=scale):
            return _parallel(
                ResidualSum(scale, name=site.path), children["body"], children["shortcut"]
            )
        case Aux():
            return children["head"]
        case _:
            assert_never(site.layer)


def _conv(layer: Conv, site: LeafSite) -> Call:
    settings = {
        "strides": layer.stride,
        "groups": layer.groups,
        "use_bias": layer.bias,
        **CHANNELS_LAST,
    }
    around = explicit_padding(layer)
    padding = _padding(around, layer, site)
    if padding is not None:
        return keras.layers.Conv2D(
            layer.out_channels, layer.kernel_size, padding=padding, name=site.path, **settings
        )
    return _chain(
        keras.layers.ZeroPadding2D(around, **CHANNELS_LAST, name=f"{site.path}.padding"),
        keras.layers.Conv2D(layer.out_channels, layer.kernel_size, name=site.path, **settings),
    )


def _max_pool(layer: MaxPool, site: LeafSite) -> Call:
    around = _padding_around(layer, site)
    padding = _padding(around, layer, site)
    if padding is not None:
        return keras.layers.MaxPooling2D(
            layer.kernel_size, layer.stride, padding, **CHANNELS_LAST, name=site.path
        )
    return PaddedMaxPooling2D(layer.kernel_size, layer.stride, around, name=site.path)


def _avg_pool(layer: AvgPool, site: LeafSite) -> Call:
    around = _padding_around(layer, site)
    padding = _padding(around, layer, site)
    # TensorFlow's own average never counts padding.
    if padding is not None and (
        not layer.count_include_pad or explicit_padding(layer) == NO_PADDING
    ):
        return keras.layers.AveragePooling2D(
            layer.kernel_size, layer.stride, padding, **CHANNELS_LAST, name=site.path
        )
    counted = average_divisor(layer, site.in_shape, window_count(site)).tolist()
    return PaddedAveragePooling2D(layer.kernel_size, layer.stride, around, counted, name=site.path)


def _padding_around(layer: MaxPool | AvgPool, site: LeafSite) -> ExplicitPadding:
    """The padding with which windows that round down, as Keras's always do, are the layer's own."""
    if not layer.ceil_mode:
        return explicit_padding(layer)
    (top, bottom), (left, right) = extent_padding(layer, site.in_shape, window_count(site))
    return (top, max(bottom, 0)), (left, max(right, 0))


def _padding(
    around: ExplicitPadding, layer: Conv | MaxPool | AvgPool, site: LeafSite
) -> str | None:
    """Keras's name of a padding, or None if it has none for this size of input: at a stride, "same"
    is not symmetric at every size.
    """

    def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2

    if around == NO_PADDING:
        return "valid"
    return (
        "same"
        if around == tuple(map(same, site.in_shape[1:], layer.kernel_size, layer.stride))
        else None
    )


def _padded(shape, padding_around):
    """The shape (N, H, W, C) of a map with ((top, bottom), (left, right)) around it; an unknown
    size, None, stays so.
    """
    batch, height, width, channels = shape
    (top, bottom), (left, right) = padding_around
    return batch, height and height + top + bottom, width and width + left + right, channels


_traced_without_xla = ContextVar("traced without XLA", default=False)


@contextmanager
def without_xla() -> Iterator[None]:
    """What is traced in here is never compiled by XLA."""
    token = _traced_without_xla.set(True)
    try:
        yield
    finally:
        _traced_without_xla.reset(token)


@register
class PaddedMaxPooling2D(keras.layers.MaxPooling2D):
    """Max pooling with −∞ around its input: (N, H, W, C) → (N, H', W', C)."""

    def __init__(self, pool_size, strides, padding_around, **kwargs) -> None:
        super().__init__(pool_size, strides, **{**kwargs, **CHANNELS_LAST})
        self.padding_around = padding_around

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        padding = [[0, 0], *self.padding_around, [0, 0]]
        # Eagerly over twice as fast, and no padded map is kept for the gradient; but XLA, which may
        # compile a graph, has no such pooling.
        if tf.executing_eagerly() or _traced_without_xla.get():
            return tf.nn.max_pool2d(inputs, self.pool_size, self.strides, padding)
        return super().call(tf.pad(inputs, padding, constant_values=-float("inf")))

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(_padded(input_shape, self.padding_around))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding_around": self.padding_around}


@register
class PaddedAveragePooling2D(keras.layers.AveragePooling2D):
    """Average pooling with zeros around its input and the number of elements that each window
    counts (H', W').
    """

    def __init__(self, pool_size, strides, padding_around, counted, **kwargs) -> None:
        super().__init__(pool_size, strides, **{**kwargs, **CHANNELS_LAST})
        self.padding_around = padding_around
        self.counted = counted

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        height, width = self.pool_size
        mean = super().call(tf.pad(inputs, [[0, 0], *self.padding_around, [0, 0]]))
        return mean * (height * width / tf.constant(self.counted, mean.dtype)[:, :, None])

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(_padded(input_shape, self.padding_around))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "padding_around": self.padding_around,
            "counted": self.counted,
        }


@register
class LocalResponseNormalization(keras.layers.Layer):
    """`x / (k + alpha / size · Σ x²)^beta` over the `size` channels around each; TensorFlow's own
    does not divide by size.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float, **kwargs) -> None:
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.local_response_normalization(
            inputs, self.size // 2, self.k, self.alpha / self.size, self.beta
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
        }


@register
class Scaled(keras.layers.Layer):
    """`factor · x` in the modes that `when` names."""

    def __init__(self, factor: float, when: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.factor, self.when = factor, when

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return (
            inputs * self.factor
            if self.when in ("always", "train" if training else "eval")
            else inputs
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "when": self.when}


@register
class ResidualSum(keras.layers.Layer):
    """`shortcut + scale · body` of the list [body, shortcut]."""

    def __init__(self, scale: float, **kwargs) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        body, shortcut = inputs
        return shortcut + self.scale * body

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


def _chain(*calls: Call) -> Call:
    """Each applied to the result of the one before."""

    def call(x: Any) -> Any:
        for one in calls:
            x = one(x)
        return x

    return call


def _parallel(join: Call, *calls: Call) -> Call:
    """All applied to one tensor, their results joined."""
    return lambda x: join([one(x) for one in calls])


def _trunk(layer: Sequential, children: dict[str, Call]) -> Call:
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...)."""
    heads = {name for name, child in layer.children if isinstance(child, Aux)}
    trunks = {name for name, child in layer.children if aux_heads(child)}

    def call(x: Any) -> tuple[Any, ...]:
        outputs: list[Any] = []
        for name, child in children.items():
            if name in heads:
                outputs.append(child(x))
            elif name in trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)

    return call
