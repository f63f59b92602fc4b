"""Users' own MindSpore code, checked: what is written otherwise is the same, and what is the same
only at some weights or values is not.
"""

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn, ops

import googlenet
from googlenet import TraceError
from googlenet.checking.causes import Cause
from googlenet.spec import layers as spec

SHAPE = (1, 64, 64)


def conv(given, channels, size, stride=1, padding=0):
    mode = "pad" if padding else "valid"
    return nn.Conv2d(given, channels, size, stride, mode, padding, has_bias=True)


def array(*shape):
    drawn = np.random.default_rng(len(shape)).standard_normal(shape)
    return ms.Tensor((drawn / np.sqrt(np.prod(shape[1:]))).astype(np.float32))


class Block(nn.Cell):
    def __init__(self, given, c1, c2, c3, c4):
        super().__init__()
        self.p1 = conv(given, c1, 1)
        self.p2_1, self.p2_2 = conv(given, c2[0], 1), conv(*c2, 3, padding=1)
        self.p3_1, self.p3_2 = conv(given, c3[0], 1), conv(*c3, 5, padding=2)
        self.pool = nn.MaxPool2d(3, 1, pad_mode="pad", padding=1)
        self.p4 = conv(given, c4, 1)

    def branches(self, x):
        return (
            self.p1(x),
            self.p2_2(ops.relu(self.p2_1(x))),
            self.p3_2(ops.relu(self.p3_1(x))),
            self.p4(self.pool(x)),
        )

    def construct(self, x):
        one, two, three, four = self.branches(x)
        return ops.cat((ops.relu(one), ops.relu(two), ops.relu(three), ops.relu(four)), 1)


class Net(nn.Cell):
    """GoogLeNet as a reader may write it."""

    block = Block

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = conv(1, 64, 7, 2, 3), conv(64, 64, 1)
        self.c3, self.pool = conv(64, 192, 3, padding=1), nn.MaxPool2d(3, 2, "pad", 1)
        block = self.block
        self.b3 = nn.SequentialCell(
            block(192, 64, (96, 128), (16, 32), 32),
            block(256, 128, (128, 192), (32, 96), 64),
        )
        self.b4 = nn.SequentialCell(
            block(480, 192, (96, 208), (16, 48), 64),
            block(512, 160, (112, 224), (24, 64), 64),
            block(512, 128, (128, 256), (24, 64), 64),
            block(512, 112, (144, 288), (32, 64), 64),
            block(528, 256, (160, 320), (32, 128), 128),
        )
        self.b5 = nn.SequentialCell(
            block(832, 256, (160, 320), (32, 128), 128),
            block(832, 384, (192, 384), (48, 128), 128),
        )
        self.fc = nn.Dense(1024, 10)
        self.more()

    def more(self):
        """Further layers."""

    def first(self, x):
        return ops.relu(self.c2(self.pool(ops.relu(self.c1(x)))))

    def stem(self, x):
        return self.pool(ops.relu(self.c3(self.first(x))))

    def body(self, x):
        return self.b5(self.pool(self.b4(self.pool(self.b3(self.stem(x))))))

    def head(self, x):
        return self.fc(x.mean((2, 3)))

    def construct(self, x):
        return self.head(self.body(x))


def checked(model, against="googlenet", shape=SHAPE):
    return googlenet.check(model, "mindspore", against=against, input_shape=shape)


# What is the same ---------------------------------------------------------------------------------


class ReluAfterAll(Block):
    def construct(self, x):
        return ops.relu(ops.cat(self.branches(x), 1))


class ReluBehind(Net):
    block = ReluAfterAll


class Product(Net):
    def head(self, x):
        return ops.matmul(x.mean((2, 3)), self.fc.weight.T) + self.fc.bias


class Total(Net):
    def head(self, x):
        return self.fc(x.sum((2, 3)) / (x.shape[2] * x.shape[3]))


class TimesOne(Net):
    def head(self, x):
        return self.fc(x.astype(ms.float32).mean((2, 3))) * 1.0


