"""How far a backend may be from float64: derived from how far float32 itself strays, never chosen. See `docs/tolerances.md`.

The metric is the relative L2 distance of a tensor, ‖a − b‖ / ‖b‖. The yardstick is the largest distance of several float32 reference
runs that differ in nothing but rounding; the limit is `FACTOR` times that. Gradients also jump where rounding decides the side of a ReLU
or the winner of a max pool. Their yardstick is taken with all decisions as in float64, and the jumps come on top: what a float64 run
strays in which decisions are reversed that a passing backend may make otherwise: those within `FACTOR` times float32's error of a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..loss import Loss
from ..params import Array, Params, param_specs
from ..reference import build, run_gradients
from ..reference.model import Model, Run, matmul, reversed_matmul
from ..reference.ops import Choice
from ..spec import MaxPool, Network, ReLU
from ..walk import nodes, walk, with_dropout_rate

#: A backend may stray this many times as far as float32 itself does. The one tolerance of the project.
FACTOR = 10.0
#: Decisions that rounding could reverse are reversed in so many parts, and the jumps added up: a backend makes only some of them
#: otherwise, and two of them may cancel each other's effect.
PARTS = 3
#: No yardstick is shorter than one unit in the last place of float32 at 1.
EPS = float(np.finfo(np.float32).eps)


def limit(yardstick: float, jump: float = 0.0) -> float:
    """The largest relative L2 distance that passes."""
    return FACTOR * max(yardstick, EPS) + jump


@dataclass
class Distance:
    """The relative L2 distance ‖actual − expected‖ / ‖expected‖, summed over chunks; infinite where either is not finite."""

    difference: float = 0.0
    norm: float = 0.0
    count: int = 0

    def add(self, actual: Array | None, expected: Array) -> None:
        """Take in one chunk. A missing or wrongly shaped `actual` is infinitely far."""
        if actual is None or actual.shape != expected.shape:
            self.difference = math.inf
            return
        gap = actual.astype(np.float64).ravel() - expected.ravel()
        self.difference += float(gap @ gap)
        self.norm += float(expected.ravel() @ expected.ravel())
        self.count += expected.size

    @property
    def value(self) -> float:
        """‖actual − expected‖ / ‖expected‖: 0 if both are equal, even if both are 0."""
        if self.difference == 0:
            return 0.0
        ratio = math.sqrt(self.difference / self.norm) if self.norm else math.inf
        return math.inf if math.isnan(ratio) else ratio

    @property
    def root_mean_square(self) -> float:
        """The absolute difference per element."""
        return math.sqrt(self.difference / self.count) if self.count else 0.0


def distance(actual: Array | None, expected: Array) -> float:
    """The relative L2 distance of one array from the float64 `expected`."""
    measured = Distance()
    measured.add(actual, expected)
    return measured.value


@dataclass(frozen=True)
class Variant:
    """A float32 reference run that differs from every other by rounding alone: how it changes its input, and its sums."""

    name: str
    prepare: Callable[[Array], Array]
    restore: Callable[[Array], Array]
    dot: Callable[[Array, Array], Array]


def _same(array: Array) -> Array:
    return array


def _reverse_batch(array: Array) -> Array:
    return array[::-1]


def _jitter(images: Array) -> Array:
    """Each pixel moved by one unit in the last place, up or down in turn."""
    images = np.asarray(images, np.float32)
    signs = np.where(np.arange(images.size).reshape(images.shape) * 7 % 5 % 2, np.inf, -np.inf).astype(np.float32)
    return np.nextafter(images, np.where(images == 0, np.float32(0), signs))


VARIANTS = (
    Variant("batch reversed", _reverse_batch, _reverse_batch, matmul),
    Variant("sums reversed", _same, _same, reversed_matmul),
    Variant("inputs jittered", _jitter, _same, matmul),
)


def chunks(images: Array, size: int) -> Iterator[Array]:
    """`images` (N, C, H, W) in pieces of at most `size`."""
    for start in range(0, len(images), size):
        yield images[start : start + size]


def output_names(network: Network) -> tuple[str, ...]:
    """All that is compared of a forward pass, in the order of execution: every layer by path, then the outputs by name."""
    return (*(site.path for site in nodes(network)), *reversed(network.outputs))


def forward_yardstick(
    network: Network,
    params: Params,
    images: Array,
    *,
    chunk: int,
    train: bool = False,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, float]:
    """How far float32 strays at every layer and output of a forward pass, in relative L2 distance.

    `images` is (N, C, H, W); `report` hears how many are done. Raises what the reference raises for bad input.
    """
    names = output_names(network)
    taps = frozenset(site.path for site in nodes(network))
    found = {variant.name: {name: Distance() for name in names} for variant in VARIANTS}
    done = 0
    for piece in chunks(images, chunk):
        exact = _run(build(network, params, dtype=np.float64), piece, Run(train=train, taps=taps))
        for variant in VARIANTS:
            rough = _run(build(network, params), variant.prepare(piece), Run(train=train, taps=taps, dot=variant.dot))
            for name in names:
                found[variant.name][name].add(variant.restore(rough[name]), exact[name])
        done += len(piece)
        report(done)
    return {name: max(distances[name].value for distances in found.values()) for name in names}


def _run(model: Model, images: Array, run: Run) -> dict[str, Array]:
    model.run(images, run)
    return run.outputs


@dataclass(frozen=True)
class GradientYardstick:
    """How far float32 strays in the loss, each gradient, and each running statistic after the step; and the gradients' jumps."""

    loss: float
    gradients: Mapping[str, float]
    jumps: Mapping[str, float]
    statistics: Mapping[str, float]

    def gradient_limit(self, path: str) -> float:
        """The largest relative L2 distance that passes for the gradient by the array at `path`."""
        return limit(self.gradients[path], self.jumps[path])


