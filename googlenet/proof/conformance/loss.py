"""The cases of the loss at logits beyond ±100, where `exp` overflows, and `log` of a softmax is the
logarithm of 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ...backend.protocols import Differentiates, Trains
from ...spec.blocks import avg_pool, conv_layer, sequential
from ...spec.layers import Aux, Dense, GlobalAvgPool, Network
from ...spec.loss import Loss
from ...spec.recipe import Recipe
from ...weights.samples import CLASSES
from ..parity.compare import compare_step
from ..parity.problem import Problem, random_problem
from ..parity.tolerance import step_yardstick
from .case import GRADIENTS, TRAINER, Case, check_rows
from .steps import check_steps

#: Without a ReLU or max pool: nothing decides a gradient but the loss.
NETWORK = Network(
    "logits-beyond-100",
    sequential(
        conv=conv_layer(6, 3, 2, 1),
        aux1=Aux(sequential(pool=GlobalAvgPool(), dense=Dense(CLASSES, bias=True)), 0.3),
        pool=avg_pool(3, 2),
        dense=Dense(CLASSES, bias=True),
    ),
    (2, 11, 14),
    "googlenet.proof.conformance",
)


def loss_cases() -> Iterator[Case[Differentiates] | Case[Trains]]:
    """Every case of the loss at large logits."""
    for smoothing in (0.0, 0.1):
        loss = Loss(label_smoothing=smoothing)
        name = f"logits-beyond-100-smoothing-{smoothing:g}"
        yield Case(name, GRADIENTS, partial(_check_gradients, loss=loss))
    yield Case("training-logits-beyond-100", TRAINER, _check_training)


def extreme_problem(loss: Loss) -> Problem:
    """Biases of both outputs at ±180 and other values in between, in another order for each; labels
    name the least likely class and the most likely one among others.
    """
    problem = random_problem(NETWORK, batch=6, loss=loss)
    biases = np.array([-180, 40, 150, -110, 180], np.float32)
    params = {
        **problem.params,
        "dense.bias": biases,
        "aux1.dense.bias": biases[::-1].copy(),
        "dense.weight": 20 * problem.params["dense.weight"],
    }
    return replace(problem, params=params)


def _check_gradients(backend: Differentiates, loss: Loss) -> None:
    problem = extreme_problem(loss)
    comparison = compare_step(backend, problem, step_yardstick(problem))
    check_rows(backend, problem.network, comparison.rows)


def _check_training(backend: Trains) -> None:
    recipe = Recipe(learning_rate=1e-3, label_smoothing=0.1)
    check_steps(backend, extreme_problem(recipe.loss), recipe, [(6, 1.0)])
