"""Users' own MXNet models, traced: code in any style, with arrays of `mx.nd` and of `mx.np`, is
understood, or what is foreign in it named.
"""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd, npx
from mxnet.gluon import nn

import googlenet
from googlenet import TraceError, spec
from googlenet.backend.graph import faults, parameters_of
from googlenet.proof.parity.tolerance import EPS, distance, limit
from googlenet.spec.traversal import walk

SHAPE = (3, 33, 29)
ZERO = ((0, 0), (0, 0))
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # Users keep layers in lists, and initialise them there.
    pytest.mark.filterwarnings("ignore:.*is an unregistered container with Blocks:UserWarning"),
]


@pytest.fixture(autouse=True)
def semantics():
    """Each test begins with MXNet's classic semantics, and may turn on those of NumPy."""
    npx.reset_np()
    mx.random.seed(0)


def traced(model, shape=SHAPE):
    found = googlenet.trace(model, "mxnet", shape)
    assert faults(found.graph) == []
    return found


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
    exact, rough = (
        reference.forward(reference.build(found.network, found.params, dtype=dtype), images)
        for dtype in (np.float64, np.float32)
    )
    for name, output in zip(found.outputs, outputs, strict=True):
        right = exact[name].reshape(output.shape)
        assert distance(output.asnumpy(), right) <= limit(
            distance(rough[name].reshape(output.shape), right)
        ), name


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
    assert len(found.errors) == 1  # it was proved


def test_what_was_never_initialised_stays_so():
    """The book's users initialise a network when they train it."""
    net = book()
    assert len(traced(net, (1, 96, 96)).params) == 116
    with pytest.raises(RuntimeError, match="has not been initialized"):
        net[0][0].weight.data()
    made(net, mx.init.Constant(0.5))  # not "is already initialized, ignoring"
    net(nd.zeros((1, 1, 96, 96)))
    assert (net[0][0].weight.data() == 0.5).asnumpy().all()


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
        return self.dense(F.npx.reshape(x, (-2, -1)))


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
    assert len(found.errors) == len(found.network.outputs)  # they were proved
    check(model, found)


def test_graph_mode_makes_no_difference():
    net = sequential()
    before = traced(net)
    net.hybridize()
    net(nd.zeros((2, *SHAPE)))
    after = traced(net)
    assert (after.network, after.places) == (before.network, before.places)
    assert net._active
    assert net._cached_op is not None


# What belongs together ----------------------------------------------------------------------------


def composed(function):
    """A model of one expression, with F for mx.nd, and layers of its own by their names."""

    class Model(nn.Block):
        def __init__(self):
            super().__init__()
            self.conv, self.same = nn.Conv2D(4, 3), nn.Conv2D(3, 3, padding=1)
            self.dense, self.norm = nn.Dense(5), nn.BatchNorm()

        def forward(self, x):
            return function(self, nd, x)

    return made(Model())


