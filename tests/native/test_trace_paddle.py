"""Users' own PaddlePaddle models, traced: code in any style is understood, or what is foreign in it
named. That every network of ours comes back is in `test_trace.py`.
"""

import copy
import math

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn
from paddle.vision import models

import googlenet
from googlenet import CaptureError, TraceError, spec
from googlenet.architectures import get_network
from googlenet.backend.graph import faults, parameters_of
from googlenet.proof.parity.tolerance import EPS, distance, limit
from googlenet.spec.traversal import walk

from ..frameworks.benchmarks import benchmark

SHAPE = (3, 33, 29)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:When training, we now always track:UserWarning"),
]


@pytest.fixture(autouse=True)
def _seed():
    paddle.seed(0)


def traced(model, shape=SHAPE):
    found = googlenet.trace(model, "paddle", shape)
    assert faults(found.graph) == []
    return found


def layers(found):
    """The kinds of a network's layers, in order."""
    return [type(site.layer).__name__ for site in walk(found.network)]


def leaf(found, kind):
    """The only layer of a kind."""
    (layer,) = [site.layer for site in walk(found.network) if isinstance(site.layer, kind)]
    return layer


def check_function(found, model, images_last=False):
    """In the reference, the network gives what the model gives for other images."""
    images = np.random.default_rng(1).standard_normal((3, *found.network.input_shape))
    images = images.astype(np.float32)
    native = images.transpose(0, 2, 3, 1) if images_last else images
    with paddle.no_grad():
        outputs = model(paddle.to_tensor(np.ascontiguousarray(native)))
    outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
    reference = googlenet.get_backend("numpy")
    exact, rough = (
        reference.forward(reference.build(found.network, found.params, dtype=dtype), images)
        for dtype in (np.float64, np.float32)
    )
    for name, output in zip(found.network.outputs, outputs, strict=True):
        allowed = limit(distance(rough[name], exact[name]))
        assert distance(output.numpy(), exact[name]) <= allowed, name


def check_proved(found):
    """All outputs were compared with float64; one beyond its limit is an error of the trace."""
    assert len(found.errors) == len(found.graph.outputs)


# Styles -------------------------------------------------------------------------------------------


def test_the_books_googlenet():
    model = benchmark("handwritten_paddle").construct()
    found = traced(model, (1, 96, 96))
    network = get_network("googlenet")
    assert [site.layer for site in walk(found.network)] == [
        site.layer for site in walk(network.at((1, 96, 96)))
    ]
    paths = [path for path, place in found.places.items() if place == "net[2][0].p3_2"]
    assert len(paths) == 1
    weight = found.params[f"{paths[0]}.weight"]
    np.testing.assert_array_equal(weight, model[2][0].p3_2.weight.numpy())


class Functional(nn.Layer):
    """Raw parameters, a padding apart, a bias added, a norm built late, a mean for the pool."""

    def __init__(self):
        super().__init__()
        self.filters = self.create_parameter([5, 3, 3, 3])
        self.shift = self.create_parameter([5], is_bias=True)
        self.matrix = self.create_parameter([5, 7])
        self.norm = None

    def forward(self, x):
        x = F.conv2d(F.pad(x, [1, 2, 3, 0]), self.filters, stride=2)
        x = x + self.shift.reshape([1, -1, 1, 1])
        x = F.max_pool2d(F.pad(F.relu(x), [0, 1, 0, 1]), 3, 2)
        if self.norm is None:
            self.norm = nn.BatchNorm2D(x.shape[1])
        x = F.local_response_norm(self.norm(x), 3, 2e-4, 0.7, 2.0)
        x = F.dropout(x.mean(axis=[2, 3]), 0.25, training=self.training)
        return paddle.matmul(x, self.matrix)


class WithHead(nn.Layer):
    """A scaled residual sum, and a further output, in a list."""

    def __init__(self):
        super().__init__()
        self.conv, self.body = nn.Conv2D(3, 4, 1), nn.Conv2D(4, 4, 3, padding=1)
        self.head, self.aux = nn.Linear(4, 3), nn.Linear(4 * 8 * 7, 3)
        self.drop = nn.Dropout(0.4)

    def forward(self, x):
        x = F.relu(self.conv(x))
        aux = F.avg_pool2d(x, 4, 4)
        aux = self.aux(paddle.reshape(aux, [aux.shape[0], -1]))
        x = F.relu(x + 0.17 * self.body(x))
        x = paddle.flatten(F.avg_pool2d(x, x.shape[2:]), 1)
        return [self.head(self.drop(x)), aux]


class Listed(nn.Layer):
    """Layers in a list that Paddle does not know of, and branches in a loop."""

    def __init__(self):
        super().__init__()
        self.branches = [nn.Conv2D(3, n, n, padding="SAME", stride=2) for n in (2, 3, 5)]
        self.last = nn.LayerList([nn.Conv2D(10, 4, 1, bias_attr=False), nn.BatchNorm2D(4)])

    def forward(self, x):
        x = paddle.concat([branch(x) for branch in self.branches], 1)
        for layer in self.last:
            x = layer(x)
        return F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)


