"""From one network to another: padding made explicit, leaves replaced, taken out, put in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import MappingProxyType
from typing import Final, assert_never

from .layers import Aux, Composite, Concat, Dropout, Layer, Leaf, Network, Residual, Sequential
from .traversal import CompositeSite, child_path, fold


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


def edited(
    network: Network,
    leaves: Mapping[str, Leaf | None],
    *,
    after: Mapping[str, tuple[str, Leaf]] = MappingProxyType({}),
    residuals: Mapping[str, float] = MappingProxyType({}),
) -> Network:
    """The same network with other leaves at the paths `leaves`, or none; with another leaf `after`
    that at a path, in its sequence, called as is said there or much the same; and with other scales
    of `residuals`. What is left with nothing in it is left out of the sequence that holds it.
    """

    def visit(layer: Layer, path: str) -> Layer:
        if isinstance(layer, Leaf):
            left = leaves.get(path, layer)
            return _NOTHING if left is None else left
        found = {
            name: visit(child, child_path(layer, path, name)) for name, child in layer.children
        }
        if isinstance(layer, Sequential):
            found = {
                name: found[name]
                for name, child in layer.children
                if found[name] != _NOTHING or child == _NOTHING
            }
            children: dict[str, Layer] = {}
            for name, child in found.items():
                children[name] = child
                if (at := child_path(layer, path, name)) in after:
                    wanted, leaf = after[at]
                    children[_free_name(wanted, {*found, *children})] = leaf
            found = children
        changed = with_children(layer, found)
        if isinstance(changed, Residual) and path in residuals:
            changed = replace(changed, scale=residuals[path])
        return changed

    return replace(network, layers=_as_sequential(visit(network.layers, "")))


#: The identity.
_NOTHING: Final = Sequential(())


def _free_name(wanted: str, taken: AbstractSet[str]) -> str:
    """`wanted`, or with the first number from 2 that is not `taken`."""
    names = (wanted, *(f"{wanted}_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _as_sequential(layer: Layer) -> Sequential:
    if not isinstance(layer, Sequential):
        raise TypeError(f"expected a Sequential, got {type(layer).__name__}")
    return layer
