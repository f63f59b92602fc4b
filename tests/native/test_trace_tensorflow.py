"""Users' own TensorFlow and Keras models, traced: code in any style is understood, or what is
foreign in it named.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

import googlenet
from googlenet import CaptureError, TraceError, spec
from googlenet.backend.graph import faults, parameters_of
from googlenet.proof.parity.problem import random_problem
from googlenet.proof.parity.tolerance import distance, limit
from googlenet.spec import blocks
from googlenet.spec.traversal import walk
from googlenet.tracing.tree import steps

from .networks import check_outputs

SHAPE = (3, 33, 29)
ROWS, MAP = (-1, 33 * 29, 3), (-1, 33, 29, 5)
NONE = ((0, 0), (0, 0))


def traced(model, shape=SHAPE):
    return googlenet.trace(model, "tensorflow", shape)


def leaves(network):
    """The layers, batch norm without its momentum, which an evaluation does not show."""
    return [
        ("batch norm", site.layer.eps) if isinstance(site.layer, spec.BatchNorm) else site.layer
        for site in walk(network)
    ]


def check_proved(found):
    """All outputs were compared with float64; one beyond its limit is an error of the trace."""
    assert len(found.errors) == len(found.graph.outputs)


def check_output(found, images, output):
    """The model's output on other images than those of the trace is that of its network."""
    reference = googlenet.get_backend("numpy")
    exact, rough = (
        reference.forward(reference.build(found.network, found.params, dtype=dtype), images)
        for dtype in (np.float64, np.float32)
    )
    most = limit(distance(rough["logits"], exact["logits"]))
    assert distance(output, exact["logits"]) <= most


def kinds(found):
    """Every layer's kind, in the order of the tree, with its place."""
    return [
        (getattr(step.layer, "kind", type(step.layer).__name__), step.place)
        for step in steps(found.tree)
    ]


def conv(channels, kernel=1, stride=1, padding=NONE, *, groups=1, bias=True):
    return spec.Conv(channels, (kernel,) * 2, (stride,) * 2, padding, groups, bias)


_random = np.random.default_rng(0)


def variable(*shape, low=-0.5, high=0.5):
    """One of its own, unlike all others."""
    return tf.Variable(_random.uniform(low, high, shape).astype(np.float32))


# Styles -------------------------------------------------------------------------------------------


def functional():
    images = keras.Input((33, 29, 3))
    x = L.ZeroPadding2D(((3, 0), (1, 2)))(images)
    x = L.Conv2D(5, 3, 2, activation="relu")(x)
    x = L.BatchNormalization(epsilon=1e-4)(x)
    branches = [
        L.Conv2D(4, 1, activation="relu", name="narrow")(x),
        L.Conv2D(6, 3, padding="same", use_bias=False)(x),
        L.AveragePooling2D(3, 1, "same")(x),
    ]
    x = L.MaxPooling2D(3, 2, "same")(L.Concatenate()(branches))
    x = L.Dropout(0.4)(L.GlobalAveragePooling2D()(x))
    return keras.Model(images, L.Dense(7)(x))


FUNCTIONAL = [
    conv(5, 3, 2, ((3, 0), (1, 2))),
    spec.ReLU(),
    ("batch norm", 1e-4),
    conv(4),
    spec.ReLU(),
    conv(6, 3, 1, ((1, 1), (1, 1)), bias=False),
    spec.AvgPool((3, 3), (1, 1), ((1, 1), (1, 1)), False, False),
    spec.MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), False),
    spec.GlobalAvgPool(),
    spec.Dropout(0.4),
    spec.Dense(7, True),
]


def sequential():
    """A map of more than a pixel flattened, its layers not built yet."""
    return keras.Sequential(
        [
            L.Conv2D(4, 5, padding="same", use_bias=False),
            L.BatchNormalization(scale=False),
            L.ReLU(),
            L.MaxPool2D(3, 4),
            L.Flatten(),
            L.Dense(6),
        ]
    )


SEQUENTIAL = [
    conv(4, 5, 1, ((2, 2), (2, 2)), bias=False),
    ("batch norm", 1e-3),
    spec.ReLU(),
    spec.MaxPool((3, 3), (4, 4), NONE, False),
    spec.Dense(6, True),
]


