"""Layers that Gluon lacks. Each can be copied out whole: it needs MXNet and nothing else.

Paddings are ((top, bottom), (left, right)). Maps are (N, C, H, W), arrays of `mx.np`, and NumPy
semantics are on; where a graph is made, they are symbols and `F` is `mx.sym`.
"""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import HybridBlock, nn


def sequential(prefix: str | None = None, /, **layers: HybridBlock) -> nn.HybridSequential:
    """Layers in sequence, under their names."""
    block = nn.HybridSequential(prefix=prefix)
    for name, layer in layers.items():
        setattr(block, name, layer)
    return block


class PaddedConv2D(nn.Conv2D):
    """A convolution with zero padding that need not be symmetric."""

    def __init__(
        self,
        channels: int,
        kernel_size: int | tuple[int, int],
        padding_around: tuple[tuple[int, int], tuple[int, int]],
        **kwargs: object,
    ) -> None:
        super().__init__(channels, kernel_size, **kwargs)
        self.padding_around = padding_around

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray, **arrays: mx.np.ndarray) -> mx.np.ndarray:
        (top, bottom), (left, right) = self.padding_around
        width = (0, 0, 0, 0, top, bottom, left, right)
        padded = F.pad(x.as_nd_ndarray(), mode="constant", pad_width=width).as_np_ndarray()
        return super().hybrid_forward(F, padded, **arrays)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, padding_around={self.padding_around})"


class PaddedMaxPool2D(nn.MaxPool2D):
    """Max pooling with −∞ around its input; windows round down."""

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding_around: tuple[tuple[int, int], tuple[int, int]],
        **kwargs: object,
    ) -> None:
        super().__init__(pool_size, strides, **kwargs)
        self.padding_around = padding_around

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        (top, bottom), (left, right) = self.padding_around
        width = (0, 0, 0, 0, top, bottom, left, right)
        # Not np.pad: in MXNet 1.9.1 it pads with zeros whatever `constant_values` says.
        padded = F.pad(
            x.as_nd_ndarray(), mode="constant", pad_width=width, constant_value=-float("inf")
        )
        return super().hybrid_forward(F, padded.as_np_ndarray())

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, padding_around={self.padding_around})"


