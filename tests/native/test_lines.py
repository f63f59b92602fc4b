"""The line of the user's that calls a function is shown where there is no layer object."""

import googlenet
from googlenet.checking.causes import Cause
from googlenet.spec.layers import (
    NO_PADDING,
    Conv,
    Dense,
    GlobalAvgPool,
    MaxPool,
    Network,
    ReLU,
    Sequential,
)

NETWORK = Network(
    "small",
    Sequential(
        (
            ("conv", Conv(4, (3, 3), (1, 1), NO_PADDING, 1, False)),
            ("pool", MaxPool((3, 3), (2, 2), NO_PADDING, False)),
            ("relu", ReLU()),
            ("head", GlobalAvgPool()),
            ("dense", Dense(10, True)),
        )
    ),
    (1, 16, 16),
    "a test",
)
FILES = {
    "torch": """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 1, 3, 3) - 0.5)
        self.dense = nn.Linear(4, 10)

    def forward(self, x):
        x = F.conv2d(x, self.weight)
        x = torch.sigmoid(x)
        return self.dense(x.mean((2, 3)))


net = Net()
""",
    "tensorflow": """
import keras
import tensorflow as tf


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.random.uniform((3, 3, 1, 4), -0.5, 0.5))
        self.dense = keras.layers.Dense(10)

    def call(self, x):
        x = tf.nn.conv2d(x, self.weight, 1, "VALID")
        x = tf.sigmoid(x)
        return self.dense(tf.reduce_mean(x, (1, 2)))


net = Net()
""",
    "mxnet": """
import mxnet as mx
from mxnet import nd
from mxnet.gluon import nn


class Net(nn.Block):
    def __init__(self):
        super().__init__()
        self.weight = self.params.get("weight", shape=(4, 1, 3, 3), init=mx.init.Uniform(0.5))
        self.dense = nn.Dense(10)

    def forward(self, x):
        weight = self.weight.data()
        x = nd.Convolution(x, weight, kernel=(3, 3), num_filter=4, no_bias=True)
        x = nd.sigmoid(x)
        return self.dense(x.mean(axis=(2, 3)))


net = Net()
net.initialize()
""",
    "paddle": """
import paddle
from paddle import nn
from paddle.nn import functional as F


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.weight = self.create_parameter((4, 1, 3, 3))
        self.dense = nn.Linear(4, 10)

    def forward(self, x):
        x = F.conv2d(x, self.weight)
        x = F.sigmoid(x)
        return self.dense(x.mean((2, 3)))


net = Net()
""",
    "mindspore": """
import mindspore as ms
import numpy as np
from mindspore import nn, ops


class Net(nn.Cell):
    def __init__(self):
        super().__init__()
        self.weight = ms.Parameter(np.random.rand(4, 1, 3, 3).astype(np.float32) - 0.5)
        self.dense = nn.Dense(4, 10)

    def construct(self, x):
        x = ops.conv2d(x, self.weight)
        x = ops.sigmoid(x)
        return self.dense(x.mean((2, 3)))


net = Net()
""",
}


def test_the_line_of_a_call_is_shown(framework, tmp_path, monkeypatch):
    code = FILES[framework]
    lines = code.splitlines()
    conv, activation = (
        next(f"mine.py:{n}  {line.strip()}" for n, line in enumerate(lines, 1) if word in line)
        for word in ("conv2d(" if framework != "mxnet" else "Convolution(", "sigmoid(")
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(code)
    found = googlenet.check_file("mine.py:net", against=NETWORK)
    rows = {each.cause: each.rows() for each in found.differences}
    assert set(rows) == {Cause.MISSING_POOL, Cause.ACTIVATION}
    assert rows[Cause.MISSING_POOL][0] == ("after", conv)
    assert rows[Cause.ACTIVATION][0] == ("yours", activation)
    first, second = found.to_json()["differences"]
    assert (first["source"]["where"], second["source"]["where"]) == ("after", "yours")
    assert [each.rows() for each in type(found).from_json(found.to_json()).differences] == list(
        rows.values()
    )
