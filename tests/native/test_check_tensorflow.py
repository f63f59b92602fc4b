"""Users' own TensorFlow code, checked: what is written otherwise is the same, and what is the same
only at some weights or values is not.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

import googlenet
from googlenet import spec
from googlenet.checking.causes import Cause
from googlenet.spec import blocks

# Keras, of a model of which a layer was replaced or is never called.
pytestmark = pytest.mark.filterwarnings("ignore:`build.*was called on layer:UserWarning")

#: GoogLeNet's kinds of layers, but fewer, so that it is traced in a moment.
SMALL = spec.Network(
    "small",
    blocks.sequential(
        conv1=blocks.conv(8, 7, 2, 3),
        pool1=blocks.max_pool(3, 2, 1),
        conv2=blocks.conv(9, 1),
        conv3=blocks.conv(12, 3, 1, 1),
        pool2=blocks.max_pool(3, 2, 1),
        b3=blocks.inception(6, 5, 7, 3, 4, 5),
        pool3=blocks.max_pool(3, 2, 1),
        b4=blocks.inception(7, 4, 6, 3, 5, 4),
        pool=spec.GlobalAvgPool(),
        dense=spec.Dense(10, bias=True),
    ),
    (1, 64, 64),
    "this test",
)
COUNT = googlenet.count_parameters(SMALL)


def conv(channels, kernel=1, **more):
    return L.Conv2D(channels, kernel, padding="same", **more)


def pool(x, stride=2):
    """3×3 with −∞ around it, as the spec has it at any size."""
    around = [[0, 0], [1, 1], [1, 1], [0, 0]]
    return tf.nn.max_pool2d(x, 3, stride, around)


class Block(L.Layer):
    def __init__(self, c1, c2, c3, c4):
        super().__init__()
        self.p1, self.p4 = conv(c1), conv(c4)
        self.p2_1, self.p2_2 = conv(c2[0]), conv(c2[1], 3)
        self.p3_1, self.p3_2 = conv(c3[0]), conv(c3[1], 5)

    def branches(self, x):
        return (
            self.p1(x),
            self.p2_2(tf.nn.relu(self.p2_1(x))),
            self.p3_2(tf.nn.relu(self.p3_1(x))),
            self.p4(pool(x, 1)),
        )

    def call(self, x):
        return tf.concat([tf.nn.relu(each) for each in self.branches(x)], -1)


class Net(keras.Model):
    """`SMALL` as a reader may write it."""

    block = Block

    def __init__(self):
        super().__init__()
        self.pad, self.c1 = L.ZeroPadding2D(3), L.Conv2D(8, 7, 2)
        self.c2, self.c3 = conv(9), conv(12, 3)
        self.b3, self.b4 = self.block(6, (5, 7), (3, 4), 5), self.block(7, (4, 6), (3, 5), 4)
        self.fc = L.Dense(10)
        self.more()

    def more(self):
        """Further layers."""

    def first(self, x):
        return tf.nn.relu(self.c2(pool(tf.nn.relu(self.c1(self.pad(x))))))

    def stem(self, x):
        return pool(tf.nn.relu(self.c3(self.first(x))))

    def body(self, x):
        return self.b4(pool(self.b3(self.stem(x))))

    def head(self, x):
        return self.fc(tf.reduce_mean(x, [1, 2]))

    def call(self, x, training=False):
        return self.head(self.body(x))


def checked(model):
    return googlenet.check(model, "tensorflow", against=SMALL, input_shape=SMALL.input_shape)


def made(**methods):
    """`Net` with other methods."""
    return type("Other", (Net,), methods)()


def variable(*shape, low=-0.1, high=0.1, **more):
    values = np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)
    return tf.Variable(values, **more)


class ReluAfterAll(Block):
    def call(self, x):
        return tf.nn.relu(tf.concat(self.branches(x), -1))


def second(more, weights):
    """The second convolution with the weight and bias that `weights` gives, after `more`."""

    def first(net, x):
        weight, bias = weights(net)
        x = pool(tf.nn.relu(net.c1(net.pad(x))))
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, weight, 1, "SAME"), bias))

    def with_more(net):
        del net.c2
        more(net)

    return {"more": with_more, "first": first}


def flat(net):
    net.flat = variable(8 * 9 + 9)


def part(size):
    """A model of which one variable holds the weights of a layer."""
    return second(
        flat, lambda net: (tf.reshape(net.flat[: 8 * 9], (1, 1, 8, 9)), net.flat[size:][:9])
    )


def pair(net):
    net.weight, net.bias = variable(8, 9), variable(9)


def turned(net):
    weight = tf.transpose(tf.stack(tf.unstack(net.weight, axis=0), 1))  # there and back
    return tf.expand_dims(tf.expand_dims(weight, 0), 0), tf.squeeze(net.bias[None])


def relu_as(function):
    """The second ReLU written as a function."""
    return {
        "first": lambda net, x: function(net.c2(pool(tf.nn.relu(net.c1(net.pad(x)))))),
    }


def activated(layer):
    """The second ReLU as a layer."""
    return {
        "more": lambda net: setattr(net, "act", layer()),
        "first": lambda net, x: net.act(net.c2(pool(tf.nn.relu(net.c1(net.pad(x)))))),
    }


def in_training(net, x, training=False):
    """Dropout where the code asks itself whether it trains."""
    x = tf.reduce_mean(net.body(x), [1, 2])
    return net.fc(net.drop(x, training=training) if training else x)


SAME = {
    "plain": {},
    "matmul": {
        "head": lambda net, x: (
            tf.matmul(tf.reduce_mean(x, [1, 2]), net.fc.kernel) + net.fc.bias
            if net.fc.built
            else Net.head(net, x)
        )
    },
    "a sum divided": {
        "head": lambda net, x: net.fc(tf.reduce_sum(x, [1, 2]) / (x.shape[1] * x.shape[2]))
    },
    "ReLU behind the concatenation": {"block": ReluAfterAll},
    "parts of one variable": part(8 * 9),
    "a weight turned about": second(pair, turned),
    "times one": {"head": lambda net, x: net.fc(tf.reduce_mean(x, [1, 2])) * 1.0},
    "a choice by sign": relu_as(lambda x: tf.where(x > 0, x, tf.zeros_like(x))),
    "half of x + |x|": relu_as(lambda x: (x + keras.ops.abs(x)) * 0.5),
    "frozen for now": {"more": lambda net: setattr(net.b3, "trainable", False)},
}


@pytest.mark.parametrize("methods", SAME.values(), ids=SAME)
def test_written_otherwise_is_the_same(methods):
    found = checked(made(**methods))
    assert found, str(found)
    assert found.proved
    assert not found.differences
    assert found.parameters == (COUNT, COUNT)


def bias_of(make):
    """The first convolution's bias added by hand: what `make` gives."""

    def more(net):
        net.c1 = L.Conv2D(8, 7, 2, use_bias=False)
        net.given = make()

    def first(net, x):
        return tf.nn.relu(net.c2(pool(tf.nn.relu(net.c1(net.pad(x)) + net.given))))

    return {"more": more, "first": first}


