"""One backend compared with the float64 reference: every layer, output, gradient and statistic, and
the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ...arrays import Array, Params
from ...backend.protocols import Backend, Compiles, Differentiates, Trains
from ...jobs.job import Report
from ...reference import build
from ...reference.network import Pass
from ...spec.traversal import nodes
from .decisions import accepted, decisions
from .problem import Problem
from .rows import Comparison, Group, Row, differing
from .tolerance import (
    STEP_RUNS,
    Distance,
    StepYardstick,
    apart,
    chunks,
    forward_yardstick,
    judge,
    limit,
    output_names,
    step,
    step_yardstick,
    unknown_statistics,
)
from .trajectory import (
    TrajectoryYardstick,
    compare_trajectory,
    trajectory_recipe,
    trajectory_yardstick,
)

#: How many images the gradients are compared on, so that memory stays bounded.
GRADIENT_IMAGES = 8

#: The stages of a comparison, by what they count.
IMAGES, GRADIENTS, STEPS = "images", "gradient passes", "training steps"

#: The stages of the exact proof, by what they count.
ATTEMPTS, EXACT = "attempts at an exact problem", "parts of the exact proof"

#: The parts of a compared step: the backend's pass, float64's step, the backend's gradients.
STEP_PARTS = 3


def _quiet(stage: str, done: int, total: int) -> None:
    """A `Report` that does nothing."""


def compare_weights(backend: Backend, model: object, params: Params) -> list[str]:
    """The paths whose values are not bit for bit those that the model was built with."""
    held = backend.params_of(model)
    same = {
        path for path, array in params.items() if path in held and _bits(held[path]) == _bits(array)
    }
    return [path for path in {**params, **held} if path not in same]


def _bits(array: Array) -> tuple[object, ...]:
    return array.shape, array.dtype, array.tobytes()


def compare_forward(
    backend: Backend,
    model: object,
    problem: Problem,
    yardstick: Mapping[str, float],
    *,
    chunk: int,
    train: bool = False,
    compiled: Callable[[Array], dict[str, Array]] | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> list[Row]:
    """Every layer and output of a forward pass of all images through `model`, in chunks so that
    memory stays bounded; in evaluation mode also the outputs of a pass without taps, which is what
    users run, and of `compiled`, what the backend made of the model. `report` is told how many are
    done.
    """
    names, outputs = output_names(problem.network), problem.network.outputs
    taps = [site.path for site in nodes(problem.network)]
    distances = {name: Distance() for name in names}
    # What else gives the outputs, by the end of its rows' names.
    plain: dict[str, Callable[[Array], dict[str, Array]]] = {}
    if not train:  # which must not move statistics a second time
        plain["without taps"] = partial(backend.forward, model)
    if compiled is not None:
        plain["compiled"] = compiled
    further = {f"{name} {how}": Distance() for how in plain for name in reversed(outputs)}
    double = build(problem.network, problem.params, dtype=np.float64)
    done = 0
    for piece in chunks(problem.images, chunk):
        run = Pass(train=train, taps=frozenset(taps))
        double.run(piece, run)
        actual = backend.forward(model, piece, train=train, taps=taps)
        for name in names:
            distances[name].add(actual.get(name), run.outputs[name])
        for name in actual.keys() - run.outputs.keys():
            distances.setdefault(name, Distance()).add(None, piece)  # nobody asked for it
        for how, call in plain.items():
            found = call(piece)
            for name in outputs:
                further[f"{name} {how}"].add(found.get(name), run.outputs[name])
            for name in found.keys() - set(outputs):
                further.setdefault(f"{name} {how}", Distance()).add(None, piece)
        done += len(piece)
        report(done)
    allowed = {f"{name} {how}": yardstick[name] for how in plain for name in outputs}
    return _forward_rows(problem, {**distances, **further}, {**yardstick, **allowed})


def _forward_rows(
    problem: Problem, distances: Mapping[str, Distance], yardstick: Mapping[str, float]
) -> list[Row]:
    """A row for each of `distances`, which are in the order of execution: nothing can be told of
    what comes after something faint.
    """
    known, rows = not _faint(problem), []
    for name, measured in distances.items():
        known = known and not measured.faint
        rows.append(judge(name, measured, yardstick.get(name, 0.0), known=known))
    return rows


def _faint(problem: Problem) -> bool:
    images = problem.images.astype(np.float64)
    return apart(images, images).faint


def compare_step(
    backend: Differentiates,
    problem: Problem,
    yardstick: StepYardstick,
    *,
    train: bool = True,
    device: str | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """Every layer, the loss, gradients and running statistics of one step on all images, dropout at
    rate 0. `report` is told how many of `STEP_PARTS` are done.

    The gradients are compared with a float64 run that goes back through each ReLU and max pool as
    the backend itself decided, wherever rounding may decide: by what those layers took in a pass of
    the same model, which is compared too.
    """
    problem = problem.still()
    network, params, images = problem.network, problem.params, problem.images
    taps = [site.path for site in nodes(network)]
    passed = backend.forward(
        backend.build(network, params, device=device), images, train=train, taps=taps
    )
    report(1)
    made = decisions(network, images, passed)
    run = Pass(
        train=train,
        taps=frozenset(taps),
        decide=lambda outputs: accepted(network, images, made, outputs, yardstick.ties),
    )
    reference = build(
        network,
        params,
        dtype=np.float64,
        unbiased_running_variance=backend.unbiased_running_variance,
    )
    exact = step(reference, problem, run)
    report(2)
    model = backend.build(network, params, device=device)
    value, grads = backend.gradients(model, images, problem.labels, loss=problem.loss, train=train)
    held = backend.params_of(model)
    report(3)
    extra = [Row(path, math.inf, limit(0)) for path in grads if path not in exact.gradients]
    measured = {
        name: apart(passed.get(name), exact.outputs[name]) for name in output_names(network)
    }
    outputs = _forward_rows(problem, measured, yardstick.outputs)
    unknown = unknown_statistics(network, {row.name for row in outputs if not row.provable})
    vast = any(apart(each, each).vast for each in exact.gradients.values())
    clear = not _faint(problem) and not any(each.faint for each in measured.values())

    def rows(
        actual: Mapping[str, Array],
        expected: Params,
        allowed: Mapping[str, float],
        unknown: Collection[str] = (),
        overflows: bool = False,
    ) -> list[Row]:
        return [
            judge(
                path,
                apart(actual.get(path), array),
                allowed[path],
                known=clear and not overflows and path not in unknown,
                overflows=overflows,
            )
            for path, array in expected.items()
        ]

    off = apart(np.array([value]), np.array([exact.loss]))
    return Comparison(
        {
            Group.STEP_OUTPUTS: outputs,
            Group.LOSS: [judge("loss", off, yardstick.loss, known=clear)],
            Group.GRADIENTS: extra
            + rows(grads, exact.gradients, yardstick.gradients, overflows=vast)[::-1],
            Group.STATISTICS: rows(held, exact.statistics, yardstick.statistics, unknown),
        }
    )


@dataclass(frozen=True)
class Yardsticks:
    """The yardsticks of one problem; they do not depend on the backend. `trajectory` has no steps
    unless asked for.
    """

    forward: Mapping[str, float]
    step: StepYardstick | None
    trajectory: TrajectoryYardstick = field(default_factory=list)


def measure(
    problem: Problem,
    *,
    chunk: int = 8,
    gradients: bool = True,
    train_steps: int = 0,
    report: Report = _quiet,
) -> Yardsticks:
    """How far float32 strays on the images, all of them forward and the first `GRADIENT_IMAGES`
    backward.

    With `train_steps`, also over that many training steps, of `GRADIENT_IMAGES` images each.
    `report` is told of each stage. Raises what the reference raises for bad input.
    """
    forward = forward_yardstick(
        problem, chunk=chunk, report=_stage(report, IMAGES, len(problem.images))
    )
    step = None
    if gradients:
        step = step_yardstick(
            problem.few(GRADIENT_IMAGES), report=_stage(report, GRADIENTS, STEP_RUNS)
        )
    trajectory = trajectory_yardstick(
        problem,
        recipe=trajectory_recipe(problem.loss),
        steps=train_steps,
        size=GRADIENT_IMAGES,
        report=_stage(report, STEPS, train_steps),
    )
    return Yardsticks(forward, step, trajectory)


def _stage(report: Report, stage: str, total: int) -> Callable[[int], None]:
    """A function that reports how much of `stage` is done, after reporting that it begins."""
    if total:
        report(stage, 0, total)
    return lambda done: report(stage, done, total)


def compare(
    backend: Backend,
    problem: Problem,
    yardsticks: Yardsticks,
    *,
    chunk: int = 8,
    compiled: bool = False,
    device: str | None = None,
    report: Report = _quiet,
) -> Comparison:
    """The whole proof for one backend: weights, every layer in evaluation mode, with `compiled` the
    outputs of what `compile` makes, if the backend has it, and one step of training.

    All images go forward in chunks; the first `GRADIENT_IMAGES` through a training step if the
    yardsticks hold one and the backend can train; then through as many steps in the backend's own
    trainer as the yardsticks have. `report` is told of each stage. Raises what the backend raises.
    """
    model = backend.build(problem.network, problem.params, device=device)
    changed = compare_weights(backend, model, problem.params)
    call = None
    if compiled and isinstance(backend, Compiles):
        call = backend.compile(model, input_shape=problem.network.input_shape)
    groups = {
        Group.WEIGHTS: [differing(path) for path in changed],
        Group.OUTPUTS: compare_forward(
            backend,
            model,
            problem,
            yardsticks.forward,
            chunk=chunk,
            compiled=call,
            report=_stage(report, IMAGES, len(problem.images)),
        ),
    }
    if yardsticks.step is not None and isinstance(backend, Differentiates):
        del model
        few = problem.few(GRADIENT_IMAGES)
        groups |= compare_step(
            backend,
            few,
            yardsticks.step,
            device=device,
            report=_stage(report, GRADIENTS, STEP_PARTS),
        ).groups
    if yardsticks.trajectory and isinstance(backend, Trains):
        groups[Group.TRAJECTORY] = compare_trajectory(
            backend,
            problem,
            yardsticks.trajectory,
            recipe=trajectory_recipe(problem.loss),
            size=GRADIENT_IMAGES,
            device=device,
            report=_stage(report, STEPS, len(yardsticks.trajectory)),
        )
    return Comparison(groups)
