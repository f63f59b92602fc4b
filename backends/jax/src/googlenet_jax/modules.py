"""Layers that Flax lacks. Each class can be copied out whole: it needs JAX and Flax, and nothing
else.

Paddings are ((top, bottom), (left, right)). Maps are (N, H, W, C) of any floating dtype.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


class Sequential(nnx.Module):
    """Layers in sequence, under their names."""

    def __init__(self, **layers: nnx.Module) -> None:
        self._order = tuple(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def __call__(self, x: jax.Array) -> jax.Array:
        for name in self._order:
            x = getattr(self, name)(x)
        return x


class ReLU(nnx.Module):
    """max(x, 0) as a layer."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(x)


class MaxPool(nnx.Module):
    """Max pooling with −∞ around its input; windows round down: (N, H, W, C) → (N, H', W', C). Of
    equal maxima the first in row-major order takes the gradient.

    `nnx.max_pool` is the same function, but XLA's `select_and_scatter`, which its gradient becomes,
    takes twenty times as long on a CPU, and seconds to compile.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding: int | tuple[tuple[int, int], tuple[int, int]] = 0,
    ) -> None:
        self.kernel_size = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
        self.strides = (strides,) * 2 if isinstance(strides, int) else strides
        self.padding = ((padding, padding),) * 2 if isinstance(padding, int) else padding

    def __call__(self, x: jax.Array) -> jax.Array:
        y: jax.Array = self.largest(x, self.kernel_size, self.strides, self.padding)
        return y

    @staticmethod
    @partial(jax.jit, static_argnums=(1, 2, 3))  # for users without `jit`: one operation, not fifty
    def largest(x: jax.Array, *window: Any) -> jax.Array:
        """The maxima of the windows (kernel_size, strides, padding)."""

        @jax.custom_jvp
        def largest(x: jax.Array) -> jax.Array:
            # Which of the two is faster depends on the strides.
            return place(x)[0] if window[1] == (1, 1) else nnx.max_pool(x, *window)

        @largest.defjvp
        def selected(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
            y, places = place(*primals)
            tangent = jnp.zeros_like(y)
            for number, each in enumerate(shifted(tangents[0], 0.0)):
                tangent = tangent + jnp.where(places == number, each, 0)
            return y, tangent

        def place(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            """The maxima, and which place in its window each has."""
            y, *others = shifted(x, -jnp.inf)
            places = jnp.zeros(y.shape, jnp.uint8 if len(others) < 256 else jnp.int32)
            for number, each in enumerate(others, 1):
                larger = (each > y) | jnp.isnan(each)
                y = jnp.where(larger, each, y)
                places = jnp.where(larger, jnp.array(number, places.dtype), places)
            return y, places

        def shifted(x: jax.Array, around: float) -> list[jax.Array]:
            """For each place in a window, what all windows have there."""
            (rows, columns), (down, right), padding = window
            sides = [(before, after, 0) for before, after in padding]
            x = lax.pad(x, jnp.array(around, x.dtype), [(0, 0, 0), *sides, (0, 0, 0)])
            height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
            return [
                x[:, row : row + height : down, column : column + width : right]
                for row in range(rows)
                for column in range(columns)
            ]

        return largest(x)


class AvgPool(nnx.Module):
    """Average pooling with zeros around its input: (N, H, W, C) → (N, H', W', C). The padding
    counts if `count_include_pad`; a negative one, at the bottom or on the right, cuts off. Windows
    round up with `ceil_mode`, and what hangs over beyond the padding never counts.

    `nnx.avg_pool` takes four times as long on a CPU.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding: int | tuple[tuple[int, int], tuple[int, int]] = 0,
        count_include_pad: bool = True,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
        self.strides = (strides,) * 2 if isinstance(strides, int) else strides
        self.padding = ((padding, padding),) * 2 if isinstance(padding, int) else padding
        self.count_include_pad, self.ceil_mode = count_include_pad, ceil_mode

    def __call__(self, x: jax.Array) -> jax.Array:
        window = (self.kernel_size, self.strides, self.padding, self.ceil_mode)
        if self.count_include_pad and not self.ceil_mode:
            rows, columns = self.kernel_size
            counts: Any = rows * columns
        else:
            ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
            counts = self.total(ones, int(self.count_include_pad), *window)
        y: jax.Array = self.total(x, 0, *window) / counts
        return y

    @staticmethod
    @partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
    def total(x: jax.Array, around: int, *window: Any) -> jax.Array:
        """The sum over each of the windows (kernel_size, strides, padding, ceil_mode) of `x`, with
        the number `around` as its padding.
        """
        (rows, columns), (down, right), padding, ceil_mode = window
        sides = [(before, after, 0) for before, after in padding]
        x = lax.pad(x, jnp.array(around, x.dtype), [(0, 0, 0), *sides, (0, 0, 0)])
        if ceil_mode:
            over = (rows - x.shape[1]) % down, (columns - x.shape[2]) % right
            x = jnp.pad(x, ((0, 0), (0, over[0]), (0, over[1]), (0, 0)))
        height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
        y = jnp.zeros((), x.dtype)
        for row in range(rows):
            for column in range(columns):
                y = y + x[:, row : row + height : down, column : column + width : right]
        return y