class Part(Net):
    """A model of which one parameter holds the weights of a layer."""

    start = 64 * 64

    def more(self):
        self.flat = ms.Parameter(array(64 * 64 + 64))
        del self.c2

    def first(self, x):
        weight = self.flat[: 64 * 64].view(64, 64, 1, 1)
        bias = self.flat[self.start : self.start + 64]
        return ops.relu(ops.conv2d(self.pool(ops.relu(self.c1(x))), weight, bias))


class Halves(Net):
    """The channels of a map taken apart and put together again."""

    def stem(self, x):
        first, second = ops.split(ops.relu(self.c3(self.first(x))), 96, 1)
        return self.pool(ops.cat((first, second), 1))


class Frozen(Net):
    """A layer of MindSpore's that is not trained for a while."""

    def more(self):
        for each in self.c1.get_parameters():
            each.requires_grad = False


class Half(Net):
    """A ReLU as (x + |x|) / 2."""

    def first(self, x):
        x = self.c2(self.pool(ops.relu(self.c1(x))))
        return (x + ops.abs(x)) * 0.5


class Mask(Net):
    """A ReLU as a product with 1 and 0."""

    def first(self, x):
        x = self.c2(self.pool(ops.relu(self.c1(x))))
        return x * (x > 0).astype(ms.float32)


class Choice(Net):
    """A ReLU as a choice."""

    def first(self, x):
        x = self.c2(self.pool(ops.relu(self.c1(x))))
        return ops.where(x > 0, x, ops.zeros_like(x))


RIGHT = [Net, ReluBehind, Product, Total, TimesOne, Part, Frozen, Half, Mask, Choice]


@pytest.mark.parametrize("make", RIGHT)
def test_written_otherwise_is_the_same(make):
    found = checked(make())
    assert found, str(found)
    assert found.proved
    assert not found.differences
    assert found.parameters == (5_977_530, 5_977_530)


# What is another ----------------------------------------------------------------------------------


class WithGiven(Net):
    """A parameter of `make`, and the stem's result through `function` with it."""

    def more(self):
        self.given = self.make()


class Factor(WithGiven):
    def make(self):
        return ms.Parameter(ms.Tensor(1.0, ms.float32))

    def stem(self, x):
        return self.pool(ops.relu(self.c3(self.first(x)))) * self.given


class Factors(Factor):
    def make(self):
        return ms.Parameter(ops.ones((192, 1, 1)))


class Offsets(WithGiven):
    def make(self):
        return ms.Parameter(ops.zeros((192, 1, 1)))

    def stem(self, x):
        return self.pool(ops.relu(self.c3(self.first(x)))) + self.given


class Bias(WithGiven):
    """The first convolution's bias added by hand."""

    def more(self):
        self.c1 = nn.Conv2d(1, 64, 7, 2, "pad", 3)
        self.given = self.make()

    def first(self, x):
        return ops.relu(self.c2(self.pool(ops.relu(self.c1(x) + self.given))))


class NumberBias(Bias):
    def make(self):
        return 1.0


class TensorBias(Bias):
    def make(self):
        return ms.Tensor(np.linspace(0, 1, 64, dtype=np.float32).reshape(64, 1, 1))


class BufferBias(Bias):
    def make(self):
        return ms.Parameter(array(64, 1, 1), requires_grad=False)


class OneBias(Bias):
    def make(self):
        return ms.Parameter(ops.zeros(1))


class Overlapping(Part):
    start = 0


class WholeChannels(Net):
    def head(self, x):
        return self.fc(ops.dropout2d(x, 0.4, self.training).mean((2, 3)))


class WholeChannelsLayer(Net):
    def more(self):
        self.drop = nn.Dropout2d(0.4)

    def head(self, x):
        return self.fc(self.drop(x).mean((2, 3)))


class AlwaysDropped(Net):
    def head(self, x):
        return self.fc(ops.dropout(x.mean((2, 3)), 0.4))


class Bounded(Net):
    def head(self, x):
        return ops.clamp(self.fc(x.mean((2, 3))), -1e6, 1e6)


class Largest(Net):
    def head(self, x):
        return self.fc(x.max((2, 3)))


