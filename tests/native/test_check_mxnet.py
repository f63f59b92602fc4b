"""Users' own MXNet code, checked: what is written otherwise is the same, and what is the same only
at some weights or values is not.
"""

import mxnet as mx
import pytest
from mxnet import autograd, gluon, nd, npx
from mxnet.gluon import nn

import googlenet
from googlenet import TraceError
from googlenet.checking.causes import Cause

SHAPE = (1, 64, 64)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*is an unregistered container with Blocks:UserWarning"),
]


@pytest.fixture(autouse=True)
def semantics():
    """Each test begins with MXNet's classic semantics."""
    npx.reset_np()
    mx.random.seed(0)


class Block(nn.Block):
    def __init__(self, c1, c2, c3, c4):
        super().__init__()
        self.p1 = nn.Conv2D(c1, 1)
        self.p2_1, self.p2_2 = nn.Conv2D(c2[0], 1), nn.Conv2D(c2[1], 3, padding=1)
        self.p3_1, self.p3_2 = nn.Conv2D(c3[0], 1), nn.Conv2D(c3[1], 5, padding=2)
        self.pool, self.p4 = nn.MaxPool2D(3, 1, 1), nn.Conv2D(c4, 1)

    def branches(self, x):
        return (
            self.p1(x),
            self.p2_2(nd.relu(self.p2_1(x))),
            self.p3_2(nd.relu(self.p3_1(x))),
            self.p4(self.pool(x)),
        )

    def forward(self, x):
        return nd.concat(*[nd.relu(each) for each in self.branches(x)], dim=1)


def sequence(*layers):
    found = nn.Sequential()
    found.add(*layers)
    return found


class Net(nn.Block):
    """GoogLeNet as a reader may write it."""

    block = Block

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2D(64, 7, 2, 3), nn.Conv2D(64, 1)
        self.c3, self.pool = nn.Conv2D(192, 3, padding=1), nn.MaxPool2D(3, 2, 1)
        self.b3 = sequence(
            self.block(64, (96, 128), (16, 32), 32),
            self.block(128, (128, 192), (32, 96), 64),
        )
        self.b4 = sequence(
            self.block(192, (96, 208), (16, 48), 64),
            self.block(160, (112, 224), (24, 64), 64),
            self.block(128, (128, 256), (24, 64), 64),
            self.block(112, (144, 288), (32, 64), 64),
            self.block(256, (160, 320), (32, 128), 128),
        )
        self.b5 = sequence(
            self.block(256, (160, 320), (32, 128), 128),
            self.block(384, (192, 384), (48, 128), 128),
        )
        self.fc = nn.Dense(10, in_units=1024)
        self.more()

    def more(self):
        """Further layers."""

    def first(self, x):
        return nd.relu(self.c2(self.pool(nd.relu(self.c1(x)))))

    def stem(self, x):
        return self.pool(nd.relu(self.c3(self.first(x))))

    def body(self, x):
        return self.b5(self.pool(self.b4(self.pool(self.b3(self.stem(x))))))

    def head(self, x):
        return self.fc(x.mean(axis=(2, 3)))

    def forward(self, x):
        return self.head(self.body(x))


def made(**methods):
    """`Net` with other methods."""
    model = type("Other", (Net,), methods)()
    model.initialize(mx.init.Xavier())
    return model


def checked(model, against="googlenet", shape=SHAPE):
    return googlenet.check(model, "mxnet", against=against, input_shape=shape)


class ReluAfterAll(Block):
    def forward(self, x):
        return nd.relu(nd.concat(*self.branches(x), dim=1))