EXPRESSIONS = {
    "a mean over both axes": (
        lambda net, F, x: net.dense(F.mean(net.conv(x), axis=(2, 3))),
        ["Conv", "GlobalAvgPool", "Dense"],
    ),
    "a mean over what is not excluded": (
        lambda net, F, x: net.dense(F.mean(net.conv(x), axis=(0, 1), exclude=True)),
        ["Conv", "GlobalAvgPool", "Dense"],
    ),
    "a sum that is divided": (
        lambda net, F, x: net.dense(net.conv(x).sum(axis=(2, 3)) / (31 * 27)),
        ["Conv", "GlobalAvgPool", "Dense"],
    ),
    "factors": (
        lambda net, F, x: net.dense(0.5 * net.conv(x) / 3 * F.array([2.0])),
        ["Conv", "Scale", "Dense"],
    ),
    "the largest of each map": (
        lambda net, F, x: net.dense(net.conv(x).max(axis=(2, 3))),
        ["Conv", "MaxPool", "Dense"],
    ),
    "a reshape before a dense layer": (
        lambda net, F, x: net.dense(net.conv(x).reshape((0, -1))),
        ["Conv", "Dense"],
    ),
    "a transpose before a dense layer": (
        lambda net, F, x: net.dense(net.conv(x).transpose((0, 2, 3, 1))),
        ["Conv", "Dense"],
    ),
    "an axis that comes and goes": (
        lambda net, F, x: net.dense(net.conv(F.expand_dims(x, 1).squeeze(1))),
        ["Conv", "Dense"],
    ),
    "an index of everything": (
        lambda net, F, x: net.dense(net.conv(x[:])[:, :, :]),
        ["Conv", "Dense"],
    ),
    "a residual sum with a scale": (
        lambda net, F, x: net.dense(x + 0.3 * net.same(x)),
        ["Conv", "Dense"],
    ),
    "a sum of several": (
        lambda net, F, x: net.dense(sum([net.same(x), F.relu(x), F.add_n(x, x * 2, x)])),
        ["ReLU", "Conv", "Dense"],
    ),
    "a difference": (
        lambda net, F, x: net.dense(x - net.same(x)),
        ["Conv", "Dense"],
    ),
    "relu by other words": (
        lambda net, F, x: net.dense(
            F.maximum(F.clip(net.conv(x), 0, float("inf")), F.zeros_like(net.conv(x)))
        ),
        ["Conv", "ReLU", "ReLU", "Dense"],
    ),
    "relu by a mask": (
        lambda net, F, x: net.dense(F.where(x > 0, x, F.zeros_like(x)) + x * (x > 0)),
        ["ReLU", "ReLU", "Dense"],
    ),
    "nothing at all": (
        lambda net, F, x: net.dense(net.conv(x) * 1 + 0),
        ["Conv", "Dense"],
    ),
    "other types and devices": (
        lambda net, F, x: net.dense(net.conv(x.astype("float32").copy()).as_in_context(x.ctx)),
        ["Conv", "Dense"],
    ),
    "a bias of one's own": (
        lambda net, F, x: net.dense(
            F.Convolution(x, F.ones((2, 3, 1, 1)) / 3, kernel=(1, 1), num_filter=2, no_bias=True)
            + F.array([1, 2]).reshape((1, 2, 1, 1))
        ),
        ["Conv", "Dense"],
    ),
    "paddings around pools": (
        lambda net, F, x: net.dense(
            F.Pooling(
                F.pad(F.relu(x), mode="constant", pad_width=(0, 0, 0, 0, 0, 1, 1, 0)),
                kernel=(3, 3),
                stride=(2, 2),
                pool_type="max",
            )
        ),
        ["ReLU", "MaxPool", "Dense"],
    ),
    "local response normalisation": (
        lambda net, F, x: net.dense(F.LRN(net.conv(x), nsize=3)),
        ["Conv", "LocalResponseNorm", "Dense"],
    ),
    "a dense layer by matrices": (
        lambda net, F, x: F.linalg.gemm2(F.flatten(x), F.ones((7, 2871)), transpose_b=True),
        ["Dense"],
    ),
    "softmax last": (lambda net, F, x: net.dense(F.BlockGrad(x)), ["Dense"]),
}


@pytest.mark.parametrize("words", EXPRESSIONS)
def test_what_belongs_together_is_one_layer(words):
    function, expected = EXPRESSIONS[words]
    model = composed(function)
    found = traced(model)
    assert kinds(found) == expected
    check(model, found)


def test_a_scale_is_read_in_a_residual():
    found = traced(composed(EXPRESSIONS["a residual sum with a scale"][0]))
    (residual,) = [
        each for _, each in found.network.layers.children if isinstance(each, spec.Residual)
    ]
    assert residual.scale == 0.3
    assert residual.shortcut == spec.Sequential(())


def test_a_head_is_an_auxiliary_output():
    assert traced(made(WithHead())).network.outputs == ("logits", "aux_1")


def test_dropout_keeps_its_rate():
    net = nn.HybridSequential()
    net.add(nn.Flatten(), nn.Dropout(0.37), nn.Dense(4))
    found = traced(made(net))
    assert leaves(found)[0] == spec.Dropout(0.37)
    assert "net[1]" in found.places.values()