class ChannelsLast(nn.Layer):
    """Maps (N, H, W, C) throughout."""

    def __init__(self):
        super().__init__()
        last = {"data_format": "NHWC"}
        self.conv = nn.Conv2D(3, 8, (3, 5), padding="SAME", stride=2, **last)
        self.norm, self.pool = nn.BatchNorm2D(8, **last), nn.MaxPool2D(3, 2, padding=1, **last)
        self.one, self.two = nn.Linear(8, 4), nn.Conv2D(8, 6, 3, padding=1, **last)
        self.response = nn.LocalResponseNorm(3, **last)
        self.head = nn.Linear(9 * 8 * 10, 5)

    def forward(self, x):
        x = self.pool(self.response(F.relu(self.norm(self.conv(x)))))
        x = paddle.concat([F.relu(self.one(x)), self.two(x)], axis=-1)
        return self.head(x.flatten(1))


class Inside(ChannelsLast):
    """The same, behind a transposition of its own."""

    def forward(self, x):
        return super().forward(x.transpose([0, 2, 3, 1]))


STEM, CLASSIFIER = nn.Conv2D(3, 6, 3), nn.Linear(6, 4)
FILTERS = paddle.randn([6, 3, 3, 3])
MATRIX, OFFSET = paddle.randn([4, 6]), paddle.randn([4])


def plain(x):
    """A function of layers that stand outside, in training mode as they are."""
    x = F.adaptive_avg_pool2d(F.relu(STEM(x)), (1, 1))
    return CLASSIFIER(x.reshape([x.shape[0], -1]))


def raw(x):
    """A function of tensors: operators, a view, a matrix that is transposed, constants."""
    x = F.relu(F.conv2d(x, FILTERS * 2.0, padding="VALID"))
    x = x.mean([2, 3]).view([x.shape[0], 6])
    return paddle.matmul(x, MATRIX, transpose_y=True) + (OFFSET - 1.0)


def sequential():
    return nn.Sequential(
        ("conv", nn.Conv2D(3, 4, 5, padding=2, bias_attr=False)),
        ("norm", nn.BatchNorm2D(4, epsilon=1e-3)),
        ("relu", nn.ReLU()),
        ("response", nn.LocalResponseNorm(5, alpha=2e-4, k=2.0)),
        ("pool", nn.MaxPool2D(3, 2, ceil_mode=True)),
        ("flat", nn.Flatten()),
        ("head", nn.Linear(4 * 16 * 14, 6)),
    )


class Static(nn.Layer):
    """Decorated to run as a graph, and compiled at its first call."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3)

    @paddle.jit.to_static
    def forward(self, x):
        x = self.conv(x)
        if x.shape[2] > 3:
            x = F.relu(x)
        return x


class InPlace(nn.Layer):
    """Operations in place, some whose result is dropped."""

    def __init__(self):
        super().__init__()
        self.conv, self.body = nn.Conv2D(3, 4, 1), nn.Conv2D(4, 4, 1)

    def forward(self, x):
        x = self.conv(x)
        F.relu_(x)
        y = self.body(x)
        y.add_(x)
        x = F.relu_(y)
        x *= 0.5
        return x


class Hooked(nn.Layer):
    """An activation in a hook, a layer called by its forward, an attribute of another name."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 1)
        self.again = self.conv
        self.conv.register_forward_post_hook(lambda layer, given, output: F.relu(output))
        self.pool = nn.MaxPool2D(2)

    def forward(self, x):
        return self.pool.forward(self.again(x))