class Gluons(nn.HybridBlock):
    """The stem's second layer with parameters of one's own."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(64, 64, 1, 1))
            self.bias = self.params.get("bias", shape=(64,), init="zeros")

    def hybrid_forward(self, F, x, weight, bias):
        return F.Convolution(x, weight, bias, kernel=(1, 1), num_filter=64)


class Excited(Block):
    """Its channels are weighted by what they are on average."""

    def __init__(self, *channels):
        super().__init__(*channels)
        count = channels[0] + channels[1][1] + channels[2][1] + channels[3]
        self.squeeze, self.excite = nn.Dense(16, activation="relu"), nn.Dense(count)

    def forward(self, x):
        x = super().forward(x)
        gate = nd.sigmoid(self.excite(self.squeeze(x.mean(axis=(2, 3)))))
        return x * gate.expand_dims(2).expand_dims(3)


def part(size):
    """A model of which one parameter holds the weights of a layer."""

    def more(net):
        net.flat = net.params.get("flat", shape=(64 * 64 + 64,), init=mx.init.Uniform())
        del net.c2

    def first(net, x):
        flat = net.flat.data()
        weight, bias = flat[: 64 * 64].reshape((64, 64, 1, 1)), flat[size : size + 64]
        x = net.pool(nd.relu(net.c1(x)))
        return nd.relu(nd.Convolution(x, weight, bias, kernel=(1, 1), num_filter=64))

    return {"more": more, "first": first}


def arrays(*, attached):
    """The last layer with arrays that are no parameters of Gluon's."""

    def more(net):
        net.w, net.b = nd.random.normal(0, 0.1, (1024, 10)), nd.zeros(10)
        if attached:
            net.w.attach_grad()
            net.b.attach_grad()
        del net.fc

    return {"more": more, "head": lambda net, x: nd.dot(x.mean(axis=(2, 3)), net.w) + net.b}


def relu_as(function):
    """The second ReLU written as a function."""
    return {"first": lambda net, x: function(net.c2(net.pool(nd.relu(net.c1(x)))))}


SAME = {
    "half of x + |x|": relu_as(lambda x: (x + nd.abs(x)) / 2),
    "a mask": relu_as(lambda x: x * (x > 0)),
    "-min(-x, 0)": relu_as(lambda x: -nd.minimum(-x, 0)),
    "plain": {},
    "dot": {
        "head": lambda net, x: nd.broadcast_add(
            nd.dot(x.mean(axis=(2, 3)), net.fc.weight.data().T), net.fc.bias.data()
        ),
    },
    "gemm": {
        "head": lambda net, x: (
            nd.linalg.gemm2(x.mean(axis=(2, 3)), net.fc.weight.data(), transpose_b=True)
            + net.fc.bias.data()
        ),
    },
    "fully connected": {
        "head": lambda net, x: nd.FullyConnected(
            nd.Pooling(x, global_pool=True, pool_type="avg"),
            net.fc.weight.data(),
            net.fc.bias.data(),
            num_hidden=10,
        ),
    },
    "a sum divided": {
        "head": lambda net, x: net.fc(x.sum(axis=(2, 3)) / (x.shape[2] * x.shape[3]))
    },
    "ReLU behind the concatenation": {"block": ReluAfterAll},
    "parameters of one's own": {
        "more": lambda net: (delattr(net, "c2"), setattr(net, "own", Gluons())),
        "first": lambda net, x: nd.relu(net.own(net.pool(nd.relu(net.c1(x))))),
    },
    "parts of one parameter": part(64 * 64),
    "arrays with gradients": arrays(attached=True),
    "times one": {"head": lambda net, x: net.fc(x.mean(axis=(2, 3))) * 1.0},
}


@pytest.mark.parametrize("methods", SAME.values(), ids=SAME)
def test_written_otherwise_is_the_same(methods):
    found = checked(made(**methods))
    assert found, str(found)
    assert found.proved
    assert not found.differences
    assert found.parameters == (5_977_530, 5_977_530)


def test_weights_that_are_not_trained_at_the_moment_are_weights():
    """Whoever trains the last layer only takes the gradients of all others away."""
    model = made()
    for each in model.collect_params().values():
        each.grad_req = "null"
    assert checked(model)


def bias_of(make):
    """The first convolution's bias added by hand: what `make` gives for the model."""

    def more(net):
        net.c1 = nn.Conv2D(64, 7, 2, 3, use_bias=False)
        net.given = make(net)

    def first(net, x):
        given = net.given.data() if isinstance(net.given, gluon.Parameter) else net.given
        return nd.relu(net.c2(net.pool(nd.relu(net.c1(x) + given))))

    return {"more": more, "first": first}


