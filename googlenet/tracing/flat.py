"""A network of the spec as if it had been traced: with the same names as any user's code, so that
the two can be compared layer by layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from ..spec.layers import (
    Aux,
    BatchNorm,
    Concat,
    Network,
    Residual,
    Scale,
    Sequential,
)
from ..spec.traversal import CompositeSite, LeafSite, fold
from .network import Traced, as_traced
from .norms import MOMENTUM
from .tree import Chain, Fork, Head, Item, Step


def flat(network: Network) -> Traced:
    """`network` without what an evaluation does not show: names, the nesting of sequences,
    momentum, the weights of losses, scales in training; a batch norm has a gamma. Layers are called
    as those of a traced model are; the places are their paths in `network`. There are no weights.

    Raises `ShapeError` as `fold` does.
    """
    heads = {name: number for number, name in enumerate(network.outputs)}

    def leaf(site: LeafSite) -> Chain:
        layer = site.layer
        match layer:
            case Scale(when="train"):
                return ()
            case Scale():
                layer = replace(layer, when="always")
            case BatchNorm():
                layer = replace(layer, momentum=MOMENTUM, scale=True)
        return (Step(layer, {}, site.out_shape, site.path),)

    def compose(site: CompositeSite, children: dict[str, Chain]) -> Chain:
        match site.layer:
            case Sequential():
                return tuple(item for chain in children.values() for item in chain)
            case Concat():
                made: Item = Fork("concat", tuple(children.values()), site.out_shape, site.path)
            case Residual(scale=scale):
                body = children["body"]
                if scale != 1:
                    body += (Step(Scale(scale, "always"), {}, site.out_shape, site.path),)
                both = (body, children["shortcut"])
                made = Fork("sum", both, site.out_shape, site.path)
            case Aux():
                made = Head(children["head"], heads[site.path.rpartition(".")[2]])
            case _:
                assert_never(site.layer)
        return (made,)

    chain = fold(network, leaf, compose)
    return as_traced(chain, network.name, network.input_shape, network.source)
