"""The mutants that a layer by itself shows: rounding of windows, ties, large activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias
from unittest import mock

import numpy as np

from ...arrays import Array
from ...backend.geometry import window_count
from ...reference import forward as reference_forward
from ...reference import ops, run_gradients
from ...reference.layout import to_nhwc
from ...reference.network import Pass
from ...spec.layers import AvgPool, MaxPool, ReLU
from ...spec.loss import Loss
from ...spec.traversal import LeafSite, inputs, nodes, walk
from . import sabotage
from .mutant import Mutant
from .sabotage import Gradients, Outputs, Sabotage, as_reference


def pool_mutants() -> Iterator[Mutant]:
    """On a pool by itself: no layer after it could take the smaller map."""
    for kind, name in ((MaxPool, "a max pool"), (AvgPool, "an average pool")):
        yield Mutant(
            f"floor for ceil in {name}",
            "'layer' of",
            sabotage.every_leaf(
                partial(_rounds_up, kind),
                lambda pool: replace(pool, ceil_mode=False),
                reshaped=True,
            ),
            "pool-kernel2-stride2-padding0",
        )


def _rounds_up(kind: type[MaxPool | AvgPool], site: LeafSite) -> bool:
    return isinstance(site.layer, kind) and site.layer.ceil_mode


def tie_mutants() -> Iterator[Mutant]:
    """ReLUs and max pools that decide otherwise where values are equal, and ReLU6."""
    for value in (1.0, 0.5):
        yield Mutant(
            f"ReLU's derivative {value:g} at 0",
            "'hidden.bias' of",
            _deciding(ReLU, _at_zero(value)),
            "ties-relu",
        )
    yield Mutant(
        "the last of equal maxima takes the gradient",
        "'before.weight' of",
        _deciding(MaxPool, _last),
        "ties-max_pool",
    )
    yield Mutant(
        "ReLU6 for ReLU",
        "'relu' of",
        sabotage.instead("forward", _capped),
        "large-activations",
    )


#: What a layer decides about its input, (N, H, W, C) or (N, C): how much of the gradient passes at
#: each element of a ReLU, or the position that wins each window of a max pool.
Rule: TypeAlias = Callable[[LeafSite, Array], Array]


def _deciding(kind: type, rule: Rule) -> Sabotage:
    """Gradients that go back through layers of a kind as `rule` says: those of the reference, since
    no framework has such layers.
    """

    def make(module: ModuleType, right: Any) -> Callable[..., Gradients]:
        def wrong(
            model: Any, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
        ) -> Gradients:
            network = model.network
            taps = frozenset(site.path for site in nodes(network))
            seen, sources = Pass(train=train, taps=taps), inputs(network)
            as_reference(module, model).run(images, seen)
            choices = {}
            for site in walk(network):
                if isinstance(site.layer, kind):
                    source = sources[site.path]
                    x = images if source is None else seen.outputs[source]
                    made = rule(site, to_nhwc(x) if x.ndim == 4 else x)
                    choices[site.path] = ops.Choice(fixed=made)
            own = Pass(train=train, choices=choices)
            return run_gradients(as_reference(module, model), images, labels, own, loss=loss)

        return wrong

    return sabotage.instead("gradients", make, "gradients")


def _at_zero(value: float) -> Rule:
    return lambda site, x: np.where(x == 0, value, x > 0).astype(x.dtype)


def _last(site: LeafSite, x: Array) -> Array:
    """On integers: among equal ones the last is made the largest."""
    assert isinstance(site.layer, MaxPool)
    _, height, width, _ = x.shape
    order = np.arange(height * width).reshape(1, height, width, 1) / (2 * height * width)
    return ops.winners(x + order, site.layer, window_count(site))


def _capped(module: ModuleType, right: Any) -> Callable[..., Outputs]:
    """The outputs of the reference with every ReLU capped at 6."""
    relu = ops.relu

    def relu6(x: Array, choice: ops.Choice) -> tuple[Array, ops.Backward]:
        y, backward = relu(x, choice)
        return np.minimum(y, 6), backward

    def wrong(
        model: Any, images: Array, *, train: bool = False, taps: Iterable[str] = ()
    ) -> Outputs:
        with mock.patch.object(ops, "relu", relu6):
            return reference_forward(as_reference(module, model), images, train=train, taps=taps)

    return wrong
