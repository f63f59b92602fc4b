"""Each layer of the spec as MXNet has it, children under the spec's own names. Maps are (N, C, H,
W).
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
from mxnet import init
from mxnet.gluon import HybridBlock, nn

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


def leaf(site: LeafSite) -> HybridBlock:
    """The native layer of a leaf, its weights not yet set."""
    prefix = _prefix(site)
    match site.layer:
        case Conv() as layer:
            return _conv(layer, site)
        case BatchNorm(eps, momentum, scale):
            return nn.BatchNorm(
                momentum=1 - momentum,
                epsilon=eps,
                scale=scale,
                in_channels=site.in_shape[0],
                prefix=prefix,
            )
        case LocalResponseNorm(size, alpha, beta, k):
            return LRN(size, alpha, beta, k, prefix=prefix)
        case MaxPool() as layer:
            return _max_pool(layer, site)
        case AvgPool() as layer:
            return _avg_pool(layer, site)
        case AdaptiveAvgPool(output_size):
            return AdaptiveAvgPool2D(output_size, prefix=prefix)
        case GlobalAvgPool():
            return GlobalAvgPool2D(prefix=prefix)
        case ReLU():
            return nn.Activation("relu", prefix=prefix)
        case Dropout(rate):
            return nn.Dropout(rate, prefix=prefix)
        case Dense(out_features, bias):
            # It flattens a map itself, in the order C, H, W.
            return nn.Dense(
                out_features, use_bias=bias, in_units=math.prod(site.in_shape), prefix=prefix
            )
        case Scale(factor, when):
            return Scaled(factor, when, prefix=prefix)
        case _:
            assert_never(site.layer)


def compose(site: CompositeSite, children: dict[str, HybridBlock]) -> HybridBlock:
    """The native block of a composite, its children in place."""
    prefix = _prefix(site)
    match site.layer:
        case Sequential() if aux_heads(site.layer):
            return Trunk(site.layer, children, prefix=prefix)
        case Sequential():
            return _with_children(nn.HybridSequential(prefix=prefix), children)
        case Concat():
            return Concatenation(children, prefix=prefix)
        case Residual(scale=scale):
            return ResidualSum(children["body"], children["shortcut"], scale, prefix=prefix)
        case Aux():
            return children["head"]
        case _:
            assert_never(site.layer)


def _prefix(site: LeafSite | CompositeSite) -> str:
    """What Gluon puts before a parameter's name, so that `collect_params` names it by its path."""
    return f"{site.path}." if site.path else ""


def _with_children(block: HybridBlock, children: dict[str, HybridBlock]) -> HybridBlock:
    for name, child in children.items():
        setattr(block, name, child)
    return block


def _conv(layer: Conv, site: LeafSite) -> HybridBlock:
    settings = {
        "groups": layer.groups,
        "use_bias": layer.bias,
        "in_channels": site.in_shape[0],
        "prefix": _prefix(site),
    }
    padding = explicit_padding(layer)
    if is_symmetric(layer):
        return nn.Conv2D(
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            (padding[0][0], padding[1][0]),
            **settings,
        )
    return PaddedConv2D(
        layer.out_channels, layer.kernel_size, layer.stride, padding_around=padding, **settings
    )


def _max_pool(layer: MaxPool, site: LeafSite) -> HybridBlock:
    (top, _), (left, _) = explicit_padding(layer)
    if _is_native(layer, site):
        return nn.MaxPool2D(
            layer.kernel_size,
            layer.stride,
            (top, left),
            ceil_mode=layer.ceil_mode,
            prefix=_prefix(site),
        )
    padding = extent_padding(layer, site.in_shape, window_count(site))
    return PaddedMaxPool2D(
        layer.kernel_size, layer.stride, padding_around=padding, prefix=_prefix(site)
    )


def _avg_pool(layer: AvgPool, site: LeafSite) -> HybridBlock:
    (top, _), (left, _) = explicit_padding(layer)
    if _is_native(layer, site):
        settings = {"ceil_mode": layer.ceil_mode, "count_include_pad": layer.count_include_pad}
        return nn.AvgPool2D(
            layer.kernel_size, layer.stride, (top, left), **settings, prefix=_prefix(site)
        )
    count = window_count(site)
    padding, divisor = (
        extent_padding(layer, site.in_shape, count),
        average_divisor(layer, site.in_shape, count),
    )
    return PaddedAvgPool2D(
        layer.kernel_size,
        layer.stride,
        padding_around=padding,
        counted=divisor,
        prefix=_prefix(site),
    )


def _is_native(layer: MaxPool | AvgPool, site: LeafSite) -> bool:
    """Whether Gluon's own pooling is this one: with `ceil_mode` it keeps a last window that sees
    nothing but padding.
    """
    if not is_symmetric(layer) or not layer.ceil_mode:
        return is_symmetric(layer)
    sides = zip(
        site.in_shape[1:], explicit_padding(layer), layer.kernel_size, layer.stride, strict=True
    )
    return window_count(site) == tuple(
        math.ceil((size + 2 * pad - kernel) / stride) + 1
        for size, (pad, _), kernel, stride in sides
    )


def _pad(F, x, padding_around, value=0.0):
    """x (N, C, H, W) with ((top, bottom), (left, right)) more rows and columns of `value`; negative
    ones are cut off.
    """
    (top, bottom), (left, right) = padding_around
    if bottom < 0 or right < 0:
        x = x[:, :, : min(bottom, 0) or None, : min(right, 0) or None]
    width = (0, 0, 0, 0, top, max(bottom, 0), left, max(right, 0))
    # Not np.pad: in MXNet 1.9.1 it pads with zeros whatever `constant_values` says.
    return F.pad(
        x.as_nd_ndarray(), mode="constant", pad_width=width, constant_value=value
    ).as_np_ndarray()


