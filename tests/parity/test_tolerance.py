"""The limits are derived, zero means zero, and gradients are compared decision for decision: a
backend's own, only near a tie.
"""

import json
import math
from dataclasses import replace

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
from googlenet.proof.parity.decisions import accepted, deciding, decision_sources, decisions
from googlenet.proof.parity.problem import Problem, random_problem
from googlenet.proof.parity.rows import Comparison, Group, Row, Verdict, differing
from googlenet.proof.parity.tolerance import (
    EPS,
    FACTOR,
    PROVABLE,
    SMALLEST,
    Distance,
    apart,
    distance,
    forward_yardstick,
    judge,
    limit,
    step,
    step_yardstick,
)
from googlenet.reference.layout import to_nhwc
from googlenet.reference.network import Pass, matmul, piecewise_matmul
from googlenet.reference.ops import Choice, winners
from googlenet.spec import blocks
from googlenet.spec.traversal import walk
from googlenet.weights.samples import (
    random_images,
    random_labels,
    random_params,
    with_moved_norms,
)

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
        dot=matmul,
    ):
        self.change_outputs, self.choices, self.change_gradients = outputs, choices, gradients
        self.running_statistics = running_statistics
        self.dot = dot

    build = staticmethod(reference.build)
    params_of = staticmethod(reference.params_of)

    def forward(self, model, images, *, train=False, taps=()):
        found = reference.forward(
            model, images, train=train and not self.running_statistics, taps=taps
        )
        return self.change_outputs(found) if train else found

    def gradients(self, model, images, labels, *, loss, train=True):
        value, grads = reference.run_gradients(
            model,
            images,
            labels,
            Pass(train=train, choices=self.choices(), dot=self.dot),
            loss=loss,
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

    def diverges(backend):
        return compare_step(backend, problem, yardstick).first_divergence

    def ahead(found):
        return {**found, "stem": np.float32([[[[1.0, 1.0 + 2 * EPS]]]])}

    def winner(position):
        return lambda: {"pool": Choice(fixed=np.full((1, 1, 1, 1), position, np.int16))}

    # Of equal elements the first in row-major order wins; only a lead in the backend's own output
    # changes that.
    assert diverges(Backend()) is None
    assert diverges(Backend(choices=winner(0))) is None
    assert diverges(Backend(choices=winner(1))) == "gradient of stem.weight"
    assert diverges(Backend(ahead, winner(1))) is None
    assert diverges(Backend(ahead, winner(0))) == "gradient of stem.weight"
    assert diverges(Backend(ahead)) == "gradient of stem.weight"


def _relus(network):
    return [site.path for site in walk(network) if isinstance(site.layer, spec.ReLU)]


def test_a_relu_that_lets_every_gradient_pass_does_not_excuse_itself(small_googlenet):
    """Its outputs, max(x, 1e-30), are positive everywhere and right to within rounding."""
    paths = _relus(small_googlenet[0].network)
    floor = np.float32(1e-30)

    def outputs(found):
        return {**found, **{path: np.maximum(found[path], floor) for path in paths}}

    everything = {path: Choice(fixed=np.array(True)) for path in paths}
    comparison = compare_step(Backend(outputs, lambda: everything), *small_googlenet)
    assert comparison.first_divergence.startswith("gradient of")
    assert all(row.passed for row in comparison[Group.STEP_OUTPUTS])
    worst = max(row.error for row in comparison[Group.GRADIENTS])
    assert worst > 0.1


def test_a_right_relu_with_a_trace_more_is_not_accused(small_googlenet):
    paths = _relus(small_googlenet[0].network)

    def outputs(found):
        return {**found, **{path: found[path] + np.float32(1e-12) for path in paths}}

    comparison = compare_step(Backend(outputs), *small_googlenet)
    assert comparison.first_divergence is None


def test_what_rounding_decides_is_accepted_and_what_it_does_not_is_float64s(small_googlenet):
    """Inputs as far from float64's as float32 strays decide for themselves; turned round, they
    decide nothing.
    """
    problem, yardstick = small_googlenet
    network, images = problem.network, problem.images
    run = Pass(train=True, taps=decision_sources(network))
    reference.run_gradients(
        reference.build(network, problem.params, dtype=np.float64), images, problem.labels, run
    )
    rng, strayed = np.random.default_rng(0), dict(run.outputs)
    for site, source in deciding(network):
        stray = yardstick.ties[site.path] / FACTOR
        shape = run.outputs[source].shape
        noise = rng.choice([-1, 1], shape) * stray.reshape(1, -1, *[1] * (len(shape) - 2))
        strayed[source] = run.outputs[source] + noise
    made = decisions(network, images, strayed)
    held = accepted(network, images, made, run.outputs, yardstick.ties)
    assert held.keys() == made.keys() == run.choices.keys()
    different = 0
    for path, choice in made.items():
        np.testing.assert_array_equal(held[path].fixed, choice.fixed)
        different += int((choice.fixed != run.choices[path].made).sum())
    assert different > 10
    turned = {path: -array for path, array in run.outputs.items()}
    made = decisions(network, images, turned)
    held = accepted(network, images, made, run.outputs, yardstick.ties)
    for path, choice in held.items():
        assert (made[path].fixed != run.choices[path].made).mean() > 0.05
        assert (choice.fixed != run.choices[path].made).mean() < 1e-3


def test_a_decision_is_accepted_up_to_the_bound_of_its_channel():
    layers = blocks.sequential(conv=blocks.conv(2, 1), relu=spec.ReLU())
    network = Network("bound", layers, (1, 1, 2), "")
    exact = {"conv": np.array([[[[0.1, -0.3]], [[0.1, -0.3]]]])}  # N, C, H, W
    ties = {"relu": np.array([0.2, 0.05])}
    wanted = {"relu": Choice(fixed=np.array([[[[False, False], [True, True]]]]))}  # N, H, W, C
    images = np.zeros((1, 1, 1, 2), np.float32)
    found = accepted(network, images, wanted, exact, ties)["relu"].fixed
    np.testing.assert_array_equal(found, [[[[False, True], [False, False]]]])
    free = {"relu": np.full(2, np.inf)}
    found = accepted(network, images, wanted, exact, free)["relu"].fixed
    np.testing.assert_array_equal(found, wanted["relu"].fixed)


@pytest.mark.parametrize(("second", "position", "stands"), [(0.9, 1, True), (0.7, 1, False)])
def test_a_winner_may_be_below_the_largest_by_twice_the_bound(second, position, stands):
    layers = blocks.sequential(conv=blocks.conv(1, 1), pool=blocks.max_pool((1, 3), 1, (0, 1)))
    network = Network("bound", layers, (1, 1, 2), "")
    exact = {"conv": np.array([[[[1.0, second]]]])}
    images = np.zeros((1, 1, 1, 2), np.float32)
    # Of the windows (padding, 1, second) and (1, second, padding).
    wanted = {"pool": Choice(fixed=np.array([[[[2], [position]]]], np.int16))}
    found = accepted(network, images, wanted, exact, {"pool": np.array([0.1])})["pool"].fixed
    assert found.ravel().tolist() == ([2, 1] if stands else [1, 0])
    padding = {"pool": Choice(fixed=np.array([[[[0], [2]]]], np.int16))}
    found = accepted(network, images, padding, exact, {"pool": np.array([9.0])})["pool"].fixed
    assert found.ravel().tolist() == [1, 0]


# What can be told ---------------------------------------------------------------------------------


def verdict(actual, expected, yardstick=EPS, **settings):
    return judge("x", apart(actual, np.asarray(expected)), yardstick, **settings).verdict


def test_what_can_be_told():
    near, far = A * (1 + 1e-7), A * 1.1
    assert verdict(near, A) is Verdict.SAME
    assert verdict(far, A) is Verdict.DIFFERENT
    # A limit of a hundredth and more proves nothing, nor does what is made of such a thing.
    assert verdict(near, A, PROVABLE / FACTOR) is Verdict.SAME
    assert verdict(far, A, PROVABLE / FACTOR) is Verdict.DIFFERENT
    for each in (near, far):
        assert verdict(each, A, 1.01 * PROVABLE / FACTOR) is Verdict.UNPROVED
        assert verdict(each, A, math.inf) is Verdict.UNPROVED
        assert verdict(each, A, known=False) is Verdict.UNPROVED
    # Nor do numbers that are so small that some frameworks take them for 0.
    for scale, told in ((2.0**-103, True), (2.0**-104, False)):
        expected = np.full(4, scale)
        assert (verdict(expected, expected) is Verdict.SAME) == told
        assert (verdict(0 * expected, expected) is Verdict.DIFFERENT) == told


def test_nothing_is_only_wrong_where_there_is_something():
    zero = np.zeros(3)
    assert verdict(zero, zero, 0.0) is Verdict.UNPROVED
    assert verdict(zero + 1e-30, zero, 0.0) is Verdict.DIFFERENT
    assert verdict(zero + 1e-30, zero, math.inf) is Verdict.UNPROVED  # as it is in float32


@pytest.mark.parametrize("settings", [{}, {"known": False}, {"yardstick": 1.0}])
def test_what_is_missing_or_not_finite_is_wrong_whatever_can_be_told(settings):
    for wrong in (None, np.zeros(3), np.array([np.nan, 0.0])):
        assert verdict(wrong, A, **settings) is Verdict.DIFFERENT
    overflown = np.array([np.inf, 0.0])
    assert verdict(overflown, A, math.inf) is Verdict.UNPROVED  # float32 is not finite there
    assert verdict(None, A, math.inf) is Verdict.DIFFERENT


def test_what_was_not_told_survives_json():
    rows = [
        judge("x", apart(actual, A), yardstick)
        for actual, yardstick in ((A, 0), (2 * A, 0), (A, 1), (None, 0), (A, math.inf))
    ]
    values = [json.loads(json.dumps(row.to_json(), allow_nan=False)) for row in rows]
    assert [Row.from_json(each) for each in values] == rows
    assert [each["verdict"] for each in values] == [
        "same",
        "different",
        "not provable",
        "different",
        "not provable",
    ]


def test_a_network_is_proved_if_enough_of_it_can_be_told():
    told, untold = Row("x", 0.0, 1e-6), Row("x", 1.0, 10.0, provable=False)
    outputs = {Group.OUTPUTS: [told, told]}
    assert Comparison(outputs).proved
    assert not Comparison().proved
    assert not Comparison({Group.OUTPUTS: [told, untold]}).proved
    assert not Comparison({**outputs, Group.LOSS: [untold]}).proved
    assert Comparison({**outputs, Group.STATISTICS: [untold]}).proved
    for group in (Group.GRADIENTS, Group.TRAJECTORY):
        assert Comparison({**outputs, group: 19 * [told] + [untold]}).proved
        found = Comparison({**outputs, group: 18 * [told] + 2 * [untold]})
        assert not found.proved
        assert found.passed
        assert "2 of 20" in found.shortfall[0]
        assert found.counts == {Verdict.SAME: 20, Verdict.DIFFERENT: 0, Verdict.UNPROVED: 2}
        assert found.unproved == 2 * [untold]
        assert found.largest_share == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_two_images_on_maps_of_one_pixel_prove_nothing_under_batch_norm(seed):
    """A batch norm over two values: float32's own gradients stray by more than their norm."""
    network = get_network("googlenet_bn", input_shape=(1, 32, 32))
    params = init_params(network, initializer="he_normal", seed=seed)
    images = load_image_set(None, network.input_shape, 10, count=2)
    problem = Problem(network, params, images.images, images.labels)
    comparison = compare_step(Backend(), problem, step_yardstick(problem))
    assert comparison.passed
    assert not comparison.proved
    assert comparison.shortfall[-1].endswith(f"of {len(comparison[Group.GRADIENTS])} gradients")
    told = {row.name for row in comparison[Group.STEP_OUTPUTS] if row.provable}
    for row in comparison[Group.STATISTICS]:
        norm = row.name.rpartition(".")[0]
        assert not row.provable or norm.rpartition(".")[0] + ".conv" in told


def test_a_layer_whose_input_cannot_be_told_decides_freely():
    """Eight times one digit: on maps of one pixel batch norm divides rounding by rounding."""
    network = get_network("googlenet_bn", input_shape=(1, 32, 32))
    params = init_params(network, initializer="he_normal")
    digits = load_image_set(None, network.input_shape, 10, count=8)
    images = np.repeat(digits.images[:1], 8, axis=0)
    problem = Problem(network, params, images, digits.labels)
    yardstick = step_yardstick(problem)
    last = "b5.inception_5b.branch_1x1.relu"
    assert np.isinf(yardstick.ties[last]).all()
    assert not np.isinf(yardstick.ties["b1.conv.relu"]).any()
    assert compare_step(Backend(dot=piecewise_matmul), problem, yardstick).passed


def test_nothing_can_be_told_behind_something_faint():
    """Batch norms make ordinary numbers of subnormals, which a framework may take for 0."""
    norm = spec.BatchNorm(1e-10, 0.1, True)
    layers = blocks.sequential(
        one=blocks.conv(3, 1, norm=norm),
        two=blocks.conv(3, 1, norm=norm),
        pool=spec.GlobalAvgPool(),
        dense=spec.Dense(3, bias=False),
    )
    network = Network("faint", layers, (2, 4, 5), "")
    params = {
        path: np.zeros_like(array) if path.endswith(("bias", "mean")) else array
        for path, array in random_params(network).items()
    }
    images = (1e-38 * random_images(network)).astype(np.float32)
    problem = Problem(network, params, images, random_labels(classes=3))
    measured = measure(problem, train_steps=1)
    # float32 has no difficulty here, where it has subnormals.
    assert measured.step.outputs["two.norm"] < 1e-5
    assert np.sqrt((step_of(problem).outputs["two.norm"] ** 2).mean()) > SMALLEST

    class Flushing(Backend):
        def forward(self, model, images, **settings):
            return super().forward(model, 0 * images, **settings)

        def gradients(self, model, images, *arguments, **settings):
            return super().gradients(model, 0 * images, *arguments, **settings)

    comparison = compare(Flushing(), problem, measured)
    assert comparison.passed
    assert not comparison.proved
    assert {row.name for row in comparison.rows} == {row.name for row in comparison.unproved}
    assert measured.trajectory[0].unknown == sorted(measured.trajectory[0].arrays)


class Overflowing(Backend):
    """The first convolution's gradient is infinite on the way."""

    def gradients(self, model, images, *arguments, **settings):
        loss, found = super().gradients(model, images, *arguments, **settings)
        name = next(path for path in found if path.endswith("conv.weight"))
        return loss, {**found, name: np.full_like(found[name], np.nan)}


@pytest.mark.parametrize(("depth", "vast"), [(1, False), (8, True)])
def test_what_is_not_finite_next_to_a_vast_gradient_accuses_nobody(depth, vast):
    """Batch norms of maps of almost 0 make gradients near the largest numbers of float32."""
    norm = spec.BatchNorm(1e-10, 0.1, True)
    units = {f"unit_{i}": blocks.conv(3, 1, norm=norm) for i in range(depth)}
    end = {"pool": spec.GlobalAvgPool(), "dense": spec.Dense(3, bias=False)}
    network = Network("vast", blocks.sequential(**units, **end), (2, 4, 5), "")
    params = {
        path: np.zeros_like(array) if path.endswith(("bias", "mean")) else array
        for path, array in random_params(network).items()
    }
    images = (10.0 ** (-5 * depth) * random_images(network)).astype(np.float32)
    problem = Problem(network, params, images, random_labels(classes=3))
    found = step_of(problem).gradients
    assert vast == any(np.sqrt((each**2).mean()) > 1 / SMALLEST for each in found.values())
    comparison = compare(Overflowing(), problem, measure(problem))
    assert comparison.passed == vast
    assert comparison.proved != vast


def step_of(problem):
    """The step of the reference in float64."""
    run = Pass(train=True, taps=frozenset(site.path for site in nodes(problem.network)))
    return step(reference.build(problem.network, problem.params, dtype=np.float64), problem, run)


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


def test_rounding_grows_less_with_the_biases_of_batch_norm_moved():
    """Twenty batch norms in training mode, each before a ReLU."""
    layers = {}
    for number in range(20):
        layers[f"conv_{number}"] = blocks.conv_layer(8, 3, 1, 1, bias=False)
        layers[f"norm_{number}"] = blocks.batch_norm(1e-5, 0.1)
        layers[f"relu_{number}"] = spec.ReLU()
    tree = blocks.sequential(**layers, pool=spec.GlobalAvgPool(), dense=spec.Dense(5, bias=True))
    deep = Network("deep", tree, (3, 8, 8), "a test")
    drawn = random_problem(deep, batch=4)
    params = init_params(deep)
    far, near = (
        max(step_yardstick(replace(drawn, params=each)).outputs.values())
        for each in (params, with_moved_norms(deep, params))
    )
    assert near < far / 4
    moved = with_moved_norms(deep, params)
    by = np.concatenate([moved[f"norm_{number}.bias"] for number in range(20)])
    assert by.min() >= -0.5
    assert by.max() < 1.5
    assert np.std(by) > 0.4
    assert all(moved[path] is params[path] for path in params if "norm" not in path)