STYLES = {
    "sequential": (sequential, "Conv BatchNorm ReLU LocalResponseNorm MaxPool Dense"),
    "functional": (
        Functional,
        "Conv ReLU MaxPool BatchNorm LocalResponseNorm GlobalAvgPool Dropout Dense",
    ),
    "with a head": (WithHead, "Conv ReLU AvgPool Dense Conv ReLU AvgPool Dropout Dense"),
    "listed": (Listed, "Conv Conv Conv Conv BatchNorm GlobalAvgPool"),
    "inside": (
        Inside,
        "Conv BatchNorm ReLU LocalResponseNorm MaxPool Conv ReLU Conv Dense",
    ),
    "static": (Static, "Conv ReLU"),
    "made static": (lambda: paddle.jit.to_static(nn.Sequential(STEM, nn.ReLU())), "Conv ReLU"),
    "in place": (InPlace, "Conv ReLU Conv ReLU Scale"),
    "hooked": (Hooked, "Conv ReLU MaxPool"),
    "a function of layers": (lambda: plain, "Conv ReLU GlobalAvgPool Dense"),
    "a function of tensors": (lambda: raw, "Conv ReLU GlobalAvgPool Dense"),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_understood(style):
    make, kinds = STYLES[style]
    model = make()
    found = traced(model)
    assert layers(found) == kinds.split()
    check_proved(found)
    if isinstance(model, nn.Layer):
        model.eval()
    check_function(found, model)


def test_a_model_of_channels_last_takes_its_images_so():
    model = ChannelsLast()
    found = traced(model)
    assert layers(found) == STYLES["inside"][1].split()
    assert found.network.input_shape == SHAPE
    model.eval()
    check_function(found, model, images_last=True)


def test_numbers_are_read():
    """Paddings apart, numbers that Paddle holds as float32, SAME at an even and an odd size."""
    found = traced(Functional())
    conv, response = leaf(found, spec.Conv), leaf(found, spec.LocalResponseNorm)
    assert conv == spec.Conv(5, (3, 3), (2, 2), ((3, 0), (1, 2)), 1, True)
    assert response == spec.LocalResponseNorm(3, 2e-4, 0.7, 2.0)
    assert leaf(found, spec.Dropout) == spec.Dropout(0.25)
    first, second, third, _ = (
        site.layer.padding
        for site in walk(traced(Listed()).network)
        if isinstance(site.layer, spec.Conv)
    )
    assert first == ((0, 1), (0, 1))
    assert second == ((1, 1), (1, 1))
    assert third == ((2, 2), (2, 2))


@pytest.mark.parametrize(
    ("model", "places"),
    [
        (sequential(), {"conv_1": "net.conv", "dense_1": "net.head", "lrn_1": "net.response"}),
        (Functional(), {"conv_1": "net.filters", "dense_1": "net.matrix", "norm_1": "net.norm"}),
        (plain, {"conv_1": "STEM", "dense_1": "CLASSIFIER"}),
        (raw, {"dense_1": "MATRIX"}),
        (Listed(), {"concat_1.branch_2.conv_1": "net.branches[1]", "norm_1": "net.last[1]"}),
        (nn.Sequential(sequential()), {"conv_1": "net[0].conv"}),
    ],
)
def test_a_place_is_written_as_the_user_writes_it(model, places):
    assert traced(model).places.items() >= places.items()


def test_a_head_is_an_auxiliary_output_and_a_sum_a_residual():
    found = traced(WithHead())
    assert found.network.outputs == ("logits", "aux_1")
    (residual,) = [
        each for _, each in found.network.layers.children if isinstance(each, spec.Residual)
    ]
    assert residual.scale == 0.17
    assert residual.shortcut == spec.Sequential(())


class Twice(nn.Layer):
    """One convolution and one dense layer, each called twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.dense = nn.Conv2D(3, 3, 3, padding=1), nn.Linear(3, 3)

    def forward(self, x):
        x = self.conv(F.relu(self.conv(x))).mean([2, 3])
        return self.dense(F.relu(self.dense(x)))


def test_what_is_shared_is_one_array():
    ops = traced(Twice()).graph.ops
    for kind in ("conv", "dense"):
        first, second = (op.arrays["weight"] for op in ops if op.kind == kind)
        assert first is second


# Products -----------------------------------------------------------------------------------------


class Product(nn.Layer):
    """A layer that is written as an operation with a weight of some shape."""

    def __init__(self, written, shape):
        super().__init__()
        self.written, self.weight = written, self.create_parameter(shape)

    def forward(self, x):
        return self.written(F.relu(x), self.weight)


def repeated(x, weight):
    return weight.unsqueeze(0).expand([x.shape[0], *weight.shape])


#: Ways to write a convolution of 3 channels to 5, and the shape of the weight.
PIXELWISE = {
    "einsum": (lambda x, w: paddle.einsum("nchw,oc->nohw", x, w), [5, 3]),
    "einsum, weight first": (lambda x, w: paddle.einsum("co,nchw->nohw", w, x), [3, 5]),
    "einsum, channels last": (
        lambda x, w: paddle.einsum("...c,oc->...o", x.transpose([0, 2, 3, 1]), w).transpose(
            [0, 3, 1, 2]
        ),
        [5, 3],
    ),
    "from the left": (
        lambda x, w: paddle.matmul(w, x.reshape([x.shape[0], 3, -1])).reshape([-1, 5, 33, 29]),
        [5, 3],
    ),
    "from the left, transposed": (
        lambda x, w: (
            paddle.matmul(w, x.flatten(2), transpose_x=True) + paddle.ones([5, 1])
        ).reshape([-1, 5, 33, 29]),
        [3, 5],
    ),
    "a stack": (
        lambda x, w: paddle.bmm(repeated(x, w), x.flatten(2)).reshape([-1, 5, 33, 29]),
        [5, 3],
    ),
    "channels last": (
        lambda x, w: paddle.matmul(x.transpose([0, 2, 3, 1]), w).transpose([0, 3, 1, 2]),
        [3, 5],
    ),
    "pixels in a row": (
        lambda x, w: (
            F.linear(x.flatten(2).transpose([0, 2, 1]), w)
            .transpose([0, 2, 1])
            .reshape([-1, 5, 33, 29])
        ),
        [3, 5],
    ),
    "all pixels as rows": (
        lambda x, w: (
            paddle.matmul(x.transpose([0, 2, 3, 1]).reshape([-1, 3]), w)
            .reshape([-1, 33, 29, 5])
            .transpose([0, 3, 1, 2])
        ),
        [3, 5],
    ),
    "tensordot": (
        lambda x, w: paddle.tensordot(x, w, axes=[[1], [1]]).transpose([0, 3, 1, 2]),
        [5, 3],
    ),
    "a transposed convolution": (
        lambda x, w: F.conv2d_transpose(x, w, paddle.ones([5])),
        [3, 5, 1, 1],
    ),
    "a transposed convolution in groups": (
        lambda x, w: F.conv2d_transpose(x, w, groups=3),
        [3, 2, 1, 1],
    ),
}


@pytest.mark.parametrize(("written", "shape"), PIXELWISE.values(), ids=PIXELWISE)
def test_a_convolution_of_pixels_in_any_words(written, shape):
    model = Product(written, shape)
    found = traced(model)
    assert layers(found) == ["ReLU", "Conv"]
    assert parameters_of(found.graph) == math.prod(shape)
    check_proved(found)
    check_function(found, model)


#: Ways to write a convolution of 3 x 3 with a padding of its own on each side.
WINDOWS = {
    "unfolded": lambda x, w: paddle.matmul(w, F.unfold(x, 3, 2, [1, 0, 2, 1])).reshape(
        [-1, 5, 17, 14]
    ),
    "unfolded and folded": lambda x, w: F.fold(
        paddle.einsum("ok,nkp->nop", w, F.unfold(x, 3, 2, [1, 0, 2, 1])), [17, 14], 1
    ),
}


@pytest.mark.parametrize("written", WINDOWS.values(), ids=WINDOWS)
def test_a_convolution_of_windows_as_columns(written):
    model = Product(written, [5, 27])
    found = traced(model)
    conv = spec.Conv(5, (3, 3), (2, 2), ((1, 2), (0, 1)), 1, False)
    assert [site.layer for site in walk(found.network)] == [spec.ReLU(), conv]
    check_proved(found)
    check_function(found, model)


#: The same for a dense layer of the means of 3 channels, or of all that a map is.
CLASSIFIERS = {
    "einsum": (lambda x, w: paddle.einsum("nc,oc->no", x.mean([2, 3]), w), [5, 3]),
    "einsum of a sum": (
        lambda x, w: paddle.matmul(paddle.einsum("nchw->nc", x) / (33 * 29), w),
        [3, 5],
    ),
    "a stack": (
        lambda x, w: paddle.bmm(x.mean([2, 3]).unsqueeze(1), repeated(x, w)).squeeze(1),
        [3, 5],
    ),
    "a stack from the left": (
        lambda x, w: paddle.matmul(repeated(x, w), x.mean([2, 3]).unsqueeze(-1)).squeeze(-1),
        [5, 3],
    ),
    "a matrix from the left": (
        lambda x, w: paddle.matmul(w, x.mean([2, 3]).unsqueeze(-1)).squeeze(-1),
        [5, 3],
    ),
    "a matrix from the left, transposed": (
        lambda x, w: paddle.matmul(w, x.mean([2, 3]).t()).t(),
        [5, 3],
    ),
    "einsum of a map": (lambda x, w: paddle.einsum("nchw,ohwc->no", x, w), [5, 33, 29, 3]),
}


@pytest.mark.parametrize(("written", "shape"), CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_dense_layer_in_any_words(written, shape):
    model = Product(written, shape)
    found = traced(model)
    pool = [] if len(shape) == 4 else ["GlobalAvgPool"]
    assert layers(found) == ["ReLU", *pool, "Dense"]
    check_proved(found)
    check_function(found, model)


#: Products that are no layer, and the shape of the weight.
NO_LAYERS = {
    "a weight for each image": (lambda x, w: paddle.bmm(w, x.flatten(2)), [2, 5, 3]),
    "a weight for each channel": (lambda x, w: paddle.einsum("nchw,cw->nch", x, w), [3, 29]),
    "of rows": (lambda x, w: paddle.matmul(w, x), [33, 33]),
    "a wide transposed convolution": (lambda x, w: F.conv2d_transpose(x, w), [3, 5, 3, 3]),
    "a strided transposed convolution": (
        lambda x, w: F.conv2d_transpose(x, w, stride=2),
        [3, 5, 1, 1],
    ),
}


@pytest.mark.parametrize(("written", "shape"), NO_LAYERS.values(), ids=NO_LAYERS)
def test_a_product_that_is_no_layer_is_foreign(written, shape):
    assert traced(Product(written, shape)).foreign


def test_a_concatenation_of_channels_in_front_is_one_of_channels():
    def model(x):
        front = [1, 0, 2, 3]
        return paddle.concat([F.relu(x).transpose(front), x.transpose(front)]).transpose(front)

    found = traced(model)
    assert found.places.keys() == {"concat_1", "concat_1.branch_1.relu_1"}
    check_proved(found)
    check_function(found, model)


# Windows ------------------------------------------------------------------------------------------


#: Kernel, stride, padding, whether windows round up: Paddle refuses to round up without padding.
WINDOWS = [
    (kernel, stride, padding, ceil_mode)
    for kernel, stride in ((3, 2), (4, 3), ((3, 5), (2, 1)))
    for padding in (0, 1, (1, 0), [0, 1, 1, 0], "SAME", "VALID")
    for ceil_mode in (False, True)
    if not (ceil_mode and padding == "VALID")
]


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_an_average_pool_is_what_paddle_computes(window, exclusive):
    kernel, stride, padding, ceil_mode = window
    pool = nn.AvgPool2D(kernel, stride, padding, ceil_mode=ceil_mode, exclusive=exclusive)
    found = traced(nn.Sequential(nn.Conv2D(3, 3, 1), pool))
    check_proved(found)
    if exclusive or padding in (0, 1):
        assert layers(found) == ["Conv", "AvgPool"]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_max_pool_is_what_paddle_computes(window):
    kernel, stride, padding, ceil_mode = window
    pool = nn.MaxPool2D(kernel, stride, padding, ceil_mode=ceil_mode)
    found = traced(nn.Sequential(nn.Conv2D(3, 3, 1), pool))
    assert layers(found) == ["Conv", "MaxPool"]
    check_proved(found)


@pytest.mark.parametrize("exclusive", [True, False])
def test_nothing_is_claimed_of_a_window_beyond_the_map(exclusive):
    """Paddle divides by 0 there."""
    pool = nn.AvgPool2D(2, 3, 1, ceil_mode=True, exclusive=exclusive)
    try:
        found = traced(pool, (3, 32, 32))
    except TraceError:
        return
    assert found.errors == ()


@pytest.mark.parametrize("head", [nn.AdaptiveMaxPool2D(1), lambda x: x.max([2, 3], keepdim=True)])
def test_the_largest_of_a_map_is_a_max_pool_of_its_size(head):
    class Model(nn.Layer):
        def forward(self, x):
            return head(x)

    assert leaf(traced(Model()), spec.MaxPool).kernel_size == (33, 29)


# Parts and products -------------------------------------------------------------------------------

EXCITE = nn.Linear(6, 6)
POWER = paddle.create_parameter([1], "float32")
NUMBERS = paddle.to_tensor([1, 3, 5])


def excitation(x):
    """The factors (N, C) of squeeze and excitation."""
    return F.sigmoid(EXCITE(x.mean([2, 3])))


def in_place(x):
    x = x * 1.0
    x *= excitation(x).reshape([-1, 6, 1, 1])
    return x


#: How users write a product of two values, or take channels, with the kinds of the operations that
#: the products and parts are.
PARTS = {
    "an operator": (lambda x: x * excitation(x).unsqueeze([2, 3]), "multiply"),
    "a function": (lambda x: paddle.multiply(excitation(x)[:, :, None, None], x), "multiply"),
    "a method": (lambda x: x.multiply(x.mean([2, 3], keepdim=True)), "multiply"),
    "in place": (in_place, "multiply"),
    "expanded": (lambda x: x * x.mean([2, 3], keepdim=True).expand_as(x), "multiply"),
    "expanded to a shape": (
        lambda x: paddle.expand(x.mean([2, 3], keepdim=True), x.shape) * x,
        "multiply",
    ),
    "itself": (lambda x: x * x, "multiply"),
    "gated": (lambda x: F.glu(x, 1), "slice slice multiply"),
    "split": (lambda x: paddle.concat(paddle.split(x, 3, 1)[::-1], 1), "slice slice slice"),
    "unequal parts": (lambda x: x.split([1, -1, 2], 1)[1], "slice"),
    "chunk": (lambda x: x.chunk(2, 1)[1], "slice"),
    "parts that differ by one": (lambda x: paddle.tensor_split(x, 4, 1)[1], "slice"),
    "unbind": (lambda x: paddle.stack(x.unbind(1)[2:4], 1), "slice slice"),
    "unstack": (lambda x: paddle.unstack(x, 1)[5], "slice"),
    "brackets": (lambda x: x[:, 1:-2], "slice"),
    "every second": (lambda x: x[:, ::2], "slice"),
    "pixels": (lambda x: x[:, :, 1:, ::3], "slice slice"),
    "an ellipsis": (lambda x: x[..., 2:5], "slice"),
    "one channel": (lambda x: x[:, -1], "slice"),
    "one pixel": (lambda x: x[:, :, 2, 3], "slice slice"),
    "slice": (lambda x: paddle.slice(x, [1], [0], [2]), "slice"),
    "strided slice": (lambda x: paddle.strided_slice(x, [1], [0], [5], [3]), "slice"),
    "crop": (lambda x: paddle.crop(x, [-1, 2, 3, 4], [0, 1, 2, 3]), "slice slice slice"),
    "narrow": (lambda x: paddle.narrow(x, 1, 2, 3), "slice"),
    "index_select": (lambda x: paddle.index_select(x, NUMBERS, 1), "slice"),
    "gather": (lambda x: paddle.gather(x, NUMBERS, axis=1), "slice"),
    "a list of channels": (lambda x: x[:, [0, 2, 4]], "slice"),
    "a tensor of channels": (lambda x: x[:, NUMBERS], "slice"),
}


@pytest.mark.parametrize("how", PARTS)
def test_parts_and_products_of_values_are_known(how):
    function, kinds = PARTS[how]
    found = traced(function, (6, 7, 8))
    assert {op.kind.partition(".")[0] for op in found.graph.ops}.isdisjoint({"pd_op", "builtin"})
    assert [op.kind for op in found.graph.ops if op.kind in ("slice", "multiply")] == kinds.split()
    check_proved(found)


class Gated(nn.Layer):
    """Maps (N, H, W, C) with squeeze and excitation, and parts of their channels."""

    def __init__(self, reshaped):
        super().__init__()
        self.conv = nn.Conv2D(3, 6, 3, data_format="NHWC")
        self.excite, self.reshaped = nn.Linear(6, 6), reshaped
        self.last = nn.Conv2D(3, 2, 1, data_format="NHWC")

    def forward(self, x):
        x = self.conv(x.transpose([0, 2, 3, 1]))
        factors = F.sigmoid(self.excite(x.mean([1, 2], keepdim=not self.reshaped)))
        x = x * (factors.reshape([-1, 1, 1, 6]) if self.reshaped else factors)
        one, two = x.split(2, axis=-1)
        return self.last(one + two)[:, 1:], x[..., 0]


@pytest.mark.parametrize("reshaped", [False, True])
def test_parts_and_products_of_channels_last_are_those_of_channels_first(reshaped):
    found = traced(Gated(reshaped), (3, 9, 8))
    ops = found.graph.ops
    (product,) = [op for op in ops if op.kind == "multiply"]
    assert product.shape == (2, 6, 7, 6)
    taken = [op.attributes["axis"] for op in ops if op.kind == "slice"]
    assert taken == [1, 1, 2, 3]
    check_proved(found)


SEVERAL = {
    "topk": lambda x: paddle.topk(x, 2, axis=1)[1].astype("float32"),
    "einsum": lambda x: paddle.einsum("nchw,nc->nchw", x, x.mean([2, 3])),
    "bmm": lambda x: paddle.bmm(x.flatten(2), x.flatten(2).transpose([0, 2, 1])),
    "backwards": lambda x: x[:, ::-1],
    "in any order": lambda x: x[:, [2, 0, 1]],
    "a trained power": lambda x: x / (2.0 + x * x) ** POWER,
    "quotient": lambda x: x / (x.mean([2, 3], keepdim=True) + 7.0),
}


@pytest.mark.parametrize("how", SEVERAL)
def test_what_is_no_part_is_foreign(how):
    images = np.random.default_rng(0).standard_normal((2, 6, 7, 8)).astype(np.float32)
    graph, (output,) = googlenet.get_backend("paddle").trace(SEVERAL[how], images)
    assert faults(graph) == []
    assert graph.ops[-1].shape == output.shape
    assert any(op.kind.startswith("pd_op.") for op in graph.ops)


# What is no layer of the spec ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "kind", "attributes"),
    [
        (nn.LeakyReLU(0.1), "leaky_relu", {"slope": 0.1}),
        (nn.ReLU6(), "clip", {"low": 0, "high": 6}),
        (nn.Hardtanh(-2, 3), "clip", {"low": -2, "high": 3}),
        (nn.ELU(0.7), "elu", {"alpha": 0.7}),
        (nn.GELU(), "gelu", {"approximate": "none"}),
        (nn.GELU(True), "gelu", {"approximate": "tanh"}),
        (nn.Silu(), "silu", {}),
        (nn.Swish(), "silu", {}),
        (nn.Sigmoid(), "sigmoid", {}),
        (nn.Tanh(), "tanh", {}),
        (nn.Softplus(), "softplus", {}),
        (nn.Softmax(1), "softmax", {"axis": 1}),
        (nn.LogSoftmax(1), "log_softmax", {"axis": 1}),
        (nn.Conv2D(3, 4, 3, dilation=2, bias_attr=False), "conv", {"dilation": (2, 2)}),
        (nn.ZeroPad2D([1, 2, 0, 3]), "pad", {"padding": ((0, 3), (1, 2)), "value": 0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_spec_has_not_is_foreign_and_computed(layer, kind, attributes):
    found = traced(nn.Sequential(nn.Conv2D(3, 3, 1), layer))
    (step,) = found.foreign
    assert (step.layer.kind, step.place) == (kind, "net[1]")
    assert step.layer.attributes.items() >= attributes.items()
    check_proved(found)
    with pytest.raises(TraceError, match=rf"net\[1\]: '{kind}' is not a layer of the spec"):
        _ = found.network


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.PixelShuffle(2), "pd_op.pixel_shuffle"),
        (nn.Pad2D(1, mode="reflect"), "pd_op.pad3d"),
        (nn.Conv2DTranspose(4, 2, 3), "pd_op.conv2d_transpose"),
        (nn.Upsample(scale_factor=2), "pd_op.nearest_interp"),
        (nn.Mish(), "pd_op.mish"),
        (nn.GroupNorm(2, 4), "pd_op.group_norm"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_layer_that_nobody_knows_is_named_and_nothing_is_claimed(layer, kind):
    found = traced(nn.Sequential(nn.Conv2D(3, 4, 1), layer))
    named = [(step.layer.kind, step.place) for step in found.foreign]
    assert (kind, "net[1]") in named
    assert found.errors == ()


MEAN = np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * MEAN,
        lambda x: MEAN * x,
        lambda x: (x - MEAN) / np.float32(2),
        lambda x: MEAN - x,
    ],
)
def test_arrays_of_numpy_are_constants(function):
    found = traced(function)
    assert {step.layer.kind for step in found.foreign} == {"affine"}
    check_proved(found)


class Arithmetic(nn.Layer):
    """Constants on either side of an operator, and such as Paddle makes in a forward pass."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 1)
        self.register_buffer("mean", paddle.to_tensor([1.0, 2.0, 3.0]).reshape([1, 3, 1, 1]))

    def forward(self, x):
        x = self.conv((x - self.mean) / paddle.full([1, 3, 1, 1], 2.0))
        x = 1.0 - x * paddle.to_tensor([1.0, -1.0, 2.0, 0.5]).reshape([4, 1, 1])
        return paddle.maximum(x, paddle.zeros([1])) + paddle.zeros_like(x)


def test_constants_are_computed():
    found = traced(Arithmetic())
    check_proved(found)
    assert {step.layer.kind for step in found.foreign} == {"affine"}


# Dropout ------------------------------------------------------------------------------------------


class Dropped(nn.Layer):
    def forward(self, x):
        return F.dropout(x, 0.3, training=self.training)


class Scaled(nn.Layer):
    def forward(self, x):
        return F.dropout(x, 0.3, training=self.training, mode="downscale_in_infer")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Dropout(0.3), [spec.Dropout(0.3)]),
        (Dropped(), [spec.Dropout(0.3)]),
        (Scaled(), [spec.Dropout(0.3), spec.Scale(0.7, "always")]),
        (nn.AlphaDropout(0.0), []),
    ],
)
def test_dropout_and_its_rate(layer, expected):
    found = traced(nn.Sequential(nn.Conv2D(3, 4, 1), layer))
    assert [site.layer for site in walk(found.network)][1:] == expected