def after_stem(make, function):
    """A variable of `make`, and the stem's result through `function` with it."""

    def more(net):
        net.given = tf.Variable(make())

    def stem(net, x):
        return function(Net.stem(net, x), net.given)

    return {"more": more, "stem": stem}


def masked(net):
    mask = tf.constant(np.tri(8, 9, dtype=np.float32))
    return (net.weight * mask)[None, None], net.bias


def normed(net):
    weight = net.weight / tf.norm(net.weight, axis=0, keepdims=True)
    return weight[None, None], net.bias


def lone(net):
    net.weight, net.bias = variable(9), variable(9)


def frozen(net):
    net.weight, net.bias = variable(1, 1, 8, 9, trainable=False), variable(9)


DIFFERENT = {
    "a trained factor of one": (
        after_stem(lambda: tf.ones(()), tf.multiply),
        Cause.EXTRA,
        "a trained factor",
    ),
    "trained factors of one": (
        after_stem(lambda: tf.ones(12), tf.multiply),
        Cause.EXTRA,
        "an array of trained factors",
    ),
    "trained offsets of zero": (
        after_stem(lambda: tf.zeros(12), tf.add),
        Cause.EXTRA,
        "an array of trained offsets",
    ),
    "a bias that is a number": (bias_of(lambda: 1.0), Cause.FIXED, "its bias is no parameter"),
    "a bias that is a constant": (
        bias_of(lambda: tf.linspace(0.0, 1.0, 8)),
        Cause.FIXED,
        "its bias is no parameter",
    ),
    "a weight that is not trained": (
        second(frozen, lambda net: (net.weight, net.bias)),
        Cause.FIXED,
        "its weight is no parameter",
    ),
    "one bias for all channels": (
        bias_of(lambda: tf.Variable([0.0])),
        Cause.TIED,
        "its bias is one number for all channels",
    ),
    "a filled bias": (
        second(pair, lambda net: (net.weight[None, None], tf.repeat(net.bias[:1], 9))),
        Cause.TIED,
        "its bias is one number for all channels",
    ),
    "one row for all": (
        second(lone, lambda net: (tf.tile(net.weight[None, None, None], [1, 1, 8, 1]), net.bias)),
        Cause.TIED,
        "several times",
    ),
    "parts that overlap": (part(0), Cause.TIED, "numbers in common"),
    "dropout of channels": (
        {
            "more": lambda net: setattr(net, "drop", L.SpatialDropout2D(0.4)),
            "head": lambda net, x: Net.head(net, net.drop(x)),
        },
        Cause.DROPOUT,
        "a dropout of whole channels",
    ),
    "dropout that always acts": (
        {"head": lambda net, x: net.fc(tf.nn.dropout(tf.reduce_mean(x, [1, 2]), 0.4))},
        Cause.DROPOUT,
        "also active in evaluation",
    ),
    "dropout if it trains": (
        {"more": lambda net: setattr(net, "drop", L.Dropout(0.4)), "call": in_training},
        Cause.DROPOUT,
        "a dropout layer",
    ),
    "other dropout": (
        {
            "more": lambda net: setattr(net, "drop", L.GaussianDropout(0.4)),
            "head": lambda net, x: Net.head(net, net.drop(x)),
        },
        Cause.DROPOUT,
        "a Gaussian dropout",
    ),
    "a threshold": (
        activated(lambda: L.ReLU(threshold=0.01)),
        Cause.UNKNOWN,
        "a 'tf.SelectV2' where the spec has a ReLU",
    ),
    "an activation that nobody knows": (
        relu_as(tf.exp),
        Cause.UNKNOWN,
        "a 'tf.Exp' where the spec has a ReLU",
    ),
    "trained slopes": (activated(L.PReLU), Cause.ACTIVATION, "a PReLU where"),
    "bounds that are never reached": (
        {"head": lambda net, x: tf.clip_by_value(Net.head(net, x), -1e6, 1e6)},
        Cause.EXTRA_ACTIVATION,
        "a clip to",
    ),
    "the largest for the mean": (
        {"head": lambda net, x: net.fc(tf.reduce_max(x, [1, 2]))},
        Cause.POOL,
        "where the spec has",
    ),
}


