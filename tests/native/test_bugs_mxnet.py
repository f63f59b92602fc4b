"""Bugs of MXNet, each in native code; docs/framework-bugs.md says how they are avoided."""

import os

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, npx
from mxnet.gluon import nn

from .bugs import bug, in_its_own_process, raised_by


@pytest.fixture(autouse=True)
def numpy_semantics():
    npx.set_np()


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def distance(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@bug("the gradient lacks what the neighbouring channels add to it")
def test_the_gradient_of_lrn_between_a_convolution_and_a_max_pool():
    def gradient(factor):
        x, weight = mx.np.array(drawn(2, 16, 8, 8)), mx.np.array(drawn(16, 16, 1, 1))
        x.attach_grad()
        with autograd.record():
            y = npx.convolution(x, weight, kernel=(1, 1), num_filter=16, no_bias=True)
            y = mx.nd.LRN(y.as_nd_ndarray(), nsize=5, alpha=1.0).as_np_ndarray()
            y = y if factor is None else y * factor
            y = npx.pooling(y, kernel=(2, 2), stride=(2, 2), pool_type="max")
        y.backward()
        return x.grad.asnumpy()

    assert distance(gradient(None), gradient(1)) < 1e-5


@bug("it is one for other elements than those that won")
def test_the_gradient_of_a_max_pool_in_evaluation_mode():
    x = mx.np.array(drawn(2, 3, 8, 8))
    x.attach_grad()
    with autograd.record(train_mode=False):
        y = npx.pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    y.backward(train_mode=False)
    won = x.asnumpy() == y.asnumpy().repeat(2, 2).repeat(2, 3)
    assert np.array_equal(x.grad.asnumpy(), won)


@bug("it pads with 0")
def test_padding_with_another_value_than_0():
    padded = mx.np.pad(mx.np.zeros((1, 1)), ((1, 0), (0, 0)), constant_values=7)
    assert padded.asnumpy().tolist() == [[7], [0]]


@bug("there is a third window, and its maximum is -3.4e38")
def test_windows_that_round_up_and_begin_beyond_the_input():
    """Here the third one would begin after five columns of input and one of padding."""
    window = {"kernel": (2, 2), "stride": (3, 3), "pad": (1, 1), "pooling_convention": "full"}
    y = npx.pooling(mx.np.ones((1, 1, 5, 5)), pool_type="max", **window)
    assert y.asnumpy().tolist() == [[[[1, 1], [1, 1]]]]


@bug("its error is ten times that of NumPy")
def test_log_softmax_is_as_exact_as_float32():
    x = 3 * drawn(64, 10)

    def log_softmax(x):
        x = x - x.max(1, keepdims=True)
        return x - np.log(np.exp(x).sum(1, keepdims=True))

    exact = log_softmax(x.astype(np.float64))
    found = npx.log_softmax(mx.np.array(x)).asnumpy()
    assert distance(found, exact) < 3 * distance(log_softmax(x), exact)


@bug("it returns as if the file were complete")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_saving_to_a_full_disk():
    layer = nn.Dense(3, in_units=2)
    layer.initialize()
    assert raised_by(lambda: layer.save_parameters("/dev/full")) is not None


@bug("the process dies of SIGFPE")
def test_a_slice_of_one_channel_after_a_convolution_in_a_graph():
    printed = in_its_own_process("""
import mxnet as mx
mx.npx.set_np()
class Sliced(mx.gluon.nn.Conv2D):
    def hybrid_forward(self, F, x, weight, bias):
        return super().hybrid_forward(F, x, weight, bias)[:1, :1] * 2
layer = Sliced(16, 3, in_channels=16)
layer.initialize()
layer.hybridize()
with mx.autograd.record():
    y = layer(mx.np.ones((2, 16, 8, 8)))
print(y.asnumpy().shape)
""")
    assert printed == "(1, 1, 6, 6)"
