"""A network of the spec as a tree, to be laid beside that of a user's model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..arrays import Array, Params
from ..spec.layers import Aux, Concat, Leaf, Network, Residual, Scale, Sequential
from ..spec.params import param_specs
from ..spec.rewrite import resolve
from ..spec.traversal import CompositeSite, LeafSite, fold
from ..tracing.tree import Chain, Fork, Head, Item, Step

#: What a layer of the network becomes: the items in its place.
Items: TypeAlias = "tuple[Item, ...]"


def specified(network: Network, params: Params) -> Chain:
    """`network` with `params` as a tree whose places are the spec's paths; sequences are opened,
    and what acts in training mode only is left out.
    """
    roles: dict[str, dict[str, Array]] = {}
    for path, spec in param_specs(network).items():
        roles.setdefault(path.rpartition(".")[0], {})[spec.name] = params[path]
    outputs = network.outputs

    def leaf(site: LeafSite) -> Items:
        layer: Leaf = site.layer
        if isinstance(layer, Scale):
            if layer.when == "train":
                return ()
            layer = Scale(layer.factor, "always")
        return (Step(layer, roles.get(site.path, {}), site.out_shape, site.path),)

    def compose(site: CompositeSite, children: Mapping[str, Items]) -> Items:
        match site.layer:
            case Sequential():
                return sum(children.values(), ())
            case Concat():
                branches = tuple(children.values())
                return (Fork("concat", branches, site.out_shape, site.path),)
            case Residual(scale=scale):
                body = children["body"]
                if scale != 1:
                    step = Step(Scale(scale, "always"), {}, site.out_shape, site.path)
                    body = (*body, step)
                return (Fork("sum", (children["shortcut"], body), site.out_shape, site.path),)
            case Aux():
                name = site.path.rpartition(".")[2]
                return (Head(children["head"], outputs.index(name)),)

    return fold(resolve(network), leaf, compose)
