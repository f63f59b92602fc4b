"""Users' own PaddlePaddle code, checked: what is written otherwise is the same, and what is so only
at some weights or values is another function.
"""

import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

import googlenet
from googlenet import TraceError
from googlenet.checking.causes import Cause

SHAPE = (1, 64, 64)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _seed():
    paddle.seed(0)


class Block(nn.Layer):
    def __init__(self, given, c1, c2, c3, c4):
        super().__init__()
        self.p1 = nn.Conv2D(given, c1, 1)
        self.p2_1, self.p2_2 = nn.Conv2D(given, c2[0], 1), nn.Conv2D(*c2, 3, padding=1)
        self.p3_1, self.p3_2 = nn.Conv2D(given, c3[0], 1), nn.Conv2D(*c3, 5, padding=2)
        self.pool, self.p4 = nn.MaxPool2D(3, 1, 1), nn.Conv2D(given, c4, 1)

    def forward(self, x):
        one = self.p1(x)
        two = self.p2_2(F.relu(self.p2_1(x)))
        three = self.p3_2(F.relu(self.p3_1(x)))
        four = self.p4(self.pool(x))
        return paddle.concat([F.relu(each) for each in (one, two, three, four)], 1)


class Net(nn.Layer):
    """GoogLeNet as a reader may write it."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2D(1, 64, 7, 2, 3), nn.Conv2D(64, 64, 1)
        self.c3, self.pool = nn.Conv2D(64, 192, 3, padding=1), nn.MaxPool2D(3, 2, 1)
        self.b3 = nn.Sequential(
            Block(192, 64, (96, 128), (16, 32), 32),
            Block(256, 128, (128, 192), (32, 96), 64),
        )
        self.b4 = nn.Sequential(
            Block(480, 192, (96, 208), (16, 48), 64),
            Block(512, 160, (112, 224), (24, 64), 64),
            Block(512, 128, (128, 256), (24, 64), 64),
            Block(512, 112, (144, 288), (32, 64), 64),
            Block(528, 256, (160, 320), (32, 128), 128),
        )
        self.b5 = nn.Sequential(
            Block(832, 256, (160, 320), (32, 128), 128),
            Block(832, 384, (192, 384), (48, 128), 128),
        )
        self.fc = nn.Linear(1024, 10)
        self.more()

    def more(self):
        """Further layers."""

    def first(self, x):
        return F.relu(self.c2(self.pool(F.relu(self.c1(x)))))

    def stem(self, x):
        return self.pool(F.relu(self.c3(self.first(x))))

    def body(self, x):
        return self.b5(self.pool(self.b4(self.pool(self.b3(self.stem(x))))))

    def head(self, x):
        return self.fc(x.mean([2, 3]))

    def forward(self, x):
        return self.head(self.body(x))


def checked(model, against="googlenet", shape=SHAPE):
    return googlenet.check(model, "paddle", against=against, input_shape=shape)


def made(**methods):
    """`Net` with other methods."""
    return type("Other", (Net,), methods)()


def part(start, cut=lambda flat, start, end: flat[start:end]):
    """A model of which one parameter holds the weights of a layer, the bias from `start` on."""

    def more(net):
        net.flat = net.create_parameter([64 * 64 + 64])
        del net.c2

    def first(net, x):
        weight = cut(net.flat, 0, 64 * 64).reshape([64, 64, 1, 1])
        bias = cut(net.flat, start, start + 64)
        return F.relu(F.conv2d(net.pool(F.relu(net.c1(x))), weight, bias))

    return {"more": more, "first": first}


def frozen(net):
    for each in net.c2.parameters():
        each.stop_gradient = True


def relu_as(function):
    """The second ReLU written as a function."""
    return {"first": lambda net, x: function(net.c2(net.pool(F.relu(net.c1(x)))))}


SAME = {
    "plain": {},
    "matmul": {"head": lambda net, x: x.mean([2, 3]) @ net.fc.weight + net.fc.bias},
    "addmm": {"head": lambda net, x: paddle.addmm(net.fc.bias, x.mean([2, 3]), net.fc.weight)},
    "einsum": {
        "head": lambda net, x: (
            paddle.einsum("nc,co->no", F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0], net.fc.weight)
            + net.fc.bias
        ),
    },
    "a sum divided": {"head": lambda net, x: net.fc(x.sum([2, 3]) / (x.shape[2] * x.shape[3]))},
    "parts of one parameter": part(64 * 64),
    "parts by a function": part(
        64 * 64, lambda flat, start, end: paddle.slice(flat, [0], [start], [end])
    ),
    "parts of a list": {
        **part(64 * 64),
        "first": lambda net, x: F.relu(
            F.conv2d(
                net.pool(F.relu(net.c1(x))),
                *(
                    each.reshape(shape)
                    for each, shape in zip(
                        net.flat.split([64 * 64, 64]), ([64, 64, 1, 1], [64]), strict=True
                    )
                ),
            )
        ),
    },
    "half of x + |x|": relu_as(lambda x: (x + x.abs()) / 2),
    "a mask": relu_as(lambda x: x * (x > 0).astype(x.dtype)),
    "a choice by sign": relu_as(lambda x: paddle.where(x > 0, x, paddle.zeros_like(x))),
    "x - min(x, 0)": relu_as(lambda x: x - paddle.minimum(x, paddle.zeros_like(x))),
    "times one": {"head": lambda net, x: net.fc(x.mean([2, 3])) * 1.0},
    "frozen for now": {"more": frozen},
}


@pytest.mark.parametrize("methods", SAME.values(), ids=SAME)
def test_written_otherwise_is_the_same(methods):
    found = checked(made(**methods))
    assert found, str(found)
    assert found.proved
    assert not found.differences
    assert found.parameters == (5_977_530, 5_977_530)


def bias_of(make):
    """The first convolution's bias added by hand: what `make` gives."""

    def more(net):
        net.c1 = nn.Conv2D(1, 64, 7, 2, 3, bias_attr=False)
        net.given = make()

    def first(net, x):
        return F.relu(net.c2(net.pool(F.relu(net.c1(x) + net.given))))

    return {"more": more, "first": first}


