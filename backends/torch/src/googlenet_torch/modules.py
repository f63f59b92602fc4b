"""Layers that PyTorch lacks. Each can be copied out whole: it needs PyTorch and nothing else.

Paddings are ((top, bottom), (left, right)). Maps are (N, C, H, W) of any floating dtype.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional


def sequential(**layers: nn.Module) -> nn.Sequential:
    """Layers in sequence, under their names."""
    return nn.Sequential(OrderedDict(layers))


class PaddedConv2d(nn.Conv2d):
    """A convolution with zero padding that need not be symmetric."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        padding_around: tuple[tuple[int, int], tuple[int, int]],
        stride: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, groups=groups, bias=bias)
        (top, bottom), (left, right) = padding_around
        self.padding_around = [left, right, top, bottom]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(x, self.padding_around)
        return functional.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)

    def extra_repr(self) -> str:
        channels, bias = f"{self.in_channels}, {self.out_channels}", self.bias is not None
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, groups={self.groups}"
        return f"{channels}, {window}, bias={bias}, padding_around={self.padding_around}"


class UnscaledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose weight stays 1: training does not change it."""

    def __init__(self, num_features: int, eps: float, momentum: float) -> None:
        super().__init__(num_features, eps, momentum)
        self.weight.requires_grad_(False)


class PaddedMaxPool2d(nn.Module):
    """Max pooling with −∞ around its input; windows round down."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
        padding: tuple[tuple[int, int], tuple[int, int]],
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        (top, bottom), (left, right) = padding
        self.padding = [left, right, top, bottom]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(x, self.padding, value=-float("inf"))
        return functional.max_pool2d(padded, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class PaddedAvgPool2d(nn.Module):
    """Average pooling with zeros around its input; windows round up, and what hangs over beyond the
    padding never counts. The padding counts if `count_include_pad`; a negative one cuts off.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
        padding: tuple[tuple[int, int], tuple[int, int]],
        count_include_pad: bool,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        (top, bottom), (left, right) = padding
        self.padding = [left, right, top, bottom]
        self.count_include_pad = count_include_pad

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(x[:1, :1])
        counted = functional.pad(ones, self.padding, value=float(self.count_include_pad))
        return self.total(functional.pad(x, self.padding)) / self.total(counted)

    def total(self, x: torch.Tensor) -> torch.Tensor:
        """The sum over each window."""
        return functional.avg_pool2d(
            x, self.kernel_size, self.stride, ceil_mode=True, divisor_override=1
        )

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{window}, count_include_pad={self.count_include_pad}"


class GlobalAvgPool2d(nn.Module):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


class MapLinear(nn.Linear):
    """A dense layer on a map: (N, C, H, W) → (N, O), flattened in the order C, H, W."""

    def __init__(
        self, in_shape: tuple[int, int, int], out_features: int, bias: bool = True
    ) -> None:
        channels, height, width = in_shape
        super().__init__(channels * height * width, out_features, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x.flatten(1), self.weight, self.bias)


class Scaled(nn.Module):
    """`train_factor · x` in training mode, `eval_factor · x` in evaluation mode."""

    def __init__(self, train_factor: float, eval_factor: float) -> None:
        super().__init__()
        self.train_factor, self.eval_factor = train_factor, eval_factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (self.train_factor if self.training else self.eval_factor)

    def extra_repr(self) -> str:
        return f"train_factor={self.train_factor}, eval_factor={self.eval_factor}"


class Concatenation(nn.ModuleDict):
    """Branches on one input, their outputs joined along the channels, in order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for branch in self.values():
            outputs.append(branch(x))
        return torch.cat(outputs, 1)


class ResidualSum(nn.Module):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, scale: float) -> None:
        super().__init__()
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut: torch.Tensor = self.shortcut(x)
        body: torch.Tensor = self.body(x)
        return shortcut + self.scale * body

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class Trunk(nn.ModuleDict):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...).

    `heads` are the children that are heads, `trunks` those that have heads inside.
    """

    def __init__(
        self, children: dict[str, nn.Module], heads: tuple[str, ...], trunks: tuple[str, ...]
    ) -> None:
        super().__init__(children)
        self._heads, self._trunks = heads, trunks

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs: list[torch.Tensor] = []
        for name, child in self.items():
            if name in self._heads:
                outputs.append(child(x))
            elif name in self._trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)
