"""The one traversal of a network: paths, and the shape of every input and output.

`fold` visits every layer in the order of execution; rendering, running, counting and naming are all
folds. Shapes leave out the batch axis: (C, H, W) or (C,).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar, assert_never

from ..errors import ShapeError, SpecError
from .layers import (
    SAME,
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Composite,
    Concat,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    Layer,
    Leaf,
    LocalResponseNorm,
    MaxPool,
    Network,
    Pair,
    ReLU,
    Residual,
    Scale,
    Sequential,
    Shape,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Site:
    """A layer where it stands: its path, the layer (padding always explicit), and its shapes
    without the batch axis.
    """

    path: str
    layer: Layer
    in_shape: Shape
    out_shape: Shape


@dataclass(frozen=True, slots=True)
class LeafSite(Site):
    """A `Site` whose layer is a leaf."""

    layer: Leaf


@dataclass(frozen=True, slots=True)
class CompositeSite(Site):
    """A `Site` whose layer is a composite."""

    layer: Composite


def fold(
    network: Network,
    leaf: Callable[[LeafSite], T],
    compose: Callable[[CompositeSite, dict[str, T]], T],
) -> T:
    """Build one value from a network, leaves first, in the order of execution.

    `leaf(site)` makes the value of a leaf; `compose(site, children)` joins the values of a
    composite's children, keyed by name (`body` and `shortcut` for a `Residual`; `head` for an
    `Aux`, whose head shares the path of the `Aux`). The root has the path "". Raises `ShapeError`,
    naming the path, where a layer cannot take its input.
    """
    value, _ = _fold(network.layers, "", network.input_shape, leaf, compose)
    return value


def _fold(
    layer: Layer,
    path: str,
    in_shape: Shape,
    leaf: Callable[[LeafSite], T],
    compose: Callable[[CompositeSite, dict[str, T]], T],
) -> tuple[T, Shape]:
    if isinstance(layer, Leaf):
        explicit, out_shape = _leaf_shape(layer, path, in_shape)
        return leaf(LeafSite(path, explicit, in_shape, out_shape)), out_shape
    values: dict[str, T] = {}
    shapes: dict[str, Shape] = {}
    match layer:
        case Sequential():
            out_shape = in_shape
            for name, child in layer.children:
                values[name], out_shape = _fold(child, join(path, name), out_shape, leaf, compose)
        case Concat() | Residual():
            for name, child in layer.children:
                values[name], shapes[name] = _fold(child, join(path, name), in_shape, leaf, compose)
            out_shape = (
                _concat_shape(path, shapes)
                if isinstance(layer, Concat)
                else _sum_shape(path, shapes)
            )
        case Aux():
            values["head"], _ = _fold(layer.head, path, in_shape, leaf, compose)
            out_shape = in_shape
        case _:
            assert_never(layer)
    return compose(CompositeSite(path, layer, in_shape, out_shape), values), out_shape


def walk(network: Network) -> Iterator[LeafSite]:
    """Every leaf of `network` in the order of execution. Raises `ShapeError` as `fold` does."""
    sites: list[LeafSite] = []
    fold(network, sites.append, lambda site, children: None)
    yield from sites


def nodes(network: Network) -> tuple[Site, ...]:
    """Every layer, composites after their children, without the root and without the identity: all
    that can be tapped.
    """
    sites: list[Site] = []

    def compose(site: CompositeSite, children: dict[str, None]) -> None:
        # An Aux passes its input on unchanged, and its head has the same path: the head is what the
        # path shows.
        if site.path and not isinstance(site.layer, Aux) and children:
            sites.append(site)

    fold(network, sites.append, compose)
    return tuple(sites)


def inputs(network: Network) -> dict[str, str | None]:
    """For every layer by path, the path of the layer whose output it takes, as `nodes` has it; None
    for the network's own input.
    """
    found: dict[str, str | None] = {}

    def visit(layer: Layer, path: str, source: str | None) -> str | None:
        found[path] = source
        match layer:
            case Sequential(children):
                for name, child in children:
                    source = visit(child, join(path, name), source)
                return (path or source) if children else source
            case Concat() | Residual():
                for name, child in layer.children:
                    visit(child, join(path, name), source)
            case Aux(head):
                visit(head, path, source)
                return source
        return path

    visit(network.layers, "", None)
    return found


def output_shapes(network: Network) -> dict[str, Shape]:
    """The shape of every output by name, `logits` first. Raises `ShapeError` as `fold` does."""
    shapes: dict[str, Shape] = {}

    def compose(site: CompositeSite, children: dict[str, Shape]) -> Shape:
        if isinstance(site.layer, Aux):
            shapes[site.path.rpartition(".")[2]] = children["head"]
        return site.out_shape

    return {"logits": fold(network, lambda site: site.out_shape, compose), **shapes}


def join(path: str, name: str) -> str:
    """The path of the child `name` of the layer at `path`."""
    return f"{path}.{name}" if path else name


def resolve(network: Network) -> Network:
    """The same network with every SAME padding made explicit for its input shape."""

    def compose(site: CompositeSite, children: dict[str, Layer]) -> Layer:
        match site.layer:
            case Sequential():
                return Sequential(tuple(children.items()))
            case Concat():
                return Concat(tuple(children.items()))
            case Residual(scale=scale):
                return Residual(children["body"], children["shortcut"], scale)
            case Aux(loss_weight=loss_weight):
                return Aux(_as_sequential(children["head"]), loss_weight)
            case _:
                assert_never(site.layer)

    return replace(network, layers=_as_sequential(fold(network, lambda site: site.layer, compose)))


def _as_sequential(layer: Layer) -> Sequential:
    if not isinstance(layer, Sequential):
        raise TypeError(f"expected a Sequential, got {type(layer).__name__}")
    return layer


def map_leaves(network: Network, change: Callable[[Leaf], Leaf]) -> Network:
    """The same network with every leaf as `change` returns it."""

    def visit(layer: Layer) -> Layer:
        match layer:
            case Sequential(children) | Concat(children):
                return type(layer)(tuple((name, visit(child)) for name, child in children))
            case Residual(body, shortcut, scale):
                return Residual(visit(body), visit(shortcut), scale)
            case Aux(head, loss_weight):
                return Aux(_as_sequential(visit(head)), loss_weight)
            case _:
                return change(layer)

    return replace(network, layers=_as_sequential(visit(network.layers)))


def with_dropout_rate(network: Network, rate: float) -> Network:
    """The same network with every dropout at `rate`: training-mode comparisons use 0, where dropout
    is the identity.
    """
    return map_leaves(network, lambda leaf: Dropout(rate) if isinstance(leaf, Dropout) else leaf)


def _leaf_shape(layer: Leaf, path: str, in_shape: Shape) -> tuple[Leaf, Shape]:
    """The leaf with explicit padding, and the shape of its output."""
    match layer:
        case Conv() | MaxPool() | AvgPool():
            channels, *size = _map_shape(layer, path, in_shape)
            if layer.padding == SAME:
                top, left = (
                    _same(*args) for args in zip(size, layer.kernel_size, layer.stride, strict=True)
                )
                layer = replace(layer, padding=(top, left))
            if isinstance(layer, Conv):
                if channels % layer.groups:
                    raise ShapeError(
                        f"{path}: groups {layer.groups} must divide the {channels} input channels;"
                        " change one of them"
                    )
                channels = layer.out_channels
            out = tuple(_window_count(layer, path, in_shape, axis) for axis in (0, 1))
            return layer, (channels, *out)
        case AdaptiveAvgPool(output_size):
            return layer, (_map_shape(layer, path, in_shape)[0], *output_size)
        case GlobalAvgPool():
            return layer, _map_shape(layer, path, in_shape)[:1]
        case Dense(out_features):
            return layer, (out_features,)
        case BatchNorm() | LocalResponseNorm():
            return layer, _map_shape(layer, path, in_shape)
        case ReLU() | Dropout() | Scale():
            return layer, in_shape
        case _:
            assert_never(layer)


def _map_shape(layer: Leaf, path: str, in_shape: Shape) -> Shape:
    if len(in_shape) != 3:
        raise ShapeError(
            f"{path}: {type(layer).__name__} needs a (C, H, W) input, got {in_shape}; place it"
            " before the pooling to a vector"
        )
    return in_shape


def _same(size: int, kernel: int, stride: int) -> Pair:
    """TensorFlow's SAME: ⌈size / stride⌉ outputs, the odd element of padding after the input."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _window_count(layer: Conv | MaxPool | AvgPool, path: str, in_shape: Shape, axis: int) -> int:
    size, kernel, stride = in_shape[1 + axis], layer.kernel_size[axis], layer.stride[axis]
    if isinstance(layer.padding, str):
        raise SpecError(f"{path}: SAME padding must be resolved before windows are counted")
    before, after = layer.padding[axis]
    span = size + before + after - kernel
    ceil_mode = not isinstance(layer, Conv) and layer.ceil_mode
    if span < 0 and not (ceil_mode and span > -stride):
        side = ("height", "width")[axis]
        raise ShapeError(
            f"{path}: the {kernel}-wide kernel does not fit the {side} {size} of its input"
            f" {in_shape} with padding {before}+{after}"
        )
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


def _concat_shape(path: str, shapes: dict[str, Shape]) -> Shape:
    if (
        any(len(shape) != 3 for shape in shapes.values())
        or len({shape[1:] for shape in shapes.values()}) > 1
    ):
        raise ShapeError(
            f"{path}: branches must end in maps of one height and width, got {shapes}; align their"
            " strides and padding"
        )
    return (sum(shape[0] for shape in shapes.values()), *next(iter(shapes.values()))[1:])


def _sum_shape(path: str, shapes: dict[str, Shape]) -> Shape:
    if shapes["body"] != shapes["shortcut"]:
        raise ShapeError(
            f"{path}: body {shapes['body']} and shortcut {shapes['shortcut']} must have one shape;"
            " project the shortcut"
        )
    return shapes["body"]
