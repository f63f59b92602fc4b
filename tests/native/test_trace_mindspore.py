"""Users' own MindSpore models, traced: code in any style is understood, or what is foreign in it
named. Networks of ours are in `test_trace.py`.
"""

import os

import mindspore as ms
import mindspore.mint.nn.functional as F
import numpy as np
import pytest
from mindspore import mint, nn, ops

import googlenet
from googlenet import TraceError, spec
from googlenet.backend.graph import faults, parameters_of
from googlenet.proof.parity.tolerance import distance, limit
from googlenet.spec.traversal import walk

SHAPE = (3, 33, 29)


def traced(model, shape=SHAPE):
    return googlenet.trace(model, "mindspore", shape)


def graph_of(model, shape=SHAPE):
    """The graph alone, without the lift."""
    images = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    return googlenet.get_backend("mindspore").trace(model, images)[0]


def layers(found):
    return [site.layer for site in walk(found.network)]


def check_outputs(found, images, outputs):
    """The model's outputs on other images than those of the trace are those of its network."""
    reference = googlenet.get_backend("numpy")
    exact, rough = (
        reference.forward(reference.build(found.network, found.params, dtype=dtype), images)
        for dtype in (np.float64, np.float32)
    )
    for name, output in zip(found.outputs, outputs, strict=True):
        right = exact[name].reshape(output.shape)
        assert distance(output, right) <= limit(
            distance(rough[name].reshape(output.shape), right)
        ), name


def array(*shape):
    return ms.Tensor(np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32))


# The book's own GoogLeNet, as its MindSpore tab has it --------------------------------------------


class Inception(nn.Cell):
    def __init__(self, in_channels, c1, c2, c3, c4):
        super().__init__()
        self.p1_1 = nn.Conv2d(in_channels, c1, kernel_size=1)
        self.p2_1 = nn.Conv2d(in_channels, c2[0], kernel_size=1)
        self.p2_2 = nn.Conv2d(c2[0], c2[1], kernel_size=3, padding=1, pad_mode="pad")
        self.p3_1 = nn.Conv2d(in_channels, c3[0], kernel_size=1)
        self.p3_2 = nn.Conv2d(c3[0], c3[1], kernel_size=5, padding=2, pad_mode="pad")
        self.p4_1 = nn.MaxPool2d(kernel_size=3, stride=1, pad_mode="same")
        self.p4_2 = nn.Conv2d(in_channels, c4, kernel_size=1)
        self.relu = nn.ReLU()

    def construct(self, x):
        p1 = self.relu(self.p1_1(x))
        p2 = self.relu(self.p2_2(self.relu(self.p2_1(x))))
        p3 = self.relu(self.p3_2(self.relu(self.p3_1(x))))
        p4 = self.relu(self.p4_2(self.p4_1(x)))
        return ops.concat((p1, p2, p3, p4), axis=1)


def pool():
    return nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="same")


def book():
    b1 = [nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, pad_mode="pad"), nn.ReLU(), pool()]
    b2 = [
        nn.Conv2d(64, 64, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(64, 192, kernel_size=3, padding=1, pad_mode="pad"),
        nn.ReLU(),
        pool(),
    ]
    b3 = [
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64),
        pool(),
    ]
    b4 = [
        Inception(480, 192, (96, 208), (16, 48), 64),
        Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64),
        Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128),
        pool(),
    ]
    b5 = [
        Inception(832, 256, (160, 320), (32, 128), 128),
        Inception(832, 384, (192, 384), (48, 128), 128),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    ]
    blocks = [nn.SequentialCell(each) for each in (b1, b2, b3, b4, b5)]
    return nn.SequentialCell([*blocks, nn.Dense(1024, 10)])


def test_the_book_s_own_googlenet():
    found = traced(book(), (1, 96, 96))
    convs = [layer for layer in layers(found) if isinstance(layer, spec.Conv)]
    assert len(convs) == 57
    assert not any(conv.bias for conv in convs)  # as `has_bias` has it
    count = sum(each.size for each in found.params.values())
    assert count == 5_977_530 - sum(conv.out_channels for conv in convs)
    (first, *_) = [layer for layer in layers(found) if isinstance(layer, spec.MaxPool)]
    assert first.padding == ((0, 1), (0, 1))
    assert found.places["concat_1.branch_3.conv_2"] == "net[2][0].p3_2"
    assert found.places["concat_9"] == "net[4][1]"
    assert len(found.errors) == 1  # it was proved