DIFFERENT = {
    "a trained factor of one": (Factor, Cause.EXTRA, "a trained factor"),
    "trained factors of one": (Factors, Cause.EXTRA, "an array of trained factors"),
    "trained offsets of zero": (Offsets, Cause.EXTRA, "an array of trained offsets"),
    "a bias that is a number": (NumberBias, Cause.FIXED, "its bias is no parameter"),
    "a bias that is a tensor": (TensorBias, Cause.FIXED, "its bias is no parameter"),
    "a bias without a gradient": (BufferBias, Cause.FIXED, "its bias is no parameter"),
    "one bias for all channels": (OneBias, Cause.TIED, "its bias is one number for all channels"),
    "parts that overlap": (Overlapping, Cause.TIED, "numbers in common"),
    "dropout of channels": (WholeChannels, Cause.DROPOUT, "a dropout of whole channels"),
    "a layer for that": (WholeChannelsLayer, Cause.DROPOUT, "a dropout of whole channels"),
    "dropout that always acts": (AlwaysDropped, Cause.DROPOUT, "also active in evaluation"),
    "bounds that are never reached": (Bounded, Cause.EXTRA_ACTIVATION, "a clip to"),
    "the largest for the mean": (Largest, Cause.POOL, "an adaptive max pool where"),
}


@pytest.mark.parametrize(("make", "cause", "words"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_same_at_some_weights_only_is_another(make, cause, words):
    found = checked(make())
    assert found.verdict == "different", str(found)
    (difference,) = found.differences
    assert difference.cause is cause, str(found)
    assert words in difference.words
    assert found.proved


# What is unclear ----------------------------------------------------------------------------------


class Masked(Net):
    """A weight times a mask."""

    def more(self):
        self.mask = ms.Tensor(np.tril(np.ones((10, 1024), np.float32)))

    def head(self, x):
        return ops.matmul(x.mean((2, 3)), (self.fc.weight * self.mask).T) + self.fc.bias


class Normalised(Net):
    """Weight normalisation."""

    def head(self, x):
        weight = self.fc.weight / ops.sqrt((self.fc.weight * self.fc.weight).sum(1, keepdims=True))
        return ops.matmul(x.mean((2, 3)), weight.T) + self.fc.bias


@pytest.mark.parametrize("make", [Masked, Normalised])
def test_computed_weights_are_unclear(make):
    found = checked(make())
    assert found.verdict == "unclear", str(found)
    assert [each.cause for each in found.differences] == [Cause.COMPUTED]


class Importing(Net):
    def head(self, x):
        import math

        return self.fc(x.mean((2, 3))) * math.sqrt(1.0)


class ThroughNumPy(Net):
    def head(self, x):
        return self.fc(ms.Tensor(x.mean((2, 3)).asnumpy()))


class Branching(Net):
    def head(self, x):
        y = x.mean((2, 3))
        if x.shape[0] > 1 and y.shape[1] != 1024:
            return y
        if y.sum() > 1e9:
            y = -y
        return self.fc(y)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (Importing, "import math"),
        (ThroughNumPy, "return self.fc(ms.Tensor(x.mean((2, 3)).asnumpy()))"),
        (Branching, "if y.sum() > 1e9"),
    ],
)
def test_a_line_that_graph_mode_refuses_is_named(make, line):
    found = checked(make())
    assert found.verdict == "unclear"
    assert found.reason.startswith("The model runs, but ")
    assert "test_check_mindspore.py, line " in found.reason
    assert found.reason.endswith(f": {line}.")


def test_an_operation_nobody_knows_is_decided_by_the_models_own_weights():
    class Known(Net):
        def head(self, x):
            return ops.nan_to_num(self.fc(x.mean((2, 3))), 0.0)

    found = checked(Known())
    assert found.verdict == "unclear"
    assert "ms.NanToNum" in found.reason


# What is mentioned --------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "name"), [(ops.mish, "Mish"), (ops.hardswish, "hard swish")])
def test_another_activation_is_known_by_its_name(function, name):
    class Other(Net):
        def first(self, x):
            return function(self.c2(self.pool(ops.relu(self.c1(x)))))

    found = checked(Other())
    assert found.verdict == "different"
    (difference,) = found.differences
    assert difference.path == "b2.reduce.relu"
    assert difference.words.endswith(f"a {name} where the spec has a ReLU")