class Subclassed(keras.Model):
    """A scaled residual sum, a further output, dropout by a layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.body = L.Conv2D(4, 1), L.Conv2D(4, 3, padding="same")
        self.head, self.aux = L.Dense(3), L.Dense(2)
        self.pool, self.drop = L.GlobalAvgPool2D(), L.Dropout(0.3)

    def call(self, x, training=False):
        x = tf.nn.relu(self.conv(x))
        aux = self.aux(self.pool(x))
        x = tf.nn.relu(x + 0.17 * self.body(x))
        x = self.drop(tf.reduce_mean(x, [1, 2]), training=training)
        return self.head(x), aux


class Convolution(tf.Module):
    def __init__(self, inside, outside, kernel):
        super().__init__()
        self.w, self.b = variable(kernel, kernel, inside, outside), variable(outside)

    def __call__(self, x):
        return tf.nn.relu(tf.nn.conv2d(x, self.w, 1, "SAME") + self.b)


class Raw(tf.Module):
    """Variables and `tf.nn`: SAME at stride 2, paddings apart, batch norm, LRN, a nested function,
    dropout by a function.
    """

    def __init__(self):
        super().__init__()
        self.convs = [Convolution(3, 4, 3), Convolution(4, 6, 5)]
        self.mean, self.offset, self.scale = variable(6), variable(6), variable(6, low=0.5, high=2)
        self.variance = variable(6, low=0.5, high=1.5)
        self.last, self.w, self.b = variable(3, 3, 6, 6), variable(6, 5), variable(5)

    @tf.function
    def normed(self, x):
        return tf.nn.batch_normalization(x, self.mean, self.variance, self.offset, self.scale, 1e-3)

    @tf.function
    def __call__(self, x, training=False):
        for each in self.convs:
            x = each(x)
        x = tf.pad(self.normed(x), [[0, 0], [1, 0], [0, 1], [0, 0]], constant_values=-np.inf)
        x = tf.nn.lrn(tf.nn.max_pool2d(x, 3, 2, "VALID"), 2, 2.0, 1e-4 / 5, 0.75)
        x = tf.nn.conv2d(x, self.last, 2, "SAME")
        x = tf.reduce_mean(x, axis=[1, 2])
        if training:
            x = tf.nn.dropout(x, 0.4)
        return tf.matmul(x, self.w) + self.b


RAW = [
    conv(4, 3, 1, ((1, 1), (1, 1))),
    spec.ReLU(),
    conv(6, 5, 1, ((2, 2), (2, 2))),
    spec.ReLU(),
    ("batch norm", 1e-3),
    spec.MaxPool((3, 3), (2, 2), ((1, 0), (0, 1)), False),
    spec.LocalResponseNorm(5, 1e-4, 0.75, 2.0),
    conv(6, 3, 2, ((0, 1), (0, 1)), bias=False),  # of 16×14
    spec.GlobalAvgPool(),
    spec.Dropout(0.4),
    spec.Dense(5, True),
]


def plain_function():
    """A function of closures; explicit padding, a bias added, reshaped before a product."""
    first, bias, last = variable(3, 3, 3, 4), variable(4), variable(17 * 15 * 4, 5)

    def net(x):
        x = tf.nn.conv2d(x, first, 2, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x = tf.maximum(bias + x, 0.0)
        return tf.reshape(x, (tf.shape(x)[0], -1)) @ last

    return net


def nested_functions():
    """`tf.function` within `tf.function`, one of a signature without sizes; a helper."""
    first, last = L.Conv2D(4, 3), L.Dense(5)

    @tf.function
    def block(x):
        return keras.ops.relu(first(x))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def net(x):
        return last(tf.reduce_mean(tf.reduce_mean(block(x), 2), 1))

    return net


class Plain:
    """An object that is no module; the training argument has another name, and no default."""

    def __init__(self):
        self._kernel, self.last = variable(1, 1, 3, 4), L.Dense(3)

    def __call__(self, x, is_training):
        x = tf.nn.conv2d(x, self._kernel, 1, "VALID")
        return self.last(tf.reduce_sum(x, [1, 2]) / (33 * 29))


NARROW = [conv(4, bias=False), spec.GlobalAvgPool(), spec.Dense(3, True)]
NESTED = [conv(4, 3), spec.ReLU(), spec.GlobalAvgPool(), spec.Dense(5, True)]
STYLES = {
    "functional Keras": (functional, FUNCTIONAL),
    "sequential": (sequential, SEQUENTIAL),
    "tf.Module": (Raw, RAW),
    "plain function": (
        plain_function,
        [conv(4, 3, 2, ((1, 1), (1, 1))), spec.ReLU(), spec.Dense(5, False)],
    ),
    "nested functions": (nested_functions, NESTED),
    "plain object": (Plain, NARROW),
    "partial": (lambda: functools.partial(Plain(), is_training=False), NARROW),
}


def test_a_subclassed_model():
    found = traced(Subclassed())
    assert found.network.outputs == ("logits", "aux_1")
    (residual,) = [
        each for _, each in found.network.layers.children if isinstance(each, spec.Residual)
    ]
    assert residual.scale == 0.17
    assert residual.shortcut == spec.Sequential(())
    assert spec.Dropout(0.3) in leaves(found.network)
    assert {"net.conv", "net.body", "net.head", "net.aux", "net.drop"} <= {*found.places.values()}


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_understood(style):
    """The network has the layers that the code says, and gives what the model gives."""
    make, expected = STYLES[style]
    keras.utils.set_random_seed(0)
    model = make()
    found = traced(model)
    assert leaves(found.network) == expected
    check_proved(found)
    images = np.random.default_rng(1).standard_normal((2, *SHAPE)).astype(np.float32)
    flags = {"is_training": False} if style == "plain object" else {}
    output = model(tf.constant(images.transpose(0, 2, 3, 1)), **flags)
    check_output(found, images, output.numpy())


class Inception(keras.Model):
    """The book's."""

    def __init__(self, c1, c2, c3, c4):
        super().__init__()
        self.p1_1 = L.Conv2D(c1, 1, activation="relu")
        self.p2_1 = L.Conv2D(c2[0], 1, activation="relu")
        self.p2_2 = L.Conv2D(c2[1], 3, padding="same", activation="relu")
        self.p3_1 = L.Conv2D(c3[0], 1, activation="relu")
        self.p3_2 = L.Conv2D(c3[1], 5, padding="same", activation="relu")
        self.p4_1 = L.MaxPool2D(3, 1, padding="same")
        self.p4_2 = L.Conv2D(c4, 1, activation="relu")

    def call(self, x):
        p1 = self.p1_1(x)
        p2 = self.p2_2(self.p2_1(x))
        p3 = self.p3_2(self.p3_1(x))
        p4 = self.p4_2(self.p4_1(x))
        return L.Concatenate()([p1, p2, p3, p4])


