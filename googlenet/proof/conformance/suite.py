"""The cases of the suite. Each builds a small network, runs it in a backend, and compares it with
the float64 reference.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from functools import partial

import numpy as np

from ...arrays import Params
from ...backend.protocols import CAPABILITIES, Backend, Differentiates
from ...errors import GoogLeNetError, ShapeError, UnknownNameError, WeightsError
from ...reference import build as build_reference
from ...reference.network import Pass
from ...spec.blocks import avg_pool, inception, max_pool, sequential
from ...spec.layers import Network
from ...spec.loss import Loss
from ...spec.params import param_specs
from ...spec.traversal import nodes, num_classes
from ...weights.samples import BATCH, random_images, random_labels, random_params
from ..parity.compare import compare, compare_forward, compare_step, compare_weights
from ..parity.problem import random_problem
from ..parity.rows import Group, Row
from ..parity.tolerance import distance, limit, step_yardstick
from .answers import forward_measured, measured
from .case import (
    FORWARD,
    GRADIENTS,
    AnyCase,
    Case,
    ConformanceError,
    check_rows,
    expect,
    expect_errors,
)
from .compiled import compiled_cases
from .dropout import dropout_cases
from .exact import exact_cases
from .loss import loss_cases
from .networks import (
    LARGE_POOLS,
    LEAVES,
    architectures,
    batch_of,
    composites,
    forward_architectures,
    lone,
    norm_networks,
    one_value_network,
    probe,
    sandwich,
)
from .state import state_cases
from .ties import tie_cases
from .tracing import trace_cases
from .training import trainer_cases


def cases(capabilities: Collection[str] = tuple(CAPABILITIES)) -> list[AnyCase]:
    """The cases that need no more than `capabilities`, which
    `googlenet.backend.protocols.capabilities(backend)` tells of a backend; by default all.
    """
    every: list[AnyCase] = [
        *_leaf_cases(),
        *_pool_cases(),
        *_composite_cases(),
        *_architecture_cases(),
        *_other_cases(),
        *tie_cases(),
        *dropout_cases(),
        *loss_cases(),
        *state_cases(),
        *trainer_cases(),
        *exact_cases(),
        *compiled_cases(),
        *trace_cases(),
    ]
    return [case for case in every if case.capabilities <= set(capabilities)]


def _leaf_cases() -> Iterator[Case[Backend]]:
    for name, layer in {**LEAVES, **LARGE_POOLS}.items():
        network = sandwich(name, layer)
        yield Case(f"leaf-{name}", FORWARD, partial(check_network, network=network))


def _composite_cases() -> Iterator[Case[Backend]]:
    for name, network in composites().items():
        yield Case(f"composite-{name}", FORWARD, partial(check_network, network=network))
    block = Network(
        "block",
        sequential(block=inception(5, 3, 6, 2, 4, 3)),
        (7, 11, 13),
        "googlenet.proof.conformance",
    )
    yield Case("composite-lone-inception-block", FORWARD, partial(check_forward, network=block))


def _architecture_cases() -> Iterator[Case[Backend]]:
    for name, network in architectures().items():
        loss = Loss(label_smoothing=0.1, aux_weights=(0.5, 0.2)[: len(network.outputs) - 1])
        yield Case(f"network-{name}", FORWARD, partial(check_network, network=network, loss=loss))
    for name, network in forward_architectures().items():
        yield Case(f"forward-{name}", FORWARD, partial(check_forward, network=network, batch=1))


def _pool_cases() -> Iterator[Case[Backend]]:
    windows = [(k, s, p) for k in (2, 3, 4) for s in (1, 2, 3) for p in range(k // 2 + 1)]
    for kernel, stride, padding in windows:
        yield Case(
            f"pool-kernel{kernel}-stride{stride}-padding{padding}",
            FORWARD,
            partial(_check_pools, kernel=kernel, stride=stride, padding=padding),
        )


def _other_cases() -> Iterator[AnyCase]:
    yield Case("gradients-in-evaluation-mode", GRADIENTS, _check_evaluation_gradients)
    yield Case("batch-of-one", FORWARD, _check_batch_of_one)
    for name, network in norm_networks().items():
        yield Case(
            f"batch-norm-statistics-{name}",
            GRADIENTS,
            partial(_check_batch_norm, network=network),
        )
    yield Case("batch-norm-of-one-value", GRADIENTS, _check_one_value)
    yield Case("weights-are-copied", FORWARD, _check_copies)
    yield Case("forward-changes-nothing", FORWARD, _check_unchanged)
    yield Case("bad-input", FORWARD, _check_bad_input)


def check_network(
    backend: Backend, network: Network, *, loss: Loss = Loss(), seed: int = 0
) -> None:
    """Weights and every layer; if the backend has gradients, every gradient and running statistic.
    Raises `ConformanceError`.
    """
    problem = random_problem(
        network, seed=seed, batch=batch_of(network), classes=num_classes(network), loss=loss
    )
    yardsticks = measured(problem, gradients=isinstance(backend, Differentiates))
    comparison = compare(backend, problem, yardsticks)
    _check_weights(backend, network, [row.name for row in comparison[Group.WEIGHTS]])
    check_rows(backend, network, comparison.rows)


def check_forward(backend: Backend, network: Network, *, batch: int = BATCH) -> None:
    """Weights and every layer of `batch` images. Raises `ConformanceError`."""
    problem = random_problem(network, batch=batch)
    model = backend.build(network, problem.params)
    _check_weights(backend, network, compare_weights(backend, model, problem.params))
    yardstick = forward_measured(problem, chunk=8)
    rows = compare_forward(backend, model, problem, yardstick, chunk=8)
    check_rows(backend, network, rows)


def _check_weights(backend: Backend, network: Network, changed: list[str]) -> None:
    if changed:
        raise ConformanceError(
            f"{network.name}: {changed[0]} did not come back from {backend.name} as it went in"
        )


def _check_pools(backend: Backend, kernel: int, stride: int, padding: int) -> None:
    for shape, ceil_mode in itertools.product(((2, 7, 10), (2, 8, 11), (2, 9, 12)), (False, True)):
        window = f"kernel{kernel}-stride{stride}-padding{padding}"
        named = f"{window}-{shape[1]}x{shape[2]}-{'ceil' if ceil_mode else 'floor'}"
        check_forward(
            backend,
            lone(f"max-{named}", max_pool(kernel, stride, padding, ceil_mode=ceil_mode), shape),
        )
        for counted in (False, True):
            pool = avg_pool(kernel, stride, padding, ceil_mode=ceil_mode, count_include_pad=counted)
            check_forward(
                backend, lone(f"avg-{'counted' if counted else 'uncounted'}-{named}", pool, shape)
            )


def _check_evaluation_gradients(backend: Differentiates) -> None:
    """Gradients with dropout and batch statistics off: MXNet's max pools return noise there unless
    told to keep the winners.
    """
    problem = random_problem(probe())
    yardstick = step_yardstick(problem, train=False)
    comparison = compare_step(backend, problem, yardstick, train=False)
    check_rows(backend, problem.network, comparison.rows)


def _check_batch_of_one(backend: Backend) -> None:
    network = composites()["inception"]
    check_forward(backend, network, batch=1)


def _check_batch_norm(backend: Backend, network: Network) -> None:
    """Three steps in training mode: the outputs, the running statistics after each, and evaluation
    mode with them.
    """
    params = random_params(network)
    native = backend.build(network, params)
    models = {
        dtype: build_reference(
            network,
            params,
            dtype=dtype,
            unbiased_running_variance=backend.unbiased_running_variance,
        )
        for dtype in (np.float64, np.float32)
    }
    statistics = [path for path, spec in param_specs(network).items() if not spec.trainable]
    for step in range(4):
        images, train = random_images(network, seed=step), step < 3
        runs = {dtype: Pass(train=train) for dtype in models}
        for dtype, model in models.items():
            model.run(images, runs[dtype])
        outputs = backend.forward(native, images, train=train)
        held = backend.params_of(native)
        ours = {"logits": outputs["logits"], **{path: held[path] for path in statistics}}
        exact, rough = (
            {**models[dtype].params, "logits": runs[dtype].outputs["logits"]} for dtype in models
        )
        rows = [
            Row(
                f"{name} after step {step}",
                distance(array, exact[name]),
                limit(distance(rough[name], exact[name])),
            )
            for name, array in ours.items()
        ]
        check_rows(backend, network, rows)


def _check_one_value(backend: Differentiates) -> None:
    """In training mode batch norm refuses one image with a 1×1 map, and nothing else; evaluation
    mode takes it.
    """
    network = one_value_network()
    model, params = backend.build(network, random_params(network)), random_params(network)
    images, labels = random_images(network), random_labels()
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
        (
            "one image forward in training mode",
            ShapeError,
            lambda: backend.forward(model, images[:1], train=True),
        ),
        (
            "one image for gradients in training mode",
            ShapeError,
            lambda: backend.gradients(model, images[:1], labels[:1]),
        ),
    ]
    expect_errors(broken, "batch norm of one value a channel", naming="branches.deep.norm")
    expect(
        not compare_weights(backend, model, params),
        "batch norm of one value a channel: what was refused changed the weights",
    )
    check_forward(backend, network, batch=1)
    backend.gradients(model, images[:1], labels[:1], train=False)
    check_network(backend, network)
    larger = composites()["norm_residual"]
    backend.gradients(
        backend.build(larger, random_params(larger)), random_images(larger)[:1], labels[:1]
    )


def _check_copies(backend: Backend) -> None:
    network = composites()["norm_residual"]
    params, images = random_params(network), random_images(network)
    kept: Params = {path: array.copy() for path, array in params.items()}
    model = backend.build(network, params)
    for array in params.values():
        array[...] = 0
    expect(
        not compare_weights(backend, model, kept),
        "build: the model shares memory with the arrays it was given",
    )
    before = backend.forward(model, images)["logits"]
    for array in backend.params_of(model).values():
        array[...] = 0
    expect(
        np.array_equal(before, backend.forward(model, images)["logits"]),
        "params_of: its arrays share memory with the model",
    )


def _check_unchanged(backend: Backend) -> None:
    network = composites()["norm_residual"]
    params, images = random_params(network), random_images(network)
    kept_images = images.copy()
    model = backend.build(network, params)
    for taps in ((), [site.path for site in nodes(network)]):
        backend.forward(model, images, taps=taps)
        expect(np.array_equal(images, kept_images), "forward: the images were changed")
    expect(
        not compare_weights(backend, model, params), "forward: evaluation mode changed the weights"
    )


def _check_bad_input(backend: Backend) -> None:
    network = composites()["inception"]
    params, images = random_params(network), random_images(network)
    model = backend.build(network, params)
    path = next(iter(params))
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
        ("a wrong number of channels", ShapeError, lambda: backend.forward(model, images[:, 1:])),
        ("an image of another size", ShapeError, lambda: backend.forward(model, images[:, :, 1:])),
        (
            "a tap that does not exist",
            UnknownNameError,
            lambda: backend.forward(model, images, taps=["no.such.layer"]),
        ),
        (
            "a missing array",
            WeightsError,
            lambda: backend.build(network, {key: params[key] for key in params if key != path}),
        ),
        (
            "an extra array",
            WeightsError,
            lambda: backend.build(network, {**params, "extra": params[path]}),
        ),
        (
            "an array of the wrong shape",
            WeightsError,
            lambda: backend.build(network, {**params, path: params[path][:-1]}),
        ),
        (
            "an array with NaN",
            WeightsError,
            lambda: backend.build(network, {**params, path: params[path] * np.nan}),
        ),
    ]
    expect_errors(broken, "bad input")
