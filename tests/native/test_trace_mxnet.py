"""Users' own MXNet models, traced: code in any style, with arrays of `mx.nd` and of `mx.np`, is
understood, or what is foreign in it named.
"""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd, npx
from mxnet.gluon import nn

import googlenet
from googlenet import TraceError, spec
from googlenet.spec.traversal import walk

SHAPE = (3, 33, 29)
ZERO = ((0, 0), (0, 0))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def semantics():
    """Each test begins with MXNet's classic semantics, and may turn on those of NumPy."""
    mx.random.seed(0)
    yield
    npx.reset_np()


def traced(model, shape=SHAPE):
    return googlenet.trace(model, "mxnet", shape)


def made(model, *init):
    model.initialize(*(init or (mx.init.Xavier(),)))
    return model


def leaves(found):
    return [site.layer for site in walk(found.network)]


def kinds(found):
    return [type(each).__name__ for each in leaves(found)]


def check(model, found):
    """What was read gives the model's outputs on other images, by the reference."""
    images = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    x = mx.np.array(images) if npx.is_np_array() else nd.array(images)
    outputs = model(x)
    outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
    reference = googlenet.get_backend("numpy")
    answers = reference.forward(reference.build(found.network, found.params), images)
    for output, answer in zip(outputs, answers.values(), strict=True):
        np.testing.assert_allclose(output.asnumpy(), answer, rtol=1e-4, atol=1e-5)


# The book's GoogLeNet, as its MXNet tab has it, in both kinds of arrays ---------------------------


class Inception(nn.Block):
    def __init__(self, c1, c2, c3, c4, **kwargs):
        super().__init__(**kwargs)
        self.p1_1 = nn.Conv2D(c1, kernel_size=1, activation="relu")
        self.p2_1 = nn.Conv2D(c2[0], kernel_size=1, activation="relu")
        self.p2_2 = nn.Conv2D(c2[1], kernel_size=3, padding=1, activation="relu")
        self.p3_1 = nn.Conv2D(c3[0], kernel_size=1, activation="relu")
        self.p3_2 = nn.Conv2D(c3[1], kernel_size=5, padding=2, activation="relu")
        self.p4_1 = nn.MaxPool2D(pool_size=3, strides=1, padding=1)
        self.p4_2 = nn.Conv2D(c4, kernel_size=1, activation="relu")

    def forward(self, x):
        p1 = self.p1_1(x)
        p2 = self.p2_2(self.p2_1(x))
        p3 = self.p3_2(self.p3_1(x))
        p4 = self.p4_2(self.p4_1(x))
        if npx.is_np_array():
            return mx.np.concatenate((p1, p2, p3, p4), axis=1)
        return nd.concat(p1, p2, p3, p4, dim=1)


def book():
    """Without NumPy semantics it is what the book's first edition has."""
    b1 = nn.Sequential()
    b1.add(
        nn.Conv2D(64, kernel_size=7, strides=2, padding=3, activation="relu"),
        nn.MaxPool2D(pool_size=3, strides=2, padding=1),
    )
    b2 = nn.Sequential()
    b2.add(
        nn.Conv2D(64, kernel_size=1, activation="relu"),
        nn.Conv2D(192, kernel_size=3, padding=1, activation="relu"),
        nn.MaxPool2D(pool_size=3, strides=2, padding=1),
    )
    b3 = nn.Sequential()
    b3.add(
        Inception(64, (96, 128), (16, 32), 32),
        Inception(128, (128, 192), (32, 96), 64),
        nn.MaxPool2D(pool_size=3, strides=2, padding=1),
    )
    b4 = nn.Sequential()
    b4.add(
        Inception(192, (96, 208), (16, 48), 64),
        Inception(160, (112, 224), (24, 64), 64),
        Inception(128, (128, 256), (24, 64), 64),
        Inception(112, (144, 288), (32, 64), 64),
        Inception(256, (160, 320), (32, 128), 128),
        nn.MaxPool2D(pool_size=3, strides=2, padding=1),
    )
    b5 = nn.Sequential()
    b5.add(
        Inception(256, (160, 320), (32, 128), 128),
        Inception(384, (192, 384), (48, 128), 128),
        nn.GlobalAvgPool2D(),
    )
    net = nn.Sequential()
    net.add(b1, b2, b3, b4, b5, nn.Dense(10))
    return net


@pytest.mark.parametrize("is_numpy", [False, True])
def test_the_books_googlenet_is_ours(is_numpy):
    if is_numpy:
        npx.set_np()
    found = traced(made(book()), (1, 96, 96))
    ours = googlenet.get_network("googlenet", num_classes=10, input_shape=(1, 96, 96))
    assert leaves(found) == [site.layer for site in walk(spec.resolve(ours))]
    assert sum(array.size for array in found.params.values()) == 5_977_530
    assert found.places["concat_1.branch_3.conv_2"] == "net[2][0].p3_2"
    assert "net[2][0].p4_1" in found.places.values()
    assert max(found.errors) < 1e-5


def test_what_was_never_initialised_stays_so():
    """The book's users initialise a network when they train it."""
    net = book()
    assert len(traced(net, (1, 96, 96)).params) == 116
    with pytest.raises(RuntimeError, match="has not been initialized"):
        net[0][0].weight.data()
    made(net)  # with no warning that it is initialised already
    assert net[0][0].weight.data() is not None


# Styles -------------------------------------------------------------------------------------------


def sequential():
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(4, 5, padding=2, use_bias=False),
        nn.BatchNorm(),
        nn.Activation("relu"),
        nn.MaxPool2D(3, 2, ceil_mode=True),
        nn.AvgPool2D(3, 1, 1, count_include_pad=False),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Dense(6, activation="relu"),
        nn.Dense(5),
    )
    return made(net)