def after_stem(shape, init, function):
    """A parameter of `shape`, and the stem's result through `function` with it."""

    def more(net):
        net.given = net.params.get("given", shape=shape, init=init)

    def stem(net, x):
        return function(Net.stem(net, x), net.given.data())

    return {"more": more, "stem": stem}


def weight(change):
    """The last layer's weight through `change`."""

    def head(net, x):
        given = change(net.fc.weight.data())
        return nd.FullyConnected(x.mean(axis=(2, 3)), given, net.fc.bias.data(), num_hidden=10)

    return {"head": head}


def outside(array):
    with autograd.pause():
        return array * 1


DIFFERENT = {
    "a trained factor of one": (
        after_stem((1,), "ones", nd.broadcast_mul),
        Cause.EXTRA,
        "a trained factor",
    ),
    "trained factors of one": (
        after_stem((1, 192, 1, 1), "ones", nd.broadcast_mul),
        Cause.EXTRA,
        "an array of trained factors",
    ),
    "trained offsets of zero": (
        after_stem((1, 192, 1, 1), "zeros", nd.broadcast_add),
        Cause.EXTRA,
        "an array of trained offsets",
    ),
    "a bias that is a number": (bias_of(lambda net: 1.0), Cause.FIXED, "its bias is no parameter"),
    "a bias that is an array": (
        bias_of(lambda net: nd.linspace(0, 1, 64).reshape((1, -1, 1, 1))),
        Cause.FIXED,
        "its bias is no parameter",
    ),
    "a bias without a gradient": (
        bias_of(lambda net: net.params.get("given", shape=(1, 64, 1, 1), grad_req="null")),
        Cause.FIXED,
        "its bias is no parameter",
    ),
    "a bias that is Gluon's constant": (
        bias_of(lambda net: net.params.get_constant("given", nd.ones((1, 64, 1, 1)))),
        Cause.FIXED,
        "its bias is no parameter",
    ),
    "a weight that is detached": (
        weight(lambda array: array.detach()),
        Cause.FIXED,
        "its weight is no parameter",
    ),
    "a weight that is not recorded": (
        weight(outside),
        Cause.FIXED,
        "its weight is no parameter",
    ),
    "one bias for all channels": (
        bias_of(lambda net: net.params.get("given", shape=(1,), init="zeros")),
        Cause.TIED,
        "its bias is one number for all channels",
    ),
    "one row for all classes": (
        weight(lambda array: array[:1].broadcast_to((10, 1024))),
        Cause.TIED,
        "its weight has numbers in common",
    ),
    "parts that overlap": (part(0), Cause.TIED, "numbers in common"),
    "dropout of channels": (
        {"head": lambda net, x: Net.head(net, nd.Dropout(x, 0.4, axes=(2, 3)))},
        Cause.DROPOUT,
        "a dropout of whole channels",
    ),
    "dropout that always acts": (
        {"head": lambda net, x: net.fc(nd.Dropout(x.mean(axis=(2, 3)), 0.4, mode="always"))},
        Cause.DROPOUT,
        "also active in evaluation",
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


def normalised(array):
    return array / nd.norm(array, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "change",
    [lambda array: array * nd.ones((10, 1024)), normalised, nd.tanh],
    ids=["a mask", "weight normalisation", "tanh"],
)
def test_computed_weights_are_unclear(change):
    found = checked(made(**weight(change)))
    assert found.verdict == "unclear"
    assert [each.cause for each in found.differences] == [Cause.COMPUTED]


def test_an_operation_nobody_knows_is_decided_by_the_models_own_weights():
    """Rounding is another function; a norm that changes nothing is not known as such here."""
    found = checked(made(head=lambda net, x: nd.round(Net.head(net, x))))
    assert found.verdict == "different"
    assert "mx.round" in found.reason
    found = checked(made(head=lambda net, x: nd.cbrt(Net.head(net, x) ** 3)))
    assert found.verdict == "unclear"
    assert "mx.cbrt" in found.reason


def test_squeeze_and_excitation_is_told():
    found = checked(made(block=Excited))
    assert found.verdict == "different"
    first = found.differences[0]
    assert (first.path, first.cause) == ("b3.inception_3a", Cause.PRODUCT)
    assert "squeeze and excitation" in first.words
    assert found.proved


def test_channels_in_another_order_are_another_function():
    """Slices of one value, in another order."""
    found = checked(
        made(head=lambda net, x: net.fc(nd.concat(*nd.split(x.mean(axis=(2, 3)), 2)[::-1])))
    )
    assert (found.verdict, found.reason) == ("different", "")
    assert found.first_divergence.path == "b5.pool"
    assert found.proved


def test_what_no_output_depends_on_is_mentioned():
    def more(net):
        net.old = sequence(nn.Dense(5), nn.Dense(3))

    found = checked(made(more=more))
    assert found
    (mention,) = found.mentions
    assert (mention.place, mention.cause) == ("net.old", Cause.UNUSED)


def test_what_is_called_for_its_shape_only_is_not_used():
    def more(net):
        net.old = nn.Dense(10)

    def head(net, x):
        return Net.head(net, x) + nd.zeros_like(net.old(x))

    found = checked(made(more=more, head=head))
    assert ("net.old", Cause.UNUSED) in [(each.place, each.cause) for each in found.mentions]


def test_logits_as_a_map_are_mentioned():
    def more(net):
        del net.fc
        net.last = nn.Conv2D(10, 1)

    def head(net, x):
        return net.last(x.mean(axis=(2, 3), keepdims=True))

    found = checked(made(more=more, head=head))
    assert found, str(found)
    assert Cause.OUTPUT in [each.cause for each in found.mentions]


def by_its_values(net, x):
    if x[0, 0, 0, 0].asscalar() > x[1, 0, 0, 0].asscalar():
        return Net.head(net, x)
    return Net.head(net, -x)


def test_a_slope_that_is_trained_is_another_activation():
    """Whatever it is at first: 0, as here, makes it a ReLU."""

    def more(net):
        net.act = nn.PReLU(alpha_initializer=mx.init.Zero())

    found = checked(
        made(more=more, first=lambda net, x: net.act(net.c2(net.pool(nd.relu(net.c1(x))))))
    )
    assert found.verdict == "different"
    (difference,) = found.differences
    assert difference.words.endswith("a PReLU where the spec has a ReLU")


UNCAPTURED = {
    "random": (
        lambda net, x: Net.head(net, x) + nd.random.normal(shape=(10,)),
        "In net 'affine' takes a number that differs for other images: it is random",
        "",
    ),
    "by its values": (
        by_its_values,
        "The model computes something else for other images, in net",
        "test_check_mxnet.py, line {}: if x[0, 0, 0, 0].asscalar() > x[1, 0, 0, 0].asscalar():.",
    ),
    "through NumPy": (
        lambda net, x: Net.head(net, nd.array(x.asnumpy())),
        "Output 0 does not depend on the images in a way that MXNet records",
        "lambda net, x: Net.head(net, nd.array(x.asnumpy())),.",
    ),
}


@pytest.mark.parametrize(("head", "words", "line"), UNCAPTURED.values(), ids=UNCAPTURED)
def test_what_runs_but_is_not_recorded_is_unclear(head, words, line):
    found = checked(made(head=head))
    assert found.verdict == "unclear"
    assert found.reason.startswith(words)
    assert found.reason.endswith(line.format(head.__code__.co_firstlineno + 1))


ERRORS = {
    "not only arrays": (
        {"head": lambda net, x: (Net.head(net, x), {"aux": 1})},
        "got tuple of NDArray, dict",
    ),
    "another shape": (
        {"more": lambda net: setattr(net, "c1", nn.Conv2D(64, 7, 2, 3, in_channels=3))},
        "cannot be run on images",
    ),
}


@pytest.mark.parametrize(("methods", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_checked_is_said(methods, message):
    with pytest.raises(TraceError, match=message):
        checked(made(**methods))
