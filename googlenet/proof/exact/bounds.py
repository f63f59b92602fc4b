"""Proof that float32 is exact on a drawn problem, whatever the order of its sums: Σ |terms| of
every sum, forward and backward, in granules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...arrays import Array
from ...backend.geometry import window_count
from ...reference import ops
from ...reference.network import Model, Pass, Step, matmul
from ...spec.layers import (
    AvgPool,
    BatchNorm,
    Composite,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    LocalResponseNorm,
    MaxPool,
    Residual,
    Scale,
)
from ...spec.traversal import CompositeSite, LeafSite, join
from ..parity.problem import Problem
from .granules import ANY, BITS, granule

#: Sums stay below this many granules.
GRANULES = 2.0**BITS

#: float32 counts what is smaller as 0, on some processors and in some modes.
SMALLEST_NORMAL = 2.0**-126


@dataclass
class Load:
    """How near each sum comes to what float32 holds: the largest Σ |terms| in granules by what is
    summed, and what float32 does not hold exactly.
    """

    sums: dict[str, float] = field(default_factory=dict)
    inexact: list[str] = field(default_factory=list)

    def add(self, what: str, terms: Array, unit: float) -> None:
        """A sum whose Σ |terms| are `terms`, multiples of `unit`."""
        largest = float(np.abs(terms).max(initial=0.0))
        if largest and unit != ANY:
            self.sums[what] = max(self.sums.get(what, 0.0), largest / unit)

    def hold(self, what: str, values: Array) -> None:
        """Values that float32 must hold exactly."""
        kept = values.astype(np.float32)
        small = np.abs(values) < SMALLEST_NORMAL
        if not np.array_equal(np.where(small, 0, values), np.where(small, 0, kept)):
            self.inexact.append(what)

    @property
    def worst(self) -> tuple[str, float]:
        """The sum that is nearest to the bound, and its Σ |terms| in granules."""
        return max(self.sums.items(), key=lambda item: item[1], default=("nothing", 0.0))

    @property
    def exact(self) -> bool:
        """Whether every sum is below the bound, and every value is one of float32's."""
        return not self.inexact and self.worst[1] < GRANULES


def _is_power(layer: LocalResponseNorm, x: Array) -> bool:
    """Whether the normalisation divides by a power of two everywhere: 1, or 16 to the power ¾."""
    largest = layer.k + layer.alpha * float((x * x).max(initial=0.0)) * layer.size
    if np.float32(largest) == 1:
        return True
    divisors = np.where(x == 0, 1.0, x) / np.where(
        x == 0, 1.0, ops.local_response_norm(x, layer)[0]
    )
    return layer.beta == 0.75 and bool(np.isin(divisors, (1.0, 8.0)).all())


