"""Users' own MXNet models in files: functions of arrays, and what goes wrong with MXNet."""

import pytest

import googlenet
from googlenet import ModelFileError, TraceError

FILE = """
import mxnet as mx
from mxnet import autograd, nd
from mxnet.gluon import nn

w1, b1 = nd.random.normal(0, 0.2, (4, 1, 3, 3)), nd.zeros(4)
w2, b2 = nd.random.normal(0, 0.2, (4, 3)), nd.zeros(3)
for each in (w1, b1, w2, b2):
    each.attach_grad()


def scratch(images):
    x = nd.relu(nd.Convolution(images, w1, b1, kernel=(3, 3), num_filter=4))
    return nd.dot(x.mean(axis=(2, 3)), w2) + b2


conv, dense = nn.Conv2D(4, 3, activation="relu"), nn.Dense(3)


def layers(x):
    return dense(nd.Pooling(conv(x), global_pool=True, pool_type="avg"))


small = nn.HybridSequential()
small.add(nn.Conv2D(4, 3, activation="relu"), nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(3))
colour = nn.Conv2D(4, 3, in_channels=3)
wrong = nn.Dense(3, in_units=2)


def of(channels):
    return nn.Conv2D(channels, 3)


def runs():
    wrong.initialize()
    wrong(nd.zeros((1, 3)))


def values(x):
    return scratch(x if x.sum().asscalar() > 0 else -x)


symbol = mx.sym.var("x")
loss = nd.zeros(3)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mxnet.py").write_text(FILE)  # a name that must not hide MXNet
    return tmp_path


@pytest.mark.parametrize(
    ("name", "places"), [("scratch", {"w1", "w2"}), ("layers", {"conv", "dense"})]
)
def test_a_function_of_arrays_is_a_model(place, name, places):
    found = googlenet.own_network(f"mxnet.py:{name}", input_shape=(1, 12, 10))
    assert places <= set(found.places.values())
    same = googlenet.diff(f"mxnet.py:{name}", "mxnet.py:small", input_shape=(1, 12, 10), count=1)
    assert same.differences == ()
    assert same.movement.logits == 0


def test_parity_proves_a_users_model_with_its_own_weights(place, framework):
    report = googlenet.parity("mxnet.py:scratch", [framework], input_shape=(1, 12, 10), count=16)
    assert report.passed


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("colour", TraceError, r"Shape inconsistent.*\); for images of another shape give `inp"),
        ("of", TraceError, "'of' needs the argument 'channels', so it was called with the images"),
        ("runs", ModelFileError, "in runs: MXNetError: Shape inconsistent, Provided = "),
        ("values", TraceError, "mxnet: the model computes something else for other images"),
        ("symbol", TraceError, "expected a gluon Block or a function of arrays, got Symbol"),
        ("loss", ModelFileError, "'loss' is not a model of mxnet, but an? mxnet.ndarray"),
    ],
)
def test_what_cannot_be_traced(place, name, error, message):
    with pytest.raises(error, match=message):
        googlenet.own_network(f"mxnet.py:{name}", input_shape=(1, 12, 10))
