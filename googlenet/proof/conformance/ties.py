"""The cases of what decides a gradient: ReLU at exactly 0, equal maxima, and a ReLU without a
ceiling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ...backend.protocols import Backend, Differentiates
from ...spec.blocks import conv_layer, max_pool, sequential
from ...spec.layers import Dense, GlobalAvgPool, Network, ReLU
from ...weights.samples import CLASSES
from ..parity.compare import compare
from ..parity.problem import Problem, random_problem
from .answers import measured
from .case import FORWARD, GRADIENTS, Case, check_rows

#: Nothing but a dense layer after each ReLU and after the pools: no pool hides what a ReLU passes
#: on, and no ReLU what a pool does.
TIES = {
    "relu": Network(
        "ties-of-a-relu",
        sequential(
            before=conv_layer(4, 1),
            relu=ReLU(),
            hidden=Dense(20, bias=True),
            other=ReLU(),
            after=Dense(CLASSES, bias=True),
        ),
        (3, 4, 3),
        "googlenet.proof.conformance",
    ),
    "max_pool": Network(
        "ties-of-a-max-pool",
        sequential(
            before=conv_layer(4, 1),
            pool=max_pool(3, 2, 1),
            plain=max_pool(2, 1),
            after=Dense(CLASSES, bias=True),
        ),
        (3, 8, 9),
        "googlenet.proof.conformance",
    ),
    "relu_and_max_pool": Network(
        "ties-of-both",
        sequential(
            before=conv_layer(4, 1),
            relu=ReLU(),
            pool=max_pool(3, 2, 1),
            plain=max_pool(2, 1),
            after=Dense(CLASSES, bias=True),
        ),
        (3, 8, 9),
        "googlenet.proof.conformance",
    ),
}

#: A ReLU on a map and one on a vector, both of whose inputs go far beyond ±6 in `large_problem`.
LARGE = Network(
    "large-activations",
    sequential(
        conv=conv_layer(5, 3, 2, 1),
        relu=ReLU(),
        pool=GlobalAvgPool(),
        hidden=Dense(9, bias=True),
        other=ReLU(),
        dense=Dense(CLASSES, bias=True),
    ),
    (2, 9, 11),
    "googlenet.proof.conformance",
)


def tie_cases() -> Iterator[Case[Backend] | Case[Differentiates]]:
    """Every case of what decides a gradient."""
    for name, network in TIES.items():
        yield Case(f"ties-{name}", GRADIENTS, partial(_check, problem=tied_problem(network)))
    yield Case("large-activations", FORWARD, partial(_check, problem=large_problem()))


def tied_problem(network: Network) -> Problem:
    """Small integers as weights and images: float32 rounds nothing, many sums are exactly 0, and
    many are equal.
    """
    drawn = random_problem(network, batch=6)
    params = {
        path: np.rint(2 * array).clip(-1, 1).astype(np.float32)
        for path, array in drawn.params.items()
    }
    return replace(drawn, params=params, images=np.rint(drawn.images).astype(np.float32))


def large_problem() -> Problem:
    """Images fifty times as bright as others, and a last layer that brings the logits back."""
    drawn = random_problem(LARGE)
    last = drawn.params["dense.weight"] / np.float32(50)
    return replace(drawn, params={**drawn.params, "dense.weight": last}, images=50 * drawn.images)


def _check(backend: Backend, problem: Problem) -> None:
    yardsticks = measured(problem, gradients=isinstance(backend, Differentiates))
    check_rows(backend, problem.network, compare(backend, problem, yardsticks).rows)