def book():
    """The book's GoogLeNet, block by block."""

    def b1():
        return keras.models.Sequential(
            [
                L.Conv2D(64, 7, strides=2, padding="same", activation="relu"),
                L.MaxPool2D(pool_size=3, strides=2, padding="same"),
            ]
        )

    def b2():
        return keras.Sequential(
            [
                L.Conv2D(64, 1, activation="relu"),
                L.Conv2D(192, 3, padding="same", activation="relu"),
                L.MaxPool2D(pool_size=3, strides=2, padding="same"),
            ]
        )

    def b3():
        return keras.models.Sequential(
            [
                Inception(64, (96, 128), (16, 32), 32),
                Inception(128, (128, 192), (32, 96), 64),
                L.MaxPool2D(pool_size=3, strides=2, padding="same"),
            ]
        )

    def b4():
        return keras.Sequential(
            [
                Inception(192, (96, 208), (16, 48), 64),
                Inception(160, (112, 224), (24, 64), 64),
                Inception(128, (128, 256), (24, 64), 64),
                Inception(112, (144, 288), (32, 64), 64),
                Inception(256, (160, 320), (32, 128), 128),
                L.MaxPool2D(pool_size=3, strides=2, padding="same"),
            ]
        )

    def b5():
        return keras.Sequential(
            [
                Inception(256, (160, 320), (32, 128), 128),
                Inception(384, (192, 384), (48, 128), 128),
                L.GlobalAvgPool2D(),
                L.Flatten(),
            ]
        )

    return keras.Sequential([b1(), b2(), b3(), b4(), b5(), L.Dense(10)])


def test_the_books_googlenet():
    """SAME at stride 2 is the spec's padding at 97×97, and another one at 96×96."""
    model = book()
    network = googlenet.get_network("googlenet")
    for side, same in ((97, True), (96, False)):
        found = traced(model, (1, side, side))
        check_proved(found)
        ours, theirs = (leaves(each) for each in (found.network, network.at((1, side, side))))
        assert (ours == theirs) is same
        assert [type(each) for each in ours] == [type(each) for each in theirs]
        assert ours[0].padding == (((3, 3), (3, 3)) if same else ((2, 3), (2, 3)))
        assert googlenet.count_parameters(found.network) == 5_977_530
    assert found.places["concat_1.branch_3.conv_2"] == "net.layers[2].layers[0].p3_2"
    assert found.places["dense_1"] == "net.layers[5]"


# How one layer may be written ---------------------------------------------------------------------


def convolved(function, channels=6):
    """`function` after a convolution without bias."""
    kernel = variable(1, 1, 3, channels)
    return lambda x: function(tf.nn.conv2d(x, kernel, 1, "SAME"))


def norms():
    mean, scale, offset = variable(6), variable(6, low=0.5, high=2), variable(6)
    variance = variable(6, low=0.5, high=1.5)

    def rearranged(x):
        factor = scale * tf.math.rsqrt(variance + 1e-5)
        return x * factor + (offset - mean * factor)

    def fused(x):
        return tf.compat.v1.nn.fused_batch_norm(
            x, scale, offset, mean, variance, 1e-5, is_training=False
        )[0]

    return {
        "by the formula": lambda x: scale * (x - mean) / tf.sqrt(variance + 1e-5) + offset,
        "scaled last": lambda x: scale * ((x - mean) * (variance + 1e-5) ** -0.5) + offset,
        "rearranged": rearranged,
        "tf.nn": lambda x: tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-5),
        "fused": fused,
    }, {"running_mean": mean, "running_var": variance, "weight": scale, "bias": offset}


@pytest.mark.parametrize("spelling", norms()[0])
def test_batch_norm_however_it_is_written(spelling):
    written, arrays = norms()
    found = traced(convolved(written[spelling]))
    assert leaves(found.network) == [conv(6, bias=False), ("batch norm", 1e-5)]
    for role, array in arrays.items():
        np.testing.assert_array_equal(found.params[f"norm_1.{role}"], array.numpy())


def test_a_lone_channel_has_a_bias_and_a_batch_norm():
    kernel, bias, offset = variable(1, 1, 3, 1), tf.Variable([0.0]), variable(1)
    mean, variance = variable(1), variable(1, low=0.5, high=1.5)

    def net(x):
        x = tf.nn.conv2d(x, kernel, 1, "SAME") + bias
        return tf.nn.batch_normalization(x, mean, variance, offset, None, 1e-3)

    found = traced(net)
    assert leaves(found.network) == [conv(1), ("batch norm", 1e-3)]


def test_half_a_batch_norm_is_none():
    """What only looks like one: its mean is taken away after the division."""
    mean, variance = variable(6), variable(6, low=0.5, high=1.5)
    other = variable(6, low=1, high=2)
    found = traced(convolved(lambda x: (x / tf.sqrt(variance + 1e-5) - mean) * other))
    assert "BatchNorm" not in [kind for kind, _ in kinds(found)]
    check_proved(found)


ACTIVATIONS = {
    "relu": (
        tf.nn.relu,
        keras.ops.relu,
        lambda x: tf.maximum(x, 0.0),
        lambda x: tf.where(x > 0, x, 0.0),
        lambda x: 0.5 * (x + tf.abs(x)),
        lambda x: x * tf.cast(x > 0, tf.float32),
    ),
    "leaky_relu": (
        lambda x: tf.nn.leaky_relu(x, 0.3),
        lambda x: tf.maximum(x, 0.3 * x),
        lambda x: tf.where(x > 0, x, 0.3 * x),
        lambda x: tf.nn.relu(x) - 0.3 * tf.nn.relu(-x),
        L.LeakyReLU(0.3),
        L.ReLU(negative_slope=0.3),
    ),
    "elu": (tf.nn.elu, L.ELU(0.5), lambda x: tf.where(x > 0, x, 2.0 * (tf.exp(x) - 1))),
    "clip": (tf.nn.relu6, L.ReLU(max_value=6), lambda x: tf.clip_by_value(x, -0.5, 0.25)),
    "gelu": (
        tf.nn.gelu,
        lambda x: tf.nn.gelu(x, approximate=True),
        L.Activation("gelu"),
        lambda x: x * 0.5 * (1.0 + tf.math.erf(x / np.sqrt(2).astype(np.float32))),
    ),
    "silu": (tf.nn.silu, keras.ops.silu, lambda x: x * tf.sigmoid(x), L.Activation("swish")),
    "sigmoid": (tf.sigmoid, lambda x: 1 / (1 + tf.exp(-x)), L.Activation("sigmoid")),
    "tanh": (tf.tanh, lambda x: 2 / (1 + tf.exp(-2 * x)) - 1),
    "softplus": (tf.nn.softplus, lambda x: tf.math.log(1 + tf.exp(x))),
    "softmax": (
        tf.nn.softmax,
        L.Softmax(),
        lambda x: tf.exp(x) / tf.reduce_sum(tf.exp(x), -1, keepdims=True),
    ),
    "log_softmax": (tf.nn.log_softmax,),
}


