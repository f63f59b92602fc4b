"""What only JAX's models have: transformations, streams of random numbers, our own pools."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import googlenet
from googlenet import Recipe
from googlenet.proof.conformance.networks import composites
from googlenet.weights.samples import random_images, random_params
from googlenet_jax import modules

NETWORK = composites()["norm_residual"]
WINDOWS = [
    ((3, 3), (2, 2), ((1, 1), (1, 1))),
    ((3, 2), (1, 1), ((1, 0), (0, 1))),
    ((2, 3), (3, 1), ((0, 2), (2, 0))),
]


@pytest.mark.parametrize("window", WINDOWS)
def test_the_max_pool_is_flaxs_with_its_gradient(window):
    """Bit for bit, where many values are equal too."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(-2, 3, (2, 7, 9, 3)), jnp.float32)
    pools = [modules.MaxPool(*window), lambda x: nnx.max_pool(x, *window)]
    (y, back), (expected, expected_back) = (jax.vjp(lambda x, f=f: f(x), x) for f in pools)
    assert np.array_equal(y, expected)
    cotangent = jnp.asarray(rng.integers(-9, 9, y.shape), jnp.float32)
    (found,), (right,) = back(cotangent), expected_back(cotangent)
    assert np.array_equal(found, right)
    assert np.any(found)


def test_the_max_pool_keeps_nan():
    x = jnp.array([0.0, np.nan, 2.0, 1.0, 3.0]).reshape(1, 1, 5, 1)
    for strides in (1, 2):
        y = modules.MaxPool((1, 2), (1, strides))(x)[0, 0, :, 0]
        _, tangent = jax.jvp(modules.MaxPool((1, 2), (1, strides)), (x,), (x,))
        assert np.array_equal(np.isnan(y), [True, True, False, False][::strides])
        assert np.array_equal(tangent[0, 0, :, 0], y, equal_nan=True)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("counted", [True, False])
def test_the_average_pool_is_flaxs(window, counted):
    x = jnp.asarray(np.random.default_rng(0).integers(-9, 9, (2, 7, 9, 3)), jnp.float32)
    pool = modules.AvgPool(*window, count_include_pad=counted)
    expected = nnx.avg_pool(x, *window, count_include_pad=counted)
    assert np.allclose(pool(x), expected, rtol=1e-6, atol=0)


def test_a_model_can_be_differentiated_forward_and_back(backend):
    """`jax.jvp` and `jax.grad` of a sum agree: ⟨∇f, v⟩ is the derivative along v."""
    model = backend.build(NETWORK, random_params(NETWORK))
    model.eval()
    x = jnp.asarray(random_images(NETWORK).transpose(0, 2, 3, 1))
    along = jnp.ones_like(x)
    graph, state = nnx.split(model)

    @jax.jit
    def total(x):
        return nnx.merge(graph, state)(x).sum()

    _, forward = jax.jvp(total, (x,), (along,))
    assert np.isclose(forward, (jax.grad(total)(x) * along).sum(), rtol=1e-4)
    assert forward != 0


def test_arrays_taken_before_training_stay(backend):
    model = backend.build(NETWORK, random_params(NETWORK))
    before = jax.tree.leaves(jax.tree.map(lambda array: array, nnx.state(model, nnx.Param)))
    held = [np.array(array) for array in before]
    trainer = backend.trainer(model, Recipe(learning_rate=0.1, momentum=0.9))
    trainer.step(random_images(NETWORK), np.array([0, 1, 2]), learning_rate=0.1, seed=1)
    assert all(map(np.array_equal, before, held))
    assert not all(map(np.array_equal, jax.tree.leaves(nnx.state(model, nnx.Param)), held))


def test_passes_leave_the_users_mode_and_streams_alone(backend):
    network = composites()["auxiliary"]
    model = backend.build(network, random_params(network))
    model.eval()
    before = repr(model)
    images = random_images(network)
    backend.forward(model, images, taps=[site.path for site in googlenet.nodes(network)])
    backend.gradients(model, images, np.array([0, 1, 2]), train=False)
    assert repr(model) == before


def test_the_number_of_threads_is_set_before_jax_computes():
    """By what the process then has: a pool for each number asked for."""

    def threads(count):
        code = (
            "import os, googlenet, jax.numpy as jnp\n"
            f"googlenet.get_backend('jax').set_threads({count})\n"
            "(jnp.ones((9, 9)) @ jnp.ones((9, 9))).block_until_ready()\n"
            "print(len(os.listdir('/proc/self/task')))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return int(done.stdout)

    if not os.path.isdir("/proc/self/task"):
        pytest.skip("only Linux lists a process's threads")
    assert threads(1) < threads(6)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "cannot join the processes of the environment"),
        ({"JAX_PROCESS_ID": "0"}, "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES are not set"),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "127.0.0.1:1",
                "JAX_NUM_PROCESSES": "two",
                "JAX_PROCESS_ID": "0",
            },
            "invalid literal",
        ),
    ],
)
def test_processes_that_cannot_be_joined_are_named(backend, monkeypatch, variables, words):
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(googlenet.BackendError) as caught:
        backend.start_parallel()
    message = str(caught.value)
    assert words in message
    assert "JAX_PROCESS_ID=RANK" in message
    assert "\n" not in message
