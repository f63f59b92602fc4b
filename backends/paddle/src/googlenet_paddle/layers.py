"""Each layer of the spec as Paddle has it, children under the spec's own names. Maps are (N, C, H,
W).
"""

from __future__ import annotations

from typing import assert_never

import paddle
from paddle import nn
from paddle.nn import functional

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


def leaf(site: LeafSite) -> nn.Layer:
    """The native layer of a leaf, its weights not yet set."""
    match site.layer:
        case Conv() as layer:
            return _conv(layer, site)
        case BatchNorm(eps, momentum, scale):
            # Paddle's momentum is the weight of the old statistics.
            return (nn.BatchNorm2D if scale else UnscaledBatchNorm2D)(
                site.in_shape[0], 1 - momentum, eps
            )
        case LocalResponseNorm(size, alpha, beta, k):
            return nn.LocalResponseNorm(size, alpha, beta, k)
        case MaxPool() as layer:
            return _max_pool(layer, site)
        case AvgPool() as layer:
            return _avg_pool(layer, site)
        case AdaptiveAvgPool(output_size):
            return nn.AdaptiveAvgPool2D(output_size)
        case GlobalAvgPool():
            return GlobalAvgPool2D()
        case ReLU():
            return nn.ReLU()
        case Dropout(rate):
            return nn.Dropout(rate)
        case Dense(out_features, bias):
            if len(site.in_shape) == 1:
                return nn.Linear(site.in_shape[0], out_features, bias_attr=None if bias else False)
            return MapLinear(site.in_shape, out_features, bias)
        case Scale(factor, when):
            return Scaled(factor, when)
        case _:
            assert_never(site.layer)


def compose(site: CompositeSite, children: dict[str, nn.Layer]) -> nn.Layer:
    """The native layer of a composite, its children in place."""
    match site.layer:
        case Sequential() if aux_heads(site.layer):
            return Trunk(site.layer, children)
        case Sequential():
            return nn.Sequential(*children.items())
        case Concat():
            return Concatenation(children)
        case Residual(scale=scale):
            return ResidualSum(children["body"], children["shortcut"], scale)
        case Aux():
            return children["head"]
        case _:
            assert_never(site.layer)


def _conv(layer: Conv, site: LeafSite) -> nn.Layer:
    settings = {
        "stride": layer.stride,
        "groups": layer.groups,
        "bias_attr": None if layer.bias else False,
    }
    padding = _flat(explicit_padding(layer))
    return nn.Conv2D(
        site.in_shape[0], layer.out_channels, layer.kernel_size, padding=padding, **settings
    )


def _max_pool(layer: MaxPool, site: LeafSite) -> nn.Layer:
    if _is_native(layer, site):
        return nn.MaxPool2D(
            layer.kernel_size,
            layer.stride,
            _flat(explicit_padding(layer)),
            ceil_mode=layer.ceil_mode,
        )
    return nn.MaxPool2D(layer.kernel_size, layer.stride, _flat(_reach(layer, site)))


def _avg_pool(layer: AvgPool, site: LeafSite) -> nn.Layer:
    exclusive = not layer.count_include_pad
    if _is_native(layer, site):
        return nn.AvgPool2D(
            layer.kernel_size,
            layer.stride,
            _flat(explicit_padding(layer)),
            layer.ceil_mode,
            exclusive,
        )
    if exclusive:
        return nn.AvgPool2D(layer.kernel_size, layer.stride, _flat(_reach(layer, site)))
    # Where padding counts, Paddle's divisor takes the bottom's for the top's and the right's for
    # the left's.
    count = window_count(site)
    return PaddedAvgPool2D(
        layer.kernel_size,
        layer.stride,
        extent_padding(layer, site.in_shape, count),
        average_divisor(layer, site.in_shape, count),
    )


