"""The Paddle model is what a user of Paddle would have written."""

import numpy as np
import paddle
import pytest
from paddle import nn

import googlenet
from googlenet.proof.parity.compare import compare_forward, compare_weights
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.spec.blocks import avg_pool, inception, sequential
from googlenet.spec.layers import Dense, GlobalAvgPool
from googlenet.weights.samples import random_images, random_params

backend = googlenet.get_backend("paddle")

NETWORK = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 79, 95), aux=True)
NORMED = googlenet.get_network("googlenet_bn", num_classes=7, input_shape=(2, 65, 40))


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(NETWORK, framework="paddle", weights=random_params(NETWORK)).eval()


@pytest.fixture(scope="module")
def images():
    return paddle.to_tensor(random_images(NETWORK))


def test_is_native(model):
    assert isinstance(model, nn.Layer)


@pytest.mark.parametrize(
    ("name", "aux", "parameters"),
    [
        ("googlenet", False, 5_977_530),
        ("googlenet_paper", False, 6_998_552),
        ("googlenet_paper", True, 13_378_280),
    ],
)
def test_parameters(name, aux, parameters):
    built = googlenet.get_model(name, framework="paddle", aux=aux)
    assert sum(parameter.size for parameter in built.parameters()) == parameters


def test_prints_readably_with_our_names(model):
    text = repr(model)
    assert "(inception_3a): Concatenation(" in text
    assert "(branch_5x5): Sequential(" in text
    assert "Conv2D(3, 64, kernel_size=[7, 7], stride=[2, 2], padding=3, data_format=NCHW)" in text


def test_parameter_names_are_ours(model):
    assert set(dict(model.named_parameters())) == set(googlenet.param_specs(NETWORK))


def test_returns_logits_and_aux(model, images):
    outputs = model(images)
    assert [tuple(output.shape) for output in outputs] == [(3, 7)] * 3


def test_saves_and_loads_with_the_frameworks_own_tools(model, images, tmp_path):
    paddle.save(model.state_dict(), str(tmp_path / "model.pdparams"))
    other = googlenet.get_model(NETWORK, framework="paddle", seed=1).eval()
    other.set_state_dict(paddle.load(str(tmp_path / "model.pdparams")))
    assert paddle.equal_all(other(images)[0], model(images)[0])
    assert not compare_weights(backend, other, random_params(NETWORK))


def test_moves_to_a_device(model, images):
    moved = googlenet.get_model(NETWORK, framework="paddle", device="cpu").to(dtype="float64")
    assert moved(images.astype("float64"))[0].dtype == paddle.float64


def test_unknown_device_is_refused():
    with pytest.raises(googlenet.GoogLeNetError, match="device: 'no-such-device'"):
        googlenet.get_model("googlenet", framework="paddle", device="no-such-device")


def test_building_changes_no_global_state():
    """Neither the default type, which the model does not follow, nor the random state."""
    paddle.seed(1)
    expected = paddle.rand([3])
    paddle.seed(1)
    paddle.set_default_dtype("float64")
    try:
        built = googlenet.get_model("googlenet", framework="paddle")
        assert paddle.get_default_dtype() == "float64"
    finally:
        paddle.set_default_dtype("float32")
    assert {parameter.dtype for parameter in built.parameters()} == {paddle.float32}
    assert paddle.equal_all(paddle.rand([3]), expected)


def first(outputs):
    """The logits, which stand before those of auxiliary heads if there are any."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


@pytest.mark.parametrize("network", [NETWORK, NORMED], ids=["googlenet_paper", "googlenet_bn"])
def test_runs_in_graph_mode(network):
    """paddle.jit.to_static gives the same outputs, within the limit that holds for eager mode."""
    params, images = random_params(network), random_images(network)
    compiled = paddle.jit.to_static(
        googlenet.get_model(network, framework="paddle", weights=params).eval(), full_graph=True
    )
    with paddle.no_grad():
        logits = first(compiled(paddle.to_tensor(images))).numpy()
    exact = first(googlenet.get_backend("numpy").build(network, params, dtype=np.float64)(images))
    assert distance(logits, exact) <= limit(
        forward_yardstick(network, params, images, chunk=3)["logits"]
    )


def test_trains_with_the_frameworks_own_optimiser():
    """The README's loop, on one batch: the loss falls."""
    model = googlenet.get_model("googlenet", framework="paddle", input_shape=(1, 32, 32), seed=0)
    optimiser = paddle.optimizer.Momentum(
        learning_rate=0.05, momentum=0.9, parameters=model.parameters()
    )
    images, labels = (
        paddle.to_tensor(random_images(model.network, batch=4)),
        paddle.to_tensor([0, 3, 5, 9]),
    )
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_a_lone_inception_block():
    block = googlenet.Network(
        "block",
        sequential(inception_3a=inception(64, 96, 128, 16, 32, 32)),
        (192, 28, 20),
        "arXiv:1409.4842",
    )
    assert googlenet.get_model(block, framework="paddle")(paddle.zeros([2, 192, 28, 20])).shape == [
        2,
        256,
        28,
        20,
    ]


# What paddle.vision's GoogLeNet, or a layer's default, does otherwise than the paper --------------


class ConcatenationAndReLU(backend.modules.Concatenation):
    def forward(self, x):
        return nn.functional.relu(super().forward(x))


class FloorMaxPool(nn.MaxPool2D):
    def __init__(self, kernel_size, stride, padding, ceil_mode=False):
        super().__init__(kernel_size, stride, padding)


class ExclusiveAvgPool(nn.AvgPool2D):
    def __init__(self, kernel_size, stride, padding, ceil_mode=False, exclusive=True):
        super().__init__(kernel_size, stride, padding, ceil_mode)


class DownscalingDropout(nn.Dropout):
    def __init__(self, rate):
        super().__init__(rate, mode="downscale_in_infer")


def relu_once_after_the_concatenation(monkeypatch):
    monkeypatch.setattr(nn, "ReLU", nn.Identity)
    monkeypatch.setattr(backend.modules, "Concatenation", ConcatenationAndReLU)


def pools_round_down(monkeypatch):
    monkeypatch.setattr(nn, "MaxPool2D", FloorMaxPool)


def averages_leave_padding_out(monkeypatch):
    monkeypatch.setattr(nn, "AvgPool2D", ExclusiveAvgPool)


def dropout_scales_in_evaluation(monkeypatch):
    monkeypatch.setattr(nn, "Dropout", DownscalingDropout)


PAPER = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 64, 64))
AVERAGED = googlenet.Network(
    "averaged",
    sequential(average=avg_pool(3, 1, 1), pool=GlobalAvgPool(), dense=Dense(7, bias=True)),
    (3, 9, 8),
    "paddle.nn.AvgPool2D",
)


@pytest.mark.parametrize(
    ("network", "sabotage", "layer"),
    [
        (PAPER, relu_once_after_the_concatenation, "b1.conv.relu"),
        (PAPER, pools_round_down, "b1.pool"),
        (AVERAGED, averages_leave_padding_out, "average"),
        (PAPER, dropout_scales_in_evaluation, "head.dropout"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_paddles_own_habits_are_caught(network, sabotage, layer, monkeypatch):
    params, images = random_params(network), random_images(network)
    sabotage(monkeypatch)
    model = backend.build(network, params)
    rows = compare_forward(
        backend,
        model,
        network,
        params,
        images,
        forward_yardstick(network, params, images, chunk=3),
        chunk=3,
    )
    assert next(row.name for row in rows if not row.passed) == layer
