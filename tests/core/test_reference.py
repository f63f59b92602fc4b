"""The arbiter itself: forward against written-out loops, backward against central differences, both
in float64.
"""

import itertools
import math

import numpy as np
import pytest

import googlenet.reference as reference
from googlenet import Loss, Network, param_specs, spec
from googlenet.backend.checks import check_images
from googlenet.errors import ShapeError
from googlenet.proof.conformance.networks import LEAVES, composites, probe, sandwich
from googlenet.reference.network import Pass
from googlenet.spec import blocks
from googlenet.spec.analysis import norm_of_one_value
from googlenet.spec.rewrite import with_dropout_rate
from googlenet.spec.traversal import walk
from googlenet.weights.samples import random_images, random_labels, random_params

SHAPE = (4, 6, 7)


def _lone(layer, shape=SHAPE):
    return Network("lone", blocks.sequential(layer=layer), shape, "test")


def _run(network, images, *, train=False):
    params = random_params(network)
    return (
        reference.forward(reference.build(network, params, dtype=np.float64), images, train=train)[
            "logits"
        ],
        params,
    )


def _padded(image, padding, value):
    (top, bottom), (left, right) = padding
    # A generous border: ceil_mode may look beyond the padding.
    return np.pad(image, ((0, 0), (top, bottom + 9), (left, right + 9)), constant_values=value)


def _normed(kernel_size):
    norm = blocks.batch_norm(1e-3, 0.1)
    branches = {name: blocks.conv(3, kernel_size, norm=norm) for name in ("left", "right")}
    layers = blocks.sequential(wide=norm, block=blocks.concat(**branches))
    return Network("normed", layers, (2, 3, 4), "test")


def test_batch_norm_of_one_value_a_channel_is_refused_in_training():
    network = _normed((3, 4))
    images = random_images(network)
    assert norm_of_one_value(network) == "block.left.norm"
    with pytest.raises(ShapeError) as refusal:
        check_images(network, images[:1], train=True)
    assert str(refusal.value) == (
        "images: batch norm 'block.left.norm' needs at least 2 values per channel in training mode,"
        " got 1 (one image, a 1×1 map), whose variance is 0; give at least 2 images, or larger ones"
    )
    assert len(check_images(network, images[:1])) == 1
    assert len(check_images(network, images[:2], train=True)) == 2


@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 4)])
def test_batch_norm_of_one_image_on_a_larger_map_is_not_refused(kernel_size):
    network = _normed(kernel_size)
    assert norm_of_one_value(network) is None
    assert len(check_images(network, random_images(network)[:1], train=True)) == 1