def _repr(text: str, **more: object) -> str:
    """The text of a Gluon layer with more settings in its brackets."""
    return f"{text[:-1]}{''.join(f', {name}={value}' for name, value in more.items())})"


class PaddedConv2D(nn.Conv2D):
    """A convolution with ((top, bottom), (left, right)) zeros around its input, which need not be
    symmetric.
    """

    def __init__(self, *args, padding_around, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.padding_around = padding_around

    def hybrid_forward(self, F, x, weight, bias=None):
        return super().hybrid_forward(F, _pad(F, x, self.padding_around), weight, bias)

    def __repr__(self) -> str:
        return _repr(super().__repr__(), padding_around=self.padding_around)


class PaddedMaxPool2D(nn.MaxPool2D):
    """Max pooling with −∞ around its input."""

    def __init__(self, *args, padding_around, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.padding_around = padding_around

    def hybrid_forward(self, F, x):
        return super().hybrid_forward(F, _pad(F, x, self.padding_around, -math.inf))

    def __repr__(self) -> str:
        return _repr(super().__repr__(), padding_around=self.padding_around)


class PaddedAvgPool2D(nn.AvgPool2D):
    """Average pooling with zeros around its input and the number of elements that each window
    counts.
    """

    def __init__(self, *args, padding_around, counted, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.padding_around = padding_around
        # The average over the padded input counts whole windows: this is their share, (H', W').
        share = np.float32(counted / math.prod(self._kwargs["kernel"]))
        # Not `get_constant`: it registers an initialiser under the constant's address, and warns
        # when an address comes up again.
        self.share = self.params.get(
            "share",
            shape=share.shape,
            init=init.Constant(share),
            grad_req="null",
            differentiable=False,
        )

    def hybrid_forward(self, F, x, share):
        return super().hybrid_forward(F, _pad(F, x, self.padding_around)) / share

    def __repr__(self) -> str:
        return _repr(super().__repr__(), padding_around=self.padding_around)


class GlobalAvgPool2D(nn.GlobalAvgPool2D):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def hybrid_forward(self, F, x):
        return F.npx.batch_flatten(super().hybrid_forward(F, x))


class AdaptiveAvgPool2D(HybridBlock):
    """The mean over nearly equal windows: (N, C, H, W) → (N, C, *output_size). Gluon has the
    operator but no layer.
    """

    def __init__(self, output_size, **kwargs) -> None:
        super().__init__(**kwargs)
        self.output_size = output_size

    def hybrid_forward(self, F, x):
        return F.contrib.AdaptiveAvgPooling2D(
            x.as_nd_ndarray(), output_size=self.output_size
        ).as_np_ndarray()

    def __repr__(self) -> str:
        return f"AdaptiveAvgPool2D(output_size={self.output_size})"


class LRN(HybridBlock):
    """Local response normalisation across channels; shape unchanged. Gluon has the operator but no
    layer.
    """

    def __init__(self, size, alpha, beta, k, **kwargs) -> None:
        super().__init__(**kwargs)
        self.settings = {"nsize": size, "alpha": alpha, "beta": beta, "knorm": k}

    def hybrid_forward(self, F, x):
        # Times one, so that the gradient comes back in the plain layout: in oneDNN's blocked
        # layout, as a max pool hands it back, MXNet 1.9.1 loses what the neighbouring channels add
        # to it, a ten-thousandth in GoogLeNet.
        return F.LRN(x.as_nd_ndarray(), **self.settings).as_np_ndarray() * 1

    def __repr__(self) -> str:
        return f"LRN({', '.join(f'{name}={value}' for name, value in self.settings.items())})"


class Scaled(HybridBlock):
    """`factor · x` in the modes that `when` names."""

    def __init__(self, factor: float, when: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.factor, self.when = factor, when

    def hybrid_forward(self, F, x):
        if self.when == "always":
            return x * self.factor
        # A graph cannot ask for the mode. Dropout knows it: the largest of these is 2 in training
        # (but once in 2⁶⁴ passes), else 1.
        training = F.np.max(F.npx.dropout(F.np.ones((64,)), p=0.5)) - 1
        active = training if self.when == "train" else 1 - training
        return x * (active * self.factor + (1 - active))

    def __repr__(self) -> str:
        return f"Scaled({self.factor}, when={self.when!r})"


class Concatenation(nn.HybridSequential):
    """Branches joined along the channels, in order."""

    def __init__(self, branches: dict[str, HybridBlock], **kwargs) -> None:
        super().__init__(**kwargs)
        _with_children(self, branches)

    def hybrid_forward(self, F, x):
        return F.np.concatenate([branch(x) for branch in self._children.values()], axis=1)


class ResidualSum(HybridBlock):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(self, body: HybridBlock, shortcut: HybridBlock, scale: float, **kwargs) -> None:
        super().__init__(**kwargs)
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def hybrid_forward(self, F, x):
        return self.shortcut(x) + self.scale * self.body(x)

    def __repr__(self) -> str:
        return super().__repr__().replace("(", f"(\n  scale={self.scale}", 1)


class Trunk(nn.HybridSequential):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...)."""

    def __init__(self, layer: Sequential, children: dict[str, HybridBlock], **kwargs) -> None:
        super().__init__(**kwargs)
        _with_children(self, children)
        self.heads = tuple(name for name, child in layer.children if isinstance(child, Aux))
        self.trunks = tuple(name for name, child in layer.children if aux_heads(child))

    def forward(self, x):
        return tuple(super().forward(x))  # Gluon's graph mode makes a list of the tuple

    def hybrid_forward(self, F, x):
        outputs = []
        for name, child in self._children.items():
            if name in self.heads:
                outputs.append(child(x))
            elif name in self.trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)
