"""A network as nested functions, and the functions of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from googlenet import DeviceError, Network, Params, check_params, fold, param_specs
from googlenet.arrays import Array
from googlenet.backend.checks import check_images, check_taps
from googlenet.spec.layers import Aux, Concat, Residual, Sequential
from googlenet.spec.traversal import CompositeSite, LeafSite

from . import layout, leaves

name = "example"
unbiased_running_variance = False

#: (N, C, H, W) or (N, C) → the same of what a layer gives.
Function: TypeAlias = Callable[[Array], Array]


@dataclass
class Model:
    network: Network
    params: Params

    def __call__(self, images: Array, taps: frozenset[str] = frozenset()) -> dict[str, Array]:
        found: dict[str, Array] = {}

        def run_leaf(site: LeafSite) -> Function:
            return lambda x: tap(site.path, leaves.leaf(site, x, self.params))

        def run_composite(site: CompositeSite, children: dict[str, Function]) -> Function:
            if isinstance(site.layer, Aux):
                head = children["head"]
                return lambda x: aside(site.path, head(x), x)
            return lambda x: tap(site.path, compose(site, children, x))

        def tap(path: str, y: Array) -> Array:
            if path in taps:
                found[path] = y
            return y

        def aside(path: str, y: Array, x: Array) -> Array:
            found[path.rpartition(".")[2]] = y
            return x

        run = fold(self.network, run_leaf, run_composite)
        return {"logits": run(images), **found}


def build(network: Network, params: Params, *, device: str | None = None) -> Model:
    """A model that holds copies of `params`. Raises `DeviceError` for a device other than "cpu"."""
    if device not in (None, "cpu"):
        raise DeviceError(f"device: '{device}' cannot be used by example: it only runs on 'cpu'")
    params, specs = check_params(network, params), param_specs(network)
    return Model(
        network, {path: layout.to_native(spec, params[path]) for path, spec in specs.items()}
    )


def params_of(model: Model) -> Params:
    """Copies of the weights of `model`."""
    specs = param_specs(model.network)
    return {path: layout.from_native(spec, model.params[path]) for path, spec in specs.items()}


def forward(
    model: Model, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers."""
    return model(check_images(model.network, images), check_taps(model.network, taps))


def compose(site: CompositeSite, children: dict[str, Function], x: Array) -> Array:
    """What a composite gives for its input x, its children given by name."""
    y: Array = x
    match site.layer:
        case Sequential():
            for child in children.values():
                y = child(y)
        case Concat():
            y = np.concatenate([child(x) for child in children.values()], axis=1)
        case Residual(scale=scale):
            y = children["shortcut"](x) + np.float32(scale) * children["body"](x)
    return y
