"""A problem on which float32 is exact, and the right answers to it, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Array, Params
from ...errors import SpecError
from ...reference.model import run_gradients
from ...reference.network import Pass
from ...spec.layers import BatchNorm, LocalResponseNorm, Network, Residual, Scale
from ...spec.rewrite import with_dropout_rate
from ...spec.traversal import composites, nodes, num_classes, walk
from ..parity.problem import Problem
from ..parity.tolerance import output_names
from .bounds import GRANULES, Loaded
from .demand import demands, rounded_reciprocals
from .draw import Draw, Style, canonical, draw_images, draw_labels, exact_loss

#: The shares of values that pass a ReLU, in the order in which they are tried.
SHARES = (0.4, 0.3, 0.2, 0.5, 0.15, 0.1)

#: How many problems are drawn before it is given up, and before gradients are, whose sums are
#: longer.
ATTEMPTS, GRADIENT_ATTEMPTS = 24, 12

#: More classes than this leave no room between the logits.
MOST_CLASSES = 256


@dataclass(frozen=True, eq=False)
class ExactProblem:
    """A `Problem` that float32 computes exactly, and its answers: every layer and output by name,
    and unless `gradients` is empty, the loss and every gradient in evaluation mode.

    `largest_sum` is the largest Σ |terms| of all sums in granules, and at which; float32 is exact
    below 2²⁴. `attempts` is how many problems were drawn.
    """

    problem: Problem
    outputs: Params
    loss: float
    gradients: Params
    largest_sum: float
    largest_sum_at: str
    attempts: int

    @property
    def bits(self) -> float:
        """How many bits the largest sum needs, of the 24 that float32 has."""
        return math.log2(self.largest_sum) if self.largest_sum else 0.0

    def to_json(self) -> dict[str, Any]:
        """What the problem is, without its arrays, with whole words as keys."""
        network = self.problem.network
        return {
            "name": network.name,
            "input_shape": list(network.input_shape),
            "classes": num_classes(network),
            "image_count": len(self.problem.images),
            "gradients": bool(self.gradients),
            "label_smoothing": self.problem.loss.label_smoothing,
            "largest_sum": self.largest_sum,
            "largest_sum_at": self.largest_sum_at,
            "attempts": self.attempts,
        }


#: Each residual sum with a factor makes the gradient several times as fine: a few are possible.
MOST_FACTORS = 2


def has_exact_gradients(network: Network) -> bool:
    """Whether gradients can be drawn exactly: not through many residual sums with a factor."""
    factors = [
        site
        for site in composites(network)
        if isinstance(site.layer, Residual) and site.layer.scale != 1.0
    ]
    return len(factors) <= MOST_FACTORS


def has_exact_loss(network: Network) -> bool:
    """Whether there is a loss whose gradient is exact for the network's number of classes."""
    classes = num_classes(network)
    normalised = any(isinstance(site.layer, LocalResponseNorm) for site in walk(network))
    return 2 <= classes <= MOST_CLASSES and not (normalised and classes & (classes - 1))


def why_unfit(network: Network) -> str | None:
    """Why no exact problem can be drawn for `network`, and what to do; None if one can."""
    if not has_exact_loss(network):
        return (
            f"needs 2 to {MOST_CLASSES} classes, and with a local response norm a power of two,"
            f" but has {num_classes(network)}; give such a `num_classes`"
        )
    if any(
        site.layer.k != 1 for site in walk(network) if isinstance(site.layer, LocalResponseNorm)
    ):
        return "has a local response norm whose k is not 1"
    if rounded := rounded_reciprocals(network):
        return (
            f"takes a mean of {rounded[0]} values, and some frameworks multiply by a rounded"
            f" 1 / {rounded[0]}; give another `input_shape`"
        )
    if has_exact_gradients(network):
        cotangent = demands(network).cotangent
        if cotangent > 1:
            return (
                f"divides the gradient of its logits by a multiple of {cotangent}: the number"
                " of pixels in its last map must be a power of two; give another `input_shape`"
            )
    return None


