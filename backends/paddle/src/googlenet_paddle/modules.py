"""Layers that Paddle lacks. Each can be copied out whole: it needs Paddle and nothing else.

Maps are (N, C, H, W) of any floating dtype.
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.nn import functional


def sequential(**layers: nn.Layer) -> nn.Sequential:
    """Layers in sequence, under their names."""
    return nn.Sequential(*layers.items())


class UnscaledBatchNorm2D(nn.BatchNorm2D):
    """Batch normalisation without a weight: Paddle's own gives `bias` no gradient unless `weight`
    has one too.
    """

    bias: paddle.Tensor

    def __init__(self, num_features: int, momentum: float, epsilon: float) -> None:
        super().__init__(num_features, momentum, epsilon, weight_attr=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        normed = functional.batch_norm(
            x,
            self._mean,
            self._variance,
            training=self.training,
            momentum=self._momentum,
            epsilon=self._epsilon,
        )
        return normed + self.bias.reshape([-1, 1, 1])


class PaddedAvgPool2D(nn.Layer):
    """Average pooling with zeros around its input; windows round up with `ceil_mode`, and what
    hangs over beyond the zeros never counts. The padding, ((top, bottom), (left, right)), counts if
    `count_include_pad`; a negative one cuts off.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
        padding: tuple[tuple[int, int], tuple[int, int]],
        count_include_pad: bool,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        (top, bottom), (left, right) = padding
        self.padding = [left, right, top, bottom]
        self.count_include_pad, self.ceil_mode = count_include_pad, ceil_mode

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        mean = self.mean(x)
        if self.count_include_pad:
            return mean
        return mean / self.mean(paddle.full([1, 1, x.shape[2], x.shape[3]], 1.0, x.dtype))

    def mean(self, x: paddle.Tensor) -> paddle.Tensor:
        """The mean over each window, its zeros counted."""
        padded = functional.pad(x, self.padding)
        return functional.avg_pool2d(
            padded, self.kernel_size, self.stride, ceil_mode=self.ceil_mode
        )

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        counted = f"count_include_pad={self.count_include_pad}"
        return f"{window}, {counted}, ceil_mode={self.ceil_mode}"


class GlobalAvgPool2D(nn.Layer):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


class MapLinear(nn.Linear):
    """A dense layer on a map: (N, C, H, W) → (N, O), flattened in the order C, H, W."""

    def __init__(
        self, in_shape: tuple[int, int, int], out_features: int, bias_attr: bool | None = None
    ) -> None:
        channels, height, width = in_shape
        super().__init__(channels * height * width, out_features, bias_attr=bias_attr)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return functional.linear(x.flatten(1), self.weight, self.bias)


class Scaled(nn.Layer):
    """`train_factor · x` in training mode, `eval_factor · x` in evaluation mode."""

    def __init__(self, train_factor: float, eval_factor: float) -> None:
        super().__init__()
        self.train_factor, self.eval_factor = train_factor, eval_factor

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x * (self.train_factor if self.training else self.eval_factor)

    def extra_repr(self) -> str:
        return f"train_factor={self.train_factor}, eval_factor={self.eval_factor}"


class Concatenation(nn.LayerDict):
    """Branches on one input, their outputs joined along the channels, in order."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        outputs = []
        for branch in self.values():
            outputs.append(branch(x))
        return paddle.concat(outputs, 1)


class ResidualSum(nn.Layer):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(self, body: nn.Layer, shortcut: nn.Layer, scale: float) -> None:
        super().__init__()
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        shortcut: paddle.Tensor = self.shortcut(x)
        body: paddle.Tensor = self.body(x)
        return shortcut + self.scale * body

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class Trunk(nn.LayerDict):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...).

    `heads` are the children that are heads, `trunks` those that have heads inside.
    """

    def __init__(
        self, children: dict[str, nn.Layer], heads: tuple[str, ...], trunks: tuple[str, ...]
    ) -> None:
        super().__init__(children)
        self._heads, self._trunks = heads, trunks

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        outputs: list[paddle.Tensor] = []
        for name, child in self.items():
            if name in self._heads:
                outputs.append(child(x))
            elif name in self._trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)
