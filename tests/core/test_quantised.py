"""int8: the rounding of the reference, the limit that follows from it, and what exceeds that."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

import googlenet
from googlenet.backend import processor
from googlenet.backend.compiling import prepared
from googlenet.proof.conformance.networks import composites
from googlenet.proof.parity import quantised as derived
from googlenet.proof.parity.problem import random_problem
from googlenet.proof.parity.quantised import int8_yardstick
from googlenet.proof.parity.tolerance import PROVABLE, distance, forward_yardstick, limit
from googlenet.reference import build, compile, quantised
from googlenet.reference.network import Pass
from googlenet.reference.quantised import Grid, Quantised, ranges, rounded_weight
from googlenet.spec.layers import ReLU
from googlenet.spec.simplify import simplified
from googlenet.spec.traversal import walk
from googlenet.weights.samples import random_images

#: How much farther than half a step float64 may take a value.
TINY = 1e-9

ends = st.floats(-1e6, 1e6, width=32)
values = arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6, width=32))


# The rounding -------------------------------------------------------------------------------------


@given(ends, ends, values)
def test_a_value_on_the_grid_is_within_half_a_step(one, other, x):
    low, high = min(one, other, 0.0), max(one, other, 0.0)
    grid = Grid.spanning(low, high)
    x = np.clip(x, low, high)
    assert np.all(np.abs(grid.rounded(x) - x) <= grid.step * (0.5 + TINY))


@given(ends, ends)
def test_zero_stays_zero(one, other):
    """As padding and every ReLU need it."""
    grid = Grid.spanning(min(one, other), max(one, other))
    assert 0 <= grid.zero <= 255
    assert grid.rounded(np.zeros(3)).tolist() == [0, 0, 0]


@given(ends, ends, values)
def test_rounding_is_monotone_and_repeats(one, other, x):
    grid = Grid.spanning(min(one, other), max(one, other))
    once = grid.rounded(np.sort(x))
    assert np.all(np.diff(once) >= 0)
    assert np.array_equal(grid.rounded(once), once)
    assert len(np.unique(once)) <= 256


@given(ends, values)
def test_what_lies_beyond_the_grid_comes_to_its_end(high, x):
    grid = Grid.spanning(0.0, abs(high))
    assert grid.rounded(x).min() >= 0
    assert grid.rounded(x).max() <= abs(high) * (1 + TINY) or high == 0


weights = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.just(3)),
    # Others would be subnormal when they are scaled, and are rounded for that alone.
    elements=st.floats(-1000, 1000, width=32).map(lambda x: x if abs(x) > 1e-30 else 0.0),
)


@given(weights)
def test_a_weight_is_within_half_a_step_of_its_channel(weight):
    step = np.abs(weight.astype(np.float64)).max(axis=(1, 2), keepdims=True) / 127
    moved = rounded_weight(weight)
    assert np.all(np.abs(moved - weight) <= step * (0.5 + TINY))
    assert np.all(moved[weight == 0] == 0)
    assert np.array_equal(rounded_weight(-weight), -moved)


@given(weights, st.sampled_from([0.125, 2.0, 1024.0]))
def test_a_channel_is_rounded_by_itself(weight, factor):
    """Scaling one leaves the others, and itself but for the factor."""
    scaled = weight.copy()
    scaled[0] *= np.float32(factor)
    found, expected = rounded_weight(scaled), rounded_weight(weight)
    assert np.array_equal(found[1:], expected[1:])
    assert np.array_equal(found[0], factor * expected[0])  # a power of two rounds nothing


def test_the_ends_of_a_weight_are_exact():
    weight = np.float32([[1, -3, 2], [0, 0, 0], [-7, 7, 0.01]])
    moved = rounded_weight(weight)
    assert moved[0, 1] == pytest.approx(-3)
    assert moved[1].tolist() == [0, 0, 0]
    assert moved[2].tolist() == pytest.approx([-7, 7, 0])


# What is rounded ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def problem():
    return random_problem(composites()["auxiliary"], batch=8)


@pytest.fixture(scope="module")
def few(problem):
    return random_images(problem.network, seed=1, batch=16)


@pytest.fixture(scope="module")
def right(problem):
    build(problem.network, problem.params, dtype=np.float64).run(problem.images, run := Pass())
    return run.outputs


def test_every_map_is_on_its_grid_and_sums_are_not():
    network = googlenet.get_network("googlenet", num_classes=3, input_shape=(1, 32, 32))
    params = googlenet.init_params(network, initializer="he_normal")
    model = Quantised(network, params, random_images(network, seed=1))
    seen = {}
    model._model.run(
        random_images(network),
        Pass(made=lambda path, x: seen.setdefault(path, model._made(path, x))),
    )
    relus = [site.path for site in walk(network) if isinstance(site.layer, ReLU)]
    assert set(relus) < set(model.grids)
    for path, grid in model.grids.items():
        if path is not None:
            assert np.array_equal(grid.rounded(seen[path]), seen[path])
    assert not [path for path in model.grids if path and path.endswith(".conv.conv.conv")]
    before = [path for path in seen if path.endswith(".conv") and f"{path[:-5]}.relu" in seen]
    assert len(before) == len(relus)
    assert not set(before) & set(model.grids)  # a ReLU is taken into the convolution
    assert len(np.unique(model(random_images(network))["logits"])) == 9  # no two logits meet


def test_ranges_are_those_of_every_image(problem, few):
    whole = ranges(problem.network, problem.params, few)
    parts = [ranges(problem.network, problem.params, few[i : i + 1]) for i in range(len(few))]
    assert whole.keys() == parts[0].keys()
    for path, (low, high) in whole.items():
        assert low == pytest.approx(min(part[path][0] for part in parts), rel=1e-5, abs=1e-6)
        assert high == pytest.approx(max(part[path][1] for part in parts), rel=1e-5, abs=1e-6)


# The limit ----------------------------------------------------------------------------------------


def test_the_limit_is_beyond_float32s_and_can_tell_something(problem, few):
    found = int8_yardstick(problem, few, chunk=3)
    single = forward_yardstick(problem, chunk=8)
    for name in problem.network.outputs:
        assert limit(single[name]) < PROVABLE < limit(found[name]) < 0.5


def test_the_limit_is_of_the_network_as_it_is_compiled(problem, few, right):
    """The reference's own int8 is as far as its limit says, but for FACTOR."""
    call = compile(
        build(problem.network, problem.params),
        input_shape=problem.network.input_shape,
        dtype="int8",
        calibration=few,
    )
    found = int8_yardstick(problem, few, chunk=8)
    for name, logits in call(problem.images).items():
        assert distance(logits, right[name]) == pytest.approx(found[name], rel=0.2)
    assert call.dtype == "int8"