class Loaded(Model):
    """The float64 reference, which notes in `load` how large the sums of a pass are."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.network, problem.params, dtype=np.float64, rounded=True)
        self.load = Load()
        #: The gradients of the branches' inputs, of the composites that the pass is in.
        self._parts: list[list[Array]] = []

    def _compute(self, site: LeafSite) -> Step:
        inner = super()._compute(site)
        path, layer = site.path, site.layer

        def step(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
            y, backward = inner(x, run)
            sums = self._sums(site, x, run)
            # One product with a constant is rounded alike everywhere.
            once = self.rounded if isinstance(layer, Scale) else ops.as_it_is
            self.load.hold(f"output of {path}", once(y))
            if sums is not None:
                terms, unit, _ = sums
                self.load.add(f"output of {path}", terms, unit)

            def noted(dy: Array) -> Array:
                dx = backward(dy)
                self.load.hold(f"gradient through {path}", once(dx))
                if sums is not None:
                    sums[2](dy)
                for name in ("weight", "bias"):
                    grad = run.grads.get(join(path, name))
                    if grad is not None:
                        self.load.hold(f"gradient of {path}.{name}", grad)
                return dx

            if isinstance(layer, LocalResponseNorm) and not _is_power(layer, x):
                self.load.inexact.append(f"output of {path}")
            return y, noted

        return step

    def _sums(
        self, site: LeafSite, x: Array, run: Pass
    ) -> tuple[Array, float, Callable[[Array], None]] | None:
        """Σ |terms| of a leaf's output, their granule, and what notes those of its gradients."""
        path, layer, load = site.path, site.layer, self.load
        count = window_count(site) if len(site.out_shape) == 3 else (1, 1)
        match layer:
            case Conv() | Dense():
                weight, bias = self._weights(path)
                absolute = None if bias is None else np.abs(bias)
                terms, back = (
                    ops.conv(np.abs(x), layer, np.abs(weight), absolute, count, matmul)
                    if isinstance(layer, Conv)
                    else ops.dense(np.abs(x), np.abs(weight), absolute, matmul)
                )
                units = granule(x), granule(weight)
                own = ANY if bias is None else granule(bias)

                def weighted(dy: Array) -> None:
                    unit = granule(dy)
                    dx, grads = back(np.abs(dy))
                    load.add(f"gradient through {path}", dx, unit * units[1])
                    load.add(f"gradient of {path}.weight", grads["weight"], unit * units[0])
                    if "bias" in grads:
                        load.add(f"gradient of {path}.bias", grads["bias"], unit)

                return terms, min(units[0] * units[1], own), weighted
            case AvgPool():
                terms, _ = ops.avg_pool(np.abs(x), layer, count)
                largest = math.prod(layer.kernel_size)

                def spread(dy: Array) -> None:
                    _, back = ops.avg_pool(x, layer, count)
                    load.add(f"gradient through {path}", back(np.abs(dy)), granule(back(dy)))

                return terms * largest, granule(x), spread
            case GlobalAvgPool():
                return np.abs(x).sum((1, 2)), granule(x), lambda dy: None
            case MaxPool():

                def gathered(dy: Array) -> None:
                    _, back = ops.max_pool(x, layer, count, ops.Choice())
                    load.add(f"gradient through {path}", back(np.abs(dy)), granule(dy))

                return np.zeros(1), 1.0, gathered
            case BatchNorm():
                mean, var = (
                    (x.mean((0, 1, 2)), x.var((0, 1, 2)))
                    if run.train
                    else (self._param(path, "running_mean"), self._param(path, "running_var"))
                )
                normal = (x - mean) / np.sqrt(self.rounded(var + layer.eps))

                def normed(dy: Array) -> None:
                    unit = granule(dy)
                    load.add(
                        f"gradient of {path}.weight",
                        np.abs(dy * normal).sum((0, 1, 2)),
                        unit * granule(normal),
                    )
                    load.add(f"gradient of {path}.bias", np.abs(dy).sum((0, 1, 2)), unit)
                    if run.train:
                        terms = np.abs(dy).mean((0, 1, 2)) + np.abs(dy * normal).mean((0, 1, 2))
                        load.add(f"gradient through {path}", terms + np.abs(dy), unit / dy.shape[0])

                gamma = self._get(path, "weight")
                scale = 1.0 if gamma is None else np.abs(gamma)
                terms = np.abs(x) + np.abs(mean)
                bias = self._param(path, "bias")
                inverse = scale / np.sqrt(self.rounded(var + layer.eps))
                return (
                    terms * inverse + np.abs(bias),
                    min(granule(x * inverse), granule(mean * inverse), granule(bias)),
                    normed,
                )
            case _:
                return None

    def _compose(self, site: CompositeSite, children: dict[str, Step]) -> Step:
        layer: Composite = site.layer
        noted = {
            name: self._branch(child) if isinstance(layer, (Concat, Residual)) else child
            for name, child in children.items()
        }
        inner = super()._compose(site, noted)
        if not isinstance(layer, (Concat, Residual)):
            return inner

        def step(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
            y, backward = inner(x, run)
            self.load.hold(f"output of {site.path}", y)

            def back(dy: Array) -> Array:
                parts: list[Array] = []
                self._parts.append(parts)
                dx = backward(dy)
                self._parts.pop()
                what = f"gradient into {site.path}"
                terms: Array = np.sum([np.abs(part) for part in parts], axis=0)
                self.load.add(what, terms, min(map(granule, parts)))
                self.load.hold(what, dx)
                return dx

            return y, back

        return step

    def _branch(self, child: Step) -> Step:
        """A branch that adds the gradient of its input to the innermost list of parts."""

        def step(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
            y, backward = child(x, run)

            def back(dy: Array) -> Array:
                dx = backward(dy)
                self._parts[-1].append(dx)
                return dx

            return y, back

        return step