# Other styles -------------------------------------------------------------------------------------


class Functional(nn.Cell):
    """Raw parameters, paddings apart, a bias added, a mean for the pool."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = ms.Parameter(array(5, 3, 3, 3)), ms.Parameter(array(5))
        self.dense = ms.Parameter(array(5, 7))

    def construct(self, x):
        x = ops.conv2d(ops.pad(x, (1, 2, 3, 0)), self.weight, stride=2)
        x = ops.relu(x + self.bias.reshape(1, 5, 1, 1))
        x = ops.max_pool2d(ops.pad(x, (0, 1, 0, 1)), 3, 2)
        return x.mean((2, 3)) @ self.dense


class Block(nn.Cell):
    """A scaled sum whose parts are functions."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Conv2d(channels, channels, 3, pad_mode="pad", padding=1, has_bias=True)

    def construct(self, x):
        return ops.relu(x + 0.17 * self.body(x))


class WithHead(nn.Cell):
    """Residual sums, a further output, dropout as a function, reshaping before a dense layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.blocks = nn.Conv2d(3, 4, 1), nn.CellList([Block(4), Block(4)])
        self.head, self.aux = nn.Dense(4, 3), nn.SequentialCell(nn.Dense(4, 3), nn.Dropout(p=0.7))

    def construct(self, x):
        x = ops.relu(self.conv(x))
        aux = self.aux(ops.adaptive_avg_pool2d(x, 1).view(x.shape[0], -1))
        for block in self.blocks:
            x = block(x)
        x = ops.reshape(ops.adaptive_avg_pool2d(x, (1, 1)), (x.shape[0], -1))
        return self.head(ops.dropout(x, p=0.4, training=self.training)), aux


class Mapped(nn.Cell):
    """A map flattened for a dense layer; a convolution with four paddings, in groups."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, (2, 3), "pad", (1, 2, 0, 3), group=3, has_bias=True)
        self.norm, self.dense = nn.BatchNorm2d(6, eps=1e-3), nn.Dense(6 * 17 * 10, 4)

    def construct(self, x):
        return self.dense(mint.flatten(F.relu(self.norm(self.conv(x))), 1))


