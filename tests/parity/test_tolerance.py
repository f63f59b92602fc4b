"""The limits are derived, zero means zero, and gradients are compared decision for decision: a
backend's own, only near a tie.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import googlenet.reference as reference
from googlenet import Network, get_network, init_params, nodes, spec
from googlenet.backend.geometry import window_count
from googlenet.data.images import load_image_set
from googlenet.proof.conformance.networks import probe
from googlenet.proof.parity.compare import compare, compare_step, measure
from googlenet.proof.parity.decisions import decisions
from googlenet.proof.parity.problem import Problem, random_problem
from googlenet.proof.parity.rows import Comparison, Group, Row, differing
from googlenet.proof.parity.tolerance import (
    EPS,
    FACTOR,
    Distance,
    distance,
    forward_yardstick,
    limit,
    step_yardstick,
)
from googlenet.reference.layout import to_nhwc
from googlenet.reference.network import Pass
from googlenet.reference.ops import Choice, winners
from googlenet.spec import blocks
from googlenet.spec.traversal import walk
from googlenet.weights.samples import random_images, random_labels, random_params

A = np.array([3.0, 4.0])


def test_distance_is_the_relative_l2_norm():
    assert distance(np.array([3.0, 4.5]), A) == pytest.approx(0.1)
    assert distance(A, A) == 0
    assert distance(np.zeros(2), np.zeros(2)) == 0


@pytest.mark.parametrize(
    "wrong", [None, np.array([3.0]), np.array([3.0, np.nan]), np.array([np.inf, 4.0])]
)
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
    for a, b in zip(
        np.split(other, np.cumsum(sizes)[:-1]), np.split(whole, np.cumsum(sizes)[:-1]), strict=True
    ):
        measured.add(a, b)
    assert measured.value == pytest.approx(distance(other, whole))


def test_the_limit_is_never_below_one_unit_in_the_last_place():
    assert limit(0.0) == FACTOR * EPS
    assert limit(1e-6) == FACTOR * 1e-6


def test_float32_strays_by_a_few_units_in_the_last_place_forward():
    network = probe()
    yardstick = forward_yardstick(random_problem(network), chunk=2)
    assert all(value < 100 * EPS for value in yardstick.values())
    assert yardstick["stem.conv"] > EPS / 10
    assert yardstick["dropout"] == yardstick["linear"]


# Decision for decision ----------------------------------------------------------------------------


class Backend:
    """The reference in float32, with what a test changes of its outputs, its decisions on the way
    back, and its gradients.
    """

    name = "changed"
    unbiased_running_variance = False

    def __init__(
        self,
        outputs=lambda found: found,
        choices=dict,
        gradients=lambda grads: grads,
        running_statistics=False,
    ):
        self.change_outputs, self.choices, self.change_gradients = outputs, choices, gradients
        self.running_statistics = running_statistics

    build = staticmethod(reference.build)
    params_of = staticmethod(reference.params_of)

    def forward(self, model, images, *, train=False, taps=()):
        found = reference.forward(
            model, images, train=train and not self.running_statistics, taps=taps
        )
        return self.change_outputs(found) if train else found

    def gradients(self, model, images, labels, *, loss, train=True):
        value, grads = reference.run_gradients(
            model, images, labels, Pass(train=train, choices=self.choices()), loss=loss
        )
        return value, self.change_gradients(grads)


# The first pixel's bias cancels it but for `TINY`, exactly; the second gives the layer its norm.
TINY = 2.0**-24
TIE = Network(
    "tie",
    blocks.sequential(
        conv=blocks.conv_layer(1, 1), relu=spec.ReLU(), dense=spec.Dense(2, bias=True)
    ),
    (1, 1, 2),
    "tests",
)
TIE_PARAMS = {
    "conv.weight": np.float32([[[[1.0]]]]),
    "conv.bias": np.float32([0.5]),
    "dense.weight": np.float32([[[[1.0, 0.7]]], [[[0.2, -1.1]]]]),
    "dense.bias": np.float32([0.1, 0.2]),
}


def _tied(value):
    return Problem(TIE, TIE_PARAMS, np.float32([[[[value - 0.5, 1.0]]]]), np.array([0]))


def _tie(value, backend):
    """One step of `backend` where a ReLU takes `value` and 1.5."""
    problem = _tied(value)
    return compare_step(backend, problem, step_yardstick(problem))


def _other_side(value):
    """Outputs and decisions of a backend whose convolution rounded `value` to the other
    side of 0.
    """

    def outputs(found):
        conv = found["conv"].copy()
        conv[0, 0, 0, 0] = -value
        return {**found, "conv": conv, "relu": np.maximum(conv, 0)}

    return outputs, lambda: {"relu": Choice(fixed=np.array([[[[value < 0], [True]]]]))}


def test_the_honest_backend_passes():
    for value in (TINY, -TINY, 0.0):
        assert _tie(value, Backend()).passed


@pytest.mark.parametrize("value", [TINY, -TINY])
def test_a_relu_that_rounding_decides_may_be_decided_otherwise(value):
    outputs, choices = _other_side(value)
    comparison = _tie(value, Backend(outputs, choices))
    assert comparison.first_divergence is None
    assert {row.name for row in comparison.rows} == {
        "conv",
        "relu",
        "dense",
        "logits",
        "loss",
        *TIE_PARAMS,
    }
    # It is worth something: float64's own decision is far from the other.
    one, two = (
        reference.run_gradients(
            reference.build(TIE, TIE_PARAMS, dtype=np.float64),
            np.float32([[[[value - 0.5, 1.0]]]]),
            np.array([0]),
            Pass(train=True, choices=made),
        )[1]
        for made in ({}, choices())
    )
    assert distance(one["conv.bias"], two["conv.bias"]) > 0.1


@pytest.mark.parametrize("value", [TINY, -TINY])
def test_gradients_that_decide_otherwise_than_the_outputs_do_not_pass(value):
    outputs, choices = _other_side(value)
    assert _tie(value, Backend(choices=choices)).first_divergence == "gradient of conv.bias"
    assert _tie(value, Backend(outputs)).first_divergence == "gradient of conv.bias"


@pytest.mark.parametrize("value", [1e-3, -1e-3])
def test_a_relu_that_rounding_cannot_decide_may_not(value):
    comparison = _tie(value, Backend(*_other_side(value)))
    assert comparison.first_divergence == "output in training mode of conv"
    assert [row.passed for row in comparison[Group.STEP_OUTPUTS]] == [False, False, True, True]


@pytest.mark.parametrize("value", [2.0**-25, TINY, -TINY])
def test_a_tie_makes_no_limit_longer(value):
    """Moving the pixel by one unit in the last place turns the ReLU off, as in the yardstick's
    third run.
    """
    yardstick = step_yardstick(_tied(value))
    assert max(yardstick.gradients.values()) < 3 * EPS


@pytest.mark.parametrize("path", TIE_PARAMS)
@pytest.mark.parametrize("flipped", [False, True])
def test_a_ten_thousandth_in_a_gradient_is_caught_beside_a_tie(path, flipped):
    """The limits that allowed for a jump let 0.1 and more pass here."""
    outputs, choices = _other_side(TINY)
    wrong = Backend(
        **({"outputs": outputs, "choices": choices} if flipped else {}),
        gradients=lambda grads: {**grads, path: grads[path] * np.float32(1.0001)},
    )
    assert _tie(TINY, wrong).first_divergence == f"gradient of {path}"


@pytest.fixture(scope="module")
def small_googlenet():
    network = get_network("googlenet", input_shape=(1, 40, 33))
    params = init_params(network, initializer="he_normal")
    images = load_image_set(None, network.input_shape, 10, count=4)
    problem = Problem(network, params, images.images, images.labels)
    return problem, step_yardstick(problem)


@pytest.mark.parametrize(
    "path",
    [
        "b1.conv.conv.weight",
        "b3.inception_3a.branch_5x5.conv.conv.weight",
        "b5.inception_5b.branch_1x1.conv.bias",
    ],
)
def test_a_ten_thousandth_in_a_gradient_of_a_whole_network_is_caught(small_googlenet, path):
    wrong = Backend(gradients=lambda grads: {**grads, path: grads[path] * np.float32(1.0001)})
    comparison = compare_step(wrong, *small_googlenet)
    assert [row.name for row in comparison.rows if not row.passed] == [path]


def test_a_wrong_forward_pass_in_training_mode_is_caught():
    """Batch norm that takes its running statistics in training: evaluation mode and the gradients'
    own pass are right.
    """
    problem = random_problem(probe())
    yardsticks = measure(problem)
    assert compare(Backend(), problem, yardsticks).passed
    comparison = compare(Backend(running_statistics=True), problem, yardsticks)
    assert comparison.first_divergence == "output in training mode of normed.norm"
    assert all(
        row.passed
        for row in [
            *comparison[Group.OUTPUTS],
            *comparison[Group.LOSS],
            *comparison[Group.STATISTICS],
        ]
    )
    names = [row.name for row in comparison[Group.STEP_OUTPUTS]]
    assert [row.passed for row in comparison[Group.STEP_OUTPUTS][: names.index("normed.norm")]] == [
        True
    ] * names.index("normed.norm")


@pytest.mark.parametrize("missing", ["stem.relu", "logits", "aux1"])
def test_a_layer_that_a_backend_leaves_out_in_training_mode_fails(missing):
    problem = random_problem(probe())
    wrong = Backend(lambda found: {name: array for name, array in found.items() if name != missing})
    comparison = compare_step(wrong, problem, step_yardstick(problem))
    assert comparison.first_divergence == f"output in training mode of {missing}"
    assert [row.name for row in comparison.rows if not row.passed] == [missing]


# What a backend decided ---------------------------------------------------------------------------


DECIDING = Network(
    "deciding",
    blocks.sequential(
        first=blocks.max_pool(2, 1),
        conv=blocks.conv_layer(3, 1),
        relu=spec.ReLU(),
        mixed=blocks.concat(
            one=blocks.max_pool(3, 1, 1),
            two=blocks.sequential(pool=blocks.max_pool(3, 1, 1), conv=blocks.conv(2, 1)),
        ),
        flat=spec.GlobalAvgPool(),
        vector=spec.ReLU(),
        dense=spec.Dense(4, bias=True),
    ),
    (2, 6, 5),
    "tests",
)
CHOOSING = {"first", "relu", "mixed.one", "mixed.two.pool", "mixed.two.conv.relu", "vector"}


def _decided(network=DECIDING, seed=0):
    """Images, every layer's output of one float64 step, and the choices of that step."""
    images, params = random_images(network, seed), random_params(network, seed)
    run = Pass(train=True, taps=frozenset(site.path for site in nodes(network)))
    reference.run_gradients(
        reference.build(network, params, dtype=np.float64),
        images,
        random_labels(seed, classes=4),
        run,
    )
    return images, run.outputs, run.choices


