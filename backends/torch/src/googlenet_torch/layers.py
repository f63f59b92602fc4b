"""Each layer of the spec as PyTorch has it, children under the spec's own names. Maps are (N, C, H,
W).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import assert_never

import torch
from torch import nn
from torch.nn import functional

from googlenet.backend.geometry import (
    average_divisor,
    explicit_padding,
    extent_padding,
    is_symmetric,
    window_count,
)
from googlenet.spec.layers import (
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


def leaf(site: LeafSite) -> nn.Module:
    """The native layer of a leaf, its weights not yet set."""
    match site.layer:
        case Conv() as layer:
            return _conv(layer, site)
        case BatchNorm(eps, momentum, scale):
            norm = nn.BatchNorm2d(site.in_shape[0], eps, momentum)
            norm.weight.requires_grad_(scale)
            return norm
        case LocalResponseNorm(size, alpha, beta, k):
            return nn.LocalResponseNorm(size, alpha, beta, k)
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
            return nn.Dropout(rate)
        case Dense(out_features, bias):
            if len(site.in_shape) == 1:
                return nn.Linear(site.in_shape[0], out_features, bias)
            return MapLinear(site.in_shape, out_features, bias)
        case Scale(factor, when):
            return Scaled(factor, when)
        case _:
            assert_never(site.layer)


def compose(site: CompositeSite, children: dict[str, nn.Module]) -> nn.Module:
    """The native module of a composite, its children in place."""
    match site.layer:
        case Sequential() if aux_heads(site.layer):
            return Trunk(site.layer, children)
        case Sequential():
            return nn.Sequential(OrderedDict(children))
        case Concat():
            return Concatenation(children)
        case Residual(scale=scale):
            return ResidualSum(children["body"], children["shortcut"], scale)
        case Aux():
            return children["head"]
        case _:
            assert_never(site.layer)


def _conv(layer: Conv, site: LeafSite) -> nn.Module:
    settings = {"stride": layer.stride, "groups": layer.groups, "bias": layer.bias}
    padding = explicit_padding(layer)
    if is_symmetric(layer):
        return nn.Conv2d(
            site.in_shape[0],
            layer.out_channels,
            layer.kernel_size,
            padding=(padding[0][0], padding[1][0]),
            **settings,
        )
    return PaddedConv2d(
        site.in_shape[0], layer.out_channels, layer.kernel_size, padding_around=padding, **settings
    )


def _max_pool(layer: MaxPool, site: LeafSite) -> nn.Module:
    (top, _), (left, _) = explicit_padding(layer)
    if is_symmetric(layer):
        return nn.MaxPool2d(layer.kernel_size, layer.stride, (top, left), ceil_mode=layer.ceil_mode)
    return PaddedMaxPool2d(
        layer.kernel_size, layer.stride, extent_padding(layer, site.in_shape, window_count(site))
    )


def _avg_pool(layer: AvgPool, site: LeafSite) -> nn.Module:
    (top, _), (left, _) = explicit_padding(layer)
    if is_symmetric(layer):
        return nn.AvgPool2d(
            layer.kernel_size, layer.stride, (top, left), layer.ceil_mode, layer.count_include_pad
        )
    count = window_count(site)
    return PaddedAvgPool2d(
        layer.kernel_size,
        layer.stride,
        extent_padding(layer, site.in_shape, count),
        average_divisor(layer, site.in_shape, count),
    )


def _flat(padding_around):
    """((top, bottom), (left, right)) in the order of `torch.nn.functional.pad`: the last axis
    first.
    """
    (top, bottom), (left, right) = padding_around
    return (left, right, top, bottom)


class PaddedConv2d(nn.Conv2d):
    """A convolution with ((top, bottom), (left, right)) zeros around its input, which need not be
    symmetric.
    """

    def __init__(self, *args, padding_around, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.padding_around = _flat(padding_around)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, self.padding_around))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, padding_around={self.padding_around}"


class PaddedMaxPool2d(nn.MaxPool2d):
    """Max pooling with −∞ around its input."""

    def __init__(self, kernel_size, stride, padding_around) -> None:
        super().__init__(kernel_size, stride)
        self.padding_around = _flat(padding_around)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, self.padding_around, value=-torch.inf))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, padding_around={self.padding_around}"


class PaddedAvgPool2d(nn.AvgPool2d):
    """Average pooling with zeros around its input and the number of elements that each window
    counts.
    """

    def __init__(self, kernel_size, stride, padding_around, counted) -> None:
        super().__init__(kernel_size, stride, divisor_override=1)
        self.padding_around = _flat(padding_around)
        # Made on the CPU even where parameters are not: this is no weight to be filled in later.
        self.register_buffer(
            "counted", torch.tensor(counted, dtype=torch.float32, device="cpu"), persistent=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, self.padding_around)) / self.counted

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, padding_around={self.padding_around}"


class GlobalAvgPool2d(nn.AdaptiveAvgPool2d):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).flatten(1)


class MapLinear(nn.Linear):
    """A dense layer on a map: (N, C, H, W) → (N, O), flattened in the order C, H, W."""

    def __init__(self, in_shape, out_features, bias) -> None:
        channels, height, width = in_shape
        super().__init__(channels * height * width, out_features, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(1))


class Scaled(nn.Module):
    """`factor · x` in the modes that `when` names."""

    def __init__(self, factor: float, when: str) -> None:
        super().__init__()
        self.factor, self.when = factor, when

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (
            x * self.factor if self.when in ("always", "train" if self.training else "eval") else x
        )

    def extra_repr(self) -> str:
        return f"{self.factor}, when={self.when!r}"


class Concatenation(nn.Module):
    """Branches joined along the channels, in order."""

    def __init__(self, branches: dict[str, nn.Module]) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


class ResidualSum(nn.Module):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, scale: float) -> None:
        super().__init__()
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.scale * self.body(x)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class Trunk(nn.Sequential):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...)."""

    def __init__(self, layer: Sequential, children: dict[str, nn.Module]) -> None:
        super().__init__(OrderedDict(children))
        self.heads = tuple(name for name, child in layer.children if isinstance(child, Aux))
        self.trunks = tuple(name for name, child in layer.children if aux_heads(child))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs: list[torch.Tensor] = []
        for name, child in self.named_children():
            if name in self.heads:
                outputs.append(child(x))
            elif name in self.trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)