class Functional(gluon.HybridBlock):
    """Parameters of one's own, a padding apart, a bias added, a mean for the pool."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(5, 3, 3, 3))
            self.bias = self.params.get("bias", shape=(5,), init="normal")
            self.dense = nn.Dense(7, flatten=False)

    def hybrid_forward(self, F, x, weight, bias):
        x = F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, 3, 0, 1, 2))
        x = F.Convolution(x, weight, kernel=(3, 3), stride=(2, 2), num_filter=5, no_bias=True)
        x = F.relu(F.broadcast_add(x, bias.reshape((1, -1, 1, 1))))
        x = F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, 0, 1, 0, 1))
        x = F.Pooling(x, kernel=(3, 3), stride=(2, 2), pool_type="max")
        return self.dense(F.mean(x, axis=(2, 3)))


class WithHead(nn.Block):
    """A scaled residual sum, a further output, and reshapes in place of flattenings."""

    def __init__(self):
        super().__init__()
        self.conv, self.body = nn.Conv2D(4, 1), nn.Conv2D(4, 3, padding=1)
        self.head, self.aux = nn.Dense(4), nn.Dense(3)

    def forward(self, x):
        x = nd.maximum(self.conv(x), 0)
        aux = self.aux(nd.contrib.AdaptiveAvgPooling2D(x, output_size=2).reshape((0, -1)))
        x = nd.relu(x + 0.17 * self.body(x))
        x = nd.Pooling(x, global_pool=True, pool_type="avg").squeeze(axis=(2, 3))
        return self.head(nd.Dropout(x, p=0.4)), aux


class NumPy(nn.Block):
    """Arrays of `mx.np`, and a list of layers that Gluon does not know of."""

    def __init__(self):
        super().__init__()
        self.stages = [nn.Conv2D(4, (3, 1), padding=(1, 0)), nn.Conv2D(6, (1, 5), 2, in_channels=4)]
        for stage in self.stages:
            made(stage)
        self.norm = nn.BatchNorm()
        self.dense = nn.Dense(5)

    def forward(self, x):
        np = mx.np
        x = np.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1)))
        for stage in self.stages:
            x = npx.relu(stage(x))
        x = self.norm(x)[:, :, :, :] / 2
        return self.dense(npx.batch_flatten(np.concatenate([x, 1.5 * x], 1)))


@mx.util.use_np
class Decorated(gluon.HybridBlock):
    """NumPy semantics in a class only."""

    def __init__(self):
        super().__init__()
        self.conv, self.dense = nn.Conv2D(4, 3, strides=2), nn.Dense(5)

    def hybrid_forward(self, F, x):
        x = F.npx.relu(self.conv(x))
        x = F.npx.pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg")
        return self.dense(F.np.reshape(x, (-2, -1)) if False else F.npx.batch_flatten(x))


def from_scratch():
    """Plain functions of arrays of one's own."""
    w1, b1 = nd.random.normal(0, 0.2, (6, 3, 3, 3)), nd.random.normal(0, 0.2, (6,))
    w2, b2 = nd.random.normal(0, 0.2, (6 * 15 * 13, 5)), nd.random.normal(0, 0.2, (5,))
    for array in (w1, b1, w2, b2):
        array.attach_grad()

    def relu(x):
        return nd.maximum(x, 0)

    def net(x):
        x = relu(nd.Convolution(x, w1, b1, kernel=(3, 3), num_filter=6))
        x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
        return nd.dot(x.reshape((x.shape[0], -1)), w2) + b2

    return net


def grouped():
    """Branches of Gluon's own blocks, an addition in place, and a shared layer."""

    class Block(nn.HybridBlock):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2D(8, 1)
            self.branches = nn.HybridSequential()
            self.branches.add(nn.Conv2D(8, 3, padding=1, groups=2), nn.MaxPool2D(3, 1, 1))
            self.tail = nn.Conv2D(8, 1)

        def hybrid_forward(self, F, x):
            x = self.stem(x)
            y = self.tail(self.branches[0](x))
            y += self.tail(self.branches[1](x))
            return F.flatten(F.Pooling(y, global_pool=True, pool_type="avg"))

    return made(Block())


STYLES = {
    "sequential": (sequential, spec.Conv(4, (5, 5), (1, 1), ((2, 2), (2, 2)), 1, False)),
    "functional": (
        lambda: made(Functional()),
        spec.Conv(5, (3, 3), (2, 2), ((3, 0), (1, 2)), 1, True),
    ),
    "with a head": (lambda: made(WithHead()), spec.Conv(4, (1, 1), (1, 1), ZERO, 1, True)),
    "numpy": (lambda: made(NumPy()), spec.Conv(4, (3, 1), (1, 1), ((2, 3), (0, 1)), 1, True)),
    "decorated": (lambda: made(Decorated()), spec.Conv(4, (3, 3), (2, 2), ZERO, 1, True)),
    "from scratch": (from_scratch, spec.Conv(6, (3, 3), (1, 1), ZERO, 1, True)),
    "grouped": (grouped, spec.Conv(8, (1, 1), (1, 1), ZERO, 1, True)),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_understood(style):
    make, first = STYLES[style]
    if style in ("numpy", "decorated"):
        npx.set_np()
    model = make()
    if style == "decorated":
        npx.reset_np()
    found = traced(model)
    if style == "decorated":
        npx.set_np()
    assert leaves(found)[0] == first
    assert max(found.errors) < 1e-5
    check(model, found)


def test_graph_mode_makes_no_difference():
    net = sequential()
    before = traced(net)
    net.hybridize()
    net(nd.zeros((2, *SHAPE)))
    after = traced(net)
    assert (after.network, after.places) == (before.network, before.places)
    assert net._active and net._cached_op is not None
