"""The cases of `compile` and of compiled forms: what users deploy is the same function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np

from ...arrays import Array
from ...backend.protocols import Backend, Compiles, HasForms, Quantises, Trains
from ...errors import (
    BackendError,
    DataError,
    GoogLeNetError,
    ShapeError,
    UnknownNameError,
)
from ...reference import build as build_reference
from ...reference.network import Pass
from ...spec.layers import Network
from ...spec.recipe import Recipe
from ...weights.samples import random_images
from ..exact.compare import COMPILED, compare_exact
from ..parity.compare import compare_forward, compare_weights
from ..parity.problem import Problem, random_problem
from ..parity.quantised import int8_yardstick
from ..parity.rows import Row
from ..parity.tolerance import distance, limit
from .answers import drawn, forward_measured
from .case import (
    COMPILES,
    FORMS,
    QUANTISES,
    AnyCase,
    Case,
    ConformanceError,
    check_rows,
    expect,
    expect_errors,
)
from .networks import composites

#: Images to calibrate by, and how much darker they are when the maps must not fit what follows.
CALIBRATION: Final = 16
NARROW: Final = 64


def compiled_cases() -> Iterator[AnyCase]:
    """Every case of `compile` and of compiled forms."""
    for name in ("auxiliary", "norm_residual"):
        compiles = partial(_check_compile, network=composites()[name])
        yield Case(f"compile-{name}", COMPILES, compiles)
        quantises = partial(_check_quantise, network=composites()[name])
        yield Case(f"quantise-{name}", QUANTISES, quantises)
    yield Case("compile-changed", COMPILES, _check_changed)
    for name in ("auxiliary", "norm_residual"):
        yield Case(f"compiled-{name}", FORMS, partial(_check_forms, network=composites()[name]))
    stays = partial(_check_stays, network=composites()["norm_residual"])
    yield Case("compiled-stays", FORMS, stays)
    network = composites()["inception"].at((7, 8, 16))
    yield Case("compiled-exact", FORMS, partial(_check_bits, network=network))


def _check_compile(backend: Compiles, network: Network) -> None:
    """The outputs of `compile` for batches of two sizes, by derived limits, and from two threads at
    a time; the model is left as it was, and bad input is refused.
    """
    problem = random_problem(network)
    images, model = problem.images, backend.build(network, problem.params)
    yardstick = forward_measured(problem, chunk=8)
    call = backend.compile(model, input_shape=network.input_shape)
    for count in (len(images), 1):
        _check_outputs(backend, problem, count, call(images[:count]), yardstick, "compile")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(call, [images, images]))
    for found in both:
        _check_outputs(backend, problem, len(images), found, yardstick, "compile in a thread")
    expect(
        not compare_weights(backend, model, problem.params), "compile: the model's weights changed"
    )
    check_rows(backend, network, compare_forward(backend, model, problem, yardstick, chunk=8))
    shape = network.input_shape
    spoilt = images.copy()
    spoilt[0, 0, 0, 0] = np.nan
    again = partial(backend.compile, model, input_shape=shape)
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
        ("a wrong number of channels", ShapeError, partial(call, images[:, 1:])),
        ("images of another size", ShapeError, partial(call, images[:, :, 1:])),
        ("images that are not finite", DataError, partial(call, spoilt)),
        ("a dtype that does not exist", UnknownNameError, partial(again, dtype="float99")),
        (
            "another number of channels",
            ShapeError,
            partial(backend.compile, model, input_shape=(shape[0] + 1, *shape[1:])),
        ),
    ]
    expect_errors(
        broken,
        "compile",
        advice="call googlenet.backend.compiling.prepared first, and return a Compiled",
    )


def _check_quantise(backend: Quantises, network: Network) -> None:
    """The outputs of `compile` in int8, by the limit that is derived for it, and farther off than
    float32 may be; images to calibrate by make the difference that they should, and are asked for.
    """
    problem = random_problem(network)
    model, shape = backend.build(network, problem.params), network.input_shape
    few = random_images(network, seed=1, batch=CALIBRATION)
    make = partial(backend.compile, model, input_shape=shape)
    call = make(dtype="int8", calibration=few)
    yardstick = int8_yardstick(problem, few, chunk=8)
    found = call(problem.images)
    _check_outputs(backend, problem, len(problem.images), found, yardstick, "compile in int8")
    expect(call.dtype == "int8", f"compile: its dtype is '{call.dtype}', expected 'int8'")
    build_reference(network, problem.params, dtype=np.float64).run(problem.images, run := Pass())
    right = run.outputs["logits"]
    least = limit(forward_measured(problem, chunk=8)["logits"])
    expect(
        distance(found["logits"], right) > least,
        "compile: its logits in int8 are as near to float64 as those of float32, so they are not in"
        " int8",
    )
    narrow = make(dtype="int8", calibration=few / np.float32(NARROW))(problem.images)["logits"]
    expect(
        distance(narrow, right) > limit(yardstick["logits"]),
        f"compile: images to calibrate by that are {NARROW} times as dark make no difference, as if"
        " they were not looked at",
    )
    spoilt = few.copy()
    spoilt[0, 0, 0, 0] = np.nan
    in_int8 = partial(make, dtype="int8")
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
        ("int8 without images", DataError, in_int8),
        ("images for float32", DataError, partial(make, calibration=few)),
        ("images of another size", ShapeError, partial(in_int8, calibration=few[:, :, 1:])),
        ("images that are not finite", DataError, partial(in_int8, calibration=spoilt)),
        ("one image without its axis", ShapeError, partial(in_int8, calibration=few[0])),
    ]
    expect_errors(
        broken,
        "compile",
        naming="calibration",
        advice="give `calibration` to googlenet.backend.compiling.prepared",
    )


def _check_changed(backend: Compiles) -> None:
    """What is compiled does not answer for a model that has changed, if the backend trains."""
    if not isinstance(backend, Trains):
        return
    problem = random_problem(composites()["norm_residual"])
    model = backend.build(problem.network, problem.params)
    call = backend.compile(model, input_shape=problem.network.input_shape)
    call(problem.images)
    trainer = backend.trainer(model, Recipe())
    trainer.step(problem.images, problem.labels, learning_rate=0.1, seed=0)
    changed = partial(call, problem.images)
    expect_errors([("a model that has changed since", BackendError, changed)], "compile")


def _check_outputs(
    backend: Backend,
    problem: Problem,
    count: int,
    found: Mapping[str, Array],
    yardstick: Mapping[str, float],
    what: str,
) -> None:
    """Outputs of the first `count` images, by derived limits."""
    network, run = problem.network, Pass()
    build_reference(network, problem.params, dtype=np.float64).run(problem.images[:count], run)
    rows = [
        Row(
            f"{name} of {what}",
            distance(found.get(name), run.outputs[name]),
            limit(yardstick[name]),
        )
        for name in reversed(network.outputs)
    ]
    check_rows(backend, network, rows)
    expect(
        found.keys() == set(network.outputs),
        f"{what} returned {', '.join(found)}, expected {', '.join(network.outputs)}",
    )


def _check_forms(backend: HasForms, network: Network) -> None:
    """The outputs of each form for batches of two sizes, by derived limits; the model is left as it
    was, and bad input is refused.
    """
    problem = random_problem(network)
    images, model = problem.images, backend.build(network, problem.params)
    yardstick = forward_measured(problem, chunk=8)
    for form in backend.compiled_forms:
        call = backend.compiled(model, form)
        for count in (len(images), 1):
            _check_outputs(backend, problem, count, call(images[:count]), yardstick, form)
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


def _check_stays(backend: HasForms, network: Network) -> None:
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


def _check_bits(backend: HasForms, network: Network) -> None:
    """Every bit of the outputs of each form."""
    found = compare_exact(backend, drawn(network, gradients=False), compiled=True)
    if not found.passed:
        raise ConformanceError(
            f"{network.name}: bits differ in {found.differences} of {found.count} values of"
            f" {backend.name}; the first: {found.first}"
        )
    expect(found.values.get(COMPILED, 0) > 0, "compiled_forms: names no form")
