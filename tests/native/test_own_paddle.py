"""Users' own PaddlePaddle models in files: layers, functions of the images, and what goes wrong
with PaddlePaddle.
"""

import numpy as np
import pytest

import googlenet
from googlenet import ModelFileError, TraceError

MODELS = """
import paddle
from paddle import nn
from paddle.nn import functional as F

small = nn.Sequential(nn.Conv2D(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2D(1), nn.Flatten())
small.append(nn.Linear(4, 3))
FILTERS = paddle.create_parameter([4, 1, 3, 3], "float32")
SHIFT = paddle.create_parameter([4], "float32", is_bias=True)


def function(x):
    x = F.relu(F.conv2d(x, FILTERS, SHIFT))
    return small[4](x.mean([2, 3]))


@paddle.jit.to_static
def static(images):
    return small(images)


def branching(x):
    if x.mean() > 0:
        return small(x)
    return small(-x)


def two(x, y):
    return x + y


colour = nn.Conv2D(3, 4, 3)
half = nn.Conv2D(1, 4, 3).to(dtype="float16")
broken = nn.Conv2D(1, 4, 3)
broken.bias.set_value(paddle.full([4], float("nan")))
tensor = paddle.zeros([3])
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paddle.py").write_text(MODELS)  # a name that must not hide PaddlePaddle
    return tmp_path


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("small", {"conv_1": "net[0]", "dense_1": "net[4]"}),
        ("function", {"conv_1": "FILTERS", "dense_1": "small[4]"}),
        ("static", {"conv_1": "small[0]", "dense_1": "small[4]"}),
    ],
)
def test_a_model_or_a_function_of_the_images(place, framework, name, places):
    found = googlenet.own_network(f"paddle.py:{name}", input_shape=(1, 12, 10))
    assert found.places.items() >= places.items()
    assert found.params["dense_1.weight"].shape == (3, 4)
    assert np.abs(found.params["conv_1.weight"]).max() > 0
    report = googlenet.parity(f"paddle.py:{name}", [framework], input_shape=(1, 12, 10), count=16)
    assert report.passed


def test_a_function_that_depends_on_values_is_unclear(place):
    found = googlenet.check_file("paddle.py:branching", input_shape=(1, 32, 32))
    assert found.verdict == "unclear"
    assert found.reason.startswith("The model runs, but its path depends on the values of the imag")
    assert found.reason.endswith("if x.mean() > 0.")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("two", ModelFileError, "'two' needs the arguments `x`, `y`"),
        ("colour", TraceError, "cannot be run on images.*give `input_shape`"),
        ("half", TraceError, "net.weight is float16, with which nothing can be proved"),
        ("broken", TraceError, "net: its bias holds NaN"),
        ("tensor", ModelFileError, r"'tensor' is not a model of paddle, but a paddle\.Tensor"),
    ],
)
def test_what_cannot_be_traced(place, name, error, message):
    with pytest.raises(error, match=message):
        googlenet.own_network(f"paddle.py:{name}", input_shape=(1, 12, 10))