def test_what_no_output_depends_on_is_mentioned():
    class More(Net):
        def more(self):
            self.old = nn.SequentialCell(nn.Dense(5, 5), nn.Dense(5, 3))

    found = checked(More())
    assert found
    (mention,) = found.mentions
    assert (mention.place, mention.cause) == ("net.old", Cause.UNUSED)


# A function as the model --------------------------------------------------------------------------


def test_a_function_with_its_layers_around_it():
    layers = [conv(1, 4, 3), nn.ReLU()]
    head = nn.Dense(4, 3)
    scale = ms.Parameter(ms.Tensor(1.0, ms.float32), name="scale")

    def pooled(x):
        return x.mean((2, 3))

    def net(x):
        for layer in layers:
            x = layer(x)
        return head(pooled(x)) * scale

    names = [each.name for cell in (*layers, head) for each in cell.get_parameters()]
    graph = googlenet.trace(net, "mindspore", (1, 9, 8)).graph
    assert [(op.kind, op.place) for op in graph.ops if op.arrays] == [
        ("conv", "layers[0]"),
        ("affine", "layers[0]"),
        ("dense", "head"),
        ("affine", "head"),
        ("affine", "net"),
    ]
    assert {origin for op in graph.ops for origin in op.origins.values()} == {"weight"}
    assert names == [each.name for cell in (*layers, head) for each in cell.get_parameters()]
    assert scale.name == "scale"


def test_a_function_is_checked_like_a_model():
    model = Net()

    def net(x):
        return model(x)

    assert checked(net)


# What cannot be checked ---------------------------------------------------------------------------


class Noisy(Net):
    def head(self, x):
        return self.fc(x.mean((2, 3))) + ops.randn(10)


class NotOnlyTensors(Net):
    def head(self, x):
        return self.fc(x.mean((2, 3))), {"aux": 1}


class Colours(Net):
    def more(self):
        self.c1 = conv(3, 64, 7, 2, 3)


class Half(Net):
    def head(self, x):
        return self.fc(x.astype(ms.float16).astype(ms.float32).mean((2, 3)))


def half_weights():
    net = Net()
    net.fc.weight.set_dtype(ms.float16)
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Half, "'Cast' makes float16 of what it is given"),
        (half_weights, "net.fc.weight: is float16, with which nothing can be proved"),
        (Noisy, "'StandardNormal' draws random numbers"),
        (NotOnlyTensors, "got tuple"),
        (Colours, "cannot be run on images"),
    ],
)
def test_what_cannot_be_checked_is_said(make, message):
    with pytest.raises(TraceError, match=message):
        checked(make())


SMALL = spec.Network(
    "small",
    spec.Sequential(
        (
            ("conv", spec.Conv(4, (3, 3), (1, 1), ((1, 1), (1, 1)), 1, False)),
            ("norm", spec.BatchNorm(1e-5, 0.1, True)),
            ("relu", spec.ReLU()),
            ("pool", spec.GlobalAvgPool()),
            ("dense", spec.Dense(3, True)),
        )
    ),
    (2, 9, 8),
    "a test",
)


class Normed(nn.Cell):
    """`SMALL`, with what a batch norm is given."""

    def __init__(self, **given):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, 1, "pad", 1)
        self.norm = nn.BatchNorm2d(4, eps=1e-5, **given)
        self.dense = nn.Dense(4, 3)

    def construct(self, x):
        return self.dense(ops.relu(self.norm(self.conv(x))).mean((2, 3)))


@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_norm_that_is_not_trained_is_another(affine):
    found = checked(Normed(affine=affine), SMALL, SMALL.input_shape)
    assert found.verdict == ("same" if affine else "different"), str(found)
    told = [] if affine else [("norm", Cause.FIXED), ("norm", Cause.FIXED)]
    assert [(each.path, each.cause) for each in found.differences] == told


@pytest.mark.parametrize("frozen", ["norm", "all"])
def test_what_is_frozen_with_all_beside_is_so_for_a_while(frozen):
    model = Normed()
    for each in (model if frozen == "all" else model.norm).get_parameters():
        each.requires_grad = False
    found = checked(model, SMALL, SMALL.input_shape)
    assert found.verdict == ("same" if frozen == "all" else "different"), str(found)
