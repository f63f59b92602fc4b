"""The networks of the native tests, and how far a pass through them may be from float64."""

from functools import cache

import numpy as np

import googlenet
from googlenet.proof.parity.compare import compare_forward
from googlenet.proof.parity.problem import random_problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.spec.blocks import (
    avg_pool,
    batch_norm,
    concat,
    conv,
    conv_layer,
    local_response_norm,
    max_pool,
    residual,
    sequential,
)
from googlenet.spec.layers import AdaptiveAvgPool, Aux, Dense, GlobalAvgPool, Scale

PAPER = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 79, 95), aux=True)
NORMED = googlenet.get_network("googlenet_bn", num_classes=7, input_shape=(2, 65, 40))
OWN_LAYERS = googlenet.Network(
    "every layer/that a framework lacks",
    sequential(
        conv=conv(6, 4, 2, 1, norm=batch_norm(scale=False)),
        largest=max_pool(3, 2, 1),
        norm=local_response_norm(3, 0.5),
        skewed=conv_layer(6, 3, 1, ((0, 2), (1, 1))),
        mean=avg_pool(3, 1, 1),
        shifted=avg_pool(3, 1, ((1, 0), (0, 1))),
        around=max_pool(3, 2, ((1, 0), (1, 0))),
        aux1=Aux(sequential(pool=GlobalAvgPool(), dense=Dense(5, bias=True)), 0.3),
        sum=residual(conv_layer(6, 3, 1, 1), scale=0.3),
        block=concat(left=conv_layer(3, 1), right=max_pool(3, 1, 1)),
        scale=Scale(0.7, "eval"),
        fitted=AdaptiveAvgPool((2, 4)),
        dense=Dense(5, bias=True),
    ),
    (3, 40, 48),
    "this test",
)
NETWORKS = {"googlenet_paper": PAPER, "googlenet_bn": NORMED, "own layers": OWN_LAYERS}


def as_tuple(outputs):
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


@cache
def exact_and_limits(network):
    """The float64 outputs by name, and how far from them float32 may be."""
    problem = random_problem(network)
    reference = googlenet.get_backend("numpy").build(network, problem.params, dtype=np.float64)
    exact = as_tuple(reference(problem.images))
    yardstick = forward_yardstick(problem, chunk=3)
    return {
        name: (output, limit(yardstick[name]))
        for name, output in zip(network.outputs, exact, strict=True)
    }


def check_outputs(network, arrays):
    """Arrays (N, K), one an output, of a pass of `random_images` are those of float64."""
    expected = exact_and_limits(network)
    for array, (name, (exact, most)) in zip(arrays, expected.items(), strict=True):
        assert distance(array, exact) <= most, name


def first_divergence(backend, model, network):
    """The first layer of a model with `random_params` that is not `network`'s."""
    problem = random_problem(network)
    yardstick = forward_yardstick(problem, chunk=3)
    rows = compare_forward(backend, model, problem, yardstick, chunk=3)
    return next(row.name for row in rows if not row.passed)


def ending(backend):
    """How the names of its own weights files usually end."""
    suffix = backend.file_suffix
    return suffix if isinstance(suffix, str) else suffix[0]