class Primitives(nn.Cell):
    """Operations as objects, one layer used twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, has_bias=True)
        self.relu, self.pool = ops.ReLU(), ops.MaxPool(3, 2, "same")
        self.mean, self.concat = ops.ReduceMean(keep_dims=True), ops.Concat(axis=1)

    def construct(self, x):
        x = self.relu(self.conv(x))
        x = self.concat([self.pool(x), self.pool(self.relu(self.conv(x)))])
        return ops.squeeze(self.mean(x, (2, 3)))


def sequential():
    return nn.SequentialCell(
        nn.Conv2d(3, 4, 5, pad_mode="pad", padding=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.LRN(depth_radius=2, bias=2.0, alpha=2e-5, beta=0.75),
        nn.MaxPool2d(3, 2, pad_mode="pad", padding=1, ceil_mode=True),
        nn.AvgPool2d(3, 2, pad_mode="pad", padding=1, count_include_pad=False),
        nn.Flatten(),
        nn.Dense(4 * 9 * 8, 6, activation="relu"),
    )


STYLES = {
    "functional": (
        Functional,
        [
            spec.Conv(5, (3, 3), (2, 2), ((3, 0), (1, 2)), 1, True),
            spec.ReLU(),
            spec.MaxPool((3, 3), (2, 2), ((0, 1), (0, 1)), False),
            spec.GlobalAvgPool(),
            spec.Dense(7, bias=False),
        ],
    ),
    "with a head": (WithHead, [spec.Conv(4, (1, 1), (1, 1), ((0, 0), (0, 0)), 1, False)]),
    "mapped": (Mapped, [spec.Conv(6, (3, 3), (2, 3), ((1, 2), (0, 3)), 3, True)]),
    "sequential": (
        sequential,
        [
            spec.Conv(4, (5, 5), (1, 1), ((2, 2), (2, 2)), 1, False),
            spec.BatchNorm(1e-5, 0.1, scale=False),
            spec.ReLU(),
            spec.LocalResponseNorm(5, 1e-4, 0.75, 2.0),
            spec.MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), False),  # rounding does not matter here
            spec.AvgPool((3, 3), (2, 2), ((1, 1), (1, 1)), False, False),
            spec.Dense(6, bias=True),
            spec.ReLU(),
        ],
    ),
}


def shuffled(model):
    """`model` with statistics that are not those of a fresh one, and with the same weights in every
    run, since a ReLU is last: where hardly anything is left of the logits, rounding is all.
    """
    rng = np.random.default_rng(0)
    for each in model.get_parameters():
        drawn = rng.standard_normal(each.shape) / np.sqrt(np.prod(each.shape[1:]))
        if "moving" in each.name:
            drawn = rng.uniform(0.5, 2, each.shape)
        if "gamma" not in each.name:
            each.set_data(ms.Tensor(drawn.astype(np.float32)))
    return model


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_understood(style):
    make, first = STYLES[style]
    model = shuffled(make())
    found = traced(model)
    assert layers(found)[: len(first)] == first
    images = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    if style != "with a head":  # its reshape has the batch's size in it
        outputs = model.set_train(False)(ms.Tensor(images))
        check_outputs(found, images, [outputs.asnumpy()])


def test_heads_sums_and_dropout():
    """Dropout is found as a cell and as a function, sums with their scale, each in its block."""
    found = traced(WithHead())
    assert found.network.outputs == ("logits", "aux_1")
    sums = [each for _, each in found.network.layers.children if isinstance(each, spec.Residual)]
    assert [each.scale for each in sums] == [0.17, 0.17]
    assert [op.place for op in found.graph.ops if op.kind == "add"] == [
        "net.blocks[0]",
        "net.blocks[1]",
    ]
    rates = {op.place: op.attributes for op in found.graph.ops if op.kind == "dropout"}
    assert rates == {
        "net": {"rate": 0.4, "active": False},
        "net.aux[1]": {"rate": 0.7, "active": False},
    }


def test_what_is_shared_is_one_array():
    graph = graph_of(Primitives())
    first, second = [op.arrays["weight"] for op in graph.ops if op.kind == "conv"]
    assert first is second
    one, two = [op.arrays["other"] for op in graph.ops if op.kind == "affine"]
    assert one is two


class Transposed(nn.Cell):
    """Weights that are computed from parameters, the same ones twice."""

    def __init__(self):
        super().__init__()
        self.weight = ms.Parameter(array(3, 3))

    def construct(self, x):
        x = ops.mean(x, (2, 3))
        weight = ops.transpose(self.weight, (1, 0)) / ops.sqrt(self.weight.max())
        return ops.matmul(ops.relu(ops.matmul(x, weight)), weight)


def test_constants_are_computed_once():
    found = traced(Transposed())
    assert [type(layer).__name__ for layer in layers(found)] == [
        "GlobalAvgPool",
        "Dense",
        "ReLU",
        "Dense",
    ]
    first, second = [op.arrays["weight"] for op in found.graph.ops if op.kind == "dense"]
    assert first is second


class Weighted(nn.Cell):
    """A convolution of 3 channels to 5, or a dense layer, that is written as a product."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = ms.Parameter(array(*(shape or (5, 3))))

    def repeated(self, x):
        return ops.broadcast_to(self.weight.expand_dims(0), (x.shape[0], *self.weight.shape))

    def construct(self, x):
        return ops.matmul(self.weight, x.reshape(-1, 3, 33 * 29)).reshape(-1, 5, 33, 29)


class Stacked(Weighted):
    def construct(self, x):
        pixels = x.reshape(x.shape[0], 3, -1)
        return ops.bmm(self.repeated(x), pixels).reshape(-1, 5, 33, 29)


class Rows(Weighted):
    def construct(self, x):
        rows = x.transpose(0, 2, 3, 1).reshape(-1, 3)
        return ops.matmul(rows, self.weight.T).reshape(-1, 33, 29, 5).transpose(0, 3, 1, 2)


class Turned(Weighted):
    def __init__(self):
        super().__init__(3, 5, 1, 1)
        self.turn = ops.Conv2DTranspose(5, 1)

    def construct(self, x):
        return self.turn(x, self.weight, (x.shape[0], 5, 33, 29))


