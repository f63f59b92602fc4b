"""How far a backend may be from float64: derived from how far float32 itself strays, never chosen.
See `docs/tolerances.md`.

The metric is the relative L2 distance of a tensor, ‖a − b‖ / ‖b‖. The yardstick is the largest
distance of several float32 reference runs that differ only in rounding; the limit is `FACTOR` times
that; where float32 strays too far, or holds too little, nothing can be told (`judge`).

Gradients also jump where rounding decides the side of a ReLU or the winner of a max pool. So they
are compared decision for decision: the yardstick's runs go back as float64 decided, and the float64
run that a backend is compared with goes back as the backend decided where rounding may decide
(`decisions.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ...arrays import Array, Params
from ...reference import build, run_gradients
from ...reference.network import Model, Pass, matmul, piecewise_matmul
from ...reference.ops import Choice
from ...rounding import EPS
from ...spec.layers import BatchNorm, Network
from ...spec.traversal import inputs, join, nodes, walk
from .decisions import Ties
from .problem import Problem
from .rows import Row

#: A backend may stray this many times as far as float32 itself does. The one tolerance of the
#: project.
FACTOR = 10.0
#: A tensor can be told right from wrong where its limit is at most this, ...
PROVABLE = 0.01
#: ... and its root mean square at least this: 2²³ times the smallest normal number of float32,
#: below which some frameworks have only 0. Nothing can be told of what is made of less, either: a
#: batch norm makes it larger.
SMALLEST = 2.0**-103


def limit(yardstick: float) -> float:
    """The largest relative L2 distance that passes."""
    return FACTOR * max(yardstick, EPS)  # none is shorter than a unit in float32's last place


@dataclass
class Distance:
    """The relative L2 distance ‖actual − expected‖ / ‖expected‖, summed over chunks; infinite where
    either is not finite.

    `norm` is ‖expected‖² and `size` its number of elements; `fits` is whether every chunk was there
    and had the right shape.
    """

    difference: float = 0.0
    norm: float = 0.0
    size: int = 0
    fits: bool = True

    def add(self, actual: Array | None, expected: Array) -> None:
        """Add one chunk. An `actual` that is missing or has the wrong shape is infinitely far."""
        if actual is None or actual.shape != expected.shape:
            self.difference, self.fits = math.inf, False
            return
        # In the order in which they lie in memory, which is all the same to a sum of squares: a map
        # of the reference is channels last there, and any other order would copy it.
        gap = np.subtract(actual, expected, dtype=np.float64).ravel(order="K")
        given = expected.ravel(order="K")
        self.difference += float(gap @ gap)
        self.norm += float(given @ given)
        self.size += expected.size

    @property
    def value(self) -> float:
        """‖actual − expected‖ / ‖expected‖: 0 if both are equal, even if both are 0."""
        if self.difference == 0:
            return 0.0
        ratio = math.sqrt(self.difference / self.norm) if self.norm else math.inf
        return math.inf if math.isnan(ratio) else ratio

    def tells(self, yardstick: float) -> bool:
        """Whether a tensor as far from float64 as this one can be told from a right one, which
        float32 takes as far as `yardstick`.

        What is missing or misshapen is wrong on any images, and so is what is not finite where
        float32 is. Where float64 and all of float32's runs are exactly 0, 0 proves nothing, since
        0 times anything is 0, and all else is wrong.
        """
        if not self.fits:
            return True
        if not math.isfinite(self.difference):
            return math.isfinite(yardstick)
        if self.norm == 0:
            return yardstick == 0 and self.difference > 0
        return limit(yardstick) <= PROVABLE and not self.faint

    @property
    def faint(self) -> bool:
        """Whether the expected tensor is not 0, and so small that some frameworks may have 0."""
        return 0 < self.norm < self.size * SMALLEST**2

    @property
    def vast(self) -> bool:
        """Whether the expected tensor is so large that what some frameworks compute on the way to
        it may be infinite.
        """
        return self.norm > self.size / SMALLEST**2


def unproved(outputs: Mapping[str, Array], yardsticks: Mapping[str, float]) -> set[str]:
    """Those of float64's `outputs` by path of which float32, which strays as far as `yardsticks`
    say, cannot tell right from wrong.
    """
    return {
        path for path, array in outputs.items() if not apart(array, array).tells(yardsticks[path])
    }


def judge(
    name: str,
    measured: Distance,
    yardstick: float,
    *,
    known: bool = True,
    overflows: bool = False,
) -> Row:
    """The row of one tensor that is as far from float64 as `measured`. Without `known` it is made
    of something that itself cannot be told; if something `overflows`, of what may be infinite.
    """
    told = measured.tells(yardstick) and (known or not math.isfinite(measured.value))
    if overflows and measured.fits and not math.isfinite(measured.difference):
        told = False
    return Row(name, measured.value, limit(yardstick), told)


def apart(actual: Array | None, expected: Array) -> Distance:
    """How one array and the float64 `expected` differ."""
    measured = Distance()
    measured.add(actual, expected)
    return measured


def distance(actual: Array | None, expected: Array) -> float:
    """The relative L2 distance of one array from the float64 `expected`."""
    return apart(actual, expected).value


@dataclass(frozen=True)
class Variant:
    """A float32 reference run that differs from the others only in rounding: how it changes its
    input, and its sums.
    """

    name: str
    prepare: Callable[[Array], Array]
    restore: Callable[[Array], Array]
    dot: Callable[[Array, Array], Array]

    def of(self, problem: Problem) -> Problem:
        """The same problem with its images and labels as this run takes them."""
        return replace(
            problem, images=self.prepare(problem.images), labels=self.restore(problem.labels)
        )

    def follow(self, choices: Mapping[str, Choice]) -> dict[str, Choice]:
        """The `choices` that another pass made, fixed for the images as this run takes them."""
        return {
            path: Choice(fixed=self.restore(choice.made))
            for path, choice in choices.items()
            if choice.made is not None
        }


def _same(array: Array) -> Array:
    return array


def _reverse_batch(array: Array) -> Array:
    return array[::-1]


def _jitter(images: Array) -> Array:
    """Each pixel moved by one unit in the last place, up or down in turn."""
    images = np.asarray(images, np.float32)
    signs = np.where(
        np.arange(images.size).reshape(images.shape) * 7 % 5 % 2, np.inf, -np.inf
    ).astype(np.float32)
    return np.nextafter(images, np.where(images == 0, np.float32(0), signs))


VARIANTS = (
    Variant("batch reversed", _reverse_batch, _reverse_batch, matmul),
    Variant("sums piece by piece", _same, _same, piecewise_matmul),
    Variant("inputs jittered", _jitter, _same, matmul),
)


def chunks(images: Array, size: int) -> Iterator[Array]:
    """`images` (N, C, H, W) in pieces of at most `size`."""
    for start in range(0, len(images), size):
        yield images[start : start + size]


def output_names(network: Network) -> tuple[str, ...]:
    """Everything that is compared in a forward pass, in the order of execution: every layer by
    path, then the outputs by name.
    """
    return (*(site.path for site in nodes(network)), *reversed(network.outputs))


def forward_yardstick(
    problem: Problem,
    *,
    chunk: int,
    train: bool = False,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, float]:
    """How far float32 strays at every layer and output of a forward pass, in relative L2 distance.

    `report` is told how many images are done. Raises what the reference raises for bad input.
    """
    network, params = problem.network, problem.params
    names = output_names(network)
    taps = frozenset(site.path for site in nodes(network))
    found = {variant.name: {name: Distance() for name in names} for variant in VARIANTS}
    double, single = build(network, params, dtype=np.float64), build(network, params)
    done = 0
    for piece in chunks(problem.images, chunk):
        exact = _run(double, piece, Pass(train=train, taps=taps))
        for variant in VARIANTS:
            run = Pass(train=train, taps=taps, dot=variant.dot)
            rough = _run(single, variant.prepare(piece), run)
            for name in names:
                found[variant.name][name].add(variant.restore(rough[name]), exact[name])
        done += len(piece)
        report(done)
    return {name: max(distances[name].value for distances in found.values()) for name in names}


def _run(model: Model, images: Array, run: Pass) -> dict[str, Array]:
    model.run(images, run)
    return run.outputs


@dataclass(frozen=True)
class StepYardstick:
    """How far float32 strays in one step: in every layer's output, the loss, each gradient, and
    each running statistic; and how near a tie lets rounding decide each ReLU and max pool (`Ties`).
    """

    outputs: Mapping[str, float]
    loss: float
    gradients: Mapping[str, float]
    statistics: Mapping[str, float]
    ties: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """The reference's answer for one batch: every layer's output, the loss, the gradients, the
    running statistics after the step.
    """

    outputs: Params
    loss: float
    gradients: Params
    statistics: Params


def step(model: Model, problem: Problem, run: Pass) -> Step:
    """One step of the reference `model` on all images, its layers tapped as `run` says."""
    value, grads = run_gradients(model, problem.images, problem.labels, run, loss=problem.loss)
    statistics = {
        path: model.params[path] for path, spec in model.specs.items() if not spec.trainable
    }
    return Step(run.outputs, value, grads, statistics)


def norm_sources(network: Network) -> frozenset[str]:
    """The paths of all layers whose outputs a batch norm takes."""
    sources = inputs(network)
    taken = {sources[site.path] for site in walk(network) if isinstance(site.layer, BatchNorm)}
    return frozenset(source for source in taken if source is not None)


def unknown_statistics(network: Network, layers: Collection[str]) -> set[str]:
    """The running statistics of every batch norm that takes the output of one of `layers`, by path:
    nothing can be told of what is made of something that cannot.
    """
    sources = inputs(network)
    return {
        join(site.path, name)
        for site in walk(network)
        if isinstance(site.layer, BatchNorm) and sources[site.path] in layers
        for name in ("running_mean", "running_var")
    }


#: The number of reference runs that a step's yardstick takes: in float64, and in float32.
STEP_RUNS = 1 + len(VARIANTS)


def step_yardstick(
    problem: Problem, *, train: bool = True, report: Callable[[int], None] = lambda done: None
) -> StepYardstick:
    """How far float32 strays in one step on all images, dropout at rate 0.

    `report` is told how many of `STEP_RUNS` are done. Raises what the reference raises for bad
    input.
    """
    problem = problem.still()
    network, params = problem.network, problem.params
    taps = frozenset(site.path for site in nodes(network))
    exact_run = Pass(train=train, taps=taps)
    exact = step(build(network, params, dtype=np.float64), problem, exact_run)
    report(1)
    worst: dict[str, dict[str, float]] = {
        "outputs": {},
        "loss": {},
        "gradients": {},
        "statistics": {},
    }

    ties = Ties(network, problem.images, exact.outputs)

    def stray(what: str, path: str, array: Array, expected: Array) -> None:
        worst[what][path] = max(worst[what].get(path, 0.0), distance(array, expected))

    for number, variant in enumerate(VARIANTS, start=2):
        made = variant.follow(exact_run.choices)
        run = Pass(train=train, taps=taps, dot=variant.dot, choices=made)
        rough = step(build(network, params), variant.of(problem), run)
        stray("loss", "loss", np.array([rough.loss]), np.array([exact.loss]))
        outputs = {path: variant.restore(array) for path, array in rough.outputs.items()}
        ties.add(outputs)
        for path, array in exact.outputs.items():
            stray("outputs", path, outputs[path], array)
        for path, array in exact.gradients.items():
            stray("gradients", path, rough.gradients[path], array)
        for path, array in exact.statistics.items():
            stray("statistics", path, rough.statistics[path], array)
        report(number)
    reach = loss_reach(exact.outputs, exact.loss, exact_run.output_grads, worst["outputs"])
    return StepYardstick(
        worst["outputs"],
        max(worst["loss"]["loss"], reach),
        worst["gradients"],
        worst["statistics"],
        ties.measured(FACTOR, unproved(exact.outputs, worst["outputs"])),
    )


def loss_reach(
    outputs: Mapping[str, Array],
    loss: float,
    output_grads: Mapping[str, Array],
    strayed: Mapping[str, float],
) -> float:
    """How far `loss` can stray, to first order, when each of the `outputs` strays as far as
    float32's did: Σ ‖∂loss/∂y‖ · ‖δy‖ / loss.

    The loss is one number, and three runs may all come close to it by luck.
    """
    moved = sum(
        float(np.linalg.norm(grad) * np.linalg.norm(outputs[output])) * strayed[output]
        for output, grad in output_grads.items()
    )
    return moved / abs(loss) if loss else 0.0
