"""`bench`: what is timed, in turn, what is said of noise, and what is not timed."""

import itertools
import json
import math
from dataclasses import replace
from types import ModuleType

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from typer.testing import CliRunner

from googlenet import (
    ShapeError,
    SpecError,
    UnknownNameError,
    bench,
    get_network,
    init_params,
    reference,
)
from googlenet.backend.protocols import capabilities
from googlenet.cli import app
from googlenet.cli import bench as command
from googlenet.data.images import load_image_set
from googlenet.drawing.speeds import draw_speeds
from googlenet.errors import BackendError, DataError, GoogLeNetError
from googlenet.jobs import job
from googlenet.proof.parity.tolerance import FACTOR
from googlenet.spec.analysis import count_multiply_adds
from googlenet.spec.params import param_specs
from googlenet.spec.traversal import num_classes
from googlenet.timing import run, turns, worker
from googlenet.timing.cases import Case, at_depths, cases
from googlenet.timing.run import Timed, Timings, run_timings
from googlenet.timing.spread import DOUBT, Ratio, _place, growth, spread

SMALL = {"frameworks": "numpy", "input_sizes": [(16, 16)], "rounds": 5}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One call a turn, and a machine that is soon measured."""
    monkeypatch.setattr(run, "LEAST", 1e-9)
    monkeypatch.setattr(run, "SETTLE", 0.0)


# What times say


@pytest.mark.parametrize("count", range(5, 60))
def test_the_interval_holds_the_median_as_often_as_it_says(count):
    """Each value lies on either side of the true median with the same chance."""
    place = _place(count)

    def beyond(place):
        return 2 * sum(math.comb(count, k) for k in range(place + 1)) / 2**count

    assert beyond(place) <= DOUBT < beyond(place + 1)


def test_the_interval_by_counting():
    """Of all the ways in which five values lie around their median, one sixteenth is one-sided."""
    ways = list(itertools.product([-1, 1], repeat=5))
    outside = [way for way in ways if not min(way) < 0 < max(way)]
    assert len(outside) / len(ways) == DOUBT


times = st.lists(st.floats(1e-4, 1e2), min_size=5, max_size=30)


@given(times, st.floats(0.1, 10), st.data())
def test_what_slows_a_round_down_cancels(base, factor, data):
    slow = data.draw(st.lists(st.floats(1, 50), min_size=len(base), max_size=len(base)))
    one = [a * b for a, b in zip(base, slow, strict=True)]
    found = Ratio.of(one, [each / factor for each in one])
    assert found.low == pytest.approx(factor)
    assert found.high == pytest.approx(factor)
    assert found.told == (not 0.95 <= found.median <= 1.05) or abs(factor - 1) < 0.051


@given(times, st.data())
def test_the_other_way_round_is_one_over_it(base, data):
    other = data.draw(st.lists(st.floats(1e-4, 1e2), min_size=len(base), max_size=len(base)))
    one, back = Ratio.of(base, other), Ratio.of(other, base)
    assert one.low == pytest.approx(1 / back.high)
    assert one.high == pytest.approx(1 / back.low)
    assert one.low <= one.median <= one.high


@pytest.mark.parametrize(
    ("base", "times", "told"),
    [
        ([1, 1, 1, 1, 1], [0.5, 0.4, 0.5, 0.6, 0.5], True),
        ([1, 1, 1, 1, 1], [0.5, 0.4, 1.1, 0.6, 0.5], False),  # once it was the slower one
        ([1, 1, 1, 1, 1], [1.01, 0.99, 1, 1, 0.98], True),  # alike, and that can be told
        ([1, 1, 1, 1, 1], [1.01, 0.9, 1, 1, 0.98], False),
    ],
)
def test_noise_swamps(base, times, told):
    assert Ratio.of(base, times).told is told


def test_the_spread_is_half_of_what_lies_between_the_quartiles():
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(1 / 3)


@given(st.floats(0.2, 3), st.floats(1e-9, 1e-3))
def test_growth_is_the_power(power, seconds):
    costs = [1, 2, 4, 8, 20]
    assert growth(costs, [seconds * cost**power for cost in costs]) == pytest.approx(power)


def test_two_costs_have_no_growth():
    assert growth([1, 2, 2], [1, 2, 3]) is None


# What is timed


def test_models_train_as_they_are():
    found = cases(
        2,
        forms=("native", "compiled"),
        works=("inference", "training"),
        batches=(1, 8),
        dtypes=("float32", "bfloat16"),
    )
    of_one = [
        ("native", "inference", "float32"),
        ("compiled", "inference", "float32"),
        ("compiled", "inference", "bfloat16"),
        ("native", "training", "float32"),
    ]
    assert [(c.network, c.batch, c.form, c.work, c.dtype) for c in found] == [
        (network, batch, *each) for network in (0, 1) for batch in (1, 8) for each in of_one
    ]


def test_operations_are_two_for_each_multiply_add():
    network = get_network("googlenet")
    once = Case(0, "native", "inference", 3).operations([network])
    assert once == 2 * 3 * 276_066_304  # the number of docs/spec.md
    assert Case(0, "native", "training", 3).operations([network]) == 3 * once


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "alexnet", "nin"])
def test_depths_grow_up_to_the_network(name):
    network = get_network(name)
    found = at_depths(network)
    costs = [count_multiply_adds(each) for each in found]
    assert costs[:-1] == sorted(costs[:-1])
    assert len(set(costs)) == len(costs)
    assert {num_classes(each) for each in found} == {num_classes(network)}
    assert found[-1] == network
    for each in found:
        init_params(each)
        assert param_specs(each)


def test_the_reference_is_timed(tmp_path):
    found = bench(**SMALL, batches=[2, 1], training=True)
    assert found.passed
    assert [(t.case.batch, t.case.form, t.case.work) for t in found.timed] == [
        (batch, form, work)
        for batch in (1, 2)
        for form, work in (
            ("native", "inference"),
            ("compiled", "inference"),
            ("native", "training"),
        )
    ]
    for each in found.timed:
        assert len(each.seconds) == 5
        assert min(each.seconds) > 0
        assert each.first >= min(each.seconds) / 10
        assert 0 < found.share_of_peak(each) < 1
    inference = [each for each in found.timed if each.case.work == "inference"]
    assert all(each.share <= 1 and each.compared == each.case.batch for each in inference)
    assert found.memory["numpy"] > 2**20
    assert found.ratio(found.timed[0]) is None  # the base itself
    assert json.loads(json.dumps(found.to_json()))["passed"] is True


def test_what_cannot_be_done_is_an_error_in_its_row():
    found = bench(**SMALL, batches=1, dtypes=["float32", "bfloat16"], forms="compiled")
    assert [each.error is None for each in found.timed] == [True, False]
    assert "got 'bfloat16'" in found.timed[1].error
    assert not found.passed


def test_int8_is_by_its_own_limit_and_other_images(monkeypatch):
    """The reference in int8 is as far as its limit says, but for FACTOR."""
    given = []
    monkeypatch.setattr(
        "googlenet.actions.bench.run_timings",
        lambda *arguments, **settings: (
            given.append(settings) or run_timings(*arguments, **settings)
        ),
    )
    found = bench(**SMALL, batches=32, dtypes=["float32", "int8"], forms="compiled")
    assert found.passed
    single, lower = found.timed
    assert (single.case.dtype, lower.case.dtype) == ("float32", "int8")
    assert lower.share == pytest.approx(1 / FACTOR, rel=0.2)
    assert 0 < single.limit < lower.limit
    assert 0 < lower.agreeing <= lower.compared == 32
    assert found.share_of_peak(lower) is None
    (few,) = given[0]["calibration"]
    assert few.shape == (64, 1, 16, 16)
    digits = load_image_set(None, (1, 16, 16), 10, count=96).images
    assert np.array_equal(few, digits[32:])


def test_images_to_calibrate_by_are_made_for_int8_alone(monkeypatch):
    given = []
    monkeypatch.setattr(
        "googlenet.actions.bench.run_timings",
        lambda *arguments, **settings: given.append(settings["calibration"]),
    )
    bench(**SMALL, dtypes=["float32", "bfloat16"])
    assert given == [()]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_third_partys_compile_needs_no_more_than_it_did(tmp_path, dtype):
    """One that does not know images to calibrate by, and refuses what it does not compile for."""
    asked = []

    def compile(model, *, input_shape, dtype="float32"):
        asked.append((input_shape, dtype))
        return lambda images: {"logits": images}

    backend = ModuleType("another")
    for name in ("build", "params_of", "forward", "name", "unbiased_running_variance"):
        setattr(backend, name, getattr(reference, name))
    backend.compile = compile
    assert capabilities(backend) == {"compile"}
    network = get_network("googlenet", input_shape=(1, 16, 16))
    np.save(tmp_path / "calibration-0.npy", np.zeros((1, 1, 16, 16), np.float32))
    models = worker._Models.__new__(worker._Models)
    models._backend, models._networks, models._folder = backend, [network], tmp_path
    models._drawn, models._device, models._natives = {"seed": 0, "initializer": "zero"}, None, {}
    models._natives[0] = object()
    images = np.zeros((2, 1, 16, 16), np.float32)
    call = models._made(Case(0, "compiled", "inference", 2, dtype), images)
    assert call()["logits"] is images
    assert asked == [((1, 16, 16), dtype)]


def test_what_a_backend_does_not_do_is_no_failure():
    """The third party's example has gradients, and neither a trainer nor compiled models."""
    found = bench(
        **{**SMALL, "frameworks": ["numpy", "example"]}, batches=1, training=True, base="numpy"
    )
    assert [each.lacks for each in found.timed[3:]] == [None, "does not compile", "does not train"]
    assert found.passed
    assert [len(each.seconds) for each in found.timed] == [5, 5, 5, 5, 0, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": "batch"},
        {"scale": "side"},
        {"scale": "depth", "batches": 2},
    ],
    ids=lambda each: each["scale"],
)
def test_cost_grows(arguments, monkeypatch):
    monkeypatch.setattr("googlenet.actions.bench.COMPARED", 2)
    network = get_network("googlenet", input_shape=(1, 24, 24))
    found = bench(network, "numpy", rounds=5, forms="native", **arguments)
    costs = [each.case.operations(found.networks) for each in found.timed]
    assert len(set(costs)) == len(costs) >= 5
    assert costs == sorted(costs)
    assert max(costs) / min(costs) > 4
    assert all(len(each.seconds) == 5 for each in found.timed)