class PaddedAvgPool2D(HybridBlock):
    """Average pooling with zeros around its input. The padding counts if `count_include_pad`; the
    `overhang` of windows beyond it, in rows and columns, never does.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding: tuple[tuple[int, int], tuple[int, int]],
        count_include_pad: bool,
        overhang: tuple[int, int] = (0, 0),
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = (pool_size, pool_size) if isinstance(pool_size, int) else pool_size
        self.strides = (strides, strides) if isinstance(strides, int) else strides
        self.padding, self.count_include_pad = padding, count_include_pad
        self.overhang = overhang

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        # Not from a slice of x: in oneDNN's blocked layout, in which a convolution passes it on in
        # a graph, MXNet 1.9.1 crashes on a slice of one channel.
        ones = F.np.ones_like(x)[:1, :1]
        return self.total(F, x, 0.0) / self.total(F, ones, float(self.count_include_pad))

    def total(self, F: mx.nd, x: mx.np.ndarray, around: float) -> mx.np.ndarray:
        """The sum over each window, with `around` as padding."""
        (top, bottom), (left, right) = self.padding
        width = (0, 0, 0, 0, top, bottom, left, right)
        padded = F.pad(x.as_nd_ndarray(), mode="constant", pad_width=width, constant_value=around)
        over = (0, 0, 0, 0, 0, self.overhang[0], 0, self.overhang[1])
        padded = F.pad(padded, mode="constant", pad_width=over)
        settings = {"kernel": self.pool_size, "stride": self.strides, "pool_type": "sum"}
        return F.npx.pooling(padded.as_np_ndarray(), **settings)

    def __repr__(self) -> str:
        window = f"size={self.pool_size}, stride={self.strides}, padding={self.padding}"
        counted = f"count_include_pad={self.count_include_pad}, overhang={self.overhang}"
        return f"PaddedAvgPool2D({window}, {counted})"


class GlobalAvgPool2D(nn.GlobalAvgPool2D):
    """The mean over height and width: (N, C, H, W) → (N, C)."""

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        return F.npx.batch_flatten(super().hybrid_forward(F, x))


class AdaptiveAvgPool2D(HybridBlock):
    """The mean over nearly equal windows: (N, C, H, W) → (N, C, *output_size). MXNet has the
    operator, but Gluon no layer.
    """

    def __init__(self, output_size: tuple[int, int], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.output_size = output_size

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        pooled = F.contrib.AdaptiveAvgPooling2D(x.as_nd_ndarray(), output_size=self.output_size)
        return pooled.as_np_ndarray()

    def __repr__(self) -> str:
        return f"AdaptiveAvgPool2D(output_size={self.output_size})"


class LRN(HybridBlock):
    """Local response normalisation across channels: x / (knorm + alpha/nsize · Σx²)^beta. MXNet has
    the operator, but Gluon no layer.
    """

    def __init__(
        self, nsize: int, alpha: float, beta: float, knorm: float, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.settings = {"nsize": nsize, "alpha": alpha, "beta": beta, "knorm": knorm}

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        # Times one, so that the gradient comes back in the plain layout: in oneDNN's blocked
        # layout, in which a max pool returns it, MXNet 1.9.1 loses what the neighbouring channels
        # add to it.
        return F.LRN(x.as_nd_ndarray(), **self.settings).as_np_ndarray() * 1

    def __repr__(self) -> str:
        return f"LRN({', '.join(f'{name}={value}' for name, value in self.settings.items())})"


class Scaled(HybridBlock):
    """`train_factor · x` in training mode, `eval_factor · x` in evaluation mode."""

    def __init__(self, train_factor: float, eval_factor: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.train_factor, self.eval_factor = train_factor, eval_factor

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        if self.train_factor == self.eval_factor:
            return x * self.train_factor
        # A graph cannot ask for the mode. Dropout knows it: the largest of these is 2 in training
        # (except once in 2⁶⁴ passes), and otherwise 1.
        dropped = F.npx.dropout(F.np.ones((64,)), p=0.5)
        training = F.np.max(dropped, keepdims=True) - 1
        return x * (training * self.train_factor + (1 - training) * self.eval_factor)

    def __repr__(self) -> str:
        return f"Scaled(train_factor={self.train_factor}, eval_factor={self.eval_factor})"


class Concatenation(nn.HybridSequential):
    """Branches on one input, their outputs joined along the channels, in order."""

    def __init__(self, branches: dict[str, HybridBlock], **kwargs: object) -> None:
        super().__init__(**kwargs)
        for name, branch in branches.items():
            setattr(self, name, branch)

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        return F.np.concatenate([branch(x) for branch in self._children.values()], axis=1)


class ResidualSum(HybridBlock):
    """`shortcut(x) + scale · body(x)`."""

    def __init__(
        self, body: HybridBlock, shortcut: HybridBlock, scale: float, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> mx.np.ndarray:
        return self.shortcut(x) + self.scale * self.body(x)

    def __repr__(self) -> str:
        children: str = super().__repr__()
        return children.replace("(", f"(\n  scale={self.scale}", 1)


class Trunk(nn.HybridSequential):
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...).

    `heads` are the children that are heads, `trunks` those that have heads inside.
    """

    def __init__(
        self,
        children: dict[str, HybridBlock],
        heads: tuple[str, ...],
        trunks: tuple[str, ...],
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        for name, child in children.items():
            setattr(self, name, child)
        self._heads, self._trunks = heads, trunks

    def forward(self, x: mx.np.ndarray) -> tuple[mx.np.ndarray, ...]:
        return tuple(super().forward(x))  # Gluon's graph mode makes a list of the tuple

    def hybrid_forward(self, F: mx.nd, x: mx.np.ndarray) -> tuple[mx.np.ndarray, ...]:
        outputs = []
        for name, child in self._children.items():
            if name in self._heads:
                outputs.append(child(x))
            elif name in self._trunks:
                x, *more = child(x)
                outputs.extend(more)
            else:
                x = child(x)
        return (x, *outputs)