def _with(change, problem, few):
    """The logits of int8 whose rounded weights are spoilt."""
    network, params = simplified(problem.network, problem.params)
    model = Quantised(network, params, few)
    change(model._model.params)
    return model(problem.images)["logits"]


def _scaled(path, factor):
    def change(params):
        params[path][..., 0] *= factor  # the reference's weights end with the output channels

    return change


def test_nothing_spoilt_is_the_yardstick(problem, few, right):
    found = _with(lambda params: None, problem, few)
    yardstick = int8_yardstick(problem, few, chunk=8)["logits"]
    assert distance(found, right["logits"]) == pytest.approx(yardstick, rel=1e-6)


@pytest.mark.parametrize("factor", [0.0, 2.0])
@pytest.mark.parametrize("layer", ["trunk.first.conv", "trunk.second.conv", "dense"])
def test_a_wrong_scale_of_one_channel_exceeds_the_limit(problem, few, right, layer, factor):
    most = limit(int8_yardstick(problem, few, chunk=8)["logits"])
    found = _with(_scaled(f"{layer}.weight", factor), problem, few)
    assert distance(found, right["logits"]) > most


def test_dropped_biases_exceed_the_limit(problem, few, right):
    def change(params):
        for path in params:
            if path.endswith("bias"):
                params[path][...] = 0

    most = limit(int8_yardstick(problem, few, chunk=8)["logits"])
    assert distance(_with(change, problem, few), right["logits"]) > most