@pytest.mark.parametrize(
    ("layer", "kind"),
    [(nn.Dropout2D, "spatial_dropout"), (nn.AlphaDropout, "alpha_dropout")],
)
def test_other_dropout_is_foreign(layer, kind):
    (step,) = traced(nn.Sequential(nn.Conv2D(3, 4, 1), layer(0.3))).foreign
    assert (step.layer.kind, step.place) == (kind, "net[1]")
    assert step.layer.attributes == {"rate": 0.3, "active": False}


class Random(nn.Layer):
    def forward(self, x):
        return F.dropout(x.flatten(1), 0.5)


def test_dropout_that_is_active_is_foreign():
    found = traced(Random())
    (step,) = [each for each in found.foreign if each.layer.kind == "dropout"]
    assert step.layer.attributes == {"rate": 0.5, "active": True}
    assert found.errors == ()


# The user's objects -------------------------------------------------------------------------------


class Keeping(nn.Layer):
    """Keeps what it computed, and has a layer that evaluation mode does not reach."""

    def __init__(self):
        super().__init__()
        self.conv, self.last, self.all = nn.Conv2D(3, 4, 1), None, []
        self.hidden = [nn.BatchNorm2D(4)]

    def forward(self, x):
        self.last = self.conv(x)
        self.all.append(self.last)
        return self.hidden[0](self.last)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_stays_as_it_is(fails):
    last = Branching() if fails else nn.Dropout(0.5)
    model = nn.Sequential(nn.Conv2D(3, 4, 1), nn.BatchNorm2D(4), last)
    model[1].eval()
    before = {name: array.numpy().copy() for name, array in model.state_dict().items()}
    held = [dict(vars(layer)) for layer in model.sublayers(include_self=True)]
    call, adds = nn.Layer.__call__, paddle.Tensor.__add__
    if fails:
        with pytest.raises(TraceError):
            traced(model)
    else:
        traced(model)
    assert [layer.training for layer in model] == [True, False, True]
    assert model.training
    assert [vars(layer) for layer in model.sublayers(include_self=True)] == held
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(before[name], array.numpy())
    assert nn.Layer.__call__ is call
    assert paddle.Tensor.__add__ is adds
    assert paddle.in_dynamic_mode()
    copy.deepcopy(model)(paddle.ones([1, *SHAPE])).sum().backward()


