"""Rewrites for evaluation: a network and its weights become a smaller network and its weights that
compute the same outputs in evaluation mode, but for rounding.

Each works on chains, in which every leaf takes the output of the one before it and nothing else
does. What is left keeps its path; arrays keep their dtype, and are computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from ..arrays import Array, Params
from .layers import (
    NO_PADDING,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Layer,
    Leaf,
    Network,
    Residual,
    Scale,
    Sequential,
)
from .params import param_specs
from .rewrite import edited
from .traversal import CompositeSite, LeafSite, fold, join

Weighed: TypeAlias = tuple[Network, Params]
Chain: TypeAlias = tuple[LeafSite, ...]


def simplified(network: Network, params: Mapping[str, Array]) -> Weighed:
    """All that is below, in this order."""
    found = without_idle(network, params)
    for rewrite in (scales_folded, norms_folded, projections_first):
        found = rewrite(*found)
    return found


def folded(network: Network) -> Network:
    """What `simplified` makes of `network` with any weights but those of which one would not be
    finite: its weights are not the network's.
    """
    # No rewrite of a structure looks at more of an array than its number of axes.
    neutral = {path: np.ones((1,) * len(spec.shape)) for path, spec in param_specs(network).items()}
    return simplified(network, neutral)[0]


def without_idle(network: Network, params: Mapping[str, Array]) -> Weighed:
    """Without dropout, and without a `Scale` that is on in training only, or by 1."""
    idle = {site.path: None for chain in chains(network) for site in chain if _is_idle(site.layer)}
    return edited(network, idle), dict(params)


def scales_folded(network: Network, params: Mapping[str, Array]) -> Weighed:
    """With the factor of a `Scale` that is on in evaluation mode in the convolution or dense layer
    directly before or after it, and that of a residual in the one that ends its body. Where there
    is none, or a weight would not be finite, it stays.
    """
    changes: dict[str, Leaf | None] = {}
    residuals: dict[str, float] = {}
    new = dict(params)
    for chain in chains(network):
        for before, after in pairwise(chain):
            for scale, into, names in (
                (after, before, ("weight", "bias")),
                (before, after, ("weight",)),
            ):
                layer = scale.layer
                if not isinstance(layer, Scale) or _is_idle(layer) or scale.path in changes:
                    continue
                if _is_linear(into) and _multiply(new, into.path, names, layer.factor):
                    changes[scale.path] = None
    for path, (factor, last) in _bodies(network).items():
        both = ("weight", "bias")
        if factor != 1 and _is_linear(last) and _multiply(new, last.path, both, factor):
            residuals[path] = 1.0
    return edited(network, changes, residuals=residuals), new


def norms_folded(network: Network, params: Mapping[str, Array]) -> Weighed:
    """With each batch norm that follows a convolution or a dense layer in it, by the running
    statistics: weight · γ / √(var + eps) and (bias − mean) · γ / √(var + eps) + β. One whose
    result would not be finite stays.
    """
    changes: dict[str, Leaf | None] = {}
    new = dict(params)
    for chain in chains(network):
        into: LeafSite | None = None
        for site in chain:
            norm = isinstance(site.layer, BatchNorm)
            if norm and into is not None and _take_in(new, into.path, site):
                if isinstance(into.layer, (Conv, Dense)):
                    changes[into.path] = replace(into.layer, bias=True)
                changes[site.path] = None
            else:
                into = site if _is_linear(site) else None
    return edited(network, changes), new


def projections_first(network: Network, params: Mapping[str, Array]) -> Weighed:
    """With an average pool of stride 1 after the 1×1 convolution that follows it, if that has fewer
    outputs than inputs, so that there is less to average: one is linear in space, the other in
    channels. A convolution with a bias stays behind a pool that counts padding, where the bias
    would be missing.
    """
    pools: dict[str, Leaf | None] = {}
    moved: dict[str, tuple[str, Leaf]] = {}
    for chain in chains(network):
        for pool, conv in pairwise(chain):
            if _commute(pool, conv):
                pools[pool.path] = None
                moved[conv.path] = (pool.path.rpartition(".")[2], pool.layer)
    return edited(network, pools, after=moved), dict(params)


def chains(network: Network) -> list[Chain]:
    """The chains of `network`, each as long as it can be, in the order of execution."""
    found: list[Chain] = []
    _end(found, fold(network, lambda site: (site,), partial(_compose, found)))
    return found


def _compose(
    found: list[Chain], site: CompositeSite, children: dict[str, tuple[LeafSite | None, ...]]
) -> tuple[LeafSite | None, ...]:
    """The leaves of a sequence, with None wherever a chain ends."""
    if isinstance(site.layer, Sequential):
        return tuple(each for child in children.values() for each in child)
    for child in children.values():
        _end(found, child)
    return (None,)


def _end(found: list[Chain], leaves: tuple[LeafSite | None, ...]) -> None:
    chain: list[LeafSite] = []
    for leaf in (*leaves, None):
        if leaf is not None:
            chain.append(leaf)
        elif chain:
            found.append(tuple(chain))
            chain = []


def _bodies(network: Network) -> dict[str, tuple[float, LeafSite]]:
    """For each residual whose body ends with a leaf: its scale, and that leaf."""
    found: dict[str, tuple[float, LeafSite]] = {}

    def compose(
        site: CompositeSite, children: dict[str, tuple[LeafSite | None, ...]]
    ) -> tuple[LeafSite | None, ...]:
        if isinstance(site.layer, Residual) and children["body"]:
            last = children["body"][-1]
            if last is not None:
                found[site.path] = (site.layer.scale, last)
        return _compose([], site, children)

    fold(network, lambda site: (site,), compose)
    return found


def _is_idle(layer: Layer) -> bool:
    off = isinstance(layer, Scale) and (layer.when == "train" or layer.factor == 1)
    return off or isinstance(layer, Dropout)


def _is_linear(site: LeafSite) -> bool:
    return isinstance(site.layer, (Conv, Dense))


def _commute(pool: LeafSite, conv: LeafSite) -> bool:
    match pool.layer, conv.layer:
        case (
            AvgPool(stride=(1, 1), padding=padding, count_include_pad=counted),
            Conv(out, (1, 1), (1, 1), explicit, _, bias),
        ) if explicit == NO_PADDING:
            counts = counted and padding != NO_PADDING
            return out < conv.in_shape[0] and not (bias and counts)
    return False


def _multiply(params: Params, path: str, names: tuple[str, ...], factor: float) -> bool:
    """Multiply the arrays `names` at `path` if they stay finite; returns whether they do."""
    paths = [join(path, name) for name in names if join(path, name) in params]
    with np.errstate(all="ignore"):
        return _put(params, {each: params[each].astype(np.float64) * factor for each in paths})


def _take_in(params: Params, path: str, norm: LeafSite) -> bool:
    """Fold the batch norm `norm` into the layer at `path`, if that stays finite; returns whether it
    does.
    """
    assert isinstance(norm.layer, BatchNorm)
    names = ("weight", "bias", "running_mean", "running_var")
    own = {name: params.get(join(norm.path, name)) for name in names}
    beta, mean, var = (np.asarray(own[name], np.float64) for name in names[1:])
    gamma = 1.0 if own["weight"] is None else own["weight"].astype(np.float64)
    weight, bias = join(path, "weight"), join(path, "bias")
    kernel = params[weight].astype(np.float64)
    with np.errstate(all="ignore"):
        slope = gamma / np.sqrt(var + norm.layer.eps)
        found = {
            weight: kernel * slope.reshape(-1, *[1] * (kernel.ndim - 1)),
            bias: (params.get(bias, 0.0) - mean) * slope + beta,
        }
        if not _put(params, found):
            return False
    for name in names:
        params.pop(join(norm.path, name), None)
    return True


def _put(params: Params, found: Mapping[str, Array]) -> bool:
    """Put float64 arrays in, all in the dtype of the first, if they are finite in it; returns
    whether they are.
    """
    dtype = params[next(iter(found))].dtype
    cast = {path: array.astype(dtype) for path, array in found.items()}
    finite = all(np.isfinite(array).all() for array in cast.values())
    if finite:
        params.update(cast)
    return finite