def test_another_function_is_not_timed(monkeypatch):
    """A worker whose outputs are not the network's."""
    monkeypatch.setattr(run, "_first", lambda name, case, answer: Timed(name, case, share=1.1))
    found = bench(**SMALL, batches=1, forms="native")
    assert found.timed[0].seconds == ()
    assert not found.passed


def test_a_framework_that_ends_is_its_own_rows(monkeypatch):
    """And nobody waits for it."""
    answer = job.Answer(error="exited with code 3")
    monkeypatch.setattr(run, "run_job", lambda *args, **kwargs: answer)
    found = bench(**SMALL, batches=1)
    assert [each.error for each in found.timed] == ["exited with code 3"] * 2
    assert found.peak is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"first": "soon"}, "first is 'soon', expected a number"),
        ({"more": 1}, "TypeError"),
        ({"error": "no memory"}, "no memory"),
    ],
)
def test_an_answer_is_not_believed(answer, words):
    found = run._first("torch", Case(0, "native", "inference", 1), answer)
    assert words in found.error


def test_a_mistake_of_the_framework_ends_one_case():
    class Broken:
        def prepare(self, case):
            raise RuntimeError("no kernel\nmore")

        def call(self, case):
            raise MemoryError

    case = Case(0, "native", "inference", 1).to_json()
    assert worker._done(Broken(), {"prepare": True, "case": case}) == {
        "error": "RuntimeError: no kernel"
    }
    asked = {"prepare": False, "case": case, "least": 0.1, "settle": 0.0}
    assert worker._done(Broken(), asked) == {"error": "ran out of memory"}