def parameter(shape, value):
    return paddle.create_parameter(
        shape, "float32", default_initializer=nn.initializer.Constant(value)
    )


def after_stem(make, function):
    """A parameter of `make`, and the stem's result through `function` with it."""

    def more(net):
        net.given = make()

    def stem(net, x):
        return function(Net.stem(net, x), net.given)

    return {"more": more, "stem": stem}


def buffer(net):
    """The weight of a layer is a buffer, in which no training changes it."""
    weight = net.c2.weight.detach()
    del net.c2.weight
    net.c2.register_buffer("weight", weight)


def constant(net, x):
    """A weight that is made in each pass."""
    weight = paddle.full([64, 64, 1, 1], 0.1)
    return F.relu(F.conv2d(net.pool(F.relu(net.c1(x))), weight, net.c2.bias))


def dropped(layer):
    """A layer before the classifier."""
    return {
        "more": lambda net: setattr(net, "drop", layer),
        "head": lambda net, x: net.fc(net.drop(x.mean([2, 3]))),
    }


DIFFERENT = {
    "a trained factor of one": (
        after_stem(lambda: parameter([], 1.0), paddle.multiply),
        Cause.EXTRA,
        "a trained factor",
    ),
    "a trained scale": (
        after_stem(lambda: parameter([1], 1.0), lambda x, given: paddle.scale(x, given)),
        Cause.EXTRA,
        "a trained factor",
    ),
    "trained factors of one": (
        after_stem(lambda: parameter([192, 1, 1], 1.0), lambda x, given: given * x),
        Cause.EXTRA,
        "an array of trained factors",
    ),
    "a trained divisor": (
        after_stem(lambda: parameter([192, 1, 1], 1.0), lambda x, given: x / given),
        Cause.EXTRA,
        "an array of trained factors",
    ),
    "trained offsets of zero": (
        after_stem(lambda: parameter([192, 1, 1], 0.0), paddle.add),
        Cause.EXTRA,
        "an array of trained offsets",
    ),
    "a bias that is a number": (bias_of(lambda: 1.0), Cause.FIXED, "its bias is no parameter"),
    "a bias that is a tensor": (
        bias_of(lambda: paddle.linspace(0, 1, 64).reshape([-1, 1, 1])),
        Cause.FIXED,
        "its bias is no parameter",
    ),
    "a weight that is a buffer": ({"more": buffer}, Cause.FIXED, "its weight is no parameter"),
    "a weight that is made": ({"first": constant}, Cause.FIXED, "its weight is no parameter"),
    "one bias for all channels": (
        bias_of(lambda: parameter([1], 0.0)),
        Cause.TIED,
        "its bias is one number for all channels",
    ),
    "an expanded bias": (
        after_stem(lambda: parameter([1], 0.0), lambda x, given: x)
        | {"head": lambda net, x: F.linear(x.mean([2, 3]), net.fc.weight, net.given.expand([10]))},
        Cause.TIED,
        "its bias",
    ),
    "dropout if it trains": (
        {
            "head": lambda net, x: net.fc(
                F.dropout(x.mean([2, 3]), 0.5) if net.training else x.mean([2, 3])
            )
        },
        Cause.DROPOUT,
        "a dropout layer",
    ),
    "dropout of channels by a function": (
        {"head": lambda net, x: net.fc(F.dropout2d(x, 0.4, net.training).mean([2, 3]))},
        Cause.DROPOUT,
        "a dropout of whole channels",
    ),
    "alpha dropout": (dropped(nn.AlphaDropout(0.4)), Cause.DROPOUT, "an alpha dropout"),
    "dropout of the same features": (
        dropped(nn.Dropout(0.4, axis=1)),
        Cause.DROPOUT,
        "'paddle.dropout'",
    ),
    "parts that overlap": (part(0), Cause.TIED, "numbers in common"),
    "the largest for the mean": (
        {"head": lambda net, x: net.fc(F.adaptive_max_pool2d(x, 1).flatten(1))},
        Cause.POOL,
        "max pool",
    ),
    "bounds that are never reached": (
        {"head": lambda net, x: Net.head(net, x).clip(-1e6, 1e6)},
        Cause.EXTRA_ACTIVATION,
        "a clip to",
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


def normed(net):
    net.c2 = nn.utils.weight_norm(net.c2)


COMPUTED = {
    "a triangle": {
        "head": lambda net, x: F.linear(x.mean([2, 3]), paddle.tril(net.fc.weight), net.fc.bias)
    },
    "a mask": {
        "more": lambda net: setattr(net, "mask", paddle.ones([1024, 10])),
        "head": lambda net, x: F.linear(x.mean([2, 3]), net.mask * net.fc.weight, net.fc.bias),
    },
    "weight norm": {"more": normed},
}


@pytest.mark.parametrize("methods", COMPUTED.values(), ids=COMPUTED)
def test_computed_weights_are_unclear(methods):
    found = checked(made(**methods))
    assert found.verdict == "unclear", str(found)
    assert [each.cause for each in found.differences] == [Cause.COMPUTED]


def test_a_slope_that_is_trained_is_another_activation():
    def more(net):
        net.act = nn.PReLU(init=0.0)

    found = checked(
        made(more=more, first=lambda net, x: net.act(net.c2(net.pool(F.relu(net.c1(x))))))
    )
    assert found.verdict == "different"
    (difference,) = found.differences
    assert difference.words.endswith("a PReLU where the spec has a ReLU")


def test_what_no_output_depends_on_is_mentioned():
    def more(net):
        net.old = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 3))
        net.others = [nn.Conv2D(1, 2, 3)]

    found = checked(made(more=more))
    assert found
    assert [(each.place, each.cause) for each in found.mentions] == [
        ("net.old", Cause.UNUSED),
        ("net.others[0]", Cause.UNUSED),
    ]


def squeezed(net, x):
    """Squeeze and excitation behind the stem."""
    x = Net.stem(net, x)
    factors = net.two(F.relu(net.one(x.mean([2, 3]))))
    return x * F.sigmoid(factors).unsqueeze([2, 3])


def test_squeeze_and_excitation_is_no_error():
    def more(net):
        net.one, net.two = nn.Linear(192, 12), nn.Linear(12, 192)

    found = checked(made(more=more, stem=squeezed))
    assert found.verdict == "different", str(found)


ERRORS = {
    "random": (
        {"head": lambda net, x: Net.head(net, x) + paddle.randn([10])},
        "draws random numbers",
    ),
    "not only tensors": (
        {"head": lambda net, x: (Net.head(net, x), {"aux": 1})},
        "got a tuple of Tensor and dict",
    ),
    "another shape": (
        {"more": lambda net: setattr(net, "c1", nn.Conv2D(3, 64, 7, 2, 3))},
        "cannot be run on images",
    ),
}


@pytest.mark.parametrize(("methods", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_checked_is_said(methods, message):
    with pytest.raises(TraceError, match=message):
        checked(made(**methods))
