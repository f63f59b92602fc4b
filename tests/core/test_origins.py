"""Which weights of a user's model are one: by the numbers of their elements."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from googlenet.backend.graph import Op
from googlenet.backend.origins import separated


class Parameters:
    """Arrays that are parts of one long parameter, with the numbers of their elements."""

    def __init__(self, size=12):
        self.values = np.random.default_rng(0).standard_normal(size).astype(np.float32)
        self.numbers = {}
        self.asked = []

    def part(self, *numbers, factor=1.0):
        array = self.values[list(numbers)] * np.float32(factor)
        self.numbers[id(array)] = np.array(numbers)
        return array

    def span(self, array):
        numbers = self.numbers[id(array)]
        return int(numbers.min()), int(numbers.max())

    def elements(self, array):
        self.asked.append(array)
        return self.numbers[id(array)]

    def separated(self, *arrays, origin="weight"):
        ops = [
            Op(f"op{n}", "dense", ("x",), (2, 1), {}, {"weight": array}, "", {"weight": origin})
            for n, array in enumerate(arrays)
        ]
        return separated(ops, self.span, self.elements)


@pytest.mark.parametrize("origin", ["weight", "free"])
def test_the_same_elements_in_the_same_order_are_one_object(origin):
    held = Parameters()
    first, second = held.part(0, 1, 2), held.part(0, 1, 2)
    one, other = held.separated(first, second, origin=origin)
    assert one.arrays["weight"] is first
    assert other.arrays["weight"] is first
    assert (one.origins["weight"], other.origins["weight"]) == (origin, origin)


@pytest.mark.parametrize(
    ("numbers", "factor"),
    [((2, 1, 0), 1), ((2, 3, 4), 1), ((1,), 1), ((0, 1, 2), -1)],
    ids=["turned", "one in common", "a part", "negated"],
)
def test_elements_in_common_otherwise_are_tied(numbers, factor):
    held = Parameters()
    first, second = held.part(0, 1, 2), held.part(*numbers, factor=factor)
    one, other = held.separated(first, second)
    assert (one.origins["weight"], other.origins["weight"]) == ("weight", "tied")
    assert other.arrays["weight"] is second


def test_what_is_apart_is_not_numbered():
    held = Parameters()
    ops = held.separated(held.part(0, 1), held.part(2, 3))
    assert [each.origins["weight"] for each in ops] == ["weight", "weight"]
    assert held.asked == []


def test_spans_that_overlap_may_have_no_element_in_common():
    held = Parameters()
    ops = held.separated(held.part(0, 2, 4), held.part(1, 3, 5))
    assert [each.origins["weight"] for each in ops] == ["weight", "weight"]


def test_constants_and_unknown_arrays_have_nothing_in_common():
    held = Parameters()
    ops = held.separated(held.part(0, 1), held.part(0, 1), origin="constant")
    assert [each.origins["weight"] for each in ops] == ["constant", "constant"]
    arrays = [op.arrays["weight"] for op in ops]
    ops = [
        Op("a", "dense", ("x",), (2, 1), {}, {"weight": a}, "", {"weight": "weight"})
        for a in arrays
    ]
    found = separated(ops, lambda array: None, held.elements)
    assert [each.origins["weight"] for each in found] == ["weight", "weight"]
    assert found[0].arrays["weight"] is not found[1].arrays["weight"]


@given(st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=4, unique=True), max_size=6))
def test_weights_have_no_element_in_common(parts):
    """Whatever is still called a weight, and is not the same object."""
    held = Parameters()
    arrays = [held.part(*numbers) for numbers in parts]
    found = held.separated(*arrays)
    kept = {}
    for op, numbers in zip(found, parts, strict=True):
        if op.origins["weight"] == "weight":
            assert kept.setdefault(id(op.arrays["weight"]), numbers) == numbers
    every = [number for numbers in kept.values() for number in numbers]
    assert len(every) == len(set(every))
