"""The exact proof: problems on which float32 rounds nothing, what is compared, and what it sees."""

import importlib.util
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import googlenet
from googlenet import SpecError, get_network, reference
from googlenet.arrays import uniform
from googlenet.proof.exact import problem as drawing
from googlenet.proof.exact.bounds import GRANULES
from googlenet.proof.exact.compare import (
    CHANNELS,
    Difference,
    ExactComparison,
    approximate_norm,
    compare_exact,
)
from googlenet.proof.exact.demand import demands, rounded_reciprocals
from googlenet.proof.exact.draw import variance
from googlenet.proof.exact.files import load_exact, save_exact
from googlenet.proof.exact.granules import ANY, common_factor, granule, significant_bits
from googlenet.proof.exact.problem import answered, draw_problem, why_unfit
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.rows import Comparison, Group, Row
from googlenet.proof.parity.run import Outcome, Result
from googlenet.reference.model import run_gradients
from googlenet.reference.network import Model, Pass, piecewise_matmul
from googlenet.spec import (
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    LocalResponseNorm,
    Network,
    ReLU,
    nodes,
    walk,
)
from googlenet.spec.blocks import avg_pool, batch_norm, conv, conv_layer, residual, sequential

SLIPS = Path(__file__).parents[2] / "benchmarks" / "slips.py"


def network(name="example", shape=(2, 8, 8), **layers):
    return Network(name, sequential(**layers), shape, "a test")


@pytest.fixture(scope="module")
def drawn():
    """A small GoogLeNet, all of its sides different."""
    return draw_problem(get_network("googlenet", num_classes=7, input_shape=(2, 48, 41)))


@pytest.fixture(scope="module")
def small():
    return draw_problem(
        network(conv=conv(6, 3, padding=1), pool=avg_pool(3, stride=1), dense=Dense(4, bias=True))
    )


def same_bytes(first, second):
    """Whether two dicts have the same names and bytes."""
    return {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }


# Granules -----------------------------------------------------------------------------------------


@st.composite
def summands(draw):
    """Whole numbers whose absolute values sum to less than 2^24, in two orders."""
    room = 2**24 - 1
    found = []
    for share in draw(st.lists(st.floats(-1, 1), min_size=1, max_size=40)):
        found.append(int(share * room))
        room -= abs(found[-1])
    return found, draw(st.permutations(found))


@given(summands(), st.integers(-100, 100))
def test_a_sum_below_two_to_the_24_granules_is_exact_in_any_order(numbers, exponent):
    unit = 2.0**exponent
    for order in numbers:
        terms = (np.array(order, np.float64) * unit).astype(np.float32)
        one_by_one = np.float32(0)
        for term in terms:
            one_by_one = one_by_one + term
        assert float(one_by_one) == float(terms.sum()) == sum(order) * unit


def test_at_two_to_the_24_granules_a_sum_is_rounded():
    assert np.float32(2**24) + np.float32(1) == 2**24
    assert GRANULES == 2**24


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1).filter(any), st.integers(-100, 100))
def test_a_granule_is_the_largest_power_of_two_that_divides(numbers, exponent):
    values = np.array(numbers, np.float64) * 2.0**exponent
    found = granule(values)
    assert math.frexp(found)[0] == 0.5
    assert not (values / found % 1).any()
    assert (values / found % 2).any()


def test_significant_bits_common_factors_and_zeros():
    assert granule(np.zeros(3)) == ANY
    assert significant_bits(np.zeros(3)) == 0
    assert significant_bits(np.array([0.0, 4096.0, -0.375])) == 2
    assert significant_bits(np.array([4095.0, 1.0])) == 12
    assert common_factor(np.array([18.0, -45.0]), 1.0, 36) == 9
    assert common_factor(np.array([9.0, 2.25]), 0.25, 9) == 9
    assert common_factor(np.array([18.0, 5.0]), 1.0, 9) == 1
    assert common_factor(np.zeros(2), 1.0, 100) == 100