def test_a_model_that_keeps_what_it_computed():
    model = Keeping()
    norm = model.hidden[0]
    before = norm._mean.numpy().copy()
    traced_norm = traced(model)
    assert all(isinstance(each, paddle.Tensor) for each in (model.last, *model.all))
    assert norm.training
    np.testing.assert_array_equal(norm._mean.numpy(), before)
    (step,) = traced_norm.foreign
    assert (step.layer.kind, step.place) == ("batch_norm", "net.hidden[0]")
    assert step.layer.attributes["train"]


def test_a_function_of_layers_leaves_them_in_their_mode():
    norm = nn.BatchNorm2D(3)
    before = norm._mean.numpy().copy()
    found = traced(lambda x: norm(x))
    assert leaf(found, spec.BatchNorm)
    assert norm.training
    np.testing.assert_array_equal(norm._mean.numpy(), before)


def test_the_weights_are_copies():
    model = nn.Conv2D(3, 4, 1)
    found = traced(model)
    weight = model.weight.numpy().copy()
    model.weight.set_value(paddle.zeros_like(model.weight))
    np.testing.assert_array_equal(found.params["conv_1.weight"], weight)


def test_a_model_in_double_precision():
    model = nn.Sequential(nn.Conv2D(3, 4, 1), nn.LocalResponseNorm(3))
    errors = traced(model.to(dtype="float64")).errors
    assert max(errors) <= limit(0) * np.finfo(np.float64).eps / EPS


