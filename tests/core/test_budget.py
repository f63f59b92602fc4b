"""The budget of a file: how it is given, what it says, and JSON within it."""

import time

import pytest

from googlenet.budget import (
    FileBudget,
    bounded_json,
    bounded_shape,
    bytes_of,
    file_budget,
    limited,
    meter,
)
from googlenet.errors import DataError, WeightsError


def test_the_variable_says_each_bound(monkeypatch):
    assert file_budget() == FileBudget()
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=8G, names=20000,seconds=7")
    assert file_budget() == FileBudget(bytes=8 * 2**30, names=20_000, seconds=7)


@pytest.mark.parametrize(
    "value",
    ["8G", "bytes", "bytes=", "bytes=x", "memory=8G", "bytes=0", "bytes=-1", "bytes=٣", "a=b=c"],
)
def test_a_variable_that_is_not_understood_is_said_in_one_line(monkeypatch, value, tmp_path):
    monkeypatch.setenv("GOOGLENET_BUDGET", value)
    with (
        pytest.raises(DataError, match=r"^GOOGLENET_BUDGET: expected NAME=NUMBER.*got .*$"),
        limited(tmp_path / "w", WeightsError),
    ):
        pass


def test_no_depth_is_given_that_python_cannot_bear(monkeypatch):
    monkeypatch.setenv("GOOGLENET_BUDGET", "depth=501")
    with pytest.raises(DataError, match="expected a depth of at most 500, got 501"):
        file_budget()


def test_no_axes_are_given_that_numpy_has_not(monkeypatch):
    monkeypatch.setenv("GOOGLENET_BUDGET", "axes=4K")
    with pytest.raises(DataError, match="expected at most 64 axes, got 4K"):
        file_budget()


@pytest.mark.parametrize(("what", "cap"), [("axes", 64), ("depth", 500)])
def test_what_a_message_says_to_set_can_be_set(what, cap, monkeypatch, tmp_path):
    for count in (70 if what == "depth" else 40, cap, cap + 1):
        with (
            limited(tmp_path / "w", DataError) as taken,
            pytest.raises(DataError, match="expected at most") as raised,
        ):
            getattr(taken, f"check_{what}")(count)
        _, said, advice = str(raised.value).partition("GOOGLENET_BUDGET=")
        assert bool(said) == (count <= cap)
        if said:
            monkeypatch.setenv("GOOGLENET_BUDGET", advice)
            with limited(tmp_path / "w", DataError) as taken:
                getattr(taken, f"check_{what}")(count)
            monkeypatch.delenv("GOOGLENET_BUDGET")


def test_memory_that_is_used_up_names_the_file(tmp_path):
    with (
        pytest.raises(WeightsError, match="w: takes more memory than is left"),
        limited(tmp_path / "w", WeightsError),
    ):
        raise MemoryError
    assert not isinstance(meter().path, type(tmp_path))  # nothing is left of it


def test_a_file_may_become_some_times_its_size_but_no_small_one_is_refused(tmp_path, monkeypatch):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"")
    with large.open("wb") as file:
        file.truncate(2**27)
    with limited(small, DataError) as taken:
        assert taken.budget.bytes == 256 * 2**20
    with limited(large, DataError) as taken:
        assert taken.budget.bytes == 2**30
    with large.open("r+b") as file:
        file.truncate(2**40)  # which takes no place on the disk
    with limited(large, DataError) as taken:
        assert taken.budget.bytes == 4 * 2**30
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=1M")  # said is said
    with limited(large, DataError) as taken:
        assert taken.budget.bytes == 2**20


def test_what_is_large_itself_may_be_copied():
    sizes = (0, 2**20, 2**28, 2**30, 2**32)
    assert [bytes_of(size, size) for size in sizes] == [2**28, 2**28, 2**31, 2**32, 2**34]
    assert bytes_of(2**40, 0) == 2**32


def test_what_is_taken_adds_up_and_is_of_the_outermost_file(tmp_path):
    with limited(tmp_path / "outer", WeightsError) as outer:
        outer.take_bytes(200 * 2**20)
        with limited(tmp_path / "inner", DataError):
            assert meter() is outer
            with pytest.raises(WeightsError, match=r"outer: asks for 314\.6 MB of memory"):
                meter().take_bytes(100 * 2**20)
    assert meter() is not outer


def test_reading_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    with limited(tmp_path / "w", WeightsError) as taken:
        late = time.monotonic() + 121
        monkeypatch.setattr(time, "monotonic", lambda: late)
        with pytest.raises(WeightsError, match=r"w: was not read within 120 seconds.*seconds=1200"):
            taken.take_names(1)


@pytest.mark.parametrize("shape", ["12", 3, None, [2.0], [True], [-1], [2**63], [[1]], ["1"]])
def test_only_shapes_are_shapes(shape):
    with pytest.raises(ValueError, match="expected a shape"):
        bounded_shape(shape)


def test_json_within_the_budget():
    assert bounded_json(b'{"a": [1, "[[[", {"b": "\\"]"}]}') == {"a": [1, "[[[", {"b": '"]'}]}
    for text in ("[" * 10**6, '{"a":' * 10**5, "[" * 65 + "]" * 65):
        with pytest.raises(DataError, match="objects nested 65 deep"):
            bounded_json(text)
    with pytest.raises(DataError, match="objects, expected at most 2000000"):
        bounded_json("[" + "0," * 2_100_000 + "0]")
    for text in ("", "[", '"', '"' + '\\"' * 10**6, b"\xff", "9" * 5000):
        with pytest.raises(ValueError, match=r".") as raised:
            bounded_json(text)
        assert not isinstance(raised.value, DataError)