@pytest.mark.parametrize(
    ("kind", "function"),
    [(kind, each) for kind, functions in ACTIVATIONS.items() for each in functions],
)
def test_an_activation_however_it_is_written(kind, function):
    found = traced(convolved(function))
    (_, (given, place)) = kinds(found)
    assert given == {"relu": "ReLU"}.get(kind, kind)
    assert place in ("net", "function")
    check_proved(found)


def test_two_activations_are_two():
    assert leaves(traced(lambda x: tf.nn.relu(tf.nn.relu(x))).network) == [spec.ReLU(), spec.ReLU()]


MEANS = {
    "layer": L.GlobalAveragePooling2D(),
    "kept": lambda x: tf.squeeze(L.GlobalAveragePooling2D(keepdims=True)(x), [1, 2]),
    "axes": lambda x: tf.reduce_mean(x, (1, 2)),
    "one by one": lambda x: keras.ops.mean(keras.ops.mean(x, axis=1), axis=1),
    "sum": lambda x: tf.reduce_sum(x, (1, 2)) / (33 * 29),
    "reshaped": lambda x: tf.reduce_mean(tf.reshape(x, (-1, 33 * 29, x.shape[-1])), 1),
}


@pytest.mark.parametrize("mean", MEANS)
def test_a_global_mean_however_it_is_written(mean):
    last = L.Dense(4)
    found = traced(convolved(lambda x: last(MEANS[mean](x))))
    assert leaves(found.network)[1:] == [spec.GlobalAvgPool(), spec.Dense(4, True)]


def test_a_product_for_each_pixel_is_a_convolution():
    matrix = variable(3, 4)
    for product in (
        lambda x: tf.einsum("nhwc,cd->nhwd", x, matrix),
        lambda x: tf.tensordot(x, matrix, 1),
        lambda x: tf.matmul(x, matrix),
        lambda x: tf.reshape(tf.matmul(tf.reshape(x, (-1, 3)), matrix), (-1, 33, 29, 4)),
    ):
        found = traced(product)
        assert leaves(found.network) == [conv(4, bias=False)]
        (weight,) = found.params.values()
        np.testing.assert_array_equal(weight[:, :, 0, 0], matrix.numpy().T)
    assert leaves(traced(keras.Sequential([L.Dense(4, "relu")])).network) == [conv(4), spec.ReLU()]


class Product(tf.Module):
    """A layer that is written as an operation with a weight of some shape."""

    def __init__(self, written, shape):
        super().__init__()
        self.written, self.weight = written, variable(*shape)

    def __call__(self, x):
        return self.written(tf.nn.relu(x), self.weight)


def repeated(x, weight):
    return tf.tile(weight[None], (x.shape[0], 1, 1))


#: Ways to write a convolution of 3 channels to 5 or a dense layer, the weight's shape, the layers.
PRODUCTS = {
    "einsum": (
        lambda x, w: tf.transpose(tf.einsum("co,nhwc->nohw", w, x), (0, 2, 3, 1)),
        (3, 5),
        "Conv",
    ),
    "from the left": (
        lambda x, w: tf.reshape(
            tf.linalg.matrix_transpose(tf.matmul(w, tf.reshape(x, ROWS), transpose_b=True)), MAP
        ),
        (5, 3),
        "Conv",
    ),
    "pixels in a row": (
        lambda x, w: tf.reshape(tf.matmul(tf.reshape(x, ROWS), w) + tf.ones(5), MAP),
        (3, 5),
        "Conv",
    ),
    "a stack": (
        lambda x, w: tf.reshape(tf.matmul(tf.reshape(x, ROWS), repeated(x, w)), MAP),
        (3, 5),
        "Conv",
    ),
    "a transposed convolution": (
        lambda x, w: tf.nn.conv2d_transpose(x, w, (x.shape[0], 33, 29, 5), 1),
        (1, 1, 5, 3),
        "Conv",
    ),
    "a head from the left": (
        lambda x, w: tf.transpose(tf.matmul(w, tf.reduce_mean(x, (1, 2)), transpose_b=True)),
        (5, 3),
        "GlobalAvgPool Dense",
    ),
    "a head of a sum": (
        lambda x, w: tf.matmul(tf.einsum("nhwc->nc", x) / (33 * 29), w),
        (3, 5),
        "GlobalAvgPool Dense",
    ),
    "a head as a stack": (
        lambda x, w: tf.matmul(tf.reduce_mean(x, (1, 2))[:, None], repeated(x, w))[:, 0],
        (3, 5),
        "GlobalAvgPool Dense",
    ),
    "a matrix with a vector": (
        lambda x, w: tf.linalg.matvec(w, tf.reduce_mean(x, (1, 2))),
        (5, 3),
        "GlobalAvgPool Dense",
    ),
}


@pytest.mark.parametrize(("written", "shape", "expected"), PRODUCTS.values(), ids=PRODUCTS)
def test_a_layer_that_is_written_as_a_product(written, shape, expected):
    found = traced(Product(written, shape))
    assert [type(each).__name__ for each in leaves(found.network)] == ["ReLU", *expected.split()]
    assert parameters_of(found.graph) == np.prod(shape)
    assert all(op.origins["weight"] == "weight" for op in found.graph.ops if "weight" in op.arrays)
    check_proved(found)