class Asking(nn.Block):
    """Dropout that a graph of evaluation mode does not have."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.dense = nn.Conv2D(4, 3), nn.BatchNorm(), nn.Dense(5)

    def forward(self, x):
        x = nd.Dropout(self.norm(self.conv(x)), p=0.1)
        if autograd.is_training():
            x = nd.Dropout(x, p=0.4)
        x = self.dense(x)
        return nd.Dropout(x, p=0.2) if autograd.is_training() else x


def test_dropout_in_training_only_is_found_and_training_leaves_no_trace():
    model = made(Asking())
    model(nd.zeros((2, *SHAPE)))
    before = {name: each.data().asnumpy() for name, each in model.collect_params().items()}
    found = traced(model)
    assert [each.rate for each in leaves(found) if isinstance(each, spec.Dropout)] == [
        0.1,
        0.4,
        0.2,
    ]
    for name, each in model.collect_params().items():
        np.testing.assert_array_equal(each.data().asnumpy(), before[name])


def test_a_shared_layer_has_one_array():
    found = traced(grouped())
    graph = [op for op in found.graph.ops if op.kind == "conv"]
    places = {}
    for op in graph:
        places.setdefault(op.place, set()).add(id(op.arrays["weight"]))
    assert len(places["net.tail"]) == 1
    assert sum(op.place == "net.tail" for op in graph) == 2


def test_parameters_of_ones_own_are_places():
    places = traced(made(Functional())).places
    assert {"net.weight", "net.dense"} <= set(places.values())


def test_arrays_of_a_function_are_places():
    assert {"w1", "w2"} <= set(traced(from_scratch()).places.values())


@pytest.mark.filterwarnings("ignore:Cannot decide type for the following arguments:UserWarning")
def test_a_graph_that_was_saved_is_read(tmp_path):
    net = sequential()
    net.hybridize()
    net(nd.zeros((2, *SHAPE)))
    before = traced(net)
    net.export(str(tmp_path / "net"))
    files = [str(tmp_path / f"net-{each}") for each in ("symbol.json", "0000.params")]
    loaded = gluon.SymbolBlock.imports(files[0], ["data"], files[1])
    after = traced(loaded)
    assert leaves(after) == leaves(before)
    for one, other in zip(before.params.values(), after.params.values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert after.places["conv_1"].startswith("net.params['")
    assert loaded(nd.zeros((2, *SHAPE))).shape == (2, 5)


def test_gluons_own_inception():
    net = mx.gluon.model_zoo.vision.inception_v3()
    found = traced(made(net), (3, 299, 299))
    assert kinds(found).count("Conv") == 94
    assert found.places["conv_1"] == "net.features[0][0]"


# Parts of values, and products of two -------------------------------------------------------------


def ops_of(model, shape=SHAPE):
    """The operations that MXNet's trace gives, which give the model's outputs, computed here."""
    images = np.random.default_rng(2).standard_normal((2, *shape)).astype(np.float32)
    graph, (output,) = googlenet.get_backend("mxnet").trace(model, images)
    assert faults(graph) == []
    values = {graph.input: images.astype(np.float64)}
    for op in graph.ops:
        found = STEPS[op.kind](*(values[each] for each in op.inputs), **op.attributes)
        assert found.shape == op.shape, op
        values[op.name] = found
    assert distance(output, values[graph.outputs[0]]) <= limit(0)
    return [op for op in graph.ops if op.kind != "identity"]


def sliced(x, axis, start, stop, step):
    assert 0 < axis < x.ndim
    assert 0 <= start < stop <= x.shape[axis]
    assert step > 0
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


STEPS = {
    "slice": sliced,
    "multiply": lambda x, y: x * y,
    "transpose": lambda x, axes: x.transpose(axes),
    "reshape": lambda x, shape: x.reshape(len(x), *shape),
    "flatten": lambda x, start: x.reshape(*x.shape[:start], -1),
    "mean": lambda x, axes, keepdims: x.mean(axes, keepdims=keepdims),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "concat": lambda *parts, axis: np.concatenate(parts, axis),
    "identity": lambda x: x,
    "pad": lambda x, padding, value: x[
        :, :, *(slice(-before, after or None) for before, after in padding)
    ],
}

SLICES = {
    "an index": (lambda x: x[:, 1:3], [(1, 1, 3, 1)]),
    "mx.np, an index": (lambda x: x[:, 1:3], [(1, 1, 3, 1)]),
    "with steps": (lambda x: x[:, ::2, 3:-1:4], [(1, 0, 3, 2), (2, 3, 32, 4)]),
    "one channel": (lambda x: x[:, -1], [(1, 2, 3, 1)]),
    "mx.np, one pixel": (lambda x: x[:, :, 0, 4], []),
    "an axis behind": (lambda x: x.reshape((2, 3, -1))[:, :, 5:9], [(2, 5, 9, 1)]),
    "a list": (lambda x: x[:, [0, 2]], [(1, 0, 3, 2)]),
    "mx.np, a list of one": (lambda x: x[:, [-1]], [(1, 2, 3, 1)]),
    "slice": (lambda x: nd.slice(x, (None, 1), (None, 3)), [(1, 1, 3, 1)]),
    "slice_axis": (lambda x: x.slice_axis(axis=1, begin=0, end=-1), [(1, 0, 2, 1)]),
    "slice_like": (lambda x: nd.slice_like(x, nd.ones((1, 2)), axes=(1,)), [(1, 0, 2, 1)]),
    "slice_like a value": (
        lambda x: nd.slice_like(x, nd.slice_axis(x, axis=1, begin=1, end=3), axes=(1,)),
        [(1, 0, 2, 1)],
    ),
    "split": (lambda x: nd.split(x, 3)[1], [(1, 1, 2, 1)]),
    "split and squeezed": (lambda x: nd.split(x, 3, squeeze_axis=True)[2], [(1, 2, 3, 1)]),
    "a method": (lambda x: x.split(num_outputs=3, axis=1)[0], [(1, 0, 1, 1)]),
    "split_v2": (lambda x: nd.split_v2(x, (1,), axis=1)[1], [(1, 1, 3, 1)]),
    "mx.np.split": (lambda x: mx.np.split(x, [2], axis=1)[0], [(1, 0, 2, 1)]),
    "mx.np, array_split": (
        lambda x: mx.np.array_split(x, 2, axis=1)[0],
        [(1, 0, 2, 1)],
    ),
    "mx.np, hsplit": (lambda x: mx.np.hsplit(x, 3)[1], [(1, 1, 2, 1)]),
    "take": (lambda x: nd.take(x, nd.array([1, 2]), axis=1), [(1, 1, 3, 1)]),
    "mx.np, take one": (lambda x: mx.np.take(x, mx.np.array(2), axis=1), [(1, 2, 3, 1)]),
    "all of the parts": (
        lambda x: nd.concat(*nd.split(x, 3)[::-1], dim=1),
        [(1, 0, 1, 1), (1, 1, 2, 1), (1, 2, 3, 1)],
    ),
}


@pytest.mark.parametrize("words", SLICES)
def test_a_part_of_the_channels_is_a_slice(words):
    function, expected = SLICES[words]
    if words.startswith("mx.np"):
        npx.set_np()
    found = [op for op in ops_of(function) if op.kind == "slice"]
    keys = ("axis", "start", "stop", "step")
    assert sorted(tuple(op.attributes[key] for key in keys) for op in found) == expected
    assert len(traced(function).errors) == 1  # it was proved


GATES = {
    "an operator": lambda x: x * nd.sigmoid(x.mean(axis=(2, 3), keepdims=True)),
    "the other way round": lambda x: nd.sigmoid(x.mean(axis=(2, 3), keepdims=True)) * x,
    "reshaped": lambda x: nd.broadcast_mul(
        x, nd.sigmoid(x.mean(axis=(2, 3))).reshape((0, 0, 1, 1))
    ),
    "broadcast before": lambda x: (
        x * nd.sigmoid(x.mean(axis=(2, 3), keepdims=True)).broadcast_like(x)
    ),
    "elementwise": lambda x: nd.elemwise_mul(x, x.transpose((0, 1, 2, 3)).reshape((0, 0, 0, 0))),
    "by itself": lambda x: x * x,
    "mx.np": lambda x: mx.np.multiply(x, npx.sigmoid(x.mean((2, 3), keepdims=True))),
    "mx.np, broadcast_to": lambda x: x * mx.np.broadcast_to(x.mean((2, 3), keepdims=True), x.shape),
    "mx.np, einsum": lambda x: mx.np.einsum("nchw,nc->nchw", x, x.mean((2, 3))),
    "mx.np, einsum, the gate first": lambda x: mx.np.einsum("nc,nchw->nchw", x.mean((2, 3)), x),
}


@pytest.mark.parametrize("words", GATES)
def test_two_values_are_multiplied(words):
    if words.startswith("mx.np"):
        npx.set_np()
    *_, last = ops_of(GATES[words])
    assert (last.kind, last.attributes, last.arrays) == ("multiply", {}, {})
    assert len(last.inputs) == 2
    assert len(traced(GATES[words]).errors) == 1  # it was proved


class Product(gluon.HybridBlock):
    """A layer that is written as an operation with a weight of some shape."""

    def __init__(self, written, shape):
        super().__init__()
        self.written, self.weight = written, self.params.get("weight", shape=shape)

    def forward(self, x):
        return self.written(npx.relu(x), self.weight.data())


def repeated(x, weight):
    return mx.np.broadcast_to(mx.np.expand_dims(weight, 0), (x.shape[0], *weight.shape))


def rows(x):
    return x.reshape(x.shape[0], 3, -1)


#: Ways to write a convolution of 3 channels to 5 or a dense layer, the weight's shape, the layers.
PRODUCTS = {
    "einsum": (lambda x, w: mx.np.einsum("nchw,oc->nohw", x, w), (5, 3), "Conv"),
    "from the left": (
        lambda x, w: mx.np.matmul(w, rows(x)).reshape(-1, 5, *SHAPE[1:]),
        (5, 3),
        "Conv",
    ),
    "a stack": (
        lambda x, w: npx.batch_dot(repeated(x, w), rows(x), transpose_a=True).reshape(
            -1, 5, *SHAPE[1:]
        ),
        (3, 5),
        "Conv",
    ),
    "tensordot": (
        lambda x, w: mx.np.tensordot(x, w, axes=([1], [1])).transpose(0, 3, 1, 2),
        (5, 3),
        "Conv",
    ),
    "a deconvolution": (
        lambda x, w: npx.deconvolution(
            x, w, kernel=(1, 1), num_filter=6, num_group=3, no_bias=True
        ),
        (3, 2, 1, 1),
        "Conv",
    ),
    "a head from the left": (
        lambda x, w: mx.np.dot(w, x.mean((2, 3)).T).T,
        (5, 3),
        "GlobalAvgPool Dense",
    ),
    "a head of a sum": (
        lambda x, w: mx.np.dot(mx.np.einsum("nchw->nc", x) / (33 * 29), w),
        (3, 5),
        "GlobalAvgPool Dense",
    ),
    "a head as a stack": (
        lambda x, w: npx.batch_dot(mx.np.expand_dims(x.mean((2, 3)), 1), repeated(x, w)).squeeze(1),
        (3, 5),
        "GlobalAvgPool Dense",
    ),
}


@pytest.mark.parametrize(("written", "shape", "expected"), PRODUCTS.values(), ids=PRODUCTS)
def test_a_layer_that_is_written_as_a_product(written, shape, expected):
    npx.set_np()
    model = made(Product(written, shape))
    found = traced(model)
    assert kinds(found) == ["ReLU", *expected.split()]
    assert parameters_of(found.graph) == np.prod(shape)
    assert all(op.origins["weight"] == "weight" for op in found.graph.ops if "weight" in op.arrays)
    check(model, found)


def test_a_weight_for_each_image_is_foreign():
    npx.set_np()
    assert traced(made(Product(lambda x, w: npx.batch_dot(w, rows(x)), (2, 5, 3)))).foreign


# Foreign ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.LeakyReLU(0.1), "leaky_relu"),
        (nn.ELU(0.7), "elu"),
        (nn.GELU(), "gelu"),
        (nn.Swish(), "silu"),
        (nn.Activation("sigmoid"), "sigmoid"),
        (nn.Activation("tanh"), "tanh"),
        (nn.Activation("softrelu"), "softplus"),
        (nn.HybridLambda(lambda F, x: F.softmax(x, axis=1)), "softmax"),
        (nn.HybridLambda(lambda F, x: F.log_softmax(x, axis=1)), "log_softmax"),
        (nn.HybridLambda(lambda F, x: F.clip(x, 0, 6)), "clip"),
        (nn.HybridLambda(lambda F, x: F.minimum(x, 1)), "clip"),
        (nn.HybridLambda(lambda F, x: F.where(x > 0, x, x * 0.2)), "leaky_relu"),
        (nn.HybridLambda(lambda F, x: F.slice(x, (0, 0, 1, 2), (2, 3, 9, -3))), "pad"),
        (nn.HybridLambda(lambda F, x: F.Dropout(x, axes=(2, 3))), "spatial_dropout"),
        (partial(nn.Conv2D, 4, 3, dilation=2), "conv"),  # made as the semantics are
    ],
    ids=str,
)
def test_what_the_spec_has_not_is_foreign_and_computed(layer, kind):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(3, 1), layer() if isinstance(layer, partial) else layer)
    found = traced(made(net))
    (step,) = found.foreign
    assert (step.layer.kind, step.place) == (kind, "net[1]")
    assert len(found.errors) == 1  # it was proved


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: nd.LayerNorm(x, nd.ones(29), nd.zeros(29)), "mx.LayerNorm"),
        (lambda x: nd.pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 1, 1, 1)), "mx.Pad"),
        (lambda x: nd.contrib.BilinearResize2D(x, height=5, width=5), "mx.contrib"),
        (lambda x: nd.flip(x, axis=1), "mx.reverse"),
        (
            lambda x: nd.Deconvolution(x, nd.ones((3, 1, 2, 2)), kernel=(2, 2), num_filter=1),
            "mx.Deco",
        ),
        (lambda x: nd.exp(x), "mx.exp"),
        (lambda x: nd.sort(x, axis=1), "mx.sort"),
    ],
)
def test_an_operation_that_nobody_knows_is_named_and_nothing_is_claimed(function, kind):
    found = traced(function)
    assert {step.layer.kind.startswith(kind) for step in found.foreign} == {True}
    assert found.errors == ()


def test_dropout_that_is_active_is_foreign():
    (step,) = traced(lambda x: nd.Dropout(x, p=0.5, mode="always")).foreign
    assert step.layer.kind == "dropout"
    assert step.layer.attributes["active"]


# What cannot be traced ----------------------------------------------------------------------------


class Fails(nn.Block):
    def forward(self, x):
        raise RuntimeError("no weights were loaded")


def through_numpy(x):
    return x - nd.array(x.asnumpy().mean(axis=1, keepdims=True))


def by_its_values(x):
    return x if x.sum().asscalar() > 0 else -x


def by_a_number(x):
    return x * float(x.mean().asscalar())


def random(x):
    return x + nd.random.uniform(shape=(1, 3, 33, 29))


def detached(x):
    return nd.relu(x.detach() * 2)


def channels_last():
    net = nn.Sequential()
    net.add(nn.Conv2D(4, 3, layout="NHWC"))
    return made(net)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Fails(),
            r"on images of shape \(2, 3, 33, 29\): it fails at net \(RuntimeError: no weights",
        ),
        (through_numpy, "in net 'mx.broadcast_sub' takes a number that differs for other images"),
        (by_its_values, "the model computes something else for other images"),
        (by_a_number, "in net 'mul' takes a number that differs for other images"),
        (random, "in net 'affine' takes a number that differs for other images: it is random"),
        (detached, "output 0 does not depend on the images in a way that MXNet records"),
        (lambda x: nd.ones((2, 3)), "output 0 does not depend on the images"),
        (lambda x: x.flatten().T, "its first axis is not the batch"),
        (lambda x: {"logits": x}, "expected a model that returns an array, .*, got dict"),
        (
            made(nn.Conv2D(2, 1, in_channels=4)),
            r"cannot be run on images .*: it fails at net \(.*Error",
        ),
        (channels_last(), r"net\[0\] has layout NHWC, which MXNet computes on GPUs only"),
        (nn.Dense, "mxnet: expected a gluon Block or a function of arrays, got type"),
        (3, "mxnet: expected a gluon Block or a function of arrays, got int"),
        (mx.sym.var("x"), "expected a gluon Block or a function of arrays, got Symbol"),
        (lambda x: x * 1e38 * 1e3, "output 0: cannot be proved, since rounding alone"),
    ],
)
def test_what_cannot_be_traced_is_an_error(model, message):
    with pytest.raises(TraceError, match=message):
        traced(model)


# State --------------------------------------------------------------------------------------------


def test_the_model_stays_as_it_is():
    net = sequential()
    net.hybridize()
    x = nd.random.uniform(shape=(2, *SHAPE))
    with autograd.record():
        net(x).sum().backward()
    parameters = net.collect_params()
    next(iter(parameters.values())).grad_req = "add"

    def state():
        return {
            name: (each.data().asnumpy(), each.grad_req, each._data[0], each._grad)
            for name, each in parameters.items()
        }

    before = state()
    grads = {name: each.grad().asnumpy() for name, each in parameters.items() if each._grad}
    fresh = [each.data()._fresh_grad for each in parameters.values() if each._grad]
    y, graphs = net(x).asnumpy(), [block._cached_op for block in (net, *net)]
    traced(net)
    for name, (array, grad_req, data, grad) in state().items():
        np.testing.assert_array_equal(array, before[name][0])
        assert (grad_req, data, grad) == before[name][1:]
    for name, array in grads.items():
        np.testing.assert_array_equal(array, parameters[name].grad().asnumpy())
    assert fresh == [each.data()._fresh_grad for each in parameters.values() if each._grad]
    assert graphs == [block._cached_op for block in (net, *net)]
    assert all(block._active for block in (net, *net))
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in (net, *net))
    assert not npx.is_np_array()
    np.testing.assert_array_equal(net(x).asnumpy(), y)


def test_the_weights_are_copies():
    model = made(nn.Conv2D(4, 1))
    found = traced(model)
    weight = model.weight.data().asnumpy()
    model.weight.set_data(nd.zeros_like(model.weight.data()))
    np.testing.assert_array_equal(found.params["conv_1.weight"], weight)


def test_a_model_in_double_precision():
    model = nn.Conv2D(4, 1, in_channels=3)
    model.cast("float64")
    assert max(traced(made(model)).errors) <= limit(0) * np.finfo(np.float64).eps / EPS


def test_a_classic_model_is_traced_where_numpy_semantics_are_on():
    """They are the user's process's, and stay so."""
    model = nn.Sequential()
    model.add(nn.Conv2D(4, 3, in_channels=3), nn.Lambda(lambda x: nd.relu(x).mean(axis=(2, 3))))
    model.initialize()
    npx.set_np()
    found = traced(model, (3, 12, 10))
    assert [op.kind for op in found.graph.ops][:2] == ["conv", "relu"]
    assert mx.util.is_np_array()
    assert mx.util.is_np_shape()


class Trained(nn.HybridBlock):
    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.conv = nn.Conv2D(4, 3, in_channels=3)
            self.act, self.norm = nn.PReLU(in_channels=4), nn.GroupNorm(2)
            self.shift = self.params.get("shift", shape=(1, 4, 1, 1))
            self.frozen = self.params.get_constant("frozen", mx.nd.ones((4, 4, 1, 1)))

    def hybrid_forward(self, F, x, shift, frozen):
        x = F.broadcast_add(self.act(self.conv(x)), shift)
        x = F.broadcast_add(self.norm(x), F.broadcast_to(shift, (1, 4, 31, 27)))
        x = F.Convolution(x, frozen, kernel=(1, 1), num_filter=4, no_bias=True)
        return F.mean(self.norm(x), (2, 3))


def test_every_trained_number_is_counted_once():
    """A factor that is broadcast, and those of layers nobody knows; twice is once."""
    graph = traced(made(Trained())).graph
    assert parameters_of(graph) == 3 * 4 * 9 + 4 + 4 + 4 + 2 + 2  # a norm has one of each a group
