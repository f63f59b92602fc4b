"""One backend held against the float64 reference: every layer, every output, every gradient, every
statistic, the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ...arrays import Array, Params
from ...backend.protocols import Backend, Differentiates, Trains
from ...reference import build
from ...reference.network import Pass
from ...spec.layers import Network
from ...spec.loss import Loss
from ...spec.rewrite import with_dropout_rate
from ...spec.traversal import nodes
from .rows import Row
from .tolerance import (
    Distance,
    StepYardstick,
    chunks,
    decisions,
    distance,
    forward_yardstick,
    limit,
    output_names,
    step,
    step_yardstick,
)
from .trajectory import Yardstick, compare_trajectory, trajectory_recipe, trajectory_yardstick

#: How many images the gradients are compared on, so that memory stays bounded.
GRADIENT_IMAGES = 8


@dataclass
class Comparison:
    """All rows of one backend, each list in the order in which a difference would first show.

    `outputs`, in evaluation mode, `step_outputs`, those of a training step, and `statistics` go
    with the order of execution, `gradients` against it: a wrong layer's gradient is the first on
    the way back. `weights` names the paths whose bytes did not come back from the model as they
    went in. `trajectory` has each training step's loss, and every array after it.
    """

    weights: list[str] = field(default_factory=list)
    outputs: list[Row] = field(default_factory=list)
    step_outputs: list[Row] = field(default_factory=list)
    gradients: list[Row] = field(default_factory=list)
    statistics: list[Row] = field(default_factory=list)
    loss: list[Row] = field(default_factory=list)
    trajectory: list[Row] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """Every row, forward first."""
        return [
            *self.outputs,
            *self.step_outputs,
            *self.loss,
            *self.gradients,
            *self.statistics,
            *self.trajectory,
        ]

    @property
    def passed(self) -> bool:
        """Whether all weights came back and every row passed."""
        return not self.weights and all(row.passed for row in self.rows)

    @property
    def first_divergence(self) -> str | None:
        """The first layer, output or array that fails, with what of it; None if all pass."""
        if self.weights:
            return f"weights of {self.weights[0]}"
        groups = (
            ("output", self.outputs),
            ("output in training mode", self.step_outputs),
            ("loss", self.loss),
            ("gradient", self.gradients),
            ("statistic", self.statistics),
            ("training", self.trajectory),
        )
        failed = next(
            ((what, row.name) for what, rows in groups for row in rows if not row.passed), None
        )
        return None if failed is None else " of ".join(dict.fromkeys(failed))


def compare_weights(backend: Backend, model: object, params: Params) -> list[str]:
    """The paths whose values are not, bit for bit, those that the model was built with."""
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
    network: Network,
    params: Params,
    images: Array,
    yardstick: Mapping[str, float],
    *,
    chunk: int,
    train: bool = False,
    report: Callable[[int], None] = lambda done: None,
) -> list[Row]:
    """Every layer and output of a forward pass of `images` (N, C, H, W), in chunks so that memory
    stays bounded.
    """
    names = output_names(network)
    taps = [site.path for site in nodes(network)]
    distances = {name: Distance() for name in names}
    done = 0
    for piece in chunks(images, chunk):
        run = Pass(train=train, taps=frozenset(taps))
        build(network, params, dtype=np.float64).run(piece, run)
        actual = backend.forward(model, piece, train=train, taps=taps)
        for name in names:
            distances[name].add(actual.get(name), run.outputs[name])
        for name in actual.keys() - run.outputs.keys():
            distances.setdefault(name, Distance()).add(None, piece)  # nobody asked for it
        done += len(piece)
        report(done)
    return [
        Row(name, measured.value, limit(yardstick.get(name, 0.0)))
        for name, measured in distances.items()
    ]


def compare_step(
    backend: Differentiates,
    network: Network,
    params: Params,
    images: Array,
    labels: Array,
    yardstick: StepYardstick,
    *,
    loss: Loss,
    train: bool = True,
    device: str | None = None,
) -> Comparison:
    """Every layer, the loss, gradients and running statistics of one step, dropout at rate 0, in a
    `Comparison` without `outputs`.

    The gradients are held against a float64 run that goes back through each ReLU and max pool as
    the backend itself decided: what those layers gave in a pass of the same model. That pass is
    compared too, so that no decision is further from float64's than rounding.
    """
    still = with_dropout_rate(network, 0.0)
    taps = [site.path for site in nodes(still)]
    passed = backend.forward(
        backend.build(still, params, device=device), images, train=train, taps=taps
    )
    run = Pass(train=train, taps=frozenset(taps), choices=decisions(still, images, passed))
    reference = build(
        still, params, dtype=np.float64, unbiased_running_variance=backend.unbiased_running_variance
    )
    exact = step(reference, images, labels, run, loss=loss)
    model = backend.build(still, params, device=device)
    value, grads = backend.gradients(model, images, labels, loss=loss, train=train)
    held = backend.params_of(model)
    extra = [Row(path, math.inf, limit(0)) for path in grads if path not in exact.gradients]

    def rows(
        actual: Mapping[str, Array], expected: Params, allowed: Mapping[str, float]
    ) -> list[Row]:
        return [
            Row(path, distance(actual.get(path), array), limit(allowed[path]))
            for path, array in expected.items()
        ]

    return Comparison(
        step_outputs=rows(
            passed, {name: exact.outputs[name] for name in output_names(still)}, yardstick.outputs
        ),
        loss=[
            Row("loss", distance(np.array([value]), np.array([exact.loss])), limit(yardstick.loss))
        ],
        gradients=extra + rows(grads, exact.gradients, yardstick.gradients)[::-1],
        statistics=rows(held, exact.statistics, yardstick.statistics),
    )


@dataclass(frozen=True)
class Yardsticks:
    """The yardsticks of one network on its images; they do not depend on the backend. `trajectory`
    has no steps unless asked for.
    """

    forward: Mapping[str, float]
    step: StepYardstick | None
    trajectory: Yardstick = field(default_factory=list)


def measure(
    network: Network,
    params: Params,
    images: Array,
    labels: Array,
    *,
    loss: Loss,
    chunk: int = 8,
    gradients: bool = True,
    train_steps: int = 0,
    report: Callable[[int], None] = lambda done: None,
) -> Yardsticks:
    """How far float32 strays on `images` (N, C, H, W), all of them forward and the first
    `GRADIENT_IMAGES` backward.

    With `train_steps` also over so many steps of training, of `GRADIENT_IMAGES` images each.
    """
    forward = forward_yardstick(network, params, images, chunk=chunk, report=report)
    few = slice(None, GRADIENT_IMAGES)
    step = (
        step_yardstick(network, params, images[few], labels[few], loss=loss) if gradients else None
    )
    recipe = trajectory_recipe(loss)
    trajectory = trajectory_yardstick(
        network, params, images, labels, recipe=recipe, steps=train_steps, size=GRADIENT_IMAGES
    )
    return Yardsticks(forward, step, trajectory)


def compare(
    backend: Backend,
    network: Network,
    params: Params,
    images: Array,
    labels: Array,
    yardsticks: Yardsticks,
    *,
    loss: Loss,
    chunk: int = 8,
    device: str | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """The whole proof for one backend: weights, every layer in evaluation mode, and one step of
    training.

    `images` (N, C, H, W) go forward in chunks; the first `GRADIENT_IMAGES`, with their `labels`,
    through a training step if the yardsticks hold one and the backend can train; then through as
    many steps in the backend's own trainer as the yardsticks have. Raises what the backend raises.
    """
    model = backend.build(network, params, device=device)
    weights = compare_weights(backend, model, params)
    outputs = compare_forward(
        backend, model, network, params, images, yardsticks.forward, chunk=chunk, report=report
    )
    compared = Comparison()
    if yardsticks.step is not None and isinstance(backend, Differentiates):
        del model
        few = slice(None, GRADIENT_IMAGES)
        compared = compare_step(
            backend,
            network,
            params,
            images[few],
            labels[few],
            yardsticks.step,
            loss=loss,
            device=device,
        )
    trajectory: list[Row] = []
    if yardsticks.trajectory and isinstance(backend, Trains):
        recipe = trajectory_recipe(loss)
        trajectory = compare_trajectory(
            backend,
            network,
            params,
            images,
            labels,
            yardsticks.trajectory,
            recipe=recipe,
            size=GRADIENT_IMAGES,
            device=device,
        )
    return replace(compared, weights=weights, outputs=outputs, trajectory=trajectory)