# Problems -----------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_bytes_and_another_seed_others(drawn):
    spec = drawn.problem.network
    again, other = draw_problem(spec), draw_problem(spec, seed=1)
    assert same_bytes(drawn.problem.params, again.problem.params)
    assert same_bytes(drawn.outputs, again.outputs)
    assert same_bytes(drawn.gradients, again.gradients)
    assert drawn.problem.images.tobytes() == again.problem.images.tobytes()
    assert drawn.to_json() == again.to_json()
    assert drawn.problem.images.tobytes() != other.problem.images.tobytes()
    for path, array in drawn.problem.params.items():
        assert not np.array_equal(array, other.problem.params[path]), path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_order_of_sums_and_images_does_not_matter(drawn, dtype):
    problem = drawn.problem
    model = Model(problem.network, problem.params, dtype=dtype)
    taps = frozenset(site.path for site in nodes(problem.network))
    run = Pass(dot=piecewise_matmul, taps=taps)
    loss, grads = run_gradients(
        model, problem.images[::-1], problem.labels[::-1], run, loss=problem.loss
    )
    assert set(drawn.outputs) == taps | {"logits"}
    assert set(grads) == set(drawn.gradients) == set(problem.params)
    for name, expected in drawn.outputs.items():
        assert np.array_equal(run.outputs[name][::-1], expected), name
    for path, expected in drawn.gradients.items():
        assert np.array_equal(grads[path], expected), path
    assert loss == pytest.approx(drawn.loss, rel=2**-23)


class Coarse(Model):
    """Notes of each convolution how many bits its input has, and whether the output would be
    another if its input had eleven, as in TF32.
    """

    def _compute(self, site):
        right = super()._compute(site)
        if not isinstance(site.layer, Conv):
            return right

        def step(x, run):
            y, backward = right(x, run)
            mantissa, exponent = np.frexp(x)
            rounded = np.ldexp(np.rint(mantissa * 2**11) / 2**11, exponent).astype(x.dtype)
            shown = not np.array_equal(right(rounded, run)[0], y)
            self.noted[site.path] = significant_bits(x), shown
            return y, backward

        return step


def test_every_convolution_sees_twelve_bits_and_shows_if_it_rounds_them_to_eleven(drawn):
    problem = drawn.problem
    model = Coarse(problem.network, problem.params)
    model.noted = {}
    model.run(problem.images, Pass())
    convolutions = [site for site in walk(problem.network) if isinstance(site.layer, Conv)]
    assert len(model.noted) == len(convolutions)
    assert all(bits >= 12 and shown for bits, shown in model.noted.values()), model.noted


def test_no_answer_is_dead_and_no_sum_too_large(drawn):
    assert all(array.any() for array in (*drawn.outputs.values(), *drawn.gradients.values()))
    assert 0 < drawn.bits < 24


@pytest.mark.parametrize(
    ("weight", "x", "says"),
    [
        ((1, 1), (2**23, 2**23 - 2), None),  # with the bias, 2^24 - 1
        (
            (1, -1),
            (2**23, 2**23),
            "a sum in the output of dense needs",
        ),  # the value is 1, the terms too large
        ((1, 1), (2**23, 2**23), "needs more than 24 bits"),
    ],
)
def test_the_terms_of_a_sum_count_and_not_its_value(weight, x, says):
    spec = network(shape=(2, 1, 1), dense=Dense(2, bias=True))
    params = {
        "dense.weight": np.array([weight, (1, 0)], np.float32).reshape(2, 2, 1, 1),
        "dense.bias": np.ones(2, np.float32),
    }
    images = np.array(x, np.float32).reshape(1, 2, 1, 1)
    found = answered(Problem(spec, params, images, np.zeros(1, np.int64)), gradients=False)
    assert (says in found) if says else (found.largest_sum == 2**24 - 1)


@pytest.mark.parametrize("power", [1.0, 4.0])
@pytest.mark.parametrize("eps", [1e-5, 2e-5, 1e-4, 1e-3, 1e-2])
def test_a_variance_with_eps_is_a_power_of_four(power, eps):
    value = variance(power, eps)
    assert value == np.float32(value) < power
    assert np.float32(value) + np.float32(eps) == power


def test_no_variance_is_negative():
    with pytest.raises(SpecError, match="eps 2"):
        variance(1.0, 2.0)


