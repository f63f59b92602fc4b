"""What the native models of every framework call the arrays of our networks: the spec's paths, with
the framework's own last part and layout.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ...architectures import designators, get_network
from ...errors import UnknownNameError
from ...spec.layers import Network
from ...spec.params import param_specs
from ..formats import WeightsFile
from .guess import LEAST_SHARE
from .models import ZooModel, find_model, zoo_models
from .parts import parts_of

#: The library of each framework whose table says what a layer's arrays are called there. The first
#: has the spec's own names and layout.
_LIBRARY_OF = {
    "torch": "torchvision",
    "paddle": "paddle",
    "tensorflow": "keras",
    "mxnet": "gluon",
    "mindspore": "mindcv",
}
#: What Flax calls a layer's arrays; no table here has all of them.
_FLAX: Final[Mapping[str, Mapping[str, str]]] = {
    "conv": {"axes": "HWIO", "weight": "kernel", "bias": "bias"},
    "norm": {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"},
    "dense": {"axes": "IO", "map": "HWC", "weight": "kernel", "bias": "bias"},
}


@functools.cache
def own_models(designator: str) -> tuple[ZooModel, ...]:
    """The network that `get_network` calls `designator`, as each framework's native model names its
    arrays, auxiliary heads included.
    """
    try:
        return _models_of(get_network(designator, aux=True), designator, aux=True)
    except UnknownNameError:  # it has no auxiliary heads
        return _models_of(get_network(designator), designator, aux=False)


def given_models(network: Network) -> tuple[ZooModel, ...]:
    """`network` itself, which need not have a name that `get_network` knows, as each framework's
    native model names its arrays.
    """
    return tuple(
        replace(model, given=network) for model in _models_of(network, network.name, aux=False)
    )


def _models_of(network: Network, designator: str, *, aux: bool) -> tuple[ZooModel, ...]:
    paths = list(dict.fromkeys(spec.site.path for spec in param_specs(network).values()))
    found = [
        _model(framework, library, designator, paths, aux=aux)
        for framework, library in _LIBRARY_OF.items()
    ]
    rows = tuple((path.replace(".", "/"), path) for path in paths)
    flax = replace(found[0], zoo="jax", rows=rows, leaves=_FLAX, join="/", separator="/")
    return (*found, flax)


def _model(
    framework: str, library: str, designator: str, paths: Iterable[str], *, aux: bool
) -> ZooModel:
    table = find_model(next(each for each in zoo_models() if each.startswith(f"{library}:")))
    return ZooModel(
        zoo=framework,
        name=designator,
        network=designator,
        aux=aux,
        unit={},
        rows=tuple((path, path) for path in paths),
        leaves=table.leaves,
        join=".",
        separator=table.separator,
        ignored=table.ignored,
        own=True,
    )


@functools.cache
def _paths_of(designator: str) -> frozenset[str]:
    """The paths of all layers with arrays."""
    return frozenset(path for path, _ in own_models(designator)[0].rows)


def fitting_networks(file: WeightsFile) -> list[str]:
    """The networks, by the names of `get_network`, that have most of the arrays of `file` by the
    names of a native model, and of these those that agree best.
    """
    layers: set[str] = set()
    for name in file.arrays:
        layer = re.split(r"[./](?=[^./]*$)", name)[0].replace("/", ".")
        starts = (0, *(match.end() for match in re.finditer(r"\.", layer)))
        layers.update(layer[start:] for start in starts)
    shares: dict[str, float] = {}
    for designator in designators():
        paths = _paths_of(designator)
        if len(paths & layers) >= LEAST_SHARE * len(paths):
            parts = [part for model in own_models(designator) for part in parts_of(file, model)]
            shares[designator] = max(part.share for part in parts)
    best = max(shares.values(), default=0.0)
    return [each for each, share in shares.items() if share == best >= LEAST_SHARE]