@pytest.mark.parametrize(
    ("written", "shape"),
    [
        (lambda x, w: tf.matmul(tf.reshape(x, ROWS), w), (2, 3, 5)),
        (lambda x, w: tf.nn.conv2d_transpose(x, w, (2, 66, 58, 5), 2), (1, 1, 5, 3)),
        (lambda x, w: tf.nn.conv2d_transpose(x, w, (2, 33, 29, 5), 1), (3, 3, 5, 3)),
    ],
)
def test_a_product_that_is_no_layer_is_foreign(written, shape):
    assert traced(Product(written, shape)).foreign


def test_groups():
    model = keras.Sequential(
        [
            L.Conv2D(6, 3, groups=3),
            L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
            L.SeparableConv2D(5, 3),
        ]
    )
    assert leaves(traced(model).network) == [
        conv(6, 3, groups=3),
        conv(12, 3, 1, ((1, 1), (1, 1)), groups=6),
        conv(12, 3, groups=12, bias=False),
        conv(5),
    ]


@pytest.mark.parametrize(
    ("layer", "padding", "dilation"),
    [
        (L.Conv2D(4, 3, dilation_rate=2, padding="same"), ((2, 2), (2, 2)), (2, 2)),
        (L.DepthwiseConv2D(3, dilation_rate=3), NONE, (3, 3)),
        (L.DepthwiseConv2D(3, dilation_rate=2, padding="same"), ((2, 2), (2, 2)), (2, 2)),
    ],
    ids=["a layer", "cut into tiles", "padded tiles"],
)
def test_gaps_in_a_kernel(layer, padding, dilation):
    found = traced(keras.Sequential([layer]))
    (step,) = found.foreign
    assert step.layer.kind == "conv"
    assert step.layer.attributes["padding"] == padding
    assert step.layer.attributes["dilation"] == dilation
    check_proved(found)


def test_flattened_maps_keep_their_order():
    """Also after a transpose to channels first, as for weights that come from PyTorch."""
    for layers in ([], [L.Permute((3, 1, 2))], [L.Permute((2, 1, 3))]):
        model = keras.Sequential([L.Conv2D(4, 3, strides=7), *layers, L.Flatten(), L.Dense(5)])
        found = traced(model)
        assert leaves(found.network) == [conv(4, 3, 7), spec.Dense(5, True)]
        check_proved(found)
    last = keras.Sequential([L.Dense(5)])
    weight = traced(keras.Sequential([L.Flatten(), last])).params["dense_1.weight"]
    np.testing.assert_array_equal(
        weight.transpose(2, 3, 1, 0).reshape(-1, 5), last.layers[0].kernel.numpy()
    )


def has_channels_first():
    """Whether TensorFlow computes them: without a GPU only some processors' libraries do."""
    try:
        tf.nn.conv2d(tf.zeros((1, 1, 3, 3)), tf.zeros((1, 1, 1, 1)), 1, "VALID", "NCHW")
    except tf.errors.UnimplementedError:
        return False
    return True


def test_channels_first_throughout():
    model = keras.Sequential(
        [
            L.Permute((3, 1, 2)),
            L.Conv2D(4, 3, data_format="channels_first"),
            L.BatchNormalization(axis=1),
            L.MaxPooling2D(2, data_format="channels_first"),
            L.Flatten(),
            L.Dense(3),
        ]
    )
    if not has_channels_first():
        with pytest.raises(TraceError, match="NHWC tensor format on the CPU"):
            traced(model)
        return
    assert leaves(traced(model).network) == [
        conv(4, 3),
        ("batch norm", 1e-3),
        spec.MaxPool((2, 2), (2, 2), NONE, False),
        spec.Dense(3, True),
    ]


def test_layers_with_no_weights():
    model = keras.Sequential(
        [
            L.RandomFlip(),
            L.GaussianNoise(0.1),
            L.AdaptiveAveragePooling2D((4, 6)),
            L.GlobalMaxPooling2D(),
        ]
    )
    assert leaves(traced(model).network)[:2] == [
        spec.AdaptiveAvgPool((4, 6)),
        spec.MaxPool((4, 6), (4, 6), NONE, False),
    ]


@pytest.mark.parametrize(("shape", "size"), [((3, 33, 29), 1), ((3, 1, 1), (6, 5)), ((3, 1, 7), 2)])
def test_keras_own_adaptive_average_where_it_fails_in_a_graph(shape, size):
    found = traced(keras.Sequential([L.AdaptiveAveragePooling2D(size)]), shape)
    (layer,) = leaves(found.network)
    assert layer == spec.AdaptiveAvgPool(size if isinstance(size, tuple) else (size, size))


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (3, 1), (4, 6), (5, 2)])
@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 1, 5), (2, 6, 1), (2, 4, 7)])
def test_an_adaptive_average_of_ours_runs_in_a_graph(backend, shape, size):
    layers = blocks.sequential(pool=spec.AdaptiveAvgPool(size), dense=spec.Dense(3, bias=True))
    network = spec.Network("pool", layers, shape, "this test")
    problem = random_problem(network)
    model = backend.build(network, problem.params)
    graph = tf.function(lambda x: model(x, training=False))
    check_outputs(network, [graph(problem.images.transpose(0, 2, 3, 1)).numpy()])


def test_a_shared_layer_has_one_array():
    layer, norm = L.Conv2D(3, 3, padding="same"), L.BatchNormalization()
    found = traced(lambda x: norm(layer(norm(layer(x)))))
    first, second = [op.arrays for op in found.graph.ops if op.kind == "conv"]
    assert all(first[role] is second[role] for role in ("weight", "bias"))
    first, second = [op.arrays for op in found.graph.ops if op.kind == "batch_norm"]
    assert all(first[role] is second[role] for role in first)