class Head(Weighted):
    def construct(self, x):
        return ops.matmul(self.weight, x.mean((2, 3)).T).T


class StackedHead(Weighted):
    def construct(self, x):
        return ops.bmm(self.repeated(x), x.mean((2, 3)).expand_dims(-1)).squeeze(-1)


@pytest.mark.parametrize("make", [Weighted, Stacked, Rows, Turned, Head, StackedHead])
def test_a_layer_that_is_written_as_a_product(make):
    found = traced(make())
    kinds = ["GlobalAvgPool", "Dense"] if "Head" in make.__name__ else ["Conv"]
    assert [type(layer).__name__ for layer in layers(found)] == kinds
    assert parameters_of(found.graph) == 15
    assert {op.origins["weight"] for op in found.graph.ops if "weight" in op.arrays} == {"weight"}


class ForEachImage(Weighted):
    def construct(self, x):
        return ops.bmm(self.weight, x.reshape(x.shape[0], 3, -1))


def test_a_weight_for_each_image_is_foreign():
    model = ForEachImage(2, 5, 3)
    model.weight.set_data(ops.ones_like(model.weight))
    assert traced(model).foreign


# Products of two values, and parts of one ---------------------------------------------------------


class Excited(nn.Cell):
    """Squeeze and excitation, by one way to multiply."""

    def __init__(self):
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(3, 4, 1), nn.Dense(4, 2), nn.Dense(2, 4)

    def gate(self, x):
        return ops.sigmoid(self.up(ops.relu(self.down(x.mean((2, 3))))))

    def construct(self, x):
        x = self.conv(x)
        return self.both(x, self.gate(x).view(x.shape[0], 4, 1, 1))


class Star(Excited):
    def both(self, x, gate):
        return x * gate


class Multiplied(Excited):
    def both(self, x, gate):
        return ops.mul(gate, x)


class Method(Excited):
    def both(self, x, gate):
        return x.mul(gate)


class Expanded(Excited):
    def both(self, x, gate):
        return x * gate.expand_as(x)


class Tiled(Excited):
    def both(self, x, gate):
        return x * ops.tile(gate, (1, 1, x.shape[2], x.shape[3]))


class Indexed(Excited):
    def both(self, x, gate):
        return x * ops.squeeze(gate, (2, 3))[:, :, None, None]


class Primitive(Excited):
    def both(self, x, gate):
        return ops.Mul()(x, gate)


@pytest.mark.parametrize("make", Excited.__subclasses__())
def test_products_of_two_values(make):
    found = traced(make())
    (product,) = [op for op in found.graph.ops if op.kind == "multiply"]
    shapes = {op.name: op.shape for op in found.graph.ops}
    assert sorted(shapes[name] for name in product.inputs) == [(2, 4, 1, 1), (2, 4, 33, 29)]
    assert product.place == "net"
    assert not faults(found.graph)
    assert len(found.errors) == 1  # it was proved