def test_ignored_calibration_exceeds_the_limit(problem, few, right):
    """As if maps went from -1 to 1 whatever the images."""
    network, params = simplified(problem.network, problem.params)
    model = Quantised(network, params, few)
    most = limit(int8_yardstick(problem, few, chunk=8)["logits"])
    model.grids = dict.fromkeys(model.grids, Grid.spanning(-0.1, 0.1))
    assert distance(model(problem.images)["logits"], right["logits"]) > most


def test_the_yardstick_follows_the_calibration(problem, few):
    wide = int8_yardstick(problem, few * np.float32(100), chunk=8)["logits"]
    assert wide > 10 * int8_yardstick(problem, few, chunk=8)["logits"]
    assert derived.Quantised is quantised.Quantised


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({}, googlenet.DataError, r"calibration: int8 needs images .*\(N, 7, 11, 13\) float32"),
        ({"calibration": np.zeros((2, 3, 4, 5))}, googlenet.ShapeError, "calibration: expected"),
        ({"calibration": np.zeros((7, 11, 13))}, googlenet.ShapeError, "give them four axes"),
        ({"calibration": "digits"}, googlenet.ShapeError, "calibration: expected"),
        (
            {"calibration": np.full((1, 7, 11, 13), np.inf)},
            googlenet.DataError,
            "calibration: contain NaN or infinity",
        ),
        (
            {"calibration": np.zeros((1, 7, 11, 13)), "dtype": "float32"},
            googlenet.DataError,
            "calibration: goes with dtype int8, got images for 'float32'; leave it out",
        ),
    ],
)
def test_calibration_that_does_not_fit_is_refused(problem, settings, error, words):
    model = build(problem.network, problem.params)
    assert problem.network.input_shape == (7, 11, 13)
    with pytest.raises(error, match=words):
        compile(model, input_shape=(7, 11, 13), **{"dtype": "int8", **settings})


# The processor ------------------------------------------------------------------------------------


@pytest.fixture
def cpuinfo(monkeypatch, tmp_path):
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(processor, "_CPUINFO", path)
    processor.features.cache_clear()
    yield path
    processor.features.cache_clear()


def test_the_processor_is_asked(cpuinfo):
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: X\nflags\t\t: fpu avx512_vnni amx_bf16\n\n"
        "processor\t: 1\nflags\t\t: fpu avx512_vnni\n"
    )
    assert processor.features() == {"fpu", "avx512_vnni"}
    assert processor.multiplies("int8")
    assert not processor.multiplies("bfloat16")  # not on every one


@pytest.mark.parametrize("text", [None, "", "processor\t: 0\nFeatures\t: asimd bf16\n"])
def test_a_system_that_does_not_say_has_nothing(cpuinfo, text):
    if text is not None:
        cpuinfo.write_text(text)
    assert not processor.multiplies("int8")


def test_a_lower_precision_is_for_processors_that_have_it(problem, monkeypatch):
    given = (problem.network, problem.params, problem.network.input_shape, "bfloat16")
    known = {"dtypes": ("float32",), "lower": ("bfloat16",), "framework": "x"}
    monkeypatch.setattr(processor, "features", lambda: frozenset({"amx_bf16"}))
    assert prepared(*given, **known)
    monkeypatch.setattr(processor, "features", lambda: frozenset({"avx2"}))
    with pytest.raises(
        googlenet.UnknownNameError,
        match="got 'bfloat16'; the processor needs one of avx512_bf16, amx_bf16",
    ):
        prepared(*given, **known)