def test_a_problem_is_the_same_after_it_was_saved(small, tmp_path):
    assert load_exact(tmp_path) is None
    save_exact(tmp_path, small)
    found = load_exact(tmp_path)
    assert found.problem.network == small.problem.network
    assert found.problem.loss == small.problem.loss
    assert same_bytes(found.problem.params, small.problem.params)
    assert same_bytes(found.outputs, small.outputs)
    assert same_bytes(found.gradients, small.gradients)
    assert list(found.outputs) == list(small.outputs)
    assert np.array_equal(found.problem.images, small.problem.images)
    assert np.array_equal(found.problem.labels, small.problem.labels)
    assert (found.loss, found.largest_sum_at) == (small.loss, small.largest_sum_at)
    assert found.to_json() == small.to_json()


# Demands ------------------------------------------------------------------------------------------

FIRST, LAST = conv_layer(4, 3, padding=1), Dense(4, bias=True)


@pytest.mark.parametrize(
    ("layer", "number"),
    [
        (avg_pool(3, stride=1), 9),
        (avg_pool(5, stride=1), 25),
        (avg_pool((3, 5), stride=1), 15),
        (avg_pool(2, stride=1), 4),
        # 9 inside, 6 and 4 at the border
        (avg_pool(3, stride=1, padding=1, count_include_pad=False), 36),
        (ReLU(), 1),
        (residual(conv_layer(4, 1), scale=0.17), 100),
        (residual(conv_layer(4, 1), scale=0.1), 10),
        (residual(conv_layer(4, 1), scale=0.2), 5),
        (residual(conv_layer(4, 1)), 1),
    ],
    ids=str,
)
def test_what_a_layer_divides_by_is_demanded_before_and_after_it(layer, number):
    found = demands(network(first=FIRST, layer=layer, last=LAST))
    supplier = "layer.body" if "layer.body" in found.outputs else "first"
    assert found.outputs[supplier] == number
    assert found.gradients["last"] == number
    assert (found.images, found.cotangent) == (1, 1)


def test_demands_reach_the_images_the_logits_and_each_other():
    assert demands(network(pool=avg_pool(3, stride=1), last=LAST)).images == 9
    ends = demands(network(shape=(2, 6, 7), first=FIRST, pool=GlobalAvgPool()))
    assert (ends.outputs["first"], ends.cotangent) == (21, 21)
    pools = {"a": avg_pool(3, stride=1), "b": avg_pool(5, stride=1)}
    twice = demands(network(first=FIRST, **pools, last=LAST))
    assert (twice.outputs["first"], twice.gradients["last"]) == (225, 225)


# Means, and the frameworks that multiply by a rounded reciprocal ---------------------------------


def test_a_mean_over_a_number_with_a_rounded_reciprocal_is_refused():
    """A last map of 5×3: PaddlePaddle multiplies the gradient of the mean by fl(1 / 15)."""
    spec = get_network("googlenet", input_shape=(1, 160, 96))
    assert rounded_reciprocals(spec) == (15,)
    assert "a mean of 15 values" in str(why_unfit(spec))
    for safe in (get_network("googlenet"), get_network("inception_v3"), get_network("nin")):
        assert rounded_reciprocals(safe) == ()


@pytest.mark.parametrize("side", range(1, 9))
def test_what_is_not_refused_is_exact_with_a_reciprocal_too(side):
    spec = network(shape=(1, side, 7), pool=GlobalAvgPool(), dense=Dense(2, bias=True))
    values, count = np.arange(1, 2**12, dtype=np.float32), np.float32(7 * side)
    kept = np.array_equal(values * count * (np.float32(1) / count), values)
    assert kept or rounded_reciprocals(spec) == (7 * side,)


# Networks that have no exact proof ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            get_network("googlenet", num_classes=1000),
            r"2 to 256 classes, .* has 1000; .*`num_classes`",
        ),
        (get_network("googlenet_paper", num_classes=10), "a power of two, but has 10;"),
        (
            network(shape=(2, 5, 5), conv=conv_layer(4, 1), pool=GlobalAvgPool()),
            "multiple of 25: .*its last map .*`input_shape`",
        ),
        (network(conv=conv_layer(4, 1), dense=Dense(4, bias=False)), "dense: .*has no bias"),
        (
            network(conv=conv_layer(4, 1), norm=LocalResponseNorm(5, 1e-4, 0.75, 2.0), last=LAST),
            "norm whose k is not 1",
        ),
    ],
    ids=["classes", "lrn-classes", "last-map", "no-bias", "lrn-k"],
)
def test_an_unfit_network_is_refused_with_the_reason(spec, words):
    with pytest.raises(SpecError, match=words):
        draw_problem(spec)