@pytest.fixture
def static_mode():
    paddle.enable_static()
    yield
    paddle.disable_static()


def test_a_model_in_a_process_that_is_in_static_mode(static_mode):
    """One that was made before is traced as ever; one that was made so computes nothing."""
    assert leaf(traced(STEM), spec.Conv).out_channels == 6
    assert not paddle.in_dynamic_mode()
    with pytest.raises(TraceError, match=r"net\[0\]\.weight was made in static mode"):
        traced(nn.Sequential(nn.Conv2D(3, 4, 1)))


# What cannot be traced ----------------------------------------------------------------------------


class Fails(nn.Layer):
    def forward(self, x):
        raise RuntimeError("no weights were loaded")


class Branching(nn.Layer):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Reading(nn.Layer):
    def forward(self, x):
        return x * float(x.numpy().mean())


class AcrossTheBatch(nn.Layer):
    def forward(self, x):
        return x.flatten(1).T


class Named(nn.Layer):
    def forward(self, x):
        return {"logits": x}


class Constant(nn.Layer):
    def forward(self, x):
        return paddle.ones([2, 3])


class Noise(nn.Layer):
    def forward(self, x):
        return x + paddle.randn(x.shape)


class Choosing(nn.Layer):
    def forward(self, x):
        return paddle.static.nn.cond(x.mean() > 0, lambda: x, lambda: -x)


