"""The cases of compiled forms: what users deploy is the same function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ...backend.protocols import Compiles, Trains
from ...errors import GoogLeNetError, ShapeError, UnknownNameError
from ...reference import build as build_reference
from ...reference.network import Pass
from ...spec.layers import Network
from ...spec.recipe import Recipe
from ..exact.compare import COMPILED as FORMS
from ..exact.compare import compare_exact
from ..exact.problem import draw_problem
from ..parity.compare import compare_forward, compare_weights
from ..parity.problem import random_problem
from ..parity.rows import Row
from ..parity.tolerance import distance, forward_yardstick, limit
from .case import COMPILED, AnyCase, Case, ConformanceError, check_rows, expect, expect_errors
from .networks import composites


def compiled_cases() -> Iterator[AnyCase]:
    """Every case of compiled forms."""
    for name in ("auxiliary", "norm_residual"):
        yield Case(f"compiled-{name}", COMPILED, partial(_check_forms, network=composites()[name]))
    stays = partial(_check_stays, network=composites()["norm_residual"])
    yield Case("compiled-stays", COMPILED, stays)
    network = composites()["inception"].at((7, 8, 16))
    yield Case("compiled-exact", COMPILED, partial(_check_bits, network=network))


def _check_forms(backend: Compiles, network: Network) -> None:
    """The outputs of each form for batches of two sizes, by derived limits; the model is left as it
    was, and bad input is refused.
    """
    problem = random_problem(network)
    images, model = problem.images, backend.build(network, problem.params)
    run = Pass()
    build_reference(network, problem.params, dtype=np.float64).run(images, run)
    yardstick = forward_yardstick(problem, chunk=8)
    for form in backend.compiled_forms:
        call = backend.compiled(model, form)
        for count in (len(images), 1):
            found = call(images[:count])
            rows = [
                Row(
                    f"{name} of {form}",
                    distance(found.get(name), run.outputs[name][:count]),
                    limit(yardstick[name]),
                )
                for name in reversed(network.outputs)
            ]
            check_rows(backend, network, rows)
            expect(
                found.keys() == set(network.outputs),
                f"{form} returned {', '.join(found)}, expected {', '.join(network.outputs)}",
            )
        broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
            ("a wrong number of channels", ShapeError, partial(call, images[:, 1:]))
        ]
        expect_errors(broken, form)
    expect(
        not compare_weights(backend, model, problem.params), "compiled: the model's weights changed"
    )
    rows = compare_forward(backend, model, problem, yardstick, chunk=8)
    check_rows(backend, network, rows)
    unknown = partial(backend.compiled, model, "no such form")
    expect_errors(
        [("a form that does not exist", UnknownNameError, unknown)],
        "compiled",
        advice="call googlenet.backend.checks.check_form first",
    )


def _check_stays(backend: Compiles, network: Network) -> None:
    """A form computes with the weights and statistics that the model had, though that has trained
    since, if the backend trains.
    """
    problem = random_problem(network)
    images, model = problem.images, backend.build(network, problem.params)
    calls = {form: backend.compiled(model, form) for form in backend.compiled_forms}
    before = {form: call(images) for form, call in calls.items()}
    if isinstance(backend, Trains):
        backend.trainer(model, Recipe()).step(images, problem.labels, learning_rate=0.1, seed=0)
    for form, call in calls.items():
        expect(
            all(
                np.array_equal(output, before[form][name]) for name, output in call(images).items()
            ),
            f"{form} changed when the model was trained: it must keep the weights that it was made"
            " with",
        )


def _check_bits(backend: Compiles, network: Network) -> None:
    """Every bit of the outputs of each form."""
    found = compare_exact(backend, draw_problem(network, gradients=False), compiled=True)
    if not found.passed:
        raise ConformanceError(
            f"{network.name}: bits differ in {found.differences} of {found.count} values of"
            f" {backend.name}; the first: {found.first}"
        )
    expect(found.values.get(FORMS, 0) > 0, "compiled_forms: names no form")
