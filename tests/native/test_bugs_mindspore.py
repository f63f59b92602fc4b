"""Bugs of MindSpore, each in native code; docs/framework-bugs.md says how they are avoided."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn, ops

from .bugs import bug, in_its_own_process, raised_by


@pytest.fixture
def graph_mode():
    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    yield
    ms.set_context(mode=before)


@bug("the running variance is not finite: 0 times n / (n - 1)")
def test_batch_norm_of_one_value_a_channel():
    """PyTorch refuses it."""
    norm = nn.BatchNorm2d(2).set_train()
    if raised_by(lambda: norm(ms.Tensor([[[[3.0]], [[5.0]]]], ms.float32)).asnumpy()) is None:
        assert np.isfinite(norm.moving_variance.asnumpy()).all()


@bug("RuntimeError: could not execute a primitive")
def test_lrn_of_16_channels():
    x = ms.Tensor(np.ones((1, 16, 4, 4)), ms.float32)
    assert raised_by(lambda: ops.LRN(2, 1.0, 1e-4, 0.75)(x).asnumpy()) is None


@bug("from the second call on rows are shifted, or it hangs or crashes: it spoils memory")
def test_a_negative_padding():
    printed = in_its_own_process("""
import mindspore as ms, numpy as np
x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
cuts = (ms.ops.pad(ms.Tensor(x), [0, -1, 0, -1]).asnumpy() for _ in range(20))
print(all((cut == x[:, :, :5, :5]).all() for cut in cuts))
""")
    assert printed == "True"


@bug("its error is five times that of NumPy")
def test_cross_entropy_is_as_exact_as_float32():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((64, 10)).astype(np.float32), rng.integers(0, 10, 64)

    def cross_entropy(x):
        x = x - x.max(1, keepdims=True)
        return np.log(np.exp(x).sum(1)) - x[np.arange(64), labels]

    exact = cross_entropy(logits.astype(np.float64))
    against = ms.Tensor(labels, ms.int32)
    found = ops.cross_entropy(ms.Tensor(logits), against, reduction="none").asnumpy()
    allowed = 3 * np.linalg.norm(cross_entropy(logits) - exact)
    assert np.linalg.norm(found - exact) < allowed


@bug("it goes on with the weights that it was compiled with")
def test_a_compiled_function_after_its_weights_are_set():
    layer, x = nn.Dense(1, 1, weight_init="ones", has_bias=False), ops.ones((1, 1))

    @ms.jit
    def compiled(x):
        return layer(x)

    compiled(x)
    layer.weight.set_data(ms.Tensor([[2]], ms.float32))
    assert (layer(x).item(), compiled(x).item()) == (2, 2)


class Padded(nn.Cell):
    """The gradient of the convolution's weight, through a maximum of a padded map."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 6, 4, pad_mode="valid"), nn.MaxPool2d(3, 2)
        self.gradient = ms.grad(self.run, None, ms.ParameterTuple([self.conv.weight]))

    def run(self, x):
        return self.pool(ops.pad(self.conv(x), [1, 0, 1, 0], value=-float("inf"))).sum()

    def construct(self, x):
        return self.gradient(x)[0]


@bug("from the second call on it is another one each time")
def test_the_gradient_of_a_padded_maximum_in_a_graph(graph_mode):
    x = ms.Tensor(np.random.default_rng(0).standard_normal((3, 3, 40, 44)), ms.float32)
    compiled = Padded()
    first, second = (compiled(x).asnumpy() for _ in range(2))
    assert np.array_equal(first, second)
