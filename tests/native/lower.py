"""What a lower precision must be in any framework: within its own limit, and not float32."""

import numpy as np
import pytest

import googlenet
from googlenet.backend import processor
from googlenet.errors import UnknownNameError
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.reference import build
from googlenet.reference.network import Pass
from googlenet.timing.cases import ROUNDOFF
from googlenet.weights.samples import random_images


def has(monkeypatch, *instructions):
    """The processor has these and no others: without them it is slower, and the same."""
    monkeypatch.setattr(processor, "features", lambda: frozenset(instructions))


def example():
    """A network, its weights, images, and what float64 makes of them."""
    network = googlenet.get_network(num_classes=3, input_shape=(1, 64, 64))
    params = googlenet.init_params(network, initializer="he_normal")
    images = random_images(network)
    build(network, params, dtype=np.float64).run(images, run := Pass())
    return Problem(network, params, images), run.outputs["logits"]


def check_bfloat16(framework):
    """Its error is beyond float32's limit and within its own; returns what was compiled."""
    if not processor.multiplies("bfloat16"):
        pytest.skip("the processor has no instructions for bfloat16")
    problem, right = example()
    network = problem.network
    model = googlenet.get_model(network, framework, weights=problem.params)
    backend = googlenet.get_backend(framework)
    call = backend.compile(model, input_shape=network.input_shape, dtype="bfloat16")
    found = call(problem.images)["logits"]
    most = limit(forward_yardstick(problem, chunk=8)["logits"])
    assert found.dtype == np.float32
    assert most < distance(found, right) < ROUNDOFF["bfloat16"] * most
    assert call.dtype == "bfloat16"
    single = backend.compile(model, input_shape=network.input_shape)(problem.images)["logits"]
    assert distance(single, right) < most  # what bfloat16 needed is undone
    assert call(problem.images[:1])["logits"].shape == (1, 3)
    return call


def check_refused(framework, monkeypatch, dtype="bfloat16", **settings):
    """On a processor that lacks the instructions."""
    has(monkeypatch, "avx2")
    model = googlenet.get_model(framework=framework)
    with pytest.raises(UnknownNameError, match=f"for float32 here, got '{dtype}'; the processor"):
        googlenet.get_backend(framework).compile(
            model, input_shape=(1, 96, 96), dtype=dtype, **settings
        )