# What is compared ---------------------------------------------------------------------------------


def backend(**others):
    """The reference with some of its functions replaced; None leaves one out."""
    members = {name: getattr(reference, name) for name in reference.__all__} | others
    return SimpleNamespace(**{name: each for name, each in members.items() if each is not None})


def one_ulp_off(array):
    """A copy in which the last value that is not 0 is the next number, and its position."""
    changed = array.copy()
    place = tuple(int(i) for i in np.argwhere(array)[-1])
    changed[place] = np.nextafter(array[place], np.float32(np.inf))
    return changed, place


def forward_with(change):
    """`forward` whose outputs `change` may replace."""

    def forward(model, images, **settings):
        return change(reference.forward(model, images, **settings))

    return forward


def test_the_reference_in_float32_has_every_bit(small):
    found = compare_exact(reference, small)
    assert found.passed
    assert found.first is None
    weights = sum(array.size for array in small.problem.params.values())
    logits = small.outputs["logits"].size
    assert found.values == {
        "outputs": sum(array.size for array in small.outputs.values()) + logits,
        "loss": 1,
        "gradients": weights,
        "training": 3 * (1 + logits + weights),
    }


def test_an_output_one_unit_off_is_named(small):
    _, place = one_ulp_off(small.outputs["pool"])

    def change(outputs):
        return {
            name: one_ulp_off(array)[0] if name == "pool" else array
            for name, array in outputs.items()
        }

    found = compare_exact(backend(forward=forward_with(change)), small)
    assert not found.passed
    assert found.differing == {"outputs": 1, "loss": 0, "gradients": 0, "training": 0}
    expected = float(small.outputs["pool"][place])
    assert found.first == Difference(
        "outputs", "pool", place, expected, float(np.nextafter(np.float32(expected), np.inf))
    )
    assert ", ".join(map(str, place)) in str(found.first)


def test_logits_that_differ_only_without_taps_are_seen(small):
    def change(outputs):
        return {name: array + (len(outputs) == 1) for name, array in outputs.items()}

    found = compare_exact(backend(forward=forward_with(change)), small)
    assert (found.first.what, found.first.name, found.first.position) == (
        "outputs",
        "logits",
        (0, 0),
    )
    assert found.differing["outputs"] == small.outputs["logits"].size


def test_a_gradient_one_unit_off_is_named(small):
    path = "conv.conv.weight"
    _, place = one_ulp_off(small.gradients[path])

    def gradients(model, images, labels, **settings):
        loss, grads = reference.gradients(model, images, labels, **settings)
        return loss, grads | {path: one_ulp_off(grads[path])[0]}

    found = compare_exact(backend(gradients=gradients), small)
    assert found.differing == {"outputs": 0, "loss": 0, "gradients": 1, "training": 0}
    assert (found.first.what, found.first.name, found.first.position) == ("gradients", path, place)


def test_a_loss_may_be_one_unit_off_and_no_more(small):
    def losing(units):
        def gradients(model, images, labels, **settings):
            _, grads = reference.gradients(model, images, labels, **settings)
            return small.loss + units * float(np.spacing(np.float32(small.loss))), grads

        return compare_exact(backend(gradients=gradients), small)

    assert losing(1).passed
    assert losing(1.5).differing == {"outputs": 0, "loss": 1, "gradients": 0, "training": 0}
    assert losing(math.nan).first.name == "loss"


def test_a_loss_of_several_outputs_may_be_one_unit_off_for_each():
    spec = get_network("googlenet_paper", num_classes=8, input_shape=(3, 79, 95), aux=True)
    drawn = draw_problem(spec)

    def losing(units):
        def gradients(model, images, labels, **settings):
            return drawn.loss + units * float(np.spacing(np.float32(drawn.loss))), drawn.gradients

        return compare_exact(backend(gradients=gradients, trainer=None), drawn)

    assert losing(3).passed
    assert losing(3.5).differing["loss"] == 1


