"""The cases of the exact proof: every bit of small networks, and of layers that real networks hold
only in a trivial form.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ...architectures import get_network
from ...architectures.alexnet import alexnet
from ...architectures.inception_resnet import inception_resnet_v2
from ...architectures.inception_v4 import inception_v4
from ...arrays import Params
from ...backend.protocols import Backend, Differentiates
from ...spec.blocks import batch_norm, conv, conv_layer, local_response_norm, sequential
from ...spec.layers import Dense, Layer, Network, ReLU
from ...spec.loss import Loss
from ...spec.params import param_specs
from ...weights.samples import random_images
from ..exact.compare import compare_exact
from ..exact.problem import ExactProblem, answered, has_exact_gradients
from ..parity.compare import compare_forward
from ..parity.problem import Problem, random_problem
from ..parity.tolerance import forward_yardstick
from .answers import drawn
from .case import FORWARD, GRADIENTS, AnyCase, Case, ConformanceError, check_rows, expect
from .networks import INPUT_SHAPE, LARGE_POOLS, LEAVES, composites

#: A power of two, so that local response normalisation is exact, too.
CLASSES = 4

#: Local response normalisation is the identity at a tiny scale only with k = 1. Averages over
#: windows that differ in size are divided in two steps, or by a rounded reciprocal, in some
#: frameworks; so is the gradient of an adaptive one.
INEXACT = frozenset(
    {
        "local_response_norm_wide",
        "adaptive_avg_pool",
        "avg_pool_larger_than_its_input",
        "avg_pool_asymmetric_larger_than_its_input",
    }
)


def exact_cases() -> Iterator[AnyCase]:
    """Every case that asks for equal bits."""
    for name, network in exact_networks().items():
        # What a trainer keeps from step to step is no matter of one leaf: networks show it.
        alone = name in LEAVES or name in LARGE_POOLS
        check = partial(check_exact, network=network, steps=1 if alone else 3)
        yield Case(f"exact-{name}", FORWARD, check)
    yield Case("exact-local_response_norm-base-16", GRADIENTS, _check_response_norm)
    yield Case("exact-batch_norm-in-training-mode", GRADIENTS, _check_training_norm)


def exact_networks() -> dict[str, Network]:
    """What is drawn exactly: leaves behind a convolution, composites, small architectures."""
    leaves: dict[str, Layer] = {**LEAVES, **LARGE_POOLS}
    return {
        **{name: _between(name, layer) for name, layer in leaves.items() if name not in INEXACT},
        **{
            name: composites()[name].at((7, 8, 16))
            for name in ("inception", "nested", "residual", "residual_projected", "dense_on_vector")
        },
        "googlenet": get_network("googlenet", num_classes=7, input_shape=(2, 48, 41)),
        "googlenet_bn": get_network("googlenet_bn", num_classes=7, input_shape=(2, 48, 41)),
        "googlenet_paper": get_network(
            "googlenet_paper", num_classes=8, input_shape=(3, 79, 95), aux=True
        ),
        "inception_v4": inception_v4(num_classes=7, input_shape=(3, 75, 75), blocks=(1, 1, 1)),
        "inception_resnet_v2": inception_resnet_v2(
            num_classes=7, input_shape=(3, 75, 75), blocks=(1, 1, 1)
        ),
        "alexnet": alexnet(num_classes=8, input_shape=(1, 67, 83), hidden_features=12),
    }


def _between(name: str, layer: Layer) -> Network:
    layers = sequential(
        before=conv(8, 1), layer=layer, relu=ReLU(), after=Dense(CLASSES, bias=True)
    )
    return Network(f"exact-{name}", layers, INPUT_SHAPE, "googlenet.proof.conformance")


def check_exact(backend: Backend, network: Network, *, steps: int) -> None:
    """Every bit of every output and gradient of a drawn problem, and of so many training steps.
    Raises `ConformanceError`.
    """
    exact = drawn(network)
    expect(
        bool(exact.gradients) == has_exact_gradients(network),
        f"{network.name}: the case is not exact in its gradients",
    )
    _check(backend, exact, steps)


def _check(backend: Backend, exact: ExactProblem, steps: int = 1, *, train: bool = False) -> None:
    comparison = compare_exact(backend, exact, train=train, steps=steps)
    if comparison.unfit is not None:  # the derived limits hold instead, on weights of another kind
        problem = random_problem(exact.problem.network)
        native = backend.build(problem.network, problem.params)
        yardstick = forward_yardstick(problem, chunk=8)
        rows = compare_forward(backend, native, problem, yardstick, chunk=8)
        check_rows(backend, problem.network, rows)
        return
    if not comparison.passed:
        raise ConformanceError(
            f"{exact.problem.network.name}: bits differ in {comparison.differences} of"
            f" {comparison.count} values of {backend.name}; the first: {comparison.first}"
        )


def _check_response_norm(backend: Differentiates) -> None:
    """One neighbour in five is ±1, so the base is 16 everywhere, and each value is divided by 8."""
    norm = local_response_norm(5, 75.0, 0.75, 1.0)
    layers = sequential(
        before=conv_layer(10, 1, bias=False), layer=norm, after=Dense(CLASSES, bias=True)
    )
    network = Network("exact-response", layers, (10, 4, 8), "googlenet.proof.conformance")
    lit = np.where(np.arange(10) % 5 == 2, 1.0, 0.0)[:, None, None]
    _check(backend, _answered(network, _signs(network) * lit))


def _check_training_norm(backend: Differentiates) -> None:
    """Half of each channel's values are 256 and half −256: the mean is 0, and var + eps rounds to
    256².
    """
    layers = sequential(
        before=conv_layer(6, 1, bias=False),
        layer=batch_norm(1e-3, 0.5),
        after=Dense(CLASSES, bias=True),
    )
    network = Network("exact-norm", layers, (6, 4, 8), "googlenet.proof.conformance")
    signs = _signs(network)
    _check(
        backend, _answered(network, 256 * np.concatenate([signs, -signs]), train=True), train=True
    )


def _signs(network: Network) -> np.ndarray:
    return np.where(random_images(network, batch=2) < 0, -1.0, 1.0)


def _answered(network: Network, images: np.ndarray, *, train: bool = False) -> ExactProblem:
    """An exact problem with weights of powers of two: the first layer passes its channels on in
    another order, every other with its sign changed.
    """
    channels = network.input_shape[0]
    turned = np.zeros((channels, channels, 1, 1))
    turned[np.arange(channels), (np.arange(channels) + 5) % channels] = np.where(
        np.arange(channels) % 2, 1.0, -1.0
    )[:, None, None]
    dense = np.zeros((CLASSES, *network.input_shape))
    flat = dense.reshape(CLASSES, -1)
    flat[np.arange(flat.shape[1]) % CLASSES, np.arange(flat.shape[1])] = np.where(
        np.arange(flat.shape[1]) % 3, 1.0, -2.0
    )
    params: Params = {
        "before.weight": turned,
        "layer.weight": np.where(np.arange(channels) % 3, 2.0, -1.0),
        "layer.bias": np.arange(channels) + 1.0,
        "layer.running_mean": np.zeros(channels),
        "layer.running_var": np.ones(channels),
        "after.weight": dense,
        "after.bias": 4096.0 * np.arange(CLASSES),
    }
    wanted = param_specs(network)
    problem = Problem(
        network,
        {path: array.astype(np.float32) for path, array in params.items() if path in wanted},
        images.astype(np.float32),
        np.arange(len(images)) % CLASSES,
        Loss(label_smoothing=0.5),
    )
    found = answered(problem, train=train)
    if isinstance(found, str):
        raise ConformanceError(f"{network.name}: the case is not exact: {found}")
    return found
