"""What a trap asks of a framework, and the right answer: of the float64 reference, or a count.

How far an answer may be from the right one is the tolerance of all proofs here: `FACTOR` times as
far as float32 itself strays. A number that is counted must be right, and one that is drawn at
random must be as near as its sampling allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ...arrays import Array, Params, uniform
from ...data.images import load_image_set
from ...reference import build
from ...reference.network import Pass
from ...spec.blocks import sequential
from ...spec.layers import Layer, Network, Shape
from ...spec.loss import cross_entropy
from ...spec.params import param_specs
from ...weights.samples import random_images, random_labels, random_params
from ..parity.problem import Problem
from ..parity.tolerance import VARIANTS, distance, limit

#: A number that is drawn is right within this many standard errors: further off once in 5e8 draws.
STANDARD_ERRORS = 6.0

#: The path of the layer that a trap is about, in the network that has no other.
LAYER = "layer"


def _as_it_is(answer: Array) -> Array:
    return answer


@dataclass(frozen=True, eq=False)
class Question:
    """`arguments` for functions by name, and for layers `network` with one layer, `params` and
    `images` (N, C, H, W), in training mode if `train`.

    Of what layers give, `observed` is the answer: `output`, `parameters`, or an array's path.
    `summary` makes a number of it. `right` is the float64 answer, and the largest error that is
    none `limit`: a relative L2 distance, for a number where 0 is right a difference.
    """

    arguments: Mapping[str, Array]
    right: Array
    limit: float
    network: Network | None = None
    params: Params = field(default_factory=dict)
    train: bool = False
    observed: str = "output"
    summary: Callable[[Array], Array] = _as_it_is


def on_layer(
    layer: Layer,
    input_shape: Shape,
    *,
    batch: int = 2,
    scale: float = 1.0,
    train: bool = False,
    observed: str = "output",
    statistics_scale: float = 1.0,
    fresh: bool = False,
    unbiased: bool = False,
    digits: bool = False,
) -> Question:
    """What `layer` gives for `batch` maps of `input_shape` (C, H, W), uniform in [−scale, scale).

    `observed` is "output", a running statistic such as "layer.running_mean" after the pass, or
    "parameters", how many can be trained. `train` says whether the pass is one of training, and
    `unbiased` that the running variance takes the unbiased one of the batch.

    Its weights are random; with `fresh`, batch norm's are as they are when it is made. Running
    variances are uniform in `statistics_scale` times [0.5, 1.5). With `digits` the maps are those
    images of handwriting on which parity is proved.
    """
    network = Network("trap", sequential(**{LAYER: layer}), input_shape, "googlenet.proof.traps")
    params = random_params(network)
    for path, spec in param_specs(network).items():
        if fresh and len(spec.shape) == 1:
            params[path] = np.full(spec.shape, spec.name in ("weight", "running_var"), np.float32)
        elif spec.name == "running_var":
            params[path] *= np.float32(statistics_scale)
    images = (
        load_image_set(None, input_shape, 10, count=batch).images
        if digits
        else np.float32(scale) * random_images(network, batch=batch)
    )
    problem = Problem(network, params, images)
    found = Question(
        {"images": images, **{path.rpartition(".")[2]: each for path, each in params.items()}},
        np.zeros(()),
        0.0,
        network,
        params,
        train,
        observed,
    )
    if observed == "parameters":
        count = sum(
            params[path].size for path, spec in param_specs(network).items() if spec.trainable
        )
        return replace(found, right=np.array(float(count)))
    right = _reference(problem, np.float64, Pass(train=train), observed, unbiased)
    yardstick = 0.0
    for variant in VARIANTS:
        run = Pass(train=train, dot=variant.dot)
        rough = _reference(variant.of(problem), np.float32, run, observed, unbiased)
        rough = variant.restore(rough) if observed == "output" else rough
        yardstick = max(yardstick, distance(rough, right))
    return replace(found, right=right, limit=limit(yardstick))


def _reference(
    problem: Problem, dtype: npt.DTypeLike, run: Pass, observed: str, unbiased: bool
) -> Array:
    """What the reference observes in one pass."""
    model = build(problem.network, problem.params, dtype=dtype, unbiased_running_variance=unbiased)
    run.taps = frozenset({LAYER})
    model.run(problem.images, run)
    found: Array = run.outputs[LAYER] if observed == "output" else model.params[observed]
    return found


#: What a trap about the loss is asked on: logits (8, 10) in [−4, 4) and their labels.
LOSS_BATCH, LOSS_CLASSES = 8, 10


def on_loss(smoothing: float = 0.0) -> Question:
    """The gradient of the mean cross-entropy with label smoothing with respect to logits (N, K)."""
    shape = (LOSS_BATCH, LOSS_CLASSES)
    logits = (8 * uniform(0, "logits")(math.prod(shape)).reshape(shape) - 4).astype(np.float32)
    labels = random_labels(0, LOSS_BATCH, LOSS_CLASSES)
    right = cross_entropy(logits.astype(np.float64), labels, smoothing)[1]
    rough = cross_entropy(logits, labels, smoothing)[1]
    return Question({"logits": logits, "labels": labels}, right, limit(distance(rough, right)))


def on_draws(right: float, count: int, kurtosis: float) -> Question:
    """The root mean square of `count` drawn weights, which is right within its standard error; of
    all numbers with a distribution of this `kurtosis` (3 if normal, 1.8 if uniform).
    """
    error = math.sqrt((kurtosis - 1) / (4 * count)) if right else 0.0
    return Question(
        {}, np.array(right), STANDARD_ERRORS * error, summary=root_mean_square, observed="drawn"
    )


def root_mean_square(answer: Array) -> Array:
    """√(Σ x² / n) of all elements, as an array without axes."""
    found: Array = np.sqrt(np.square(answer, dtype=np.float64).mean())
    return found


def on_dropout(layer: Layer, rate: float, input_shape: Shape) -> Question:
    """The share of elements that dropout of `rate` zeroes in training mode, of maps of ones."""
    asked = on_layer(layer, input_shape)
    ones = np.ones_like(asked.arguments["images"])
    error = math.sqrt((1 - rate) / (rate * ones.size))  # relative, of a binomial distribution
    return replace(
        asked,
        arguments={"images": ones},
        train=True,
        right=np.array(rate),
        limit=STANDARD_ERRORS * error,
        summary=lambda answer: np.mean(answer == 0),
    )


def on_batches() -> Question:
    """The share of an epoch's batches that were batches of the epoch before, where none should be:
    of answers (epochs, batches, size), which examples each batch has.
    """

    def repeated(answer: Array) -> Array:
        first, second = ({frozenset(batch) for batch in epoch} for epoch in answer.tolist())
        return np.array(len(first & second) / len(second))

    return Question({}, np.array(0.0), 0.0, summary=repeated)


def is_number(asked: Question) -> bool:
    """Whether the answer is one number."""
    return asked.right.ndim == 0


def error_of(answer: Array, asked: Question) -> float:
    """How far `answer` is from the right one: their relative L2 distance, infinite if shapes
    differ or it is not finite; where a number should be 0, the number.
    """
    if is_number(asked) and float(asked.right) == 0:
        return abs(float(answer)) if math.isfinite(answer) else math.inf
    return distance(answer, asked.right)
