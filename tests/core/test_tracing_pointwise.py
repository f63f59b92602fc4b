"""ReLUs that are made of several operations."""

import numpy as np
import pytest

from googlenet.spec.layers import ReLU
from googlenet.tracing.evaluate import evaluate
from googlenet.tracing.tree import Fork, steps

from .graphs import array, conv, layers, lifted, op

FORMS = {
    "half of x + |x|": [
        op("a", "abs", "c"),
        op("s", "add", "c", "a"),
        op("o", "mul", "s", factor=0.5),
    ],
    "a mask": [op("g", "greater", "c", number=0.0), op("o", "multiply", "c", "g")],
    "x - min(x, 0)": [
        op("m", "clip", "c", low=-np.inf, high=0.0),
        op("o", "add", "c", "m", factor=-1.0),
    ],
    "-min(-x, 0)": [
        op("n", "mul", "c", factor=-1.0),
        op("m", "clip", "n", low=-np.inf, high=0.0),
        op("o", "mul", "m", factor=-1.0),
    ],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_several_operations_that_are_a_relu_are_one(form):
    tree = lifted(conv("c", "images"), *form)
    assert layers(tree)[1:] == [ReLU()]
    images = array(2, 3, 7, 6).astype(np.float64)
    (found,), (plain,) = evaluate(tree, images), evaluate(tree[:1], images)
    np.testing.assert_array_equal(found, np.maximum(plain, 0))


OTHERS = {
    "a threshold": [op("g", "greater", "c", number=1e-4), op("o", "multiply", "c", "g")],
    "a bound that is far": [
        op("n", "mul", "c", factor=-1.0),
        op("m", "clip", "n", low=-1e30, high=0.0),
        op("o", "mul", "m", factor=-1.0),
    ],
    "a bound by itself": [op("o", "clip", "c", low=0.0, high=1e39), op("p", "abs", "o")],
    "nearly half": [
        op("a", "abs", "c"),
        op("s", "add", "c", "a"),
        op("o", "mul", "s", factor=0.5 + 1e-12),
    ],
    "a slope far below 0": [
        op("m", "clip", "c", low=-np.inf, high=-100.0),
        op("p", "clip", "c", low=-100.0, high=np.inf),
        op("q", "relu", "p"),
        op("o", "add", "m", "q"),
    ],
    "another value's mask": [
        conv("d", "images"),
        op("g", "greater", "d", number=0.0),
        op("o", "multiply", "c", "g"),
    ],
    "ReLU, then dropout": [op("r", "relu", "c"), op("o", "dropout", "r", rate=0.5, active=False)],
    "two ReLUs": [op("r", "relu", "c"), op("o", "relu", "r")],
    "a bound that a ReLU keeps": [
        op("r", "relu", "c"),
        op("o", "clip", "r", low=-1.0, high=np.inf),
    ],
}


@pytest.mark.parametrize("form", OTHERS.values(), ids=OTHERS)
def test_what_is_only_near_to_a_relu_or_more_than_one_stays(form):
    tree = lifted(conv("c", "images"), *form)
    assert len(list(steps(tree))) > 2 or any(isinstance(each, Fork) for each in tree)