def test_decisions_are_those_of_the_pass():
    images, outputs, choices = _decided()
    made = decisions(DECIDING, images, outputs)
    assert made.keys() == choices.keys() == CHOOSING
    for path, choice in made.items():
        np.testing.assert_array_equal(choice.fixed, choices[path].made)


@pytest.mark.parametrize(
    ("spoilt", "left"),
    [
        ("first", set()),  # the images are its input
        ("conv", {"relu"}),
        ("relu", {"mixed.one", "mixed.two.pool"}),
        ("mixed.one", set()),
        ("mixed.two.conv.conv", {"mixed.two.conv.relu"}),
        ("mixed.two.conv.relu", set()),
        ("flat", {"vector"}),
        ("vector", set()),
    ],
)
def test_a_layer_whose_input_is_missing_or_misshapen_is_left_to_the_reference(spoilt, left):
    images, outputs, _ = _decided()
    for wrong in (
        {name: array for name, array in outputs.items() if name != spoilt},
        {**outputs, spoilt: outputs[spoilt][:, :-1]},
        {**outputs, spoilt: outputs[spoilt].reshape(len(images), -1, 1)},
    ):
        assert decisions(DECIDING, images, wrong).keys() == CHOOSING - left


def test_the_reference_decides_what_is_left_to_it():
    images, _, choices = _decided()
    params = random_params(DECIDING)
    run = Pass(train=True, choices=decisions(DECIDING, images, {}))
    assert run.choices.keys() == {"first"}
    reference.run_gradients(
        reference.build(DECIDING, params, dtype=np.float64), images, random_labels(classes=4), run
    )
    for path in CHOOSING:
        np.testing.assert_array_equal(run.choices[path].made, choices[path].made)