class Anew(nn.Layer):
    """A mistake of beginners: a layer that is made in each forward pass."""

    def forward(self, x):
        return nn.Conv2D(3, 4, 1)(x)


class Own(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Branching(), r"on the values of the images: .*\.py, line \d+: return x if x.sum\(\) > 0"),
        (Reading(), r"on the values of the images: .*\.py, line \d+: return x \* float"),
        (Choosing(), "values of the images: net: 'pd_op.if' runs one of several branches"),
        (lambda x: Own.apply(x), r"cannot record it: .*\.py, line \d+ \(ValueError"),
    ],
)
def test_what_runs_but_is_no_graph_is_a_capture_error(model, message):
    with pytest.raises(CaptureError, match=f"^paddle: the model runs, but .*{message}"):
        traced(model)
    assert paddle.in_dynamic_mode()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Fails(),
            r"be run on images of shape \(2, 3, 33, 29\) \(RuntimeError: no weights were loaded",
        ),
        (lambda x: paddle.split(x, 2, axis=0)[0], "its first axis is not the batch"),
        (lambda x: x[1:], "its first axis is not the batch"),
        (AcrossTheBatch(), "its first axis is not the batch"),
        (Named(), "a list or tuple of tensors with the logits first, got dict"),
        (
            nn.Sequential(nn.Conv2D(3, 4, 1)).to(dtype="float16"),
            r"net\[0\].weight is float16, with which nothing can be proved",
        ),
        (lambda x: [x, None], "got a list of NoneType and Tensor"),
        (lambda x: [], "got a list of nothing"),
        (Constant(), "output 0 of the model does not depend on the images"),
        (Noise(), "draws random numbers"),
        (Anew(), "is a weight that is made anew in every call"),
        (nn.Conv2D(4, 2, 1), r"cannot be run on images of shape \(2, 3, 33, 29\) \((\w|\d)+"),
        (np.ones(3), "expected an nn.Layer or a function of a tensor, got ndarray"),
        (nn.Identity, "got the class Identity; give a model, not what makes one"),
    ],
    ids=lambda value: (
        "" if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)
    ),
)
def test_what_cannot_be_traced_is_an_error(model, message):
    with pytest.raises(TraceError, match=message) as raised:
        traced(model)
    assert "\n" not in str(raised.value)
    assert paddle.in_dynamic_mode()


# Paddle's own classes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "side", "outputs"),
    [(models.googlenet, 224, 3), (models.inception_v3, 139, 1), (models.resnet18, 64, 1)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_network_of_paddles_own(make, side, outputs):
    found = traced(make(num_classes=7), (3, side, side))
    assert not found.foreign
    assert len(found.errors) == len(found.network.outputs) == outputs
    check_proved(found)


class Trained(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3)
        self.act, self.norm = nn.PReLU(4), nn.GroupNorm(2, 4)
        self.shift = self.create_parameter([1, 4, 1, 1])
        self.frozen = paddle.rand([4, 4, 1, 1])

    def forward(self, x):
        x = self.act(self.conv(x)) + self.shift
        x = F.conv2d(self.norm(x) + self.shift.expand([1, 4, 31, 27]), self.frozen)
        return self.norm(x).mean((2, 3))


def test_every_trained_number_is_counted_once():
    """A factor that is broadcast, and those of layers nobody knows; twice is once."""
    graph = traced(Trained()).graph
    assert parameters_of(graph) == 3 * 4 * 9 + 4 + 4 + 4 + 4 + 4
