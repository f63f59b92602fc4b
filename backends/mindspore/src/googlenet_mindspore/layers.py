"""Each layer of the spec as MindSpore has it, children under the spec's own names. Maps are (N, C,
H, W).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import assert_never

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from googlenet.backend.geometry import explicit_padding, extent_padding, is_symmetric, window_count
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


def leaf(site: LeafSite) -> nn.Cell:
    """The native layer of a leaf, its weights not yet set."""
    match site.layer:
        case Conv() as layer:
            return _conv(layer, site)
        case BatchNorm(eps, momentum, scale):
            norm = nn.BatchNorm2d(site.in_shape[0], eps, 1 - momentum)
            norm.gamma.requires_grad = scale
            return norm
        case LocalResponseNorm(size, alpha, beta, k):
            return LocalResponseNorm2d(site.in_shape[0], size, alpha, beta, k)
        case MaxPool() as layer:
            return _max_pool(layer, site)
        case AvgPool() as layer:
            return _avg_pool(layer, site)
        case AdaptiveAvgPool(output_size):
            return nn.AdaptiveAvgPool2d(output_size)
        case GlobalAvgPool():
            return GlobalAvgPool2d()
        case ReLU():
            return nn.ReLU()
        case Dropout(rate):
            return nn.Dropout(p=rate)
        case Dense(out_features, bias):
            if len(site.in_shape) == 1:
                return nn.Dense(site.in_shape[0], out_features, has_bias=bias)
            return MapDense(site.in_shape, out_features, bias)
        case Scale(factor, when):
            return Scaled(factor, when)
        case _:
            assert_never(site.layer)


def compose(site: CompositeSite, children: dict[str, nn.Cell]) -> nn.Cell:
    """The native cell of a composite, its children in place."""
    match site.layer:
        case Sequential() if aux_heads(site.layer):
            return Trunk(site.layer, children)
        case Sequential():
            return nn.SequentialCell(OrderedDict(children))
        case Concat():
            return Concatenation(children)
        case Residual(scale=scale):
            return ResidualSum(children["body"], children["shortcut"], scale)
        case Aux():
            return children["head"]
        case _:
            assert_never(site.layer)


def _conv(layer: Conv, site: LeafSite) -> nn.Cell:
    settings = {"stride": layer.stride, "group": layer.groups, "has_bias": layer.bias}
    padding = _flat(explicit_padding(layer))
    return nn.Conv2d(
        site.in_shape[0],
        layer.out_channels,
        layer.kernel_size,
        pad_mode="pad",
        padding=padding,
        **settings,
    )


def _max_pool(layer: MaxPool, site: LeafSite) -> nn.Cell:
    (top, _), (left, _) = padding = explicit_padding(layer)
    if padding == NO_PADDING and not layer.ceil_mode:
        return nn.MaxPool2d(layer.kernel_size, layer.stride)
    if _is_same(layer, site):
        return nn.MaxPool2d(layer.kernel_size, layer.stride, "same")
    if is_symmetric(layer):
        return SymmetricMaxPool2d(layer.kernel_size, layer.stride, (top, left), layer.ceil_mode)
    return PaddedMaxPool2d(
        layer.kernel_size, layer.stride, extent_padding(layer, site.in_shape, window_count(site))
    )


def _avg_pool(layer: AvgPool, site: LeafSite) -> nn.Cell:
    (top, _), (left, _) = padding = explicit_padding(layer)
    if is_symmetric(layer):
        return nn.AvgPool2d(
            layer.kernel_size,
            layer.stride,
            "pad",
            (top, left),
            layer.ceil_mode,
            layer.count_include_pad,
        )
    return PaddedAvgPool2d(
        layer.kernel_size, layer.stride, padding, layer.ceil_mode, layer.count_include_pad
    )


def _is_same(layer: MaxPool, site: LeafSite) -> bool:
    """Whether pad_mode="same" is these windows: ⌈size / stride⌉ of them, the odd element of padding
    after the input.
    """
    count = window_count(site)
    padding = extent_padding(layer, site.in_shape, count)
    if not layer.ceil_mode and padding != explicit_padding(layer):
        return False
    axes = zip(site.in_shape[1:], layer.stride, count, padding, strict=True)
    return all(
        n == -(-size // stride) and before == max(before + after, 0) // 2
        for size, stride, n, (before, after) in axes
    )


def _flat(padding_around):
    """((top, bottom), (left, right)) in the order of MindSpore's layers."""
    (top, bottom), (left, right) = padding_around
    return (top, bottom, left, right)


