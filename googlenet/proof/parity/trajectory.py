"""Several training steps compared with float64: the loss of each, and every weight and running
statistic after each.

All start from the same weights. The reference follows a backend decision for decision, as in a
single step: a ReLU or max pool that only rounding decides differently would set two correct
trajectories apart for good (`decisions.py`). What is left is rounding, and how the network and the
update rule let it grow; the limits are derived from that, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import numpy as np

from ...arrays import Array
from ...backend.protocols import Trains
from ...reference import build
from ...reference.network import Pass
from ...reference.ops import Choice
from ...reference.training import Trainer
from ...spec.loss import Loss
from ...spec.recipe import Recipe
from .decisions import Ties, accepted, decision_sources, decisions
from .problem import Problem
from .rows import Row
from .tolerance import (
    FACTOR,
    VARIANTS,
    apart,
    distance,
    judge,
    loss_reach,
    norm_sources,
    unknown_statistics,
    unproved,
)


@dataclass(frozen=True)
class StepStrays:
    """How far float32 strays in one step of a trajectory: in the loss and every array by path; how
    near a tie lets rounding decide (`Ties`); and what cannot be told, such as running statistics,
    since a step so far made it of something that cannot.
    """

    arrays: Mapping[str, float]
    ties: Mapping[str, Array] = field(default_factory=dict)
    unknown: Collection[str] = ()


#: The yardsticks of one trajectory, step by step.
TrajectoryYardstick: TypeAlias = list[StepStrays]

#: The loss of a step among its rows; no array has such a path.
LOSS = "loss"


def trajectory_recipe(loss: Loss) -> Recipe:
    """The recipe for comparing trajectories: momentum, weight decay, and a rate that falls at every
    step.
    """
    return Recipe(
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=0.01,
        label_smoothing=loss.label_smoothing,
        aux_weights=loss.aux_weights,
        epochs=1,
        schedule="cosine",
    )


def trajectory_yardstick(
    problem: Problem,
    *,
    recipe: Recipe,
    steps: int,
    size: int,
    report: Callable[[int], None] = lambda done: None,
) -> TrajectoryYardstick:
    """How far float32 strays in `steps` steps of `size` images: the loss of each and every array
    after it, dropout at rate 0.

    The loss is the recipe's, whatever that of the problem. `report` is told how many steps are
    done. Raises what the reference raises for bad input.
    """
    problem = problem.still()
    network, params = problem.network, problem.params
    exact = Trainer(build(network, params, dtype=np.float64), recipe)
    rough = {variant.name: Trainer(build(network, params), recipe) for variant in VARIANTS}
    sources = decision_sources(network) | norm_sources(network)
    found: TrajectoryYardstick = []
    unknown: set[str] = set()
    for number in range(steps):
        batch = problem.batch(number, size)
        rate = recipe.learning_rate_at(number, steps)
        run = Pass(train=True, taps=sources)
        loss = exact.advance(batch.images, batch.labels, run, learning_rate=rate)[0]
        worst: dict[str, float] = {}
        ties = Ties(network, batch.images, run.outputs)
        strayed: dict[str, float] = dict.fromkeys(run.outputs, 0.0)
        for variant in VARIANTS:
            other = Pass(
                train=True, taps=sources, dot=variant.dot, choices=variant.follow(run.choices)
            )
            trainer, taken = rough[variant.name], variant.of(batch)
            value = trainer.advance(taken.images, taken.labels, other, learning_rate=rate)[0]
            gaps = {
                path: distance(array, exact.model.params[path])
                for path, array in trainer.model.params.items()
            }
            gaps[LOSS] = distance(np.array([value]), np.array([loss]))
            worst = {name: max(worst.get(name, 0.0), gap) for name, gap in gaps.items()}
            outputs = {path: variant.restore(array) for path, array in other.outputs.items()}
            ties.add(outputs)
            for output in strayed:
                strayed[output] = max(
                    strayed[output], distance(outputs[output], run.outputs[output])
                )
        worst[LOSS] = max(worst[LOSS], loss_reach(run.outputs, loss, run.output_grads, strayed))
        untold = unproved(run.outputs, strayed)
        unknown |= unknown_statistics(network, untold)
        shown: list[Array] = [batch.images.astype(np.float64), *run.outputs.values()]
        if any(apart(array, array).faint for array in shown):
            unknown |= worst.keys()
        found.append(StepStrays(worst, ties.measured(FACTOR, untold), sorted(unknown)))
        report(number + 1)
    return found


def compare_trajectory(
    backend: Trains,
    problem: Problem,
    yardstick: TrajectoryYardstick,
    *,
    recipe: Recipe,
    size: int,
    device: str | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> list[Row]:
    """Each step's loss, then every array after it, in as many steps of `size` images as the
    yardstick has, dropout at rate 0.

    Arrays come in reverse order of execution, as gradients do, but running statistics in that
    order. The loss is the recipe's, whatever that of the problem. `report` is told how many steps
    are done.
    """
    problem = problem.still()
    network, params = problem.network, problem.params
    trainer = backend.trainer(backend.build(network, params, device=device), recipe)
    exact = Trainer(
        build(
            network,
            params,
            dtype=np.float64,
            unbiased_running_variance=backend.unbiased_running_variance,
        ),
        recipe,
    )
    specs = exact.model.specs
    names = [
        LOSS,
        *(path for path, spec in reversed(specs.items()) if spec.trainable),
        *(path for path, spec in specs.items() if not spec.trainable),
    ]
    rows: list[Row] = []
    for number, allowed in enumerate(yardstick):
        batch = replace(problem.batch(number, size), params=backend.params_of(trainer.model))
        rate = recipe.learning_rate_at(number, len(yardstick))
        loss, _ = trainer.step(
            batch.images, batch.labels, learning_rate=rate, seed=recipe.step_seed(number)
        )
        held = {LOSS: np.array([loss]), **backend.params_of(trainer.model)}
        start, best, reached = exact.snapshot(), None, exact.snapshot()
        for choices in _decisions(backend, batch, recipe, rate, device):
            exact.rewind(start)
            run = Pass(
                train=True,
                taps=decision_sources(network),
                decide=partial(accepted, network, batch.images, choices, ties=allowed.ties),
            )
            value, _ = exact.advance(batch.images, batch.labels, run, learning_rate=rate)
            expected = {LOSS: np.array([value]), **exact.params()}
            found = [
                judge(
                    f"step {number + 1}: {name}",
                    apart(held.get(name), expected[name]),
                    allowed.arrays[name],
                    known=name not in allowed.unknown,
                )
                for name in names
            ]
            if best is None or _worst(found) < _worst(best):
                best, reached = found, exact.snapshot()
            if all(row.passed for row in found):
                break
        exact.rewind(reached)
        rows.extend(best or [])
        report(number + 1)
    return rows


def _worst(rows: list[Row]) -> float:
    return max((row.ratio for row in rows if row.provable), default=0.0)


def _decisions(
    backend: Trains, batch: Problem, recipe: Recipe, rate: float, device: str | None
) -> Iterator[dict[str, Choice]]:
    """What a step on the images of `batch` may have decided, the most likely first.

    A trainer's compiled step cannot be inspected. Its decisions are the backend's own in eager
    mode, on a model that its trainer has prepared, except where the two round to different sides of
    a tie; then they are those of float64 or of one of float32's own runs, from the same weights.
    """
    network, params = batch.network, batch.params
    taps = sorted(decision_sources(network))
    prepared = backend.trainer(
        backend.build(network, params, device=device), recipe
    ).model  # in the layout in which it trains
    passed = backend.forward(prepared, batch.images, train=True, taps=taps)
    yield decisions(network, batch.images, passed)
    yield {}
    for variant in VARIANTS:
        run, taken = Pass(train=True, dot=variant.dot), variant.of(batch)
        Trainer(build(network, params), recipe).advance(
            taken.images, taken.labels, run, learning_rate=rate
        )
        yield variant.follow(run.choices)