def _is_native(layer: MaxPool | AvgPool, site: LeafSite) -> bool:
    """Whether Paddle rounds as the spec does: its `ceil_mode` keeps a last window that starts
    beyond the input.
    """
    reach = extent_padding(layer, site.in_shape, window_count(site))
    dropped = any(
        end < after for (_, end), (_, after) in zip(reach, explicit_padding(layer), strict=True)
    )
    return is_symmetric(layer) and not (layer.ceil_mode and dropped)


def _reach(layer: MaxPool | AvgPool, site: LeafSite) -> ExplicitPadding:
    """The padding with which rounding down yields the spec's windows: for maxima and exclusive
    averages, which leave it out.
    """
    (top, bottom), (left, right) = extent_padding(layer, site.in_shape, window_count(site))
    return (top, max(bottom, 0)), (left, max(right, 0))


def _flat(padding: ExplicitPadding) -> list[int]:
    """((top, bottom), (left, right)) as Paddle's layers take it: [height, width], or all four where
    the sides differ.
    """
    (top, bottom), (left, right) = padding
    return [top, left] if (top, left) == (bottom, right) else [top, bottom, left, right]


class UnscaledBatchNorm2D(nn.BatchNorm2D):
    """Batch normalisation without `weight`: Paddle's own gives `bias` no gradient unless `weight`
    takes one too.
    """

    def __init__(self, num_features, momentum, epsilon) -> None:
        super().__init__(num_features, momentum, epsilon, weight_attr=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        settings = {"training": self.training, "momentum": self._momentum, "epsilon": self._epsilon}
        return functional.batch_norm(x, self._mean, self._variance, **settings) + self.bias.reshape(
            [-1, 1, 1]
        )


class PaddedAvgPool2D(nn.AvgPool2D):
    """Average pooling with zeros around its input and the number of elements that each window
    counts.
    """

    def __init__(self, kernel_size, stride, padding_around, counted) -> None:
        super().__init__(kernel_size, stride, divisor_override=1)
        (top, bottom), (left, right) = padding_around
        self.padding_around = [left, right, top, bottom]
        self.register_buffer(
            "counted", paddle.to_tensor(counted, dtype="float32"), persistable=False
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return super().forward(functional.pad(x, self.padding_around)) / self.counted

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, padding_around={self.padding_around}"


class GlobalAvgPool2D(nn.AdaptiveAvgPool2D):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return super().forward(x).flatten(1)


class MapLinear(nn.Linear):
    """A dense layer on a map: (N, C, H, W) → (N, O), flattened in the order C, H, W."""

    def __init__(self, in_shape, out_features, bias) -> None:
        channels, height, width = in_shape
        super().__init__(channels * height * width, out_features, bias_attr=None if bias else False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return super().forward(x.flatten(1))


class Scaled(nn.Layer):
    """`factor · x` in the modes that `when` names."""

    def __init__(self, factor: float, when: str) -> None:
        super().__init__()
        self.factor, self.when = factor, when

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return (
            x * self.factor if self.when in ("always", "train" if self.training else "eval") else x
        )

    def extra_repr(self) -> str:
        return f"{self.factor}, when={self.when!r}"


class Concatenation(nn.Layer):
    """Branches joined along the channels, in order."""

    def __init__(self, branches: dict[str, nn.Layer]) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_sublayer(name, branch)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat([branch(x) for branch in self.children()], 1)


class ResidualSum(nn.Layer):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(self, body: nn.Layer, shortcut: nn.Layer, scale: float) -> None:
        super().__init__()
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.shortcut(x) + self.scale * self.body(x)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class Trunk(nn.Sequential):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...)."""

    def __init__(self, layer: Sequential, children: dict[str, nn.Layer]) -> None:
        super().__init__(*children.items())
        self.heads = tuple(name for name, child in layer.children if isinstance(child, Aux))
        self.trunks = tuple(name for name, child in layer.children if aux_heads(child))

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        outputs: list[paddle.Tensor] = []
        for name, child in self.named_children():
            if name in self.heads:
                outputs.append(child(x))
            elif name in self.trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)
