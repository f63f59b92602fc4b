"""Whether two networks are one function in evaluation mode, whatever they are called and however
their pools are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, assert_never

from .layers import (
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
    LocalResponseNorm,
    MaxPool,
    Network,
    ReLU,
    Residual,
    Scale,
    Sequential,
    Shape,
)
from .traversal import CompositeSite, LeafSite, composites, fold

#: What is computed, in order; each item is a tuple that equals another's if they compute the same.
Steps: TypeAlias = tuple[tuple[Any, ...], ...]
#: A window of a pool along one axis: where it begins and ends, and what a mean divides by.
Window: TypeAlias = tuple[int, int, int]


def same_in_evaluation(
    a: Network, b: Network, called: Mapping[str, str] = MappingProxyType({})
) -> bool:
    """Whether networks of the same input shape compute the same logits, and the same outputs of the
    auxiliary heads that both have, in evaluation mode with the same arrays by path; `called` says
    which layer of `b` one of `a` is, by path, if it has another.

    What only one of them has, a bias of a convolution or a gamma, counts as neutral. Windows are
    compared as they lie on the input: whether sizes round up, and whether a mean counts padding,
    matters only where it changes something. Networks that are written in another order may be the
    same function and count as different. Raises `ShapeError` if an input does not fit.
    """
    common = head_paths(a) & head_paths(b)
    return a.input_shape == b.input_shape and _steps(a, common, called) == _steps(b, common)


def head_paths(network: Network) -> set[str]:
    """The paths of the auxiliary heads."""
    return {site.path for site in composites(network) if isinstance(site.layer, Aux)}


def _steps(
    network: Network, heads: set[str], called: Mapping[str, str] = MappingProxyType({})
) -> Steps:
    def leaf(site: LeafSite) -> Steps:
        return _leaf(site, called.get(site.path, site.path))

    def compose(site: CompositeSite, children: dict[str, Steps]) -> Steps:
        return _composite(site.layer, site.path, children, heads)

    return fold(network, leaf, compose)


def _composite(layer: Composite, path: str, children: dict[str, Steps], heads: set[str]) -> Steps:
    match layer:
        case Sequential():
            return tuple(step for steps in children.values() for step in steps)
        case Concat():
            return _branches(list(children.values()))
        case Residual():
            return (("sum", children["body"], children["shortcut"], layer.scale),)
        case Aux():
            return (("head", path, children["head"]),) if path in heads else ()
        case _:
            assert_never(layer)


def _branches(branches: list[Steps]) -> Steps:
    """A concatenation of concatenations is one; of a single branch it is none."""
    flat: list[Steps] = []
    for steps in branches:
        inner = steps[0] if len(steps) == 1 else ()
        flat += inner[1] if inner[:1] == ("branches",) else [steps]
    return flat[0] if len(flat) == 1 else (("branches", tuple(flat)),)


def _leaf(site: LeafSite, path: str) -> Steps:
    match layer := site.layer:
        case Conv():
            window = (layer.kernel_size, layer.stride, layer.padding)
            return (("conv", path, layer.out_channels, window, layer.groups),)
        case BatchNorm():
            return (("norm", path, layer.eps),)
        case Dense():
            return (("dense", path, layer.out_features),)
        case LocalResponseNorm() | ReLU():
            return ((type(layer).__name__, layer),)
        case Scale():
            return () if layer.when == "train" or layer.factor == 1 else (("by", layer.factor),)
        case Dropout():
            return ()
        case MaxPool():
            return _pooled("max", [_windows(layer, site, axis) for axis in (0, 1)], site.in_shape)
        case AvgPool():
            return _pooled("mean", [_windows(layer, site, axis) for axis in (0, 1)], site.in_shape)
        case AdaptiveAvgPool() | GlobalAvgPool():
            sizes = layer.output_size if isinstance(layer, AdaptiveAvgPool) else (1, 1)
            parts = [_adaptive(*pair) for pair in zip(site.in_shape[1:], sizes, strict=True)]
            return _pooled("mean", parts, site.in_shape)
        case _:
            assert_never(layer)


def _pooled(kind: str, axes: list[tuple[Window, ...]], in_shape: Shape) -> Steps:
    each = [tuple((i, i + 1, 1) for i in range(size)) for size in in_shape[1:]]
    return () if axes == each else ((kind, *axes),)


def _windows(layer: MaxPool | AvgPool, site: LeafSite, axis: int) -> tuple[Window, ...]:
    """The windows of a pool along one axis, of which the input is a part. `site` has its padding
    made explicit.
    """
    assert not isinstance(layer.padding, str)
    (before, after), kernel = layer.padding[axis], layer.kernel_size[axis]
    size, counts = site.in_shape[1 + axis], isinstance(layer, AvgPool) and layer.count_include_pad
    found: list[Window] = []
    for index in range(site.out_shape[1 + axis]):
        start = index * layer.stride[axis] - before
        first, last = max(start, 0), min(start + kernel, size)
        divisor = min(start + kernel, size + after) - start if counts else last - first
        found.append((first, last, divisor if isinstance(layer, AvgPool) else 1))
    return tuple(found)


def _adaptive(size: int, count: int) -> tuple[Window, ...]:
    bounds = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    return tuple((first, last, last - first) for first, last in bounds)