def loops_conv(layer, x, out_shape, params):
    weight, bias = (
        params["layer.weight"].astype(np.float64),
        params.get("layer.bias", np.zeros(out_shape[0])),
    )
    y = np.zeros((len(x), *out_shape))
    inputs, outputs = weight.shape[1], layer.out_channels // layer.groups
    for n, o, i, j in np.ndindex(y.shape):
        padded = _padded(x[n], layer.padding, 0.0)
        total = float(bias[o])
        for c, u, v in np.ndindex(inputs, *layer.kernel_size):
            row, column = i * layer.stride[0] + u, j * layer.stride[1] + v
            total += weight[o, c, u, v] * padded[(o // outputs) * inputs + c, row, column]
        y[n, o, i, j] = total
    return y


def loops_pool(layer, x, out_shape, params):
    y = np.zeros((len(x), *out_shape))
    (top, bottom), (left, right) = layer.padding
    height, width = x.shape[2:]
    for n, c, i, j in np.ndindex(y.shape):
        inside, counted = [], 0
        for u, v in np.ndindex(layer.kernel_size):
            row, column = i * layer.stride[0] + u - top, j * layer.stride[1] + v - left
            if 0 <= row < height and 0 <= column < width:
                inside.append(x[n, c, row, column])
            if row < height + bottom and column < width + right:
                counted += 1
        if isinstance(layer, spec.MaxPool):
            y[n, c, i, j] = max(inside)
        else:
            y[n, c, i, j] = sum(inside) / (counted if layer.count_include_pad else len(inside))
    return y


def loops_adaptive(layer, x, out_shape, params):
    y = np.zeros((len(x), *out_shape))
    (height, width), (rows, columns) = x.shape[2:], layer.output_size
    for n, c, i, j in np.ndindex(y.shape):
        window = x[
            n,
            c,
            i * height // rows : math.ceil((i + 1) * height / rows),
            j * width // columns : math.ceil((j + 1) * width / columns),
        ]
        y[n, c, i, j] = sum(window.ravel()) / window.size
    return y


def loops_lrn(layer, x, out_shape, params):
    y = np.zeros_like(x)
    for n, c, i, j in np.ndindex(x.shape):
        near = range(max(c - layer.size // 2, 0), min(c + layer.size // 2 + 1, x.shape[1]))
        y[n, c, i, j] = (
            x[n, c, i, j]
            / (layer.k + layer.alpha / layer.size * sum(x[n, k, i, j] ** 2 for k in near))
            ** layer.beta
        )
    return y


def loops_batch_norm(layer, x, out_shape, params):
    y = np.zeros_like(x)
    for n, c, i, j in np.ndindex(x.shape):
        mean, var = float(params["layer.running_mean"][c]), float(params["layer.running_var"][c])
        weight = float(params["layer.weight"][c]) if layer.scale else 1.0
        y[n, c, i, j] = weight * (x[n, c, i, j] - mean) / math.sqrt(var + layer.eps) + float(
            params["layer.bias"][c]
        )
    return y


def loops_dense(layer, x, out_shape, params):
    return np.array(
        [
            [
                sum((params["layer.weight"][o] * image).ravel().astype(np.float64))
                + params["layer.bias"][o]
                for o in range(out_shape[0])
            ]
            for image in x
        ]
    )


LOOPS = {
    spec.Conv: loops_conv,
    spec.MaxPool: loops_pool,
    spec.AvgPool: loops_pool,
    spec.AdaptiveAvgPool: loops_adaptive,
    spec.LocalResponseNorm: loops_lrn,
    spec.BatchNorm: loops_batch_norm,
    spec.Dense: loops_dense,
    spec.GlobalAvgPool: lambda layer, x, out_shape, params: np.array(
        [[sum(c.ravel()) / c.size for c in image] for image in x]
    ),
    spec.ReLU: lambda layer, x, out_shape, params: np.vectorize(
        lambda value: value if value > 0 else 0.0
    )(x),
    spec.Scale: lambda layer, x, out_shape, params: (
        x * (layer.factor if layer.when in ("always", "eval") else 1)
    ),
    spec.Dropout: lambda layer, x, out_shape, params: x,
}
FORWARD = {**LEAVES, "dense": spec.Dense(3, bias=True), "global_avg_pool": spec.GlobalAvgPool()}


@pytest.mark.parametrize("name", FORWARD)
def test_forward_is_the_written_out_loops(name):
    layer = FORWARD[name]
    network = _lone(layer)
    images = random_images(network, batch=2).astype(np.float64).astype(np.float32)
    y, params = _run(network, images)
    (site,) = walk(network)
    expected = LOOPS[type(layer)](site.layer, images.astype(np.float64), site.out_shape, params)
    np.testing.assert_allclose(y, expected, **CLOSE)


# Of float64's own 2.2e-16, as much as sums of a few hundred terms can lose.
CLOSE = {"rtol": 1e3 * np.finfo(np.float64).eps, "atol": 1e3 * np.finfo(np.float64).eps}


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        case
        for case in itertools.product((1, 2, 3, 4), (1, 2, 3), (0, 1, 2), (4, 5, 7))
        if case[2] <= case[0] // 2
    ],
)
def test_pools_round_up_as_the_loops_do(kernel, stride, padding, size):
    for pool in (
        blocks.max_pool(kernel, stride, padding, ceil_mode=True),
        blocks.avg_pool(kernel, stride, padding, ceil_mode=True),
        blocks.avg_pool(kernel, stride, padding, ceil_mode=True, count_include_pad=False),
    ):
        network = _lone(pool, (1, size, size + 1))
        images = random_images(network, batch=1)
        y, params = _run(network, images)
        (site,) = walk(network)
        np.testing.assert_allclose(
            y, loops_pool(site.layer, images.astype(np.float64), site.out_shape, params), **CLOSE
        )


def test_the_mean_of_equal_windows_is_that_of_the_pool():
    images = random_images(_lone(spec.ReLU(), (2, 6, 9)))
    pooled, _ = _run(_lone(blocks.avg_pool((2, 3), (2, 3)), (2, 6, 9)), images)
    adaptive, _ = _run(_lone(spec.AdaptiveAvgPool((3, 3)), (2, 6, 9)), images)
    np.testing.assert_allclose(pooled, adaptive, **CLOSE)


def _gradient_cases():
    yield from ((name, sandwich(name, layer, (3, 7, 8))) for name, layer in LEAVES.items())
    yield from composites().items()
    yield "probe", probe()


@pytest.mark.parametrize("train", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize(
    ("name", "network"),
    list(_gradient_cases()),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_gradients_are_central_differences(name, network, train):
    network = with_dropout_rate(network, 0.0)
    params = {path: array.astype(np.float64) for path, array in random_params(network).items()}
    images, labels = random_images(network), random_labels()
    loss = Loss(label_smoothing=0.1)

    def evaluate(values):
        model = reference.build(
            network,
            {path: array.astype(np.float32) for path, array in params.items()},
            dtype=np.float64,
        )
        # build rounds to float32, which would swallow a small step: set the float64 values
        # afterwards.
        for path, each in model.specs.items():
            model.params[path] = reference.layout.to_native(each, values[path]).astype(np.float64)
        return reference.run_gradients(model, images, labels, Pass(train=train), loss=loss)

    _, grads = evaluate(params)
    rng = np.random.default_rng(0)
    step = 1e-6
    for path, each in param_specs(network).items():
        if not each.trainable:
            assert path not in grads
            continue
        # One random direction an array: any wrong element shows with probability 1.
        direction = rng.standard_normal(each.shape)
        up, down = (
            evaluate({**params, path: params[path] + sign * step * direction})[0]
            for sign in (1, -1)
        )
        expected, actual = (up - down) / (2 * step), float((grads[path] * direction).sum())
        # Central differences err by step² · f''' and by eps / step ≈ 2e-10.
        assert abs(actual - expected) < 1e-7 * max(1.0, abs(expected)), path


def test_ties_and_zero():
    network = _lone(spec.ReLU(), (1, 1, 3))
    run = Pass()
    back = reference.build(network, {}, dtype=np.float64).run(np.array([[[[-1.0, 0.0, 2.0]]]]), run)
    np.testing.assert_array_equal(back(np.ones((1, 1, 3, 1))).ravel(), [0, 0, 1])
    network = _lone(blocks.max_pool(2, 1), (1, 2, 3))
    back = reference.build(network, {}, dtype=np.float64).run(
        np.array([[[[5.0, 5.0, 1.0], [5.0, 2.0, 1.0]]]]), run
    )
    np.testing.assert_array_equal(back(np.ones((1, 1, 2, 1)))[0, ..., 0], [[1, 1, 0], [0, 0, 0]])


def test_float32_is_float32():
    network = composites()["norm_residual"]
    outputs = reference.forward(
        reference.build(network, random_params(network)), random_images(network), train=True
    )
    assert outputs["logits"].dtype == np.float32


def test_batch_norm_statistics_follow_the_declared_convention():
    network = _lone(blocks.batch_norm(1e-3, 0.25), (2, 3, 5))
    params, images = random_params(network), random_images(network)
    for unbiased in (False, True):
        model = reference.build(
            network, params, dtype=np.float64, unbiased_running_variance=unbiased
        )
        reference.forward(model, images, train=True)
        for c in range(2):
            channel = images[:, c].astype(np.float64)
            var = channel.var(ddof=int(unbiased))
            for name, batch in (("running_mean", channel.mean()), ("running_var", var)):
                expected = 0.75 * float(params[f"layer.{name}"][c]) + 0.25 * float(batch)
                assert math.isclose(
                    reference.params_of(model)[f"layer.{name}"][c], expected, rel_tol=CLOSE["rtol"]
                )


def test_printing_shows_the_names():
    text = repr(reference.build(probe(), random_params(probe())))
    assert "(mixed): Concat(" in text
    assert "(branch_5x5): Sequential(" in text


def test_a_device_other_than_the_cpu_is_refused():
    from googlenet import get_model
    from googlenet.errors import DeviceError

    with pytest.raises(DeviceError, match="device: 'gpu' cannot be used by numpy"):
        get_model(framework="numpy", device="gpu")


def test_threads_can_be_counted_once_numpy_is_imported():
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits():  # which gives back, in the end, what it found
        reference.set_threads(1)
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
