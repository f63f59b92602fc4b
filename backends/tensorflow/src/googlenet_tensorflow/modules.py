"""Layers that Keras lacks, on TensorFlow. Each class can be copied out whole: it needs Keras and
TensorFlow, and nothing else.

Paddings are ((top, bottom), (left, right)). Maps are (N, H, W, C) of any floating dtype.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class PaddedMaxPooling2D(keras.layers.MaxPooling2D):
    """Max pooling with −∞ around its input; windows round down: (N, H, W, C) → (N, H', W', C).

    TensorFlow's pooling with explicit padding is over twice as fast, and keeps no padded map for
    the gradient; but XLA, which may compile a graph, lacks this pooling. `xla` says that it may.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding_around: tuple[tuple[int, int], tuple[int, int]],
        **kwargs: Any,
    ) -> None:
        kwargs["data_format"] = "channels_last"  # whatever a user's keras.json says
        super().__init__(pool_size, strides, **kwargs)
        self.padding_around = padding_around
        self.xla = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        padding = [[0, 0], *self.padding_around, [0, 0]]
        if tf.executing_eagerly() or not self.xla:
            return tf.nn.max_pool2d(inputs, self.pool_size, self.strides, padding)
        return super().call(tf.pad(inputs, padding, constant_values=-float("inf")))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        batch, height, width, channels = input_shape
        (top, bottom), (left, right) = self.padding_around
        padded = (height and height + top + bottom, width and width + left + right)
        return super().compute_output_shape((batch, *padded, channels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding_around": self.padding_around}


class PaddedAveragePooling2D(keras.layers.Layer):
    """Average pooling with zeros around its input; windows round up, and what hangs over beyond the
    padding never counts: (N, H, W, C) → (N, H', W', C).

    The padding counts if `count_include_pad`; a negative one, at the bottom or on the right, cuts
    off.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding: tuple[tuple[int, int], tuple[int, int]],
        count_include_pad: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = (pool_size, pool_size) if isinstance(pool_size, int) else tuple(pool_size)
        self.strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
        self.padding = padding
        self.count_include_pad = count_include_pad

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        (top, bottom), (left, right) = self.padding
        x = inputs[:, : min(bottom, 0) or None, : min(right, 0) or None]
        padding = [[0, 0], [top, max(bottom, 0)], [left, max(right, 0)], [0, 0]]
        ones = tf.pad(
            tf.ones_like(x[:1, :, :, :1]), padding, constant_values=int(self.count_include_pad)
        )
        x = tf.pad(x, padding)
        unknown = tf.shape(x)
        sizes = [x.shape[axis] or unknown[axis] for axis in (1, 2)]
        windows = zip(sizes, self.pool_size, self.strides, strict=True)
        over = [[0, (kernel - size) % stride] for size, kernel, stride in windows]
        mean, counted = (
            tf.nn.avg_pool2d(
                tf.pad(each, [[0, 0], *over, [0, 0]]), self.pool_size, self.strides, "VALID"
            )
            for each in (x, ones)
        )
        return mean / counted

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, *sides, channels = input_shape
        windows = zip(sides, self.padding, self.pool_size, self.strides, strict=True)
        counts = [
            size and -(-(size + before + after - kernel) // stride) + 1
            for size, (before, after), kernel, stride in windows
        ]
        return (batch, *counts, channels)

    def get_config(self) -> dict[str, Any]:
        window = {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}
        counted = {"count_include_pad": self.count_include_pad}
        return {**super().get_config(), **window, **counted}


class LocalResponseNormalization(keras.layers.Layer):
    """`x / (k + alpha / size · Σ x²)^beta` over the `size` channels around each; TensorFlow's own
    does not divide by size.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.local_response_normalization(
            inputs, self.size // 2, self.k, self.alpha / self.size, self.beta
        )

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        settings = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**super().get_config(), **settings}


class Scaled(keras.layers.Layer):
    """`train_factor · x` in training mode, `eval_factor · x` in evaluation mode."""

    def __init__(self, train_factor: float, eval_factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.train_factor, self.eval_factor = train_factor, eval_factor

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return inputs * (self.train_factor if training else self.eval_factor)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        factors = {"train_factor": self.train_factor, "eval_factor": self.eval_factor}
        return {**super().get_config(), **factors}


class ResidualSum(keras.layers.Layer):
    """`shortcut + scale · body` from the list [body, shortcut]."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        body, shortcut = inputs
        return shortcut + self.scale * body

    def compute_output_shape(self, input_shape: list[tuple[int, ...]]) -> tuple[int, ...]:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}