def test_the_first_call_of_a_turn_does_not_count(monkeypatch):
    """Nor what waits before it: the clock is asked after both."""
    told = []
    monkeypatch.setattr(worker.time, "sleep", lambda seconds: told.append(f"slept {seconds}"))
    monkeypatch.setattr(
        worker.time, "perf_counter", lambda: told.append("asked") or float(len(told))
    )

    class Calls:
        def call(self, case):
            return lambda: told.append("called")

    case = Case(0, "native", "inference", 1).to_json()
    asked = {"prepare": False, "case": case, "least": 3.5, "settle": 0.25}
    found = worker._done(Calls(), asked)
    assert told == ["slept 0.25", "called", "asked", *["called", "asked"] * 2]
    assert found == {"seconds": 2.0}  # the clock went on by two for each call


def test_turns_are_answered_once(tmp_path):
    turns.tell(tmp_path, 0, {"a": 1})
    assert turns.asked(tmp_path, 0, alive=pytest.fail) == {"a": 1}
    turns.answer(tmp_path, 0, {"b": 2})
    assert turns.answered(tmp_path, 0, alive=pytest.fail) == {"b": 2}

    def alive():
        raise BackendError("gone")

    with pytest.raises(BackendError, match="gone"):
        turns.answered(tmp_path, 1, alive)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_every_round_has_every_case_once(count):
    orders = [run._order(count, number) for number in range(9)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert count < 3 or len({order[0] for order in orders}) >= 3


# What is refused


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"rounds": 4}, SpecError, "`rounds`: expected an integer of at least 5, got 4"),
        ({"forms": "fast"}, UnknownNameError, "`forms`: expected one of native, compiled"),
        ({"forms": []}, UnknownNameError, "`forms`: expected at least one"),
        (
            {"dtypes": "int4"},
            UnknownNameError,
            "`dtypes`: expected one of float32, bfloat16, int8, got 'int4'",
        ),
        ({"batches": 0}, SpecError, "`batches`: expected an integer of at least 1"),
        ({"batches": []}, SpecError, "`batches`: expected at least one"),
        ({"input_sizes": []}, SpecError, "`input_sizes`: expected at least one"),
        ({"input_sizes": [(0, 3)]}, SpecError, "`input_sizes`"),
        ({"input_sizes": 96}, UnknownNameError, "`input_sizes`"),
        ({"scale": "width"}, UnknownNameError, "`scale`: expected one of batch, side, depth"),
        ({"scale": "batch", "batches": 2}, UnknownNameError, "`batches`: does not go with"),
        ({"scale": "side", "input_sizes": [(8, 8)]}, UnknownNameError, "`input_sizes`: does not"),
        ({"base": "torch"}, UnknownNameError, "`base`: expected one of the frameworks"),
        ({"devices": {"torch": "cpu"}}, UnknownNameError, "devices: 'torch' is not timed"),
        ({"training": 1}, SpecError, "`training`: expected True or False"),
        ({"network": "googlenet_paper", "input_sizes": [(8, 8)]}, ShapeError, "smallest"),
        ({"batches": 65_536, "input_sizes": [(4000, 4000)]}, SpecError, "memory"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, error, words):
    with pytest.raises(error, match=words.replace("(", r"\(")):
        bench(**{"frameworks": "numpy", **arguments})


