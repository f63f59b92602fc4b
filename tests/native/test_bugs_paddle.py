"""Bugs of Paddle, each in native code; docs/framework-bugs.md says how they are avoided."""

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from .bugs import bug


@bug("it is -64")
def test_log_softmax_of_logits_far_apart():
    logits = paddle.to_tensor([[0.0, 100.0]])
    assert functional.log_softmax(logits).tolist() == [[-100, 0]]


@bug("it is 64")
def test_cross_entropy_of_logits_far_apart():
    logits = paddle.to_tensor([[0.0, 100.0]])
    soft = functional.cross_entropy(logits, paddle.to_tensor([[1.0, 0.0]]), soft_label=True)
    hard = functional.cross_entropy(logits, paddle.to_tensor([0]))
    assert (float(soft), float(hard)) == (100, 100)


@bug("rows of the bottom's padding only count as far as the top's goes")
def test_an_average_that_counts_asymmetric_padding():
    x = paddle.ones([1, 1, 4, 3])
    padded = functional.pad(x, [0, 0, 0, 2])
    found = functional.avg_pool2d(x, 3, 1, padding=[0, 2, 0, 0], exclusive=False)
    assert found.tolist() == functional.avg_pool2d(padded, 3, 1).tolist()


@bug("there is a third window, and its maximum is -3.4e38")
def test_windows_that_round_up_and_begin_beyond_the_input():
    """Here the third one would begin after five columns of input and one of padding."""
    y = functional.max_pool2d(paddle.ones([1, 1, 5, 5]), 2, 3, 1, ceil_mode=True)
    assert y.tolist() == [[[[1, 1], [1, 1]]]]


@bug("it is NaN in the third window, which has no element to count")
def test_an_average_over_windows_that_round_up_and_begin_beyond_the_input():
    y = functional.avg_pool2d(paddle.ones([1, 1, 5, 5]), 2, 3, 1, ceil_mode=True)
    assert not bool(paddle.isnan(y).any())


@bug("the bias has none")
def test_the_gradient_of_a_batch_norms_bias_with_a_frozen_weight():
    norm = nn.BatchNorm2D(3, weight_attr=paddle.ParamAttr(trainable=False))
    norm(paddle.ones([4, 3, 2, 2])).sum().backward()
    assert norm.bias.grad is not None


@bug("it is x itself, and the running statistics do not move")
def test_batch_norm_of_one_value_a_channel():
    """(x - mean) / sqrt(var + eps) is 0 there; PyTorch refuses it."""
    x = paddle.to_tensor([[[[3.0]], [[5.0]]]])
    try:
        y = nn.BatchNorm2D(2)(x)
    except ValueError:
        return
    assert np.array_equal(y.flatten().numpy(), [0, 0])