def check_fit(network: Network) -> Network:
    """`network`. Raises `SpecError` if no exact problem can be drawn for it."""
    unfit = why_unfit(network)
    if unfit is not None:
        raise SpecError(f"network '{network.name}': no exact proof, since it {unfit}")
    return network


def draw_problem(
    network: Network,
    *,
    seed: int = 0,
    gradients: bool = True,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> ExactProblem:
    """Draw weights, images and a loss on which `network` is exact in float32, dropout at rate 0;
    without `gradients`, or if in `GRADIENT_ATTEMPTS` none is exact in its gradients, its outputs
    only.

    The same bytes everywhere for one `seed`. `report` is told of each attempt and of the end.
    Raises `SpecError` for a network that cannot be drawn, and if no attempt is exact.
    """
    network = with_dropout_rate(check_fit(network), 0.0)
    backward = GRADIENT_ATTEMPTS if gradients and has_exact_gradients(network) else 0
    styles = list(_styles(seed))
    attempts = [(style, True) for style in styles[:backward]] + [(style, False) for style in styles]
    failed: list[str] = []
    for number, (style, with_gradients) in enumerate(attempts):
        report(number, len(attempts))
        found = _attempt(network, style, with_gradients, number + 1)
        if isinstance(found, ExactProblem):
            report(len(attempts), len(attempts))
            return found
        failed.append(found)
    raise SpecError(
        f"network '{network.name}' at {network.input_shape}: none of the {len(attempts)} problems"
        f" drawn was exact in float32 (the last one: {failed[-1]}); give another `input_shape` or"
        " `seed`"
    )


def _styles(seed: int) -> Iterator[Style]:
    for attempt in range(ATTEMPTS):
        yield Style(seed * ATTEMPTS + attempt, SHARES[attempt % len(SHARES)])


def _attempt(network: Network, style: Style, gradients: bool, attempt: int) -> ExactProblem | str:
    """One problem, or why it is not exact."""
    draw = Draw(network, style, gradients=gradients)
    images = draw_images(network.input_shape, style.seed, draw.base * draw.demands.images)
    draw.run(images, Pass())
    problem = Problem(network, canonical(draw), images, draw_labels(network), exact_loss(network))
    return answered(problem, gradients=gradients, attempt=attempt)


def answered(
    problem: Problem, *, gradients: bool = True, train: bool = False, attempt: int = 1
) -> ExactProblem | str:
    """`problem` with its answers in the mode that `train` says, or why float32 does not compute it
    exactly.
    """
    network = problem.network
    model = Loaded(problem)
    run = Pass(train=train, taps=frozenset(site.path for site in nodes(network)))
    loss, grads = math.nan, Params()
    if gradients:
        loss, grads = run_gradients(model, problem.images, problem.labels, run, loss=problem.loss)
    else:
        model.run(problem.images, run)
    load = model.load
    at, largest = load.worst
    if load.inexact:
        return f"{load.inexact[0]} needs more than 24 bits"
    if largest >= GRANULES:
        return f"a sum in the {at} needs more than 24 bits"
    names = output_names(network)
    for what, arrays in (
        ("output", {name: run.outputs[name] for name in names}),
        ("gradient", grads),
    ):
        for name, array in arrays.items():
            if not array.any():
                return f"the {what} of {name} is 0 everywhere"
    return ExactProblem(
        problem,
        {name: _float32(run.outputs[name]) for name in names},
        loss,
        {path: _float32(array) for path, array in grads.items()},
        largest,
        at,
        attempt,
    )


def _float32(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32)


def trains_exactly(network: Network) -> bool:
    """Whether a training step computes what evaluation mode does: no batch statistics, no factor
    that only one of the modes has.
    """
    return not any(
        isinstance(site.layer, BatchNorm)
        or (isinstance(site.layer, Scale) and site.layer.when != "always")
        for site in walk(network)
    )