def test_heads_leave_where_they_leave():
    images = keras.Input((33, 29, 3))
    x = L.Conv2D(4, 3, 2)(images)
    early = L.Dense(3)(L.Flatten()(L.AveragePooling2D(5, 3)(x)))
    x = L.Conv2D(5, 3, 2)(x)
    late = L.Dense(3)(L.Flatten()(L.AveragePooling2D(3, 3)(x)))
    model = keras.Model(images, [L.Dense(3)(L.GlobalAveragePooling2D()(x)), early, late])
    found = traced(model)
    assert found.network.outputs == ("logits", "aux_1", "aux_2")
    assert len(found.errors) == 3


# Products of two values, and parts of one ---------------------------------------------------------

_narrow, _wide = L.Dense(2, "relu"), L.Dense(3, "sigmoid")


def graph_of(model):
    images = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    graph, _ = googlenet.get_backend("tensorflow").trace(model, images)
    assert faults(graph) == []
    return graph


def gate(x):
    """What squeeze and excitation multiplies the channels of `x` with, (N, C)."""
    return _wide(_narrow(tf.reduce_mean(x, [1, 2])))


PRODUCTS = {
    "new axes": lambda x: x * gate(x)[:, tf.newaxis, None, :],
    "expanded": lambda x: tf.multiply(x, tf.expand_dims(tf.expand_dims(gate(x), 1), 1)),
    "reshaped": lambda x: keras.ops.multiply(L.Reshape((1, 1, 3))(gate(x)), x),
    "layers": lambda x: L.Multiply()(
        [x, _wide(_narrow(L.GlobalAveragePooling2D(keepdims=True)(x)))]
    ),
    "einsum": lambda x: tf.einsum("nhwc,nc->nhwc", x, gate(x)),
    "einsum, the gate first": lambda x: tf.einsum("bc,bijc->bijc", gate(x), x),
}


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_squeeze_and_excitation_is_a_product(product):
    graph = graph_of(product)
    (op,) = [op for op in graph.ops if op.kind == "multiply"]
    assert op.shape == (2, *SHAPE)
    assert not op.attributes
    assert not op.arrays
    shapes = {op.name: op.shape for op in graph.ops} | {"images": (2, *SHAPE)}
    assert sorted(shapes[each] for each in op.inputs) == [(2, 3, 1, 1), (2, *SHAPE)]
    assert not [op.kind for op in graph.ops if "." in op.kind]
    check_proved(traced(product))


def test_a_product_of_two_maps():
    """`x · sigmoid(x)` is an activation, and no such product."""
    first, second = L.Conv2D(4, 1), L.Conv2D(4, 1)
    graph = graph_of(lambda x: first(x) * tf.sigmoid(second(x)))
    assert [op.kind for op in graph.ops] == ["conv", "conv", "sigmoid", "multiply"]
    graph = graph_of(lambda x: keras.ops.silu(first(x)) * tf.sigmoid(x[..., :1]))
    assert [op.kind for op in graph.ops][-1] == "multiply"
    assert "silu" in [op.kind for op in graph.ops]


_six = L.Conv2D(6, 1)
#: Parts of the map (N, H, W, 6): the axis, first, end and step of each slice that is used.
PARTS = {
    "split": (lambda x: tf.split(x, 2, -1)[1], (1, 3, 6, 1)),
    "split in sizes": (lambda x: tf.split(x, [2, 1, 3], axis=3)[1], (1, 2, 3, 1)),
    "keras split": (lambda x: keras.ops.split(x, [4], axis=-1)[0], (1, 0, 4, 1)),
    "index": (lambda x: x[:, :, :, 2:5], (1, 2, 5, 1)),
    "dots": (lambda x: x[..., 1::2], (1, 1, 6, 2)),
    "slice": (lambda x: tf.slice(x, [0, 0, 0, 2], [-1, -1, -1, 3]), (1, 2, 5, 1)),
    "gather": (lambda x: tf.gather(x, [0, 2, 4], axis=3), (1, 0, 5, 2)),
    "take": (lambda x: keras.ops.take(x, [3, 4], axis=-1), (1, 3, 5, 1)),
    "unstack": (lambda x: tf.unstack(x, axis=-1)[4][..., None], (1, 4, 5, 1)),
    "one channel": (lambda x: tf.stack([x[..., 5]], axis=-1), (1, 5, 6, 1)),
    "rows": (lambda x: x[:, ::2], (2, 0, 33, 2)),
}


@pytest.mark.parametrize(("function", "part"), PARTS.values(), ids=PARTS)
def test_a_part_of_a_map_is_a_slice(function, part):
    graph = graph_of(lambda x: function(_six(x)))
    (op,) = [op for op in graph.ops if op.kind == "slice"]
    assert tuple(op.attributes[name] for name in ("axis", "start", "stop", "step")) == part
    assert not [op.kind for op in graph.ops if "." in op.kind]
    check_proved(traced(lambda x: function(_six(x))))


def test_parts_next_to_each_other_are_two_slices():
    def net(x):
        left, right = tf.split(_six(x), 2, axis=-1)
        return tf.concat([tf.nn.relu(left), right], -1)

    graph = graph_of(net)
    assert [op.kind for op in graph.ops] == ["conv", "slice", "slice", "relu", "concat"]
    assert [op.attributes["start"] for op in graph.ops if op.kind == "slice"] == [0, 3]


def test_channels_in_another_order_are_no_slice():
    """They are foreign under TensorFlow's own name."""
    for function, kind in (
        (lambda x: x[..., ::-1], "tf.StridedSlice"),
        (lambda x: tf.gather(x, [0, 2, 1], axis=3), "tf.GatherV2"),
    ):
        (step,) = traced(lambda x, function=function: function(_six(x))).foreign
        assert step.layer.kind == kind