# What is printed and drawn


def timings(**changes):
    """A run as it may be: of two frameworks, with all that can become of a case."""
    network = get_network("googlenet")
    native, compiled = (Case(0, form, "inference", 32) for form in ("native", "compiled"))
    lower = replace(compiled, dtype="bfloat16")
    rows = (
        Timed("torch", native, (0.10, 0.11, 0.10, 0.12, 0.10), 0.5, 0.1, 32, 32),
        Timed("torch", compiled, (0.05, 0.05, 0.05, 0.05, 0.06), 20.0, 0.1, 32, 32),
        Timed("torch", lower, (0.02, 0.02, 0.02, 0.03, 0.02), 20.0, 0.02, 31, 32),
        Timed("jax", native, (0.10, 0.05, 0.20, 0.12, 0.10), 0.5, 0.1, 32, 32),
        Timed("jax", compiled, (), 0.5, 3.0, 32, 32),
        Timed("jax", lower, error="jax compiles for float32 here"),
    )
    values = {"networks": (network,), "timed": rows, "peak": 2e11, "base": "torch", "rounds": 5}
    return Timings(**{**values, "threads": "2", **changes})


def test_the_table_says_what_was_found(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    command._print(timings())
    lines = capsys.readouterr().out.splitlines()
    rows = [" ".join(line.split()) for line in lines]
    # 32 images in 0.05 s; 2 · 276,066,304 · 32 operations in 0.05 s are 177 % of 2e11 a second.
    assert "torch compiled 32 640 0 % 20.0 s 177 % 2.00" in rows
    assert any(row.startswith("torch native 32 320 5 % 500 ms 88 %") for row in rows)
    bfloat16 = next(row for row in rows if row.startswith("torch compiled, bfloat16"))
    assert "5.00 error 0.02 of the limit of bfloat16; the same class in 31 of 32" in bfloat16
    noisy = next(row for row in rows if row.startswith("jax native"))
    assert noisy.endswith(" ?")
    assert any("jax, native, batch 32: between 0.50 and 2.20 times as fast" in row for row in rows)
    assert "not timed: its logits are 3 times as far from float64 as float32 may be" in " ".join(
        rows
    )
    assert "not timed: jax compiles for float32 here" in " ".join(rows)


@pytest.mark.parametrize(("most", "words"), [(0.9, ""), (2.7, ", which at 2.7 proves nothing")])
def test_a_limit_that_zeros_would_pass_proves_nothing(most, words):
    case = Case(0, "compiled", "inference", 32, "int8")
    row = Timed("onnx", case, (0.1,) * 5, share=0.1, limit=most, agreeing=30, compared=32)
    notes = command._notes(row)
    assert notes == f"error 0.1 of the limit of int8{words}; the same class in 30 of 32 images"


def test_without_native_models_compiled_ones_are_compared():
    rows = tuple(each for each in timings().timed if each.case.form == "compiled")
    found = timings(timed=(*rows[:2], replace(rows[0], framework="jax", seconds=(0.1,) * 5)))
    assert found.base_form == "compiled"
    assert [found.ratio(each) and found.ratio(each).median for each in found.timed] == [
        None,
        pytest.approx(2.5),
        pytest.approx(0.5),
    ]


@pytest.mark.parametrize("name", ["speeds.png", "speeds.svg", "speeds.pdf"])
@pytest.mark.parametrize("scale", [None, "batch"])
def test_a_picture_is_the_same_each_time(tmp_path, name, scale):
    found = timings(scale=scale).to_json()
    draw_speeds(tmp_path / name, found)
    first = (tmp_path / name).read_bytes()
    draw_speeds(tmp_path / name, found)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize("scale", [None, "batch"])
def test_a_picture_tells_lower_precisions_apart(tmp_path, scale):
    rows = timings().timed
    in_int8 = replace(rows[2], case=replace(rows[2].case, dtype="int8"))
    draw_speeds(tmp_path / "speeds.svg", timings(timed=(*rows, in_int8), scale=scale).to_json())
    text = (tmp_path / "speeds.svg").read_text()
    assert "bfloat16" in text
    assert "int8" in text


@pytest.mark.parametrize("scale", [None, "batch"])
def test_a_picture_tells_a_users_own_code_apart(tmp_path, scale):
    rows = timings().timed
    own = replace(rows[0], case=replace(rows[0].case, form="own"))
    draw_speeds(tmp_path / "speeds.svg", timings(timed=(own, *rows), scale=scale).to_json())
    assert ">own<" in (tmp_path / "speeds.svg").read_text()


def test_a_picture_names_what_it_shows(tmp_path):
    draw_speeds(tmp_path / "speeds.svg", timings().to_json())
    text = (tmp_path / "speeds.svg").read_text()
    for words in ("Speed of googlenet", "torch", "jax", "bfloat16", "batch 32", ">640<"):
        assert words in text


def test_nothing_timed_is_no_picture(tmp_path):
    nothing = timings(timed=())
    with pytest.raises(DataError, match="nothing was timed"):
        draw_speeds(tmp_path / "speeds.svg", nothing.to_json())


def test_the_command_prints_json_and_fails_with_what_failed(tmp_path):
    words = ["bench", "--framework", "numpy", "--batch", "1", "--size", "16", "--rounds", "5"]
    done = CliRunner().invoke(app, [*words, "--form", "native", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["timed"][0]["images_per_second"] == pytest.approx(
        1 / np.median(found["timed"][0]["seconds"])
    )
    picture = str(tmp_path / "speeds.svg")
    done = CliRunner().invoke(
        app,
        [
            *words,
            "--form",
            "compiled",
            "--dtype",
            "bfloat16",
            "--dtype",
            "float32",
            "--picture",
            picture,
        ],
    )
    assert done.exit_code == 1
    assert "got 'bfloat16'" in done.output
    assert "googlenet at 1×16×16, 5 rounds" in done.output
    assert (tmp_path / "speeds.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"own": {"torch": "mynet.py:net"}}, "own: 'torch' is not timed here"),
        ({"own": {"numpy": "mynet.py"}}, "FILE:NAME"),
        ({"own": {"numpy": "absent.py:net"}}, "does not exist"),
        ({"own": {"numpy": "absent.onnx"}}, "absent.onnx: is not a file"),
    ],
)
def test_own_code_has_to_be_there(more, message):
    with pytest.raises(GoogLeNetError, match=message):
        bench("googlenet", ["numpy"], rounds=5, **more)


def test_own_code_is_one_whole_network(tmp_path):
    (tmp_path / "mynet.py").write_text("")
    with pytest.raises(GoogLeNetError, match="scale='depth'"):
        bench("googlenet", ["numpy"], own={"numpy": f"{tmp_path / 'mynet.py'}:net"}, scale="depth")


@pytest.mark.parametrize(
    ("file", "name", "what"), [("mynet.py", ":net", "models"), ("mynet.onnx", "", "files")]
)
def test_the_reference_runs_nothing_of_users(tmp_path, file, name, what):
    (tmp_path / file).write_text("")
    found = bench(
        get_network("nin", input_shape=(1, 67, 67)),
        ["numpy"],
        own={"numpy": f"{tmp_path / file}{name}"},
        forms="native",
        batches=1,
        rounds=5,
    )
    assert found.passed
    assert found.timed[0].lacks == f"does not run {what} of users"
