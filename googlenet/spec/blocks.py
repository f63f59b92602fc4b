"""Lenient constructors: numbers for pairs, keywords for named children. They normalise once; the
spec is strict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial, wraps
from typing import ParamSpec, TypeAlias, TypeVar

from ..errors import SpecError
from .layers import (
    NO_PADDING,
    SAME,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    ExplicitPadding,
    Layer,
    LocalResponseNorm,
    MaxPool,
    Padding,
    Pair,
    ReLU,
    Residual,
    Scale,
    Sequential,
    plain,
)

PairLike: TypeAlias = int | Pair
PaddingLike: TypeAlias = int | Pair | ExplicitPadding | str


P = ParamSpec("P")
Block = TypeVar("Block", Sequential, Concat, Residual)


def called(block: str) -> Callable[[Callable[P, Block]], Callable[P, Block]]:
    """A decorator for a function that makes a composite: the label `block`, which is what the paper
    calls it (`Inception`, `ReductionA`).
    """

    def decorate(make: Callable[P, Block]) -> Callable[P, Block]:
        @wraps(make)
        def made(*args: P.args, **kwargs: P.kwargs) -> Block:
            return replace(make(*args, **kwargs), block=block)

        return made

    return decorate


def pair(value: PairLike) -> Pair:
    """`3` → `(3, 3)`; a pair (height, width) stays as it is."""
    value = plain(value)
    return (value, value) if isinstance(value, int) else value


def padding_of(value: PaddingLike) -> Padding:
    """`1` or `(1, 2)` (height, width) → `((1, 1), (2, 2))`; `"same"` and explicit padding stay as
    they are.
    """
    if isinstance(value, str):
        if value != SAME:
            raise SpecError(f"padding: expected SAME ({SAME!r}) or numbers, got {value!r}")
        return SAME
    match plain(value):
        case int(side):
            return (side, side), (side, side)
        case (int(height), int(width)):
            return (height, height), (width, width)
        case (tuple(height), tuple(width)):
            return height, width
    raise SpecError(
        "padding: expected an integer, (height, width), ((top, bottom), (left, right)) or SAME,"
        f" got {value!r}"
    )


def sequential(**children: Layer) -> Sequential:
    """`Sequential` with its children as keywords, in that order."""
    return Sequential(tuple(children.items()))


def conv_layer(
    out_channels: int,
    kernel_size: PairLike,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    *,
    groups: int = 1,
    bias: bool = True,
) -> Conv:
    """A single convolution (C, H, W) → (out_channels, H', W')."""
    return Conv(out_channels, pair(kernel_size), pair(stride), padding_of(padding), groups, bias)


def conv(
    out_channels: int,
    kernel_size: PairLike,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    *,
    norm: BatchNorm | None = None,
    bias: bool | None = None,
    relu: bool = True,
) -> Sequential:
    """Convolution and ReLU as `conv`, `relu`; with `norm`, `conv` without bias, `norm`, `relu`
    (arXiv:1502.03167, 3.2).

    `bias` overrides whether the convolution has one; without `relu` the result is linear.
    """
    layers: dict[str, Layer] = {
        "conv": conv_layer(
            out_channels, kernel_size, stride, padding, bias=norm is None if bias is None else bias
        )
    }
    if norm is not None:
        layers["norm"] = norm
    if relu:
        layers["relu"] = ReLU()
    block = f"Conv{'Norm' if norm is not None else ''}{'ReLU' if relu else ''}"
    return replace(sequential(**layers), block=block if len(layers) > 1 else "")


def max_pool(
    kernel_size: PairLike, stride: PairLike, padding: PaddingLike = 0, *, ceil_mode: bool = False
) -> MaxPool:
    """Max pooling (C, H, W) → (C, H', W')."""
    return MaxPool(pair(kernel_size), pair(stride), padding_of(padding), ceil_mode)


def avg_pool(
    kernel_size: PairLike,
    stride: PairLike,
    padding: PaddingLike = 0,
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> AvgPool:
    """Average pooling (C, H, W) → (C, H', W')."""
    return AvgPool(
        pair(kernel_size), pair(stride), padding_of(padding), ceil_mode, count_include_pad
    )


def batch_norm(eps: float = 1e-5, momentum: float = 0.1, *, scale: bool = True) -> BatchNorm:
    """Batch normalisation; `momentum` is the weight of the new batch."""
    return BatchNorm(eps, momentum, scale)


def local_response_norm(
    size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> LocalResponseNorm:
    """Local response normalisation with GoogLeNet's constants as the default."""
    return LocalResponseNorm(size, alpha, beta, k)


def dropout(rate: float, *, upscales: bool = True) -> dict[str, Layer]:
    """Dropout as the child `dropout`, for `sequential(**...)`; no child at rate 0.

    Unless it `upscales`, a further child `scale` undoes the division by `1 − rate` in training, and
    multiplies by `1 − rate` in evaluation: what PaddlePaddle calls `downscale_in_infer`, as in
    Srivastava et al. 2014.
    """
    if rate == 0:
        return {}
    scale: dict[str, Layer] = {} if upscales else {"scale": Scale(1 - rate, "always")}
    return {"dropout": Dropout(rate), **scale}


def concat(**branches: Layer) -> Concat:
    """`Concat` with its branches as keywords, in that order."""
    return Concat(tuple(branches.items()))


def residual(body: Layer, shortcut: Layer | None = None, *, scale: float = 1.0) -> Residual:
    """`shortcut(x) + scale · body(x)`; without a shortcut, the identity."""
    return Residual(body, Sequential(()) if shortcut is None else shortcut, scale)


@called("Inception")
def inception(
    conv_1x1: int,
    reduce_3x3: int,
    conv_3x3: int,
    reduce_5x5: int,
    conv_5x5: int,
    pool_proj: int,
    *,
    norm: BatchNorm | None = None,
    bias: bool | None = None,
    relu_after_reduce: bool = True,
    kernel_5x5: int = 5,
) -> Concat:
    """An Inception block, arguments in the order of the columns of arXiv:1409.4842, table 1 (figure
    2b).

    (C, H, W) → (conv_1x1 + conv_3x3 + conv_5x5 + pool_proj, H, W). `norm` and `bias` are those of
    `conv`; the last two arguments are deviations that published weights were trained with:
    reductions without ReLU, and another kernel in the 5×5 branch.
    """
    unit = partial(conv, norm=norm, bias=bias)
    reduce = partial(unit, relu=relu_after_reduce)
    return concat(
        branch_1x1=unit(conv_1x1, 1),
        branch_3x3=sequential(reduce=reduce(reduce_3x3, 1), conv=unit(conv_3x3, 3, 1, 1)),
        branch_5x5=sequential(
            reduce=reduce(reduce_5x5, 1), conv=unit(conv_5x5, kernel_5x5, 1, kernel_5x5 // 2)
        ),
        branch_pool=sequential(pool=max_pool(3, 1, 1), project=unit(pool_proj, 1)),
    )


__all__ = [
    "NO_PADDING",
    "avg_pool",
    "batch_norm",
    "called",
    "concat",
    "conv",
    "conv_layer",
    "dropout",
    "inception",
    "local_response_norm",
    "max_pool",
    "padding_of",
    "pair",
    "residual",
    "sequential",
]
