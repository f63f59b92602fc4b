"""A layer's spelling as data: what a `Call` takes, and what it does with it."""

from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest

from googlenet.backend.call import Call, options


def test_a_call_is_evaluated_with_what_the_adapter_adds():
    call = Call(Fraction, (3,), {"denominator": 4})
    assert call.evaluate() == Fraction(3, 4)
    assert Call(OrderedDict, ()).evaluate(name="b1") == {"name": "b1"}


def test_a_call_prints_as_it_would_be_written():
    call = Call(Fraction, (3, (1, 7)), {"padding": "same", "bias": None})
    assert str(call) == 'Fraction(3, (1, 7), padding="same", bias=None)'
    assert call.written("a.b").startswith("a.b(3, ")
    assert str(Call(Fraction, ((2,), 1 - 0.9997))) == "Fraction((2,), 1 - 0.9997)"


def test_equal_calls_are_one_key():
    first, second = (Call(Fraction, (3,), {"b": 1, "a": 2}) for _ in range(2))
    assert {first: "once"}[second] == "once"
    assert first != Call(Fraction, (3,), {"b": 1, "a": 3})


@pytest.mark.parametrize("value", [np.zeros(3), [1, 2], {"a": 1}, object(), (1, (2, np.zeros(1)))])
def test_arguments_are_data(value):
    for call in (lambda: Call(Fraction, (value,)), lambda: Call(Fraction, (), {"a": value})):
        with pytest.raises(TypeError, match="Fraction: expected numbers, strings, None or tuples"):
            call()


def test_numbers_of_numpy_are_numbers():
    assert Call(Fraction, (np.float64(0.5),)).evaluate() == Fraction(1, 2)


def test_options_leave_out_what_is_the_default():
    assert options(stride=(2, 1), padding=(0, 0), bias=(False, True)) == {
        "stride": 2,
        "bias": False,
    }
