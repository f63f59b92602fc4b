"""From one network to another: padding made explicit, leaves replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never

from .layers import Aux, Composite, Concat, Dropout, Layer, Leaf, Network, Residual, Sequential
from .traversal import CompositeSite, fold


def with_children(layer: Composite, children: Mapping[str, Layer]) -> Composite:
    """`layer` with other children, by the names that a fold gives them; everything else stays the
    same.

    Raises `TypeError` unless an auxiliary head is a `Sequential`.
    """
    match layer:
        case Sequential() | Concat():
            return replace(layer, children=tuple(children.items()))
        case Residual():
            return replace(layer, body=children["body"], shortcut=children["shortcut"])
        case Aux():
            return replace(layer, head=_as_sequential(children["head"]))
        case _:
            assert_never(layer)


def resolve(network: Network) -> Network:
    """The same network with every SAME padding made explicit for its input shape."""

    def compose(site: CompositeSite, children: dict[str, Layer]) -> Layer:
        return with_children(site.layer, children)

    return replace(network, layers=_as_sequential(fold(network, lambda site: site.layer, compose)))


def map_leaves(network: Network, change: Callable[[Leaf], Leaf]) -> Network:
    """The same network with every leaf replaced by what `change` returns, whether or not the shapes
    fit.
    """

    def visit(layer: Layer) -> Layer:
        if isinstance(layer, Leaf):
            return change(layer)
        return with_children(layer, {name: visit(child) for name, child in layer.children})

    return replace(network, layers=_as_sequential(visit(network.layers)))


def with_dropout_rate(network: Network, rate: float) -> Network:
    """The same network with every dropout at `rate`: training-mode comparisons use 0, where dropout
    is the identity.
    """
    return map_leaves(network, lambda leaf: Dropout(rate) if isinstance(leaf, Dropout) else leaf)


def _as_sequential(layer: Layer) -> Sequential:
    if not isinstance(layer, Sequential):
        raise TypeError(f"expected a Sequential, got {type(layer).__name__}")
    return layer