@pytest.mark.parametrize(
    ("settings", "step"), [({"momentum": 0.4}, 2), ({"weight_decay": 0.0}, 1)], ids=str
)
def test_a_trainer_with_another_rule_is_named(small, settings, step):
    def trainer(model, recipe):
        return reference.trainer(model, replace(recipe, **settings))

    found = compare_exact(backend(trainer=trainer), small)
    assert found.differing["training"] > 0
    assert found.differing["gradients"] == 0
    assert found.first.what == "training"
    assert found.first.name.startswith(f"step {step}: dense.")


def test_the_sign_of_a_zero_and_subnormals_do_not_count(small):
    def change(outputs):
        return {
            name: np.where(array == 0, nothing(array), array) for name, array in outputs.items()
        }

    def nothing(array):
        odd = np.arange(array.size).reshape(array.shape) % 2
        return np.where(odd, np.float32(-0.0), np.float32(1e-39))

    assert any((array == 0).any() for array in small.outputs.values())
    assert compare_exact(backend(forward=forward_with(change)), small).passed


@pytest.mark.parametrize("lost", [None, np.zeros((1, 1), np.float32)], ids=["missing", "shape"])
def test_an_output_that_is_missing_differs_everywhere(small, lost):
    def change(outputs):
        return {name: lost if name == "pool" else array for name, array in outputs.items()}

    found = compare_exact(backend(forward=forward_with(change)), small)
    assert found.differing["outputs"] == small.outputs["pool"].size
    assert (found.first.name, found.first.position) == ("pool", (0, 0, 0, 0))
    again = ExactComparison.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert math.isnan(again.first.actual)
    assert again.differing == found.differing


def test_a_backend_without_gradients_or_training_is_compared_in_what_it_has(small):
    outputs = compare_exact(backend(gradients=None, trainer=None), small)
    assert outputs.passed
    assert set(outputs.values) == {"outputs"}
    both = compare_exact(backend(trainer=None), small)
    assert both.passed
    assert set(both.values) == {"outputs", "loss", "gradients"}


def test_compiled_forms_are_compared_if_asked_for(small):
    def compiled(wrong):
        def made(model, form):
            def call(images):
                found = reference.forward(model, images)
                return {name: array + (form == wrong) for name, array in found.items()}

            return call

        return backend(compiled=made, compiled_forms=("graph", "fused"))

    assert "compiled" not in compare_exact(compiled("fused"), small).values
    right = compare_exact(compiled(None), small, compiled=True)
    assert right.passed
    assert right.values["compiled"] == 2 * small.outputs["logits"].size
    found = compare_exact(compiled("fused"), small, compiled=True)
    assert found.differing["compiled"] == small.outputs["logits"].size
    assert str(found.first).startswith("logits of fused[0, 0]: expected ")
    assert compare_exact(reference, small, compiled=True).passed


def test_gradients_are_drawn_only_if_asked_for():
    drawn = draw_problem(network(conv=conv(6, 3), dense=Dense(4, bias=True)), gradients=False)
    assert not drawn.gradients
    assert set(compare_exact(reference, drawn).values) == {"outputs"}


def test_a_network_whose_gradients_cannot_be_drawn_is_drawn_without(monkeypatch):
    spec = network(conv=conv(6, 3), dense=Dense(4, bias=True))
    tried = []

    def attempt(spec, style, gradients, number):
        tried.append((number, gradients))
        return "no reason" if gradients else made(spec, style, gradients, number)

    made = drawing._attempt
    monkeypatch.setattr(drawing, "_attempt", attempt)
    drawn = draw_problem(spec)
    first = drawing.GRADIENT_ATTEMPTS + 1
    assert tried == [*((number, True) for number in range(1, first)), (first, False)]
    assert (drawn.attempts, drawn.gradients) == (first, {})
    assert compare_exact(reference, drawn).passed


def test_a_network_with_batch_norm_is_not_trained():
    spec = network(conv=conv(6, 3, norm=batch_norm(1e-3)), dense=Dense(4, bias=True))
    found = compare_exact(reference, draw_problem(spec))
    assert found.passed
    assert set(found.values) == {"outputs", "loss", "gradients"}


