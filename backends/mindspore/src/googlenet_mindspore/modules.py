"""Layers that MindSpore lacks. Each can be copied out whole: it needs MindSpore and nothing
else, and runs in eager and in graph mode.

Paddings are ((top, bottom), (left, right)). Maps are (N, C, H, W) of any floating dtype.
"""

from __future__ import annotations

from collections import OrderedDict

import mindspore as ms
from mindspore import nn, ops


def sequential(**layers: nn.Cell) -> nn.SequentialCell:
    """Layers in sequence, under their names."""
    return nn.SequentialCell(OrderedDict(layers))


class UnscaledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose gamma stays 1: training does not change it."""

    def __init__(self, num_features: int, eps: float, momentum: float) -> None:
        super().__init__(num_features, eps, momentum)
        self.gamma.requires_grad = False


class LocalResponseNorm2d(nn.Cell):
    """`x / (k + alpha / size · Σ x²)^beta`, the sum over `size` neighbouring channels: a 1×1
    convolution with fixed weights, since `ops.LRN` stops on the CPU with "could not execute a
    primitive" if there are 16, 24, 32, 40, ... channels (MindSpore 2.8.0).
    """

    def __init__(self, channels: int, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        share, reach = [[alpha / size]], size // 2
        rows = [
            [share if abs(i - j) <= reach else [[0.0]] for j in range(channels)]
            for i in range(channels)
        ]
        self.shares = ms.Tensor(rows, ms.float32)  # (C, C, 1, 1)
        self.convolve = ops.Conv2D(channels, 1)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return x * ops.pow(self.k + self.convolve(x * x, self.shares), -self.beta)

    def extend_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class PaddedMaxPool2d(nn.Cell):
    """Max pooling with −∞ around its input; windows round down.

    `nn.MaxPool2d(pad_mode="pad")` only pads symmetrically, and takes more than three times as long:
    it also finds the positions.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
        padding: tuple[tuple[int, int], tuple[int, int]],
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        (top, bottom), (left, right) = padding
        kernel, step = (
            (each, each) if isinstance(each, int) else each for each in (kernel_size, stride)
        )
        # Both sides together may not exceed the kernel: the last window hangs over instead.
        below, beside = min(bottom, kernel[0] - top), min(right, kernel[1] - left)
        hangs_over = below < bottom or beside < right
        around = (0, 0, top, below, left, beside)
        self.max_pool = ops.MaxPool3D((1, *kernel), (1, *step), "pad", around, hangs_over)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return self.max_pool(x.unsqueeze(2)).squeeze(2)

    def extend_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class PaddedAvgPool2d(nn.Cell):
    """Average pooling with zeros around its input, which `nn.AvgPool2d` has only symmetrically;
    windows round up, and what hangs over beyond the padding never counts. The padding counts if
    `count_include_pad`; a negative one, below or to the right, cuts off.
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
        self.padding, self.count_include_pad = padding, count_include_pad
        (top, bottom), (left, right) = padding
        self.cut = (max(-bottom, 0), max(-right, 0))
        around = (0, 0, top, max(bottom, 0), left, max(right, 0))
        kernel, step = (
            (each, each) if isinstance(each, int) else each for each in (kernel_size, stride)
        )
        self.avg_pool = ops.AvgPool3D(
            (1, *kernel), (1, *step), "pad", around, True, count_include_pad
        )

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        if self.cut != (0, 0):
            x = x[:, :, : x.shape[2] - self.cut[0], : x.shape[3] - self.cut[1]]
        return self.avg_pool(x.unsqueeze(2)).squeeze(2)

    def extend_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{window}, count_include_pad={self.count_include_pad}"


class GlobalAvgPool2d(nn.AdaptiveAvgPool2d):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def __init__(self) -> None:
        super().__init__(1)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return super().construct(x).flatten(start_dim=1)


class MapDense(nn.Dense):
    """A dense layer on a map: (N, C, H, W) → (N, O), flattened in the order C, H, W."""

    def __init__(
        self, in_shape: tuple[int, int, int], out_channels: int, has_bias: bool = True
    ) -> None:
        channels, height, width = in_shape
        super().__init__(channels * height * width, out_channels, has_bias=has_bias)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return super().construct(x.flatten(start_dim=1))


class Scaled(nn.Cell):
    """`train_factor · x` in training mode, `eval_factor · x` in evaluation mode."""

    def __init__(self, train_factor: float, eval_factor: float) -> None:
        super().__init__()
        self.train_factor, self.eval_factor = train_factor, eval_factor

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return x * (self.train_factor if self.training else self.eval_factor)

    def extend_repr(self) -> str:
        return f"train_factor={self.train_factor}, eval_factor={self.eval_factor}"


class Concatenation(nn.SequentialCell):
    """Branches on one input, their outputs joined along the channels, in order."""

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
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...).

    `heads` are the children that are heads, `trunks` those that have heads inside.
    """

    def __init__(
        self, children: dict[str, nn.Cell], heads: tuple[str, ...], trunks: tuple[str, ...]
    ) -> None:
        super().__init__(OrderedDict(children))
        self._names, self._heads, self._trunks = tuple(children), heads, trunks

    def construct(self, x: ms.Tensor) -> tuple[ms.Tensor, ...]:
        outputs: tuple[ms.Tensor, ...] = ()
        for position, child in enumerate(self.cell_list):
            name = self._names[position]
            if name in self._heads:
                outputs += (child(x),)
            elif name in self._trunks:
                result = child(x)
                x = result[0]
                outputs += result[1:]
            else:
                x = child(x)
        return (x, *outputs)