def test_the_winner_is_the_one_of_the_outputs():
    """Two convolutions tell the elements of a window apart: what a winner takes of the gradient
    shows in their weights.
    """
    layers = blocks.sequential(
        stem=blocks.conv_layer(1, 1, bias=False),
        pool=blocks.max_pool((1, 2), 2),
        dense=spec.Dense(2, bias=True),
    )
    network = Network("winner", layers, (2, 1, 2), "")
    params = {
        "stem.weight": np.float32([[[[1.0]], [[1.0]]]]),
        "dense.weight": np.float32([[[[1.0]]], [[[-0.5]]]]),
        "dense.bias": np.float32([0.1, 0.2]),
    }
    # The elements 1 + 0 and 0 + 1 are equal, and come from different channels.
    images = np.float32([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    problem = Problem(network, params, images, np.array([0]))
    yardstick = step_yardstick(problem)

    def step(backend):
        return compare_step(backend, problem, yardstick).first_divergence

    def ahead(found):
        return {**found, "stem": np.float32([[[[1.0, 1.0 + 2 * EPS]]]])}

    def winner(position):
        return lambda: {"pool": Choice(fixed=np.full((1, 1, 1, 1), position, np.int16))}

    # Of equal elements the first in row-major order wins; only a lead in the backend's own output
    # changes that.
    assert step(Backend()) is None
    assert step(Backend(choices=winner(0))) is None
    assert step(Backend(choices=winner(1))) == "gradient of stem.weight"
    assert step(Backend(ahead, winner(1))) is None
    assert step(Backend(ahead, winner(0))) == "gradient of stem.weight"
    assert step(Backend(ahead)) == "gradient of stem.weight"


@st.composite
def _pools(draw):
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(
        (draw(st.integers(0, size // 2)), draw(st.integers(0, size // 2))) for size in kernel
    )
    return spec.MaxPool(kernel, stride, padding, draw(st.booleans()))


@given(_pools(), st.integers(4, 7), st.integers(4, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def testwinners_are_the_first_maxima_by_hand(pool, height, width, seed):
    """Of few values, so that ties abound: the position of the first maximum in row-major order,
    padding never.
    """
    (site,) = walk(Network("n", blocks.sequential(pool=pool), (2, height, width), ""))
    x = np.random.default_rng(seed).integers(-2, 3, (2, height, width, 2)).astype(np.float32)
    (top, _), (left, _) = pool.padding
    found = winners(x, pool, window_count(site))
    for n, i, j, c in np.ndindex(found.shape):
        best = None
        for u, v in np.ndindex(pool.kernel_size):
            row, column = i * pool.stride[0] + u - top, j * pool.stride[1] + v - left
            if (
                0 <= row < height
                and 0 <= column < width
                and (best is None or x[n, row, column, c] > best[0])
            ):
                best = x[n, row, column, c], u * pool.kernel_size[1] + v
        assert found[n, i, j, c] == best[1]


def test_on_small_integers_everything_is_exact():
    """float32 rounds nothing there, so that even exact ties are decided as the spec says."""
    layers = blocks.sequential(
        conv=blocks.conv_layer(2, 1),
        relu=spec.ReLU(),
        pool=blocks.max_pool(2, 1),
        dense=spec.Dense(2, bias=True),
    )
    network = Network("exact", layers, (2, 5, 6), "")
    params = {
        path: np.rint(array * 2).astype(np.float32)
        for path, array in random_params(network).items()
    }
    images, labels = (
        np.rint(2 * random_images(network)).astype(np.float32),
        random_labels(classes=2),
    )
    taps = [site.path for site in nodes(network)]
    exact, rough = Pass(train=True, taps=frozenset(taps)), Pass(train=True, taps=frozenset(taps))
    for run, dtype in ((exact, np.float64), (rough, np.float32)):
        reference.run_gradients(reference.build(network, params, dtype=dtype), images, labels, run)
    assert (exact.outputs["conv"] == 0).any()
    windows = np.lib.stride_tricks.sliding_window_view(exact.outputs["relu"], (2, 2), axis=(2, 3))
    assert ((windows == windows.max((-2, -1), keepdims=True)).sum((-2, -1)) > 1).any()
    for path, array in exact.outputs.items():
        np.testing.assert_array_equal(rough.outputs[path], array)
    made = decisions(network, images, rough.outputs)
    np.testing.assert_array_equal(made["relu"].fixed, to_nhwc(exact.outputs["conv"]) > 0)
    for path in ("relu", "pool"):
        np.testing.assert_array_equal(made[path].fixed, exact.choices[path].made)
    problem = Problem(network, params, images, labels)
    comparison = compare_step(Backend(), problem, step_yardstick(problem))
    assert {row.error for row in comparison[Group.STEP_OUTPUTS]} == {0.0}
    assert comparison.passed


def test_the_first_divergence_of_gradients_is_the_last_layer():
    rows = [
        Row("dense.weight", 0.0, 1.0),
        Row("conv.weight", 2.0, 1.0),
        Row("stem.weight", 3.0, 1.0),
    ]
    found = {Group.GRADIENTS: rows}
    assert Comparison(found).first_divergence == "gradient of conv.weight"
    found[Group.WEIGHTS] = [differing("stem.bias")]
    assert Comparison(found).first_divergence == "weights of stem.bias"
    assert Comparison(found).rows == rows
    assert Comparison().first_divergence is None


def test_the_loss_may_move_as_far_as_its_outputs_take_it():
    """One number that float32 hits by luck has a limit all the same, and a wrong loss is far beyond
    it.
    """
    layers = blocks.sequential(dense=spec.Dense(2, bias=False))
    network = Network("loss", layers, (1, 1, 1), "")
    params = {"dense.weight": np.float32([[[[0.7]]], [[[-0.3]]]])}
    yardstick = step_yardstick(Problem(network, params, np.float32([[[[1.1]]]]), np.array([0])))
    logits = np.float32([0.7, -0.3]).astype(np.float64) * np.float64(np.float32(1.1))
    share = np.exp(logits) / np.exp(logits).sum()
    loss, gradient = -np.log(share[0]), share - [1, 0]
    reach = np.linalg.norm(gradient) * np.linalg.norm(logits) * yardstick.outputs["logits"] / loss
    assert reach > 0
    assert yardstick.loss >= reach * (1 - 1e-9)
    assert limit(yardstick.loss) < 1e-5