@dataclass(frozen=True)
class Exact:
    """The float64 reference's answer for one batch: the loss, the gradients, the running statistics after the step."""

    loss: float
    gradients: Params
    statistics: Params


def exact_gradients(
    network: Network, params: Params, images: Array, labels: Array, *, loss: Loss, train: bool = True, unbiased_running_variance: bool
) -> Exact:
    """What a backend's `gradients` is held against; dropout at rate 0."""
    model = build(with_dropout_rate(network, 0.0), params, dtype=np.float64, unbiased_running_variance=unbiased_running_variance)
    value, grads = run_gradients(model, images, labels, Run(train=train), loss=loss)
    return Exact(value, grads, _statistics(model))


def _statistics(model: Model) -> Params:
    return {path: model.params[path] for path, spec in model.specs.items() if not spec.trainable}


def gradient_yardstick(
    network: Network, params: Params, images: Array, labels: Array, *, loss: Loss, train: bool = True
) -> GradientYardstick:
    """How far float32 strays in one step on `images` (N, C, H, W) with `labels` (N,), dropout at rate 0.

    Raises what the reference raises for bad input.
    """
    network = with_dropout_rate(network, 0.0)
    deciders = {site.path: type(site.layer) for site in walk(network) if isinstance(site.layer, (ReLU, MaxPool))}
    taps = frozenset(deciders)
    model, exact_run = build(network, params, dtype=np.float64), Run(train=train, taps=taps)
    exact_loss, exact = run_gradients(model, images, labels, exact_run, loss=loss)
    exact_statistics = _statistics(model)
    losses: list[float] = []
    strayed: dict[str, list[float]] = {path: [] for path in param_specs(network)}
    moved = dict.fromkeys(deciders, 0.0)
    for variant in VARIANTS:
        made = {path: Choice(fixed=variant.restore(choice.made)) for path, choice in exact_run.choices.items() if choice.made is not None}
        run = Run(train=train, taps=taps, dot=variant.dot, choices=made)
        model = build(network, params)
        value, grads = run_gradients(model, variant.prepare(images), variant.restore(labels), run, loss=loss)
        losses.append(distance(np.array([value]), np.array([exact_loss])))
        for path, array in {**grads, **_statistics(model)}.items():
            strayed[path].append(distance(array, exact[path] if path in exact else exact_statistics[path]))
        for path in deciders:
            gap = Distance()
            gap.add(variant.restore(run.outputs[path]), exact_run.outputs[path])
            moved[path] = max(moved[path], gap.root_mean_square)
    jumps = dict.fromkeys(exact, 0.0)
    for kind in (ReLU, MaxPool):
        for part in range(PARTS):
            undecided = {path: Choice(FACTOR * moved[path], part, PARTS) for path, decider in deciders.items() if decider is kind}
            run = Run(train=train, choices=undecided)
            _, grads = run_gradients(build(network, params, dtype=np.float64), images, labels, run, loss=loss)
            jumps = {path: jump + distance(grads[path], exact[path]) for path, jump in jumps.items()}
    return GradientYardstick(
        loss=max(losses),
        gradients={path: max(strayed[path]) for path in exact},
        jumps=jumps,
        statistics={path: max(strayed[path]) for path in exact_statistics},
    )