# Foreign layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (L.LayerNormalization(), "tf.LayerNormalization"),
        (L.GroupNormalization(2), "tf.GroupNormalization"),
        (L.UpSampling2D(), "tf.UpSampling2D"),
        (L.Conv2DTranspose(2, 3), "tf.Conv2DTranspose"),
        (L.Lambda(lambda x: tf.nn.pool(x, (3, 3), "AVG", dilations=(2, 2))), "tf.AvgPool"),
        (L.Activation("selu"), "tf.Selu"),
        (L.Activation("mish"), "tf.Mul"),
        (L.Lambda(lambda x: tf.image.adjust_contrast(x, 2.0)), "tf.AdjustContrastv2"),
        (
            L.Lambda(lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")),
            "tf.MirrorPad",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_layer_that_nobody_knows_is_named_and_nothing_is_claimed(layer, kind):
    found = traced(keras.Sequential([L.Conv2D(4, 1), layer]))
    assert [(step.layer.kind, step.place) for step in found.foreign] == [(kind, "net.layers[1]")]
    assert found.errors == ()
    with pytest.raises(TraceError, match=rf"net\.layers\[1\]: '{kind}' is not a layer of the spec"):
        _ = found.network


@pytest.mark.parametrize(
    "model",
    [lambda x: tf.nn.dropout(x, 0.3), functools.partial(L.Dropout(0.3), training=True)],
    ids=["function", "layer"],
)
def test_dropout_that_is_active_is_foreign(model):
    (step,) = traced(model).foreign
    assert step.layer.kind == "dropout"
    assert step.layer.attributes == {"rate": 0.3, "active": True}


def test_what_is_random_is_never_proved():
    found = traced(lambda x: x + tf.random.normal(tf.shape(x)))
    assert [step.layer.kind for step in found.foreign] == ["tf.AddV2"]
    assert found.errors == ()


# Bad models ---------------------------------------------------------------------------------------


class Fails(keras.Model):
    def call(self, x):
        raise RuntimeError("no weights were loaded")


def fails(x):
    raise RuntimeError("no weights were loaded")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Fails(),
            r"be run on images of shape \(2, 33, 29, 3\).*RuntimeError: no weights were loaded",
        ),
        (
            fails,
            r"be run on images of shape \(2, 33, 29, 3\).*RuntimeError: no weights were loaded",
        ),
        (
            keras.Sequential([keras.Input((33, 29, 4)), L.Conv2D(2, 1)]),
            r"cannot be run on images of shape \(2, 33, 29, 3\).*expected axis -1 of input shape",
        ),
        (
            lambda x: x if tf.reduce_sum(x) > 0 else -x,
            "decides what to compute according to the values",
        ),
        (
            lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x),
            "chooses what to compute according to the values of the images",
        ),
        (
            lambda x: tf.while_loop(lambda y: tf.reduce_sum(y) > 9, lambda y: (y / 2,), (x,))[0],
            "runs for as long as the values of the images say",
        ),
        (lambda x: {"logits": x}, "expected a model that returns a tensor.*got dict"),
        (lambda x: [], "expected a model that returns a tensor.*got list"),
        (lambda x: tf.ones((2, 3)), "output 0 is the same, or random, whatever the images are"),
        (lambda x: x + tf.ones((2, 1, 1, 1)), "an axis for the batch"),
        (lambda x: tf.transpose(tf.reshape(x, (2, -1))), "its first axis is not the batch"),
        (keras.Sequential, "expected a Keras model, a tf.Module or a function, got the class Seq"),
        (3, "expected a Keras model, a tf.Module or a function, got int"),
    ],
)
def test_what_cannot_be_traced_is_an_error(model, message):
    with pytest.raises(TraceError, match=message):
        traced(model)


# The user's model ---------------------------------------------------------------------------------


class Counting(tf.Module):
    """It counts its calls, in a variable of TensorFlow's."""

    def __init__(self):
        super().__init__()
        self.calls, self.w = tf.Variable(0), variable(1, 1, 3, 2)

    @tf.function
    def __call__(self, x):
        self.calls.assign_add(1)
        return tf.nn.conv2d(x, self.w, 1, "SAME")


def grown(x):
    """It goes on for as long as the values say."""
    while tf.reduce_sum(x) > 9:
        x = x / 2
    return x


DECIDES = "The code decides what to compute according to the values of the images"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda x: x if tf.reduce_sum(x) > 0 else -x, DECIDES),
        (
            lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x),
            "Net: 'StatelessIf' chooses what to compute according to the values of the images",
        ),
        (grown, DECIDES),
        (
            lambda x: tf.constant(x.numpy()) + x,
            "The model runs on images of shape (2, 96, 96, 1), but tf.function cannot capture it",
        ),
    ],
    ids=["if", "cond", "while", "numpy"],
)
def test_what_runs_but_is_no_one_graph_is_unclear(model, reason):
    with pytest.raises(CaptureError):
        traced(model)
    found = googlenet.check(lambda x: tf.reduce_mean(model(x), [1, 2]), "tensorflow")
    assert found.verdict == "unclear"
    assert found.reason.startswith(reason)
    assert len(found.reason) < 250  # and not all that TensorFlow advises


def test_the_model_stays_as_it_is():
    model = Counting()
    before = model.w.numpy()
    calls = vars(Counting)["__call__"]
    found = traced(model)
    assert model.calls.numpy() == 0
    np.testing.assert_array_equal(model.w.numpy(), before)
    assert vars(Counting)["__call__"] is calls
    assert not tf.config.functions_run_eagerly()
    model.w.assign(tf.zeros_like(model.w))
    assert found.params["conv_1.weight"].any()