@pytest.mark.parametrize(("methods", "cause", "words"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_same_at_some_weights_only_is_another(methods, cause, words):
    found = checked(made(**methods))
    assert found.verdict == "different", str(found)
    (difference,) = found.differences
    assert difference.cause is cause
    assert words in difference.words
    assert found.proved


@pytest.mark.parametrize("weights", [masked, normed], ids=["times a mask", "weight normalisation"])
def test_computed_weights_are_unclear(weights):
    found = checked(made(**second(pair, weights)))
    assert found.verdict == "unclear"
    assert [each.cause for each in found.differences] == [Cause.COMPUTED]


def test_what_no_output_depends_on_is_mentioned():
    """Layers that were built, or never called, and raw variables."""

    def more(net):
        net.old = keras.Sequential([L.Dense(5), L.Dense(3)])
        net.older = L.Dense(3)
        net.older.build((None, 4))
        net.relu = L.ReLU()
        net.left = variable(3)
        net.counter = tf.Variable(0, trainable=False)

    found = checked(made(more=more))
    assert found
    places = [each.place for each in found.mentions]
    assert sorted(places) == ["net.left", "net.old", "net.older"]
    assert {each.cause for each in found.mentions} == {Cause.UNUSED}


@pytest.mark.parametrize(("axis", "of"), [(1, "row"), (2, "column")])
def test_a_batch_norm_along_another_axis_is_told_as_that(axis, of):
    against = spec.Network(
        "norm",
        blocks.sequential(c=blocks.conv(6, 3), b=spec.BatchNorm(1e-3, 0.1, True)),
        (1, 16, 15),
        "this test",
    )
    norm = L.BatchNormalization(axis=axis)
    model = keras.Sequential([keras.Input((16, 15, 1)), L.Conv2D(6, 3, activation="relu"), norm])
    found = googlenet.check(model, "tensorflow", against=against)
    (difference,) = found.differences
    assert difference.words == (
        f"net.layers[1] = b: a batch norm of each {of} where the spec has a batch norm"
    )
    assert found.proved
