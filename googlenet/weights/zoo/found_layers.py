"""The spec's layers found in an ONNX graph, each by what it gives: what it takes, and its arrays.

What exporters do to a layer is undone: batch norm folded into its convolution, a dense layer as
MatMul and Add or as a convolution, padding apart, axes turned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

import numpy as np

from ...arrays import Array, Params
from ...spec.layers import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    Layer,
    Leaf,
    LocalResponseNorm,
    MaxPool,
    Network,
    ReLU,
    Scale,
    Shape,
)
from ...spec.traversal import LeafSite, walk
from ..formats.onnx import Node, OnnxGraph
from .values import Value, Values, per_channel
from .windows import NO_PADS, Pads, alike, divide_alike, of_node, of_spec

#: How far a number of a graph may be from the spec's: both were rounded to float32.
_NEAR: Final = 1e-4
_LOWEST: Final = -1e37  # what pads a max pool
_MEANS: Final = ("GlobalAveragePool", "ReduceMean", "AveragePool")
_ELEMENTWISE: Final = ("Relu", "Add", "Mul")


class Differs(Exception):
    """The graph is not the network's function: where, and how."""


class Layers:
    """The layers of `network` in `graph`; `params` are their arrays by path as far as they were
    found.
    """

    def __init__(self, graph: OnnxGraph, network: Network) -> None:
        self.network, self.values = network, Values(graph)
        self.params: Params = {}
        self.sites = {site.path: site for site in walk(network)}

    def leaf(self, layer: Leaf, site: LeafSite, value: Value) -> Value:
        """What a layer takes that gives `value`. Raises `Differs`."""
        if owes(value) and not isinstance(layer, Conv | BatchNorm | ReLU | Dropout):
            raise Differs(f"'{site.path}' has a ReLU or batch norm behind it that it lacks")
        match layer:
            case Conv():
                return self._conv(site, value)
            case BatchNorm():
                return self._norm(layer, site, value)
            case ReLU():
                return self._relu(site, value)
            case Dropout():
                return value
            case LocalResponseNorm():
                return self._response(layer, site, value)
            case MaxPool() | AvgPool():
                return self._pool(site, value)
            case AdaptiveAvgPool() | GlobalAvgPool():
                return self._adaptive(site, value)
            case Dense():
                return self._dense(site, value)
            case Scale(factor=factor, when=when):
                return value if when == "train" else self.scaled(factor, site.path, value)
            case _:
                assert_never(layer)

    def _node(self, what: str, site: LeafSite, value: Value, *ops: str) -> tuple[Node, Value]:
        """What made `value`, which must be one of `ops`, on maps as ONNX has them."""
        node, at = self.values.made(value)
        if node is None or node.op not in ops or at.order == "HWC":
            raise self.other(site.path, what, node)
        return node, replace(at, order="CHW" if at.order == "flat" else at.order)

    def other(self, path: str, what: str, node: Node | None) -> Differs:
        """The error for an operation that is not `what` is expected."""
        got = "its input" if node is None else f"{node.op} '{node.name or node.outputs[0]}'"
        return Differs(f"'{path}' should be {what}, got {got}")

    def scaled(self, factor: float, path: str, value: Value) -> Value:
        """What is multiplied by a number."""
        if factor == 1:
            return value
        node, at = self.values.made(value)
        parts = self.values.split(node) if node is not None and node.op in ("Mul", "Div") else None
        if parts is None or node is None or parts[1].size != 1:
            raise self.other(path, f"a product with {factor:g}", node)
        got = float(parts[1].reshape(())) if node.op == "Mul" else 1 / float(parts[1].reshape(()))
        if abs(got - factor) > _NEAR * abs(factor):
            raise Differs(f"'{path}' multiplies by {got:g}, expected {factor:g}")
        return at.before(parts[0])

    def _relu(self, site: LeafSite, value: Value) -> Value:
        if value.relu:
            return replace(value, relu=False)
        node, at = self.values.made(value)
        if node is None or node.op != "Relu" or at.norm:
            raise self.other(site.path, "a ReLU", node)
        return at.before(node.inputs[0])

    def _norm(self, layer: BatchNorm, site: LeafSite, value: Value) -> Value:
        if value.relu or value.norm:
            raise Differs(f"'{site.path}' has a ReLU behind it that it lacks")
        node, at = self.values.made(value)
        channels = site.out_shape[0]
        if node is not None and node.op == "BatchNormalization" and at.order != "HWC":
            return self._plain_norm(layer, site, node, at)
        scale = shift = None
        if node is not None and node.op == "Add" and (added := self.values.split(node)):
            below, inner = self.values.made(at.before(added[0]))
            if below is not None and below.op == "Mul" and (times := self.values.split(below)):
                scale, shift = per_channel(times[1], channels), per_channel(added[1], channels)
                if scale is None or shift is None:
                    raise Differs(f"'{site.path}' is not a factor and a shift for each channel")
                at = inner.before(times[0])
        return replace(at, norm=site.path, scale=scale, shift=shift)

    def _plain_norm(self, layer: BatchNorm, site: LeafSite, node: Node, at: Value) -> Value:
        if len(node.inputs) != 5:  # one exported in training mode has them, too
            raise Differs(f"'{site.path}' is a batch norm without running statistics")
        eps = node.number("epsilon", 1e-5)
        if abs(eps - layer.eps) > 1e-3 * layer.eps:
            raise Differs(f"'{site.path}' has eps {eps:g}, expected {layer.eps:g}")
        for name, given in zip(
            ("weight", "bias", "running_mean", "running_var"), node.inputs[1:], strict=True
        ):
            array = self.values.constant(given)
            if array is None or array.shape != site.out_shape[:1]:
                raise Differs(f"'{site.path}.{name}' is not one number for each of its channels")
            if name == "weight" and not layer.scale:
                if (array != 1).any():
                    raise Differs(f"'{site.path}' has a scale, expected none")
                continue
            self.params[f"{site.path}.{name}"] = array.astype(np.float32)
        return at.before(node.inputs[0], "CHW")

    def _conv(self, site: LeafSite, value: Value) -> Value:
        layer, what = site.layer, "a convolution"
        assert isinstance(layer, Conv)
        if value.relu:
            raise Differs(f"'{site.path}' has a ReLU behind it that it lacks")
        node, at = self.values.made(value)
        bias: Array | None = None
        if node is not None and node.op == "Add" and (added := self.values.split(node)):
            bias = per_channel(added[1], layer.out_channels)
            at = at.before(added[0])
        node, at = self._node(what, site, at, "Conv")
        weight = self.values.constant(node.inputs[1])
        shape = (layer.out_channels, site.in_shape[0] // layer.groups, *layer.kernel_size)
        if weight is None or weight.shape != shape or node.number("group", 1) != layer.groups:
            got = None if weight is None else weight.shape
            raise Differs(f"'{site.path}.weight' has shape {got}, expected {shape}")
        if len(node.inputs) > 2 and node.inputs[2]:
            own = self.values.constant(node.inputs[2])
            if own is None or own.shape != shape[:1]:
                raise Differs(f"'{site.path}.bias' is not one number for each of its channels")
            bias = own if bias is None else own + bias
        before, pads = self._padding(at.before(node.inputs[0], "CHW"), 0.0)
        theirs = of_node(node, weight.shape[2:], site.in_shape, pads)
        if not alike(of_spec(layer, site.out_shape), theirs):
            raise Differs(f"'{site.path}' has other strides or padding than {words(layer)}")
        self._keep(site, layer, weight.astype(np.float32), bias, at)
        return replace(before, norm="", scale=None, shift=None)

    def _keep(
        self, site: LeafSite, layer: Conv, weight: Array, bias: Array | None, at: Value
    ) -> None:
        """A convolution's arrays, and those of the batch norm that was folded into it: one that
        only adds what the convolution did.
        """
        zeros = np.zeros(layer.out_channels, np.float32)
        bias = zeros if bias is None else bias.astype(np.float32)
        if not at.norm:
            if not layer.bias and bias.any():
                raise Differs(f"'{site.path}' has a bias, expected none")
            if layer.bias:
                self.params[f"{site.path}.bias"] = bias
            self.params[f"{site.path}.weight"] = weight
            return
        norm = self.sites[at.norm].layer
        assert isinstance(norm, BatchNorm)
        scale = zeros + 1 if at.scale is None else at.scale
        shift = scale * bias + (zeros if at.shift is None else at.shift)
        if norm.scale:
            self.params[f"{at.norm}.weight"] = scale
        else:
            weight = weight * scale[:, None, None, None]
        if layer.bias:
            self.params[f"{site.path}.bias"] = zeros
        self.params |= {
            f"{site.path}.weight": weight,
            f"{at.norm}.bias": shift,
            f"{at.norm}.running_mean": zeros,
            f"{at.norm}.running_var": zeros + np.float32(1 - norm.eps),
        }

    def _padding(self, value: Value, fill: float) -> tuple[Value, Pads]:
        """The value before a padding that stands apart, if there is one, and how much it pads."""
        node, at = self.values.made(value)
        if node is None or node.op != "Pad" or at.order == "HWC":
            return value, NO_PADS
        pads = self.values.constant(node.inputs[1]) if len(node.inputs) > 1 else None
        sizes = (
            node.numbers("pads") if pads is None else tuple(int(each) for each in pads.reshape(-1))
        )
        given = (
            self.values.constant(node.inputs[2])
            if len(node.inputs) > 2 and node.inputs[2]
            else None
        )
        number = node.number("value", 0.0) if given is None else float(given.reshape(-1)[0])
        right = number <= fill if fill < 0 else number == fill
        plain = str(node.attributes.get("mode", "constant")) == "constant"
        if len(sizes) != 8 or any(sizes[each] for each in (0, 1, 4, 5)) or not (right and plain):
            return value, NO_PADS
        return at.before(node.inputs[0]), ((sizes[2], sizes[6]), (sizes[3], sizes[7]))

    def _response(self, layer: LocalResponseNorm, site: LeafSite, value: Value) -> Value:
        node, at = self._node("local response normalisation", site, value, "LRN")
        for name, default, ours in (
            ("size", 0, layer.size),
            ("alpha", 1e-4, layer.alpha),
            ("beta", 0.75, layer.beta),
            ("bias", 1.0, layer.k),
        ):
            if abs(node.number(name, default) - ours) > _NEAR * ours:
                got = node.number(name, default)
                raise Differs(f"'{site.path}' has {name} {got:g}, expected {ours:g}")
        return at.before(node.inputs[0])

    def _pool(self, site: LeafSite, value: Value) -> Value:
        layer = site.layer
        assert isinstance(layer, MaxPool | AvgPool)
        kind = "MaxPool" if isinstance(layer, MaxPool) else "AveragePool"
        if isinstance(layer, AvgPool) and self._is_mean(layer, site):
            return self._mean(site, value)
        node, at = self._node(words(layer), site, value, kind)
        below, pads = self._padding(
            at.before(node.inputs[0]), _LOWEST if isinstance(layer, MaxPool) else 0.0
        )
        ours = of_spec(layer, site.out_shape)
        theirs = of_node(node, node.numbers("kernel_shape"), site.in_shape, pads)
        # What is cut off is no padding.
        counts = bool(node.number("count_include_pad", 0)) or any(map(any, np.maximum(pads, 0)))
        if theirs is None or not alike(ours, theirs):
            raise Differs(f"'{site.path}' has other windows than {words(layer)}")
        if isinstance(layer, AvgPool) and not divide_alike(
            layer, ours, theirs, counts, site.in_shape
        ):
            does = "counts" if counts else "does not count"
            raise Differs(f"'{site.path}' {does} the border's zeros in its mean")
        return below

    def _is_mean(self, layer: AvgPool, site: LeafSite) -> bool:
        """Whether an average pool is the mean of a whole map."""
        return (
            layer.kernel_size == site.in_shape[1:]
            and site.out_shape[1:] == (1, 1)
            and not any(each for pair in layer.padding for each in pair)
        )

    def _adaptive(self, site: LeafSite, value: Value) -> Value:
        """An average over a map, or over windows that share it out evenly."""
        _, height, width = site.in_shape
        size = site.out_shape[1:] if isinstance(site.layer, AdaptiveAvgPool) else (1, 1)
        if size == (1, 1):
            return self._mean(site, value)
        node, at = self.values.made(value)
        if size == (height, width) and (node is None or node.op != "AveragePool"):
            return value
        if height % size[0] or width % size[1]:
            return self._products(site, size, value)
        node, at = self._node(words(site.layer), site, value, "AveragePool")
        window = (height // size[0], width // size[1])
        layer = AvgPool(window, window, ((0, 0), (0, 0)), False, False)
        theirs = of_node(node, node.numbers("kernel_shape"), site.in_shape, NO_PADS)
        if not alike(of_spec(layer, site.out_shape), theirs):
            raise Differs(f"'{site.path}' has other windows than {words(layer)}")
        return at.before(node.inputs[0])

    def _products(self, site: LeafSite, size: Shape, value: Value) -> Value:
        """Means over windows of several sizes: products with a matrix for each axis, divided by the
        number of elements of each window, unless the matrices have done that.
        """
        what = "windows of several sizes, as products with matrices"
        node, at = self.values.made(value)
        counts: Array = np.ones(size)
        if node is not None and node.op == "Div" and (divided := self.values.split(node)):
            counts = divided[1]
            node, at = self.values.made(at.before(divided[0]))
        matrices: list[Array] = []
        for side in (1, 0):  # columns are on the right of the map
            weight = None
            if node is not None and node.op == "MatMul" and len(node.inputs) == 2:
                weight = self.values.constant(node.inputs[side])
            if node is None or weight is None or at.order == "HWC":
                raise self.other(site.path, what, node)
            matrices.append(weight if side == 0 else weight.T)
            node, at = self.values.made(at.before(node.inputs[1 - side], "CHW"))
        columns, rows = matrices
        with np.errstate(all="ignore"):  # a damaged file may hold any numbers
            sums = [
                _window_sums(matrix, before, after)
                for matrix, before, after in zip(
                    (rows, columns), site.in_shape[1:], size, strict=True
                )
            ]
            if not (
                sums[0] is not None
                and sums[1] is not None
                and counts.shape == size
                and np.allclose(counts, np.outer(sums[0], sums[1]), atol=0)
            ):
                raise Differs(
                    f"'{site.path}' multiplies by other matrices than those of its windows"
                )
        return at

    def _mean(self, site: LeafSite, value: Value) -> Value:
        """The mean of a whole map, in any of its spellings."""
        node, at = self.values.made(value)
        if site.in_shape[1:] == (1, 1) and (node is None or node.op not in _MEANS):
            return value
        if node is None or node.op not in _MEANS:
            raise self.other(site.path, "the mean of each map", node)
        if node.op == "ReduceMean":
            given = self.values.constant(node.inputs[1]) if len(node.inputs) > 1 else None
            axes = node.numbers("axes") if given is None else tuple(int(each) for each in given)
            along = sorted(each % 4 for each in axes)
            if along not in ([2, 3], [1, 2]):
                raise Differs(f"'{site.path}' is a mean along the axes {axes}")
            return at.before(node.inputs[0], "CHW" if along == [2, 3] else "HWC")
        if node.op == "AveragePool":
            theirs = of_node(node, node.numbers("kernel_shape"), site.in_shape, NO_PADS)
            if theirs is None or any(
                (each.kernel, each.before, each.count) != (size, 0, 1)
                for each, size in zip(theirs, site.in_shape[1:], strict=True)
            ):
                raise Differs(f"'{site.path}' is not the mean of a whole map")
        if at.order == "HWC":
            raise self.other(site.path, "the mean of each map", node)
        return at.before(node.inputs[0], "CHW")

    def _dense(self, site: LeafSite, value: Value) -> Value:
        layer = site.layer
        assert isinstance(layer, Dense)
        node, at = self.values.made(value)
        bias: Array | None = None
        if node is not None and node.op == "Add" and (added := self.values.split(node)):
            bias = per_channel(added[1], layer.out_features)
            node, at = self.values.made(at.before(added[0]))
        if node is None or node.op not in ("Gemm", "MatMul", "Conv"):
            raise self.other(site.path, "a dense layer", node)
        weight = self.values.constant(node.inputs[1])
        features = int(np.prod(site.in_shape))
        if node.op == "Gemm" and (
            node.number("transA", 0) or node.number("alpha", 1) != 1 or node.number("beta", 1) != 1
        ):
            raise Differs(f"'{site.path}' scales or turns what it takes")
        if weight is not None and (
            node.op == "MatMul" or (node.op == "Gemm" and not node.number("transB", 0))
        ):
            weight = weight.T
        below = at.before(node.inputs[0], "flat")
        if (
            weight is None
            or weight.size != layer.out_features * features
            or len(weight) != layer.out_features
        ):
            got = None if weight is None else weight.shape
            raise Differs(
                f"'{site.path}.weight' has shape {got}, expected {(layer.out_features, features)}"
            )
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = self.values.constant(node.inputs[2])
        shape = (layer.out_features, *site.in_shape)
        if node.op == "Conv" and (any(node.numbers("pads")) or node.number("group", 1) != 1):
            raise Differs(f"'{site.path}' is a convolution with padding or groups")
        if len(site.in_shape) == 3 and node.op != "Conv" and self._turned(below):
            channels, height, width = site.in_shape
            weight = weight.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        self.params[f"{site.path}.weight"] = np.ascontiguousarray(weight.reshape(shape), np.float32)
        if layer.bias:
            if bias is None:
                bias = np.zeros(layer.out_features, np.float32)
            if bias.size != layer.out_features:
                raise Differs(
                    f"'{site.path}.bias' has {bias.size} numbers, expected {layer.out_features}"
                )
            self.params[f"{site.path}.bias"] = bias.reshape(-1).astype(np.float32)
        elif bias is not None and bias.any():
            raise Differs(f"'{site.path}' has a bias, expected none")
        return below

    def _turned(self, value: Value) -> bool:
        """Whether a map was flattened with its channels last."""
        for _ in self.values.graph.nodes:
            node, value = self.values.made(value)
            if value.order != "flat" or node is None or node.op not in _ELEMENTWISE:
                break
            parts = self.values.split(node)
            value = value.before(parts[0] if parts else node.inputs[0])
        return value.order == "CHW"


def _window_sums(matrix: Array, size: int, count: int) -> Array | None:
    """What each row (count,) of a matrix adds up to, None unless it shares that out evenly among
    the pixels of one of `count` nearly equal windows of an axis of `size`.
    """
    if matrix.shape != (count, size):
        return None
    pixel, window = np.arange(size), np.arange(count)[:, None]
    inside = (pixel >= window * size // count) & (pixel < -(-(window + 1) * size // count))
    sums: Array = matrix.sum(1)
    even = sums[:, None] * inside / inside.sum(1, keepdims=True)
    return sums if (sums > 0).all() and np.allclose(matrix, even, atol=0) else None


def owes(value: Value) -> bool:
    """Whether something behind a value has not been found yet."""
    return value.relu or bool(value.norm)


def words(layer: Layer) -> str:
    """A layer in words."""
    match layer:
        case (
            Conv(kernel_size=size, stride=stride, padding=padding)
            | MaxPool(kernel_size=size, stride=stride, padding=padding)
            | AvgPool(kernel_size=size, stride=stride, padding=padding)
        ):
            kind = {"Conv": "a convolution", "MaxPool": "a max pool"}.get(
                type(layer).__name__, "an average pool"
            )
            return f"{kind} {size[0]}×{size[1]}, stride {stride[0]}×{stride[1]}, padding {padding}"
        case _:
            return f"a layer {type(layer).__name__}"
