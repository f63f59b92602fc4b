"""What is Paddle's own about its models."""

import os
import sys

import paddle
import pytest
from paddle import nn

import googlenet
from googlenet.spec.blocks import avg_pool, sequential
from googlenet.spec.layers import Concat, Dense, GlobalAvgPool
from googlenet.weights.samples import random_images, random_params

from .lower import check_bfloat16, check_refused
from .networks import PAPER, first_divergence
from .threads import threads

backend = googlenet.get_backend("paddle")


def test_moves_to_a_device():
    moved = googlenet.get_model(PAPER, framework="paddle", device="cpu").to(dtype="float64")
    images = paddle.to_tensor(random_images(PAPER))
    assert moved(images.astype("float64"))[0].dtype == paddle.float64


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux lists them")
def test_all_cores_compute_where_nobody_says_how_many():
    """Paddle by itself takes one."""
    cores = os.cpu_count()
    assert threads("paddle") == threads("paddle", cores)
    assert (threads("paddle") > threads("paddle", 1)) is (cores > 1)


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


# What paddle.vision's GoogLeNet, or a layer's default, does otherwise than the paper --------------


class FloorMaxPool(nn.MaxPool2D):
    def __init__(self, kernel_size, stride, padding=0, ceil_mode=False):
        super().__init__(kernel_size, stride, padding)


class ExclusiveAvgPool(nn.AvgPool2D):
    def __init__(self, kernel_size, stride, padding=0, ceil_mode=False, exclusive=True):
        super().__init__(kernel_size, stride, padding, ceil_mode)


class DownscalingDropout(nn.Dropout):
    def __init__(self, rate):
        super().__init__(rate, mode="downscale_in_infer")


def relu_once_after_the_concatenation(monkeypatch, network):
    monkeypatch.setattr(nn, "ReLU", nn.Identity)
    model = backend.build(network, random_params(network))
    layers = dict(model.named_sublayers())
    for site in googlenet.nodes(network):
        if isinstance(site.layer, Concat):
            layers[site.path].register_forward_post_hook(
                lambda layer, inputs, output: nn.functional.relu(output)
            )
    return model


def pools_round_down(monkeypatch, network):
    monkeypatch.setattr(nn, "MaxPool2D", FloorMaxPool)
    return backend.build(network, random_params(network))


def averages_leave_padding_out(monkeypatch, network):
    monkeypatch.setattr(nn, "AvgPool2D", ExclusiveAvgPool)
    return backend.build(network, random_params(network))


def dropout_scales_in_evaluation(monkeypatch, network):
    monkeypatch.setattr(nn, "Dropout", DownscalingDropout)
    return backend.build(network, random_params(network))


SMALL_PAPER = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 64, 64))
AVERAGED = googlenet.Network(
    "averaged",
    sequential(average=avg_pool(3, 1, 1), pool=GlobalAvgPool(), dense=Dense(7, bias=True)),
    (3, 9, 8),
    "paddle.nn.AvgPool2D",
)


@pytest.mark.parametrize(
    ("network", "sabotage", "layer"),
    [
        (SMALL_PAPER, relu_once_after_the_concatenation, "b1.conv.relu"),
        (SMALL_PAPER, pools_round_down, "b1.pool"),
        (AVERAGED, averages_leave_padding_out, "average"),
        (SMALL_PAPER, dropout_scales_in_evaluation, "head.dropout"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_paddles_own_habits_are_caught(network, sabotage, layer, monkeypatch):
    model = sabotage(monkeypatch, network)
    assert first_divergence(backend, model, network) == layer


# bfloat16 -----------------------------------------------------------------------------------------


def test_bfloat16_stays_within_its_own_limit():
    """And it is not float32 in disguise."""
    check_bfloat16("paddle")


def test_bfloat16_is_refused_where_the_processor_lacks_it(monkeypatch):
    check_refused("paddle", monkeypatch)