class Parts(nn.Cell):
    """Two parts of the channels, by one way to take them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 1)

    def construct(self, x):
        first, second = self.parts(self.conv(x))
        return ops.cat((ops.relu(first), second), 1)


class Ranges(Parts):
    def parts(self, x):
        return x[:, :2], x[:, 2:]


class FromTheEnd(Parts):
    def parts(self, x):
        return x[:, :-4, ...], x[:, -4:]


class Split(Parts):
    def parts(self, x):
        return ops.split(x, (2, 4), axis=1)


class SplitMethod(Parts):
    def parts(self, x):
        first, second, third = x.split(2, 1)
        return first, ops.cat((second, third), 1)


class Chunks(Parts):
    def parts(self, x):
        parts = ops.chunk(x, 3, 1)
        return parts[0], ops.cat(parts[1:], 1)


class SplitPrimitive(Parts):
    def parts(self, x):
        parts = ops.Split(1, 3)(x)
        return parts[0], ops.cat((parts[1], parts[2]), 1)


class Narrow(Parts):
    def parts(self, x):
        return ops.narrow(x, 1, 0, 2), x.narrow(1, 2, 4)


class Slices(Parts):
    def parts(self, x):
        n, _, h, w = x.shape
        return ops.slice(x, (0, 0, 0, 0), (n, 2, h, w)), ops.strided_slice(
            x, (0, 2, 0, 0), (n, 6, h, w), (1, 1, 1, 1)
        )


class Gathered(Parts):
    def parts(self, x):
        return x[:, [0, 1]], ops.gather(x, ms.Tensor([2, 3, 4, 5]), 1)


class Unbound(Parts):
    def parts(self, x):
        one, two, *_ = ops.unbind(x, 1)
        return ops.cat((ops.expand_dims(one, 1), ops.expand_dims(two, 1)), 1), x[:, 2:]


@pytest.mark.parametrize("make", Parts.__subclasses__())
def test_parts_of_the_channels(make):
    found = traced(make())
    taken = [dict(op.attributes) for op in found.graph.ops if op.kind == "slice"]
    assert taken
    assert {each["axis"] for each in taken} == {1}
    assert not faults(found.graph)
    assert not any(op.kind.startswith("ms.") for op in found.graph.ops)
    assert len(found.errors) == 1  # it was proved


def one(x):
    return x[:, 1]


def every_second(x):
    return x[:, ::2]


def several_axes(x):
    return x[:, 1:, 3:-2:4]


def last_column(x):
    return x[..., -1]


def narrowed(x):
    return mint.narrow(x, 1, 1, 2)


def selected(x):
    return mint.select(x, 1, 2)


def of_sizes(x):
    return mint.split(x, [1, 2], 1)[1]


def chunked(x):
    return mint.chunk(x, 3, 1)[2]


def taken(x):
    return x.take(ms.Tensor([0, 2]), 1)


@pytest.mark.parametrize(
    ("take", "expected"),
    [
        (one, [(1, 1, 2, 1)]),
        (every_second, [(1, 0, 3, 2)]),
        (several_axes, [(1, 1, 3, 1), (2, 3, 31, 4)]),
        (last_column, [(3, 28, 29, 1)]),
        (narrowed, [(1, 1, 3, 1)]),
        (selected, [(1, 2, 3, 1)]),
        (of_sizes, [(1, 1, 3, 1)]),
        (chunked, [(1, 2, 3, 1)]),
        (taken, [(1, 0, 3, 2)]),
    ],
)
def test_parts_in_other_spellings(take, expected, monkeypatch):
    from googlenet_mindspore import tracing

    monkeypatch.setattr(tracing, "_run", lambda *given: [])  # a CPU has not all of them
    graph = graph_of(take)
    found = [op.attributes for op in graph.ops if op.kind == "slice"]
    names = ("axis", "start", "stop", "step")
    assert [tuple(each[name] for name in names) for each in found] == expected
    assert not faults(graph)


def backwards(x):
    return x[:, ::-1]


def uneven(x):
    return x[:, [0, 2, 1]]


def first_image(x):
    return x[:1]


@pytest.mark.parametrize("take", [backwards, uneven, first_image])
def test_other_parts_are_foreign(take):
    (op,) = graph_of(take).ops
    assert op.kind.startswith("ms.")


# What is foreign ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: nn.LeakyReLU(0.1), "leaky_relu"),
        (nn.ReLU6, "clip"),
        (lambda: nn.GELU(approximate=False), "gelu"),
        (nn.GELU, "gelu"),
        (nn.SiLU, "silu"),
        (nn.Sigmoid, "sigmoid"),
        (nn.Tanh, "tanh"),
        (lambda: nn.Softmax(axis=1), "softmax"),
        (lambda: nn.LogSoftmax(axis=1), "log_softmax"),
        (lambda: nn.Conv2d(3, 4, 3, pad_mode="valid", dilation=2), "conv"),
        (lambda: nn.ZeroPad2d(1), "pad"),
        (lambda: nn.Dense(29, 4), "dense"),
        (lambda: nn.AdaptiveMaxPool2d((1, 2)), "adaptive_max_pool"),
    ],
)
def test_what_the_spec_has_not_is_foreign_and_computed(make, kind):
    found = traced(nn.SequentialCell(nn.Conv2d(3, 3, 1), make(), nn.Conv2d(3, 3, 1), make())[:2])
    (step,) = found.foreign
    assert (step.layer.kind, step.place) == (kind, "net[1]")
    assert len(found.errors) == 1  # it was proved


@pytest.mark.parametrize("make", [lambda: nn.LeakyReLU(0.1), nn.SiLU, lambda: nn.GELU(False)])
def test_layers_that_are_functions_keep_their_places(make):
    """MindSpore reads their function once, in the first of them."""
    graph = graph_of(nn.SequentialCell(make(), nn.Conv2d(3, 3, 1), make(), nn.Conv2d(3, 3, 1)))
    assert [op.place for op in graph.ops if op.kind != "conv"] == ["net[0]", "net[2]"]


def test_a_layer_that_nobody_knows_is_named_and_nothing_is_claimed():
    found = traced(nn.SequentialCell(nn.Conv2d(3, 8, 1), nn.ReflectionPad2d(1)))
    assert [(step.layer.kind, step.place) for step in found.foreign] == [("ms.MirrorPad", "net[1]")]
    assert found.errors == ()


class Random(nn.Cell):
    def construct(self, x):
        return ops.dropout(x.mean((2, 3)), 0.5)


def test_dropout_that_is_active_is_foreign():
    (step,) = traced(Random()).foreign
    assert step.layer.kind == "dropout"
    assert step.layer.attributes["active"]


class Mint(nn.Cell):
    """Operations for which MindSpore has no kernels on a CPU."""

    def __init__(self):
        super().__init__()
        self.conv = mint.nn.Conv2d(3, 4, (3, 5), stride=(1, 2), padding=(1, 2), bias=True)
        self.norm, self.drop = mint.nn.BatchNorm2d(4, eps=1e-3), mint.nn.Dropout(0.2)
        self.pool, self.mean = mint.nn.MaxPool2d(3, 2, 1), mint.nn.AvgPool2d(2, 2)
        self.linear = mint.nn.Linear(4, 6)

    def construct(self, x):
        x = F.leaky_relu(self.norm(self.conv(F.pad(x, (1, 0, 2, 1)))), 0.1)
        x = F.adaptive_avg_pool2d(F.gelu(F.elu(self.mean(self.pool(x)))), (1, 1))
        return self.linear(self.drop(mint.flatten(x, 1)))


def test_mint_is_read_although_a_cpu_cannot_run_it(monkeypatch):
    from googlenet_mindspore import tracing

    monkeypatch.setattr(tracing, "_run", lambda *given: [])
    assert [
        (op.kind, op.place, dict(op.attributes)) for op in graph_of(Mint(), (3, 12, 12)).ops
    ] == [
        ("pad", "net", {"padding": ((2, 1), (1, 0)), "value": 0.0}),
        (
            "conv",
            "net.conv",
            {"stride": (1, 2), "padding": ((1, 1), (2, 2)), "dilation": (1, 1), "groups": 1},
        ),
        ("batch_norm", "net.norm", {"eps": 1e-3, "train": False, "momentum": 0.1}),
        ("leaky_relu", "net", {"slope": 0.1}),
        (
            "max_pool",
            "net.pool",
            {
                "kernel_size": (3, 3),
                "stride": (2, 2),
                "padding": ((1, 1), (1, 1)),
                "ceil_mode": False,
                "dilation": (1, 1),
            },
        ),
        (
            "avg_pool",
            "net.mean",
            {
                "kernel_size": (2, 2),
                "stride": (2, 2),
                "padding": ((0, 0), (0, 0)),
                "ceil_mode": False,
                "count_include_pad": True,
            },
        ),
        ("elu", "net", {"alpha": 1.0}),
        ("gelu", "net", {"approximate": "none"}),
        ("adaptive_avg_pool", "net", {"output_size": (1, 1)}),
        ("flatten", "net", {"start": 1}),
        ("dropout", "net.drop", {"rate": 0.2, "active": False}),
        ("dense", "net.linear", {}),
    ]


# What cannot be traced ----------------------------------------------------------------------------


class Fails(nn.Cell):
    def construct(self, x):
        raise RuntimeError("no weights were loaded")


class ThroughNumPy(nn.Cell):
    def construct(self, x):
        return ms.Tensor(x.asnumpy())


class Importing(nn.Cell):
    def construct(self, x):
        import math

        return x * math.sqrt(2)


class Branching(nn.Cell):
    def construct(self, x):
        if x.sum() > 0:
            return x
        return -x


class Nested(nn.Cell):
    def construct(self, x):
        return {"logits": x}


class AcrossTheBatch(nn.Cell):
    def construct(self, x):
        return ops.transpose(ops.flatten(x), (1, 0))


class Constant(nn.Cell):
    def construct(self, x):
        return x, ops.ones((2, 3))


class Noisy(nn.Cell):
    def construct(self, x):
        return x + ops.randn(*x.shape)


class PlainList(nn.Cell):
    def __init__(self):
        super().__init__()
        self.convs = [nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)]

    def construct(self, x):
        return ops.concat([conv(x) for conv in self.convs], 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Fails,
            r"be run on images of shape \(2, 3, 33, 29\) \(RuntimeError: no weights were loaded",
        ),
        (lambda: nn.Conv2d(4, 2, 1), r"cannot be run on images of shape \(2, 3, 33, 29\)"),
        (ThroughNumPy, r"test_trace_mindspore.py, line \d+: return ms.Tensor\(x.asnumpy\(\)\)"),
        (Importing, r"Unsupported statement 'Import'\): test_trace_\w+.py, line \d+: import math$"),
        (
            Branching,
            r"depends on the values of the images.*: test_\w+.py, line \d+: if x.sum\(\) > 0$",
        ),
        (Nested, "expected a model that returns a tensor.* got dict"),
        (AcrossTheBatch, "its first axis is not the batch"),
        (Constant, "output 1 does not depend on the images"),
        (Noisy, "net: 'StandardNormal' draws random numbers"),
        (PlainList, r"^net.convs: .* cells in a plain list.* make the list an nn.CellList"),
        (lambda: nn.ReLU, "mindspore: expected an nn.Cell or a function of the images, got type"),
    ],
)
def test_what_cannot_be_traced_is_an_error(model, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TraceError, match=message) as caught:
        traced(model())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []  # nor MindSpore's own notes


# What stays ---------------------------------------------------------------------------------------


@pytest.fixture(params=[ms.PYNATIVE_MODE, ms.GRAPH_MODE], ids=["eager", "graph"])
def execution(request):
    before = ms.get_context("mode")
    ms.set_context(mode=request.param)
    yield request.param
    ms.set_context(mode=before)


def test_the_model_stays_as_it_is(execution):
    model = nn.SequentialCell(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(p=0.5)).set_train()
    model[2].set_train(False)
    level, notes = ms.get_context("jit_syntax_level"), os.environ.get("MS_OM_PATH")
    cells = [cell for _, cell in model.cells_and_names()]
    before = {each.name: each.asnumpy().copy() for each in model.get_parameters()}
    attributes = [dict(vars(cell)) for cell in cells]
    traced(model)
    assert [cell.training for cell in model] == [True, True, False]
    assert model.training
    assert [vars(cell) for cell in cells] == attributes
    assert {each.name for each in model.get_parameters()} == before.keys()
    for each in model.get_parameters():
        np.testing.assert_array_equal(each.asnumpy(), before[each.name])
    assert ms.get_context("mode") == execution
    assert ms.get_context("jit_syntax_level") == level
    assert os.environ.get("MS_OM_PATH") == notes


def test_a_model_that_has_been_used_is_read_anew(execution):
    """What MindSpore compiled before, in another mode or with other weights, does not matter."""
    model = WithHead().set_train()
    model(array(2, *SHAPE))
    first = traced(model)
    model.conv.weight.set_data(array(4, 3, 1, 1))
    second = traced(model)
    assert first.network == second.network
    np.testing.assert_array_equal(second.params["conv_1.weight"], model.conv.weight.asnumpy())
    assert (first.params["conv_1.weight"] != second.params["conv_1.weight"]).any()


class Trained(nn.Cell):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, pad_mode="valid", has_bias=True)
        self.act, self.norm = nn.PReLU(4), nn.GroupNorm(2, 4)
        self.shift = ms.Parameter(ops.rand(1, 4, 1, 1), name="shift")
        self.frozen = ops.rand(4, 4, 1, 1)

    def construct(self, x):
        x = self.act(self.conv(x)) + self.shift
        x = ops.conv2d(self.norm(x) + ops.broadcast_to(self.shift, (1, 4, 31, 27)), self.frozen)
        return self.norm(x).mean((2, 3))


def test_every_trained_number_is_counted_once():
    """A factor that is broadcast, and those of layers nobody knows; twice is once."""
    graph = graph_of(Trained())
    assert parameters_of(graph) == 3 * 4 * 9 + 4 + 4 + 4 + 4 + 4