class LocalResponseNorm2d(nn.Cell):
    """Normalisation across channels; the sum over neighbouring channels is a 1×1 convolution with
    fixed weights.

    `ops.LRN` stops on the CPU with "could not execute a primitive" if there are 16, 24, 32, 40, ...
    channels (MindSpore 2.8.0).
    """

    def __init__(self, channels: int, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        position = np.arange(channels)
        neighbours = abs(position[:, None] - position) <= size // 2
        self.shares = ms.Tensor(neighbours[:, :, None, None] * (alpha / size), ms.float32)
        self.convolve = ops.Conv2D(channels, 1)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return x * ops.pow(self.k + self.convolve(x * x, self.shares), -self.beta)

    def extend_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class SymmetricMaxPool2d(nn.Cell):
    """Max pooling with −∞ around its input, as much before as after.

    `nn.MaxPool2d(pad_mode="pad")` is the same function and takes more than three times as long: it
    finds the positions, too.
    """

    def __init__(self, kernel_size, stride, padding, ceil_mode) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding, self.ceil_mode = (
            kernel_size,
            stride,
            padding,
            ceil_mode,
        )
        self.max_pool = ops.MaxPool3D(
            (1, *kernel_size), (1, *stride), "pad", (0, *padding), ceil_mode
        )

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return self.max_pool(x.unsqueeze(2)).squeeze(2)

    def extend_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding},"
            f" ceil_mode={self.ceil_mode}"
        )


class PaddedMaxPool2d(nn.MaxPool2d):
    """Max pooling with −∞ around its input."""

    def __init__(self, kernel_size, stride, padding_around) -> None:
        super().__init__(kernel_size, stride)
        # What a negative padding would cut off is beyond the last window; `ops.pad` spoils memory
        # then (MindSpore 2.8.0).
        self.padding_around = tuple(max(side, 0) for side in _flat(padding_around))

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        top, bottom, left, right = self.padding_around
        return super().construct(ops.pad(x, (left, right, top, bottom), value=-float("inf")))

    def extend_repr(self) -> str:
        return f"{super().extend_repr()}, padding_around={self.padding_around}"


class PaddedAvgPool2d(nn.Cell):
    """Average pooling with zeros around its input, ((top, bottom), (left, right)); `nn.AvgPool2d`
    can only pad symmetrically.
    """

    def __init__(self, kernel_size, stride, padding_around, ceil_mode, count_include_pad) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.ceil_mode, self.count_include_pad = (
            kernel_size,
            stride,
            ceil_mode,
            count_include_pad,
        )
        self.padding_around = _flat(padding_around)
        self.avg_pool = ops.AvgPool3D(
            (1, *kernel_size),
            (1, *stride),
            "pad",
            (0, 0, *self.padding_around),
            ceil_mode,
            count_include_pad,
        )

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return self.avg_pool(x.unsqueeze(2)).squeeze(2)

    def extend_repr(self) -> str:
        window = (
            f"kernel_size={self.kernel_size}, stride={self.stride},"
            f" padding_around={self.padding_around}"
        )
        return f"{window}, ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad}"


class GlobalAvgPool2d(nn.AdaptiveAvgPool2d):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def __init__(self) -> None:
        super().__init__(1)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return super().construct(x).flatten(start_dim=1)


class MapDense(nn.Dense):
    """A dense layer on a map: (N, C, H, W) → (N, O), flattened in the order C, H, W."""

    def __init__(self, in_shape, out_features, bias) -> None:
        channels, height, width = in_shape
        super().__init__(channels * height * width, out_features, has_bias=bias)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return super().construct(x.flatten(start_dim=1))


class Scaled(nn.Cell):
    """`factor · x` in the modes that `when` names."""

    def __init__(self, factor: float, when: str) -> None:
        super().__init__()
        self.factor, self.when = factor, when

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        if self.when == "always" or self.when == ("train" if self.training else "eval"):
            return x * self.factor
        return x

    def extend_repr(self) -> str:
        return f"{self.factor}, when={self.when!r}"


class Concatenation(nn.SequentialCell):
    """Branches joined along the channels, in order."""

    def __init__(self, branches: dict[str, nn.Cell]) -> None:
        super().__init__(OrderedDict(branches))

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        outputs = []
        for branch in self.cell_list:
            outputs.append(branch(x))
        return ops.cat(outputs, 1)


class ResidualSum(nn.Cell):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(self, body: nn.Cell, shortcut: nn.Cell, scale: float) -> None:
        super().__init__()
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return self.shortcut(x) + self.scale * self.body(x)

    def extend_repr(self) -> str:
        return f"scale={self.scale}"


class Trunk(nn.SequentialCell):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...)."""

    def __init__(self, layer: Sequential, children: dict[str, nn.Cell]) -> None:
        super().__init__(OrderedDict(children))
        self.names = tuple(children)
        self.heads = tuple(name for name, child in layer.children if isinstance(child, Aux))
        self.trunks = tuple(name for name, child in layer.children if aux_heads(child))

    def construct(self, x: ms.Tensor) -> tuple[ms.Tensor, ...]:
        outputs = ()
        for position, child in enumerate(self.cell_list):
            name = self.names[position]
            if name in self.heads:
                outputs += (child(x),)
            elif name in self.trunks:
                result = child(x)
                x = result[0]
                outputs += result[1:]
            else:
                x = child(x)
        return (x, *outputs)