class AdaptiveAvgPool(nnx.Module):
    """Means over windows that cover the map: (N, H, W, C) → (N, *output_size, C). Window i of n
    along a side of s pixels is that from ⌊i·s/n⌋ to ⌈(i+1)·s/n⌉.
    """

    def __init__(self, output_size: tuple[int, int]) -> None:
        self.output_size = output_size

    def __call__(self, x: jax.Array) -> jax.Array:
        counts = []
        for axis, count in zip((1, 2), self.output_size, strict=True):
            size = x.shape[axis]
            ends = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
            x = jnp.stack(
                [lax.slice_in_dim(x, *end, axis=axis).sum(axis) for end in ends], axis=axis
            )
            counts.append(jnp.array([stop - start for start, stop in ends], x.dtype))
        rows, columns = counts
        return x / (rows[:, None] * columns)[..., None]


class GlobalAvgPool(nnx.Module):
    """The mean over height and width: (N, H, W, C) → (N, C)."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x.mean((1, 2))


class LocalResponseNorm(nnx.Module):
    """`x / (k + alpha / size · Σ x²)^beta` over the `size` channels around each."""

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def __call__(self, x: jax.Array) -> jax.Array:
        around = (self.size // 2, (self.size - 1) // 2)
        squares = jnp.pad(x * x, ((0, 0), (0, 0), (0, 0), around))
        last = x.shape[-1]
        total = sum(
            lax.slice_in_dim(squares, start, start + last, axis=-1) for start in range(self.size)
        )
        return x / (self.k + self.alpha / self.size * total) ** self.beta


class MapLinear(nnx.Linear):
    """A dense layer on a map: (N, H, W, C) → (N, O), flattened in the order H, W, C."""

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        out_features: int,
        *,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        height, width, channels = in_shape
        super().__init__(height * width * channels, out_features, use_bias=use_bias, rngs=rngs)

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        return super().__call__(inputs.reshape(len(inputs), -1), out_sharding)


class Scaled(nnx.Module):
    """`train_factor · x` in training mode, `eval_factor · x` in evaluation mode, which is called
    `deterministic`, as in dropout.
    """

    def __init__(self, train_factor: float, eval_factor: float) -> None:
        self.train_factor, self.eval_factor = train_factor, eval_factor
        self.deterministic = False

    def __call__(self, x: jax.Array) -> jax.Array:
        return x * (self.eval_factor if self.deterministic else self.train_factor)


class Concatenation(nnx.Module):
    """Branches on one input, their outputs joined along the channels, in order."""

    def __init__(self, branches: dict[str, nnx.Module]) -> None:
        self._order = tuple(branches)
        for name, branch in branches.items():
            setattr(self, name, branch)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([getattr(self, name)(x) for name in self._order], axis=-1)


class ResidualSum(nnx.Module):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(self, body: nnx.Module, shortcut: nnx.Module, scale: float) -> None:
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut: jax.Array = self.shortcut(x)
        body: jax.Array = self.body(x)
        return shortcut + self.scale * body


class Trunk(nnx.Module):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...).

    `heads` are the children that are heads, `trunks` those that have heads inside.
    """

    def __init__(
        self, children: dict[str, nnx.Module], heads: tuple[str, ...], trunks: tuple[str, ...]
    ) -> None:
        self._order, self._heads, self._trunks = tuple(children), heads, trunks
        for name, child in children.items():
            setattr(self, name, child)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
        outputs: list[jax.Array] = []
        for name in self._order:
            child = getattr(self, name)
            if name in self._heads:
                outputs.append(child(x))
            elif name in self._trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)
