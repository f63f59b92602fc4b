"""The limits are derived, zero means zero, and a jump is allowed where rounding decides and nowhere else."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet import Loss, Network, blocks, spec
from googlenet.conformance.networks import probe, random_images, random_labels, random_params
from googlenet.parity.compare import Comparison, Row
from googlenet.parity.tolerance import EPS, FACTOR, Distance, distance, forward_yardstick, gradient_yardstick, limit

A = np.array([3.0, 4.0])


def test_distance_is_the_relative_l2_norm():
    assert distance(np.array([3.0, 4.5]), A) == pytest.approx(0.1)
    assert distance(A, A) == 0
    assert distance(np.zeros(2), np.zeros(2)) == 0


@pytest.mark.parametrize("wrong", [None, np.array([3.0]), np.array([3.0, np.nan]), np.array([np.inf, 4.0])])
def test_what_is_missing_or_not_finite_is_infinitely_far(wrong):
    assert distance(wrong, A) == math.inf
    assert not Row("x", distance(wrong, A), 1e9).passed


def test_something_for_nothing_is_infinitely_far():
    assert distance(np.array([0.0, 1e-30]), np.zeros(2)) == math.inf


def test_not_a_number_does_not_pass():
    assert not Row("x", math.nan, 1.0).passed


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
@settings(deadline=None)
def test_chunks_change_no_distance(sizes):
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((sum(sizes), 3))
    other = whole + 1e-3 * rng.standard_normal(whole.shape)
    measured = Distance()
    for a, b in zip(np.split(other, np.cumsum(sizes)[:-1]), np.split(whole, np.cumsum(sizes)[:-1]), strict=True):
        measured.add(a, b)
    assert measured.value == pytest.approx(distance(other, whole))


def test_the_limit_is_never_below_one_unit_in_the_last_place():
    assert limit(0.0) == FACTOR * EPS
    assert limit(1e-6) == FACTOR * 1e-6


def test_float32_strays_by_a_few_units_in_the_last_place_forward():
    network = probe()
    yardstick = forward_yardstick(network, random_params(network), random_images(network), chunk=2)
    assert all(value < 100 * EPS for value in yardstick.values())
    assert yardstick["stem.conv"] > EPS / 10
    assert yardstick["dropout"] == yardstick["linear"]


def _two_sided(value):
    """One ReLU unit at `value`, before a dense layer that makes a loss of it."""
    layers = blocks.sequential(conv=blocks.conv_layer(1, 1), relu=spec.ReLU(), dense=spec.Dense(2, bias=True))
    network = Network("decision", layers, (1, 1, 2), "")
    params = {
        "conv.weight": np.float32([[[[0.1]]]]),
        "conv.bias": np.float32([0.3]),
        "dense.weight": np.float32([[[[1.0, 0.7]]], [[[0.2, -1.1]]]]),
        "dense.bias": np.float32([0.1, 0.2]),
    }
    # The bias cancels all but `value` of the first pixel.
    images = np.float32([[[[(value - 0.3) / 0.1, 1.0]]]])
    return gradient_yardstick(network, params, images, np.array([0]), loss=Loss())


def test_a_jump_is_allowed_only_where_rounding_decides():
    assert _two_sided(1e-8).jumps["conv.weight"] > 0.1
    assert _two_sided(1e-2).jumps["conv.weight"] == 0


def test_exact_arithmetic_allows_no_jump():
    """On small integers float32 rounds nothing, so that even exact ties must be decided as the spec says."""
    layers = blocks.sequential(conv=blocks.conv_layer(2, 1), relu=spec.ReLU(), pool=blocks.max_pool(2, 1), dense=spec.Dense(2, bias=True))
    network = Network("exact", layers, (2, 5, 6), "")
    params = {path: np.rint(array * 2).astype(np.float32) for path, array in random_params(network).items()}
    yardstick = gradient_yardstick(network, params, np.rint(2 * random_images(network)), random_labels(classes=2), loss=Loss())
    assert set(yardstick.jumps.values()) == {0.0}


def test_the_first_divergence_of_gradients_is_the_last_layer():
    rows = [Row("dense.weight", 0.0, 1.0), Row("conv.weight", 2.0, 1.0), Row("stem.weight", 3.0, 1.0)]
    assert Comparison(gradients=rows).first_divergence == "gradient of conv.weight"
    assert Comparison(weights=["stem.bias"], gradients=rows).first_divergence == "weights of stem.bias"
    assert Comparison().first_divergence is None