def test_statistics_and_seeds_stay_as_they_are():
    model = keras.Sequential([L.Conv2D(4, 1), L.BatchNormalization(), L.Dropout(0.5)])
    model(np.zeros((1, *SHAPE[1:], 3)))
    call = keras.layers.Layer.__call__
    before = [variable.numpy() for variable in model.variables]
    traced(functools.partial(model, training=True))
    for variable_, array in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable_.numpy(), array)
    assert keras.layers.Layer.__call__ is call


def test_no_symbolic_loss_is_left_in_the_model():
    model = keras.Sequential([L.Conv2D(4, 1, activity_regularizer="l1")])
    traced(model)
    assert np.isfinite(float(sum(model.losses)))


class Keeping(keras.Model):
    """It keeps what it computed, and calls a list of layers."""

    def __init__(self):
        super().__init__()
        self.blocks, self.head, self.seen = [L.Conv2D(4, 1), L.Conv2D(5, 1)], L.Dense(2), []

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        self.last = tf.reduce_mean(x, (1, 2))
        self.seen.append(self.last)
        return self.head(self.last)


def test_no_tensor_of_a_graph_is_left_in_the_model():
    model = Keeping()
    model(np.zeros((1, 33, 29, 3)))
    model.seen.clear()  # of what Keras itself left there
    found = traced(model)
    assert np.isfinite(model.last.numpy()).all()
    assert all(np.isfinite(each.numpy()).all() for each in model.seen)
    assert list(found.places.values()) == ["net.blocks[0]", "net.blocks[1]", "net", "net.head"]


def test_a_user_goes_on_training():
    model = keras.Sequential([L.Conv2D(4, 1), L.BatchNormalization(), L.Flatten(), L.Dense(2)])
    traced(model)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        np.ones((4, 33, 29, 3), np.float32), np.array([0, 1, 0, 1]), verbose=0
    ).history
    assert np.isfinite(history["loss"][0])


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_read_in_full(policy):
    model = keras.Sequential(
        [
            L.Conv2D(4, 3, dtype=policy, activation="relu"),
            L.BatchNormalization(dtype=policy),
            L.GlobalAvgPool2D(dtype=policy),
            L.Dense(5, dtype=policy),
        ]
    )
    found = traced(model)
    check_proved(found)
    assert [layer.dtype_policy.name for layer in model.layers] == [policy] * 4
    assert model(np.zeros((1, 33, 29, 3))).dtype == policy.removeprefix("mixed_")


def test_raw_variables_in_half_precision():
    kernel = tf.cast(variable(1, 1, 3, 4), tf.float16)
    for weight in (kernel, tf.Variable(kernel)):
        found = traced(
            lambda x, weight=weight: tf.nn.conv2d(tf.cast(x, tf.float16), weight, 1, "SAME")
        )
        (array,) = found.params.values()
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, kernel.numpy().transpose(3, 2, 0, 1))


def test_a_model_in_double_precision():
    kernel = tf.Variable(np.random.default_rng(0).uniform(-1, 1, (1, 1, 3, 4)))
    found = traced(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))
    assert max(found.errors) < 1e-12


class Lazy(tf.Module):
    """Its variable is made in the first call."""

    kernel = None

    @tf.function
    def __call__(self, x):
        if self.kernel is None:
            self.kernel = variable(1, 1, 3, 2)
        return tf.nn.conv2d(x, self.kernel, 1, "SAME")


def test_a_variable_that_is_made_late():
    model = Lazy()
    found = traced(model)
    np.testing.assert_array_equal(
        found.params["conv_1.weight"], model.kernel.numpy().transpose(3, 2, 0, 1)
    )
    assert found.places == {"conv_1": "net.kernel"}


def test_a_saved_model(tmp_path):
    model = Raw()
    model(tf.zeros((1, 33, 29, 3)))
    concrete = model.__call__.get_concrete_function(tf.TensorSpec((None, None, None, 3)))
    tf.saved_model.save(model, tmp_path, signatures=concrete)
    found = traced(tf.saved_model.load(tmp_path))
    without = [layer for layer in RAW if not isinstance(layer, spec.Dropout)]
    assert leaves(found.network) == without


@pytest.mark.parametrize("name", ["InceptionV3", "InceptionResNetV2"])
def test_keras_own_networks(name):
    """Keras' zoo; its average pools with SAME count no padding."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(75, 75, 3), classes=7)
    found = traced(model, (3, 75, 75))
    (softmax,) = found.foreign
    assert softmax.layer.kind == "softmax"
    assert softmax.place == 'net.get_layer("predictions")'
    check_proved(found)
    weights = sum(array.size for op in found.graph.ops for array in op.arrays.values())
    assert weights == model.count_params()


def test_a_quotient_of_two_values_is_foreign():
    found = googlenet.trace(
        lambda x: x / tf.reduce_mean(x, (1, 2), keepdims=True), "tensorflow", SHAPE
    )
    assert [step.layer.kind for step in found.foreign] == ["tf.RealDiv"]
    with pytest.raises(TraceError, match=r"'tf\.RealDiv' is not a layer of the spec"):
        _ = found.network


class Trained(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = L.Conv2D(4, 3)
        self.act, self.norm = L.PReLU(shared_axes=(1, 2)), L.GroupNormalization(2)
        self.shift = self.add_weight(shape=(1, 1, 4), name="shift")
        self.frozen = tf.constant(np.random.default_rng(0).random((1, 1, 4, 4), np.float32))

    def call(self, x):
        x = self.act(self.conv(x)) + self.shift
        x = self.norm(x) + tf.broadcast_to(self.shift, (1, 31, 27, 4))
        return tf.reduce_mean(self.norm(tf.nn.conv2d(x, self.frozen, 1, "VALID")), (1, 2))


def test_every_trained_number_is_counted_once():
    """A factor that is broadcast, and those of layers nobody knows; twice is once."""
    graph = traced(Trained()).graph
    assert parameters_of(graph) == 3 * 4 * 9 + 4 + 4 + 4 + 4 + 4