def test_a_batch_norm_that_is_almost_exact_is_not_asked_for_bits():
    spec = network(conv=conv(6, 3, norm=batch_norm(1e-3)), dense=Dense(4, bias=True))
    exact = draw_problem(spec)
    assert any(isinstance(site.layer, BatchNorm) for site in walk(spec))

    def off_by(factor):
        def change(outputs):
            return {
                name: array * np.float32(factor) if array.shape[1] == CHANNELS else array
                for name, array in outputs.items()
            }

        return backend(forward=forward_with(change))

    assert approximate_norm(reference, spec) is None
    assert approximate_norm(off_by(1.001), spec) is None  # that is not rounding
    found = compare_exact(off_by(1 + 2**-23), exact)
    assert "approximates 1/√x on this processor" in found.unfit
    assert (found.count, found.passed) == (0, False)
    assert ExactComparison.from_json(found.to_json()) == found


# The report and the command -----------------------------------------------------------------------


def test_a_framework_whose_bits_differ_is_different():
    same = Comparison({Group.OUTPUTS: [Row("logits", 2e-7, 1e-6)]})
    first = Difference("outputs", "logits", (0, 1), 1.0, 2.0)
    right = ExactComparison({"outputs": 9}, {"outputs": 0}, None)
    wrong = ExactComparison({"outputs": 9}, {"outputs": 1}, first)
    unfit = ExactComparison({}, {}, None, "no reason")
    assert Result("x", same, exact=right).outcome is Outcome.SAME
    assert Result("x", same, exact=wrong).outcome is Outcome.DIFFERENT
    assert Result("x", same, exact=unfit).outcome is Outcome.SAME


def test_parity_compares_bits_too():
    report = googlenet.parity(
        "googlenet", ["numpy"], input_shape=(1, 32, 32), count=2, gradients=False, exact=True
    )
    assert report.passed
    assert report.exact.problem.network.input_shape == (1, 32, 32)
    (result,) = report.results
    assert result.exact.passed
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert set(values["exact_problem"]) == {
        "name",
        "input_shape",
        "classes",
        "image_count",
        "gradients",
        "label_smoothing",
        "largest_sum",
        "largest_sum_at",
        "attempts",
    }
    (found,) = (each["exact"] for each in values["frameworks"])
    assert set(found) == {"passed", "not_exact", "values", "differing", "first_difference"}
    assert found["passed"] is True
    assert (found["first_difference"], found["not_exact"]) == (None, None)
    assert list(found["values"]) == ["outputs"]
    assert set(found["differing"].values()) == {0}


def test_what_is_compiled_is_compared_by_limits_without_bits():
    report = googlenet.parity(
        "googlenet", ["numpy"], input_shape=(1, 32, 32), count=2, compiled=True, gradients=False
    )
    names = [row.name for row in report.results[0].comparison[Group.OUTPUTS]]
    assert report.passed
    assert names[-2:] == ["logits without taps", "logits compiled"]


def test_the_command_says_how_many_values_differ():
    arguments = "parity --framework numpy --size 32 --count 2 --exact --compiled"
    done = subprocess.run(
        [sys.executable, "-m", "googlenet", *arguments.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    text = " ".join(done.stdout.split())
    assert "numpy: exact proof: 0 of " in text
    assert " values differ (outputs, gradients and training)" in text
    assert "numpy: it has no compiled forms that could be compared" in text
    assert "Exact proof: googlenet with 10 classes on 2 images of 1×32×32" in text
    assert "where float32 rounds nothing, 1 of 1 to the last bit." in text


# Slips --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slips():
    spec = importlib.util.spec_from_file_location("slips", SLIPS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_single_slips_are_caught_and_their_layers_named(drawn, slips):
    every = list(slips.slips(drawn.problem.network))
    chosen = [every[number] for number in np.argsort(uniform(0, "slips")(len(every)))[:12]]
    assert len({kind for kind, _, _ in chosen}) > 4
    for slip in chosen:
        kind, path, _ = slip
        assert slips.caught(drawn, slip)[0] == path, kind
