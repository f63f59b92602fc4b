"""PyTorch's operations as users write them, traced one by one: what each is, or what is said of it;
and that the model is left as it was.
"""

import math
from contextlib import suppress

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import googlenet
from googlenet import TraceError, spec
from googlenet.backend.graph import faults
from googlenet.proof.parity.tolerance import EPS, limit
from googlenet.spec.traversal import walk
from googlenet.tracing.network import kind_of
from googlenet.tracing.tree import steps

SHAPE = (3, 16, 12)


class Written(nn.Module):
    """A function of a model and images, with a convolution, a dense layer, and constants."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.function = function
        self.conv = nn.Conv2d(3, 4, 1)
        self.plain = nn.Conv2d(3, 4, 1, bias=False)
        self.wide = nn.Conv2d(3, 4, 3, bias=False)
        self.dense = nn.Linear(4 * 16 * 12, 5)
        self.register_buffer("each", torch.rand(4, 1, 1) + 0.5)
        self.register_buffer("six", torch.rand(6, 1, 1))
        self.weight = nn.Parameter(torch.randn(4, 5))
        self.bias = nn.Parameter(torch.randn(5))
        self.norm = nn.LocalResponseNorm(3, 0.1, 0.6, 2)
        self.calls = 0
        self.seen = []

    def forward(self, x):
        return self.function(self, x)


def traced(function):
    return googlenet.trace(Written(function), "torch", SHAPE)


def around(x, **more):
    return F.pad(x, (1, 1, 1, 1), **more)


def pooled(x):
    return F.avg_pool2d(around(x), 3, 1, divisor_override=1)


KNOWN = {
    "a constant added": (lambda m, x: m.plain(x) + m.each, "Conv"),
    "a constant first": (lambda m, x: m.each + m.plain(x), "Conv"),
    "a number added": (lambda m, x: m.plain(x) + 0.1, "Conv"),
    "a number first": (lambda m, x: 1 + x, "affine"),
    "a number taken away": (lambda m, x: x - 0.3, "affine"),
    "a constant taken away": (lambda m, x: m.plain(x) - m.each, "Conv"),
    "taken from a number": (lambda m, x: 1 - x, "Scale affine"),
    "taken from a constant": (lambda m, x: m.each - m.plain(x), "Conv Scale affine"),
    "a constant with a factor": (lambda m, x: torch.add(m.plain(x), m.each, alpha=2), "Conv"),
    "a difference": (lambda m, x: m.conv(x) - m.plain(x), "Conv Conv Scale"),
    "gamma": (lambda m, x: m.each * m.conv(x), "Conv affine"),
    "a number times": (lambda m, x: 2 * x, "Scale"),
    "a negative": (lambda m, x: -x, "Scale"),
    "divided by a constant": (lambda m, x: m.conv(x) / m.each, "Conv affine"),
    "divided by a number": (lambda m, x: x / 3, "Scale"),
    "a concatenation of one": (lambda m, x: torch.cat([m.conv(x)], 1), "Conv"),
    "concat": (lambda m, x: torch.concat([x, m.conv(x)], -3), "Conv"),
    "softplus": (lambda m, x: F.softplus(x), "softplus"),
    "swapped and swapped back": (lambda m, x: x.transpose(1, 3).transpose(3, 1), ""),
    "an axis moved": (
        lambda m, x: m.dense(torch.movedim(m.conv(x), 1, -1).flatten(1)),
        "Conv Dense",
    ),
    "channels last": (lambda m, x: m.dense(m.conv(x).permute(0, 2, 3, 1).flatten(1)), "Conv Dense"),
    "channels last, reshaped": (
        lambda m, x: m.dense(F.relu(m.conv(x).permute(0, 2, 3, 1)).reshape(len(x), -1)),
        "Conv ReLU Dense",
    ),
    "matmul": (
        lambda m, x: m.conv(x).mean((2, 3)) @ m.weight + m.bias,
        "Conv GlobalAvgPool Dense",
    ),
    "pixels in a row": (lambda m, x: m.conv(x).flatten(2).mean(-1), "Conv GlobalAvgPool"),
    "flattened in part": (lambda m, x: torch.flatten(x, 1, 2), "reshape"),
    "a cast": (lambda m, x: m.conv(x.float()).double(), "Conv"),
    "a part of a constant": (lambda m, x: x * m.six.chunk(2)[0], "affine"),
    "a padding of the width": (lambda m, x: m.wide(F.pad(x, (1, 1))), "Conv"),
    "a crop": (lambda m, x: m.wide(F.pad(x, (-1, 0, 0, -2))), "pad Conv"),
    "a normalisation": (lambda m, x: m.norm(m.plain(m.norm(x))), None),
    "a functional normalisation": (
        lambda m, x: F.local_response_norm(m.conv(x), 5, 0.1, 0.7, 2.0),
        "Conv LocalResponseNorm",
    ),
    "an average of what is there": (lambda m, x: pooled(x) / pooled(torch.ones_like(x)), "AvgPool"),
    "a sum over windows divided": (lambda m, x: pooled(x) / 9, "AvgPool"),
    "times one": (lambda m, x: x * 1.0, ""),
    "zeros as many as images": (lambda m, x: x + torch.zeros(len(x), 1, 1, 1), "affine"),
    "a ReLU in place": (lambda m, x: (y := m.conv(x), F.relu_(y), y * 2)[2], "Conv ReLU Scale"),
    "dropout of channels": (lambda m, x: F.dropout2d(x, 0.3, m.training), "spatial_dropout"),
    "a threshold": (lambda m, x: F.threshold(x, 0, 0), "ReLU"),
    "the largest": (lambda m, x: F.adaptive_max_pool2d(x, (3, 5)), "adaptive_max_pool"),
    "the largest of all": (lambda m, x: m.conv(x).amax((2, 3)), "Conv adaptive_max_pool"),
    "the largest of all, as a map": (
        lambda m, x: m.conv(x).amax((-1, -2), keepdim=True),
        "Conv adaptive_max_pool",
    ),
    "a sum of all": (lambda m, x: m.conv(x).sum((2, 3)), "Conv GlobalAvgPool Scale"),
    "einsum of vectors": (
        lambda m, x: torch.einsum("ni,io->no", m.conv(x).mean((2, 3)), m.weight) + m.bias,
        "Conv GlobalAvgPool Dense",
    ),
    "einsum, the weight first": (
        lambda m, x: torch.einsum("ok, bk -> bo", m.weight.T, m.conv(x).mean((2, 3))),
        "Conv GlobalAvgPool Dense",
    ),
    "a pixel of one": (
        lambda m, x: (
            m.dense.weight.new_tensor(2.0) * F.adaptive_avg_pool2d(m.conv(x), 1)[..., 0, 0]
        ),
        "Conv GlobalAvgPool Scale",
    ),
    "all of it": (lambda m, x: m.conv(x)[:, :, 0:, :], "Conv"),
    "addmm": (
        lambda m, x: torch.addmm(m.bias, m.conv(x).mean((2, 3)), m.weight),
        "Conv GlobalAvgPool Dense",
    ),
    "clamped from above": (lambda m, x: x.clamp(max=0.5), "clip"),
}


@pytest.mark.parametrize(("function", "kinds"), KNOWN.values(), ids=KNOWN)
def test_what_is_known_is_computed(function, kinds):
    found = traced(function)
    assert faults(found.graph) == []
    assert len(found.errors) == 1
    if kinds is not None:
        assert " ".join(map(kind_of, steps(found.tree))) == kinds


def repeated(m, x):
    return m.weight.unsqueeze(0).expand(len(x), -1, -1)


#: A convolution, and one of its 4 channels to 5 with `weight`, in any words.
PRODUCTS = {
    "einsum": lambda m, x: torch.einsum("nchw,co->nohw", x, m.weight),
    "einsum, channels last": lambda m, x: torch.einsum(
        "co,...c->...o", m.weight, x.permute(0, 2, 3, 1)
    ).permute(0, 3, 1, 2),
    "from the left": lambda m, x: (m.weight.t() @ x.flatten(2) + m.bias[:, None]).view(
        -1, 5, 16, 12
    ),
    "a stack": lambda m, x: torch.bmm(m.weight.t().expand(len(x), 5, 4), x.flatten(2)).unflatten(
        2, x.shape[2:]
    ),
    "repeated": lambda m, x: torch.bmm(x.flatten(2).mT, m.weight.repeat(len(x), 1, 1)).mT.reshape(
        -1, 5, 16, 12
    ),
    "baddbmm": lambda m, x: torch.baddbmm(m.bias, x.flatten(2).mT, repeated(m, x)).mT.reshape(
        -1, 5, 16, 12
    ),
    "all pixels as rows": lambda m, x: (
        (x.movedim(1, -1).reshape(-1, 4) @ m.weight).view(-1, 16, 12, 5).movedim(-1, 1)
    ),
    "tensordot": lambda m, x: torch.tensordot(x, m.weight, ([1], [0])).movedim(-1, 1),
    "a transposed convolution": lambda m, x: F.conv_transpose2d(
        x, m.weight[..., None, None], m.bias
    ),
}


@pytest.mark.parametrize("function", PRODUCTS.values(), ids=PRODUCTS)
def test_a_convolution_of_pixels_in_any_words(function):
    found = traced(lambda m, x: function(m, m.conv(x)))
    assert list(map(kind_of, steps(found.tree))) == ["Conv", "Conv"]
    assert len(found.errors) == 1
    assert all(op.origins["weight"] == "weight" for op in found.graph.ops if "weight" in op.arrays)


WINDOWS = {
    "from the left": lambda m, x: (m.wide.weight.flatten(1) @ F.unfold(x, 3, padding=1)).view(
        -1, 4, 16, 12
    ),
    "from the right": lambda m, x: F.fold(
        (F.unfold(x, 3, padding=1).mT @ m.wide.weight.flatten(1).t()).mT, (16, 12), 1
    ),
}


@pytest.mark.parametrize("function", WINDOWS.values(), ids=WINDOWS)
def test_a_convolution_of_windows_as_columns(function):
    found = traced(function)
    (site,) = walk(found.network)
    assert site.layer == spec.Conv(4, (3, 3), (1, 1), ((1, 1), (1, 1)), 1, False)
    assert len(found.errors) == 1


HEADS = {
    "a stack": lambda m, x: torch.bmm(x.mean((2, 3)).unsqueeze(1), repeated(m, x)).squeeze(1),
    "a matrix from the left": lambda m, x: (m.weight.t() @ x.mean((2, 3)).t()).t(),
    "a vector from the right": lambda m, x: (m.weight.t() @ x.mean((2, 3))[..., None]).squeeze(-1),
    "a sum": lambda m, x: torch.einsum("nchw->nc", x) / (16 * 12) @ m.weight,
}


@pytest.mark.parametrize("function", HEADS.values(), ids=HEADS)
def test_a_dense_layer_in_any_words(function):
    found = traced(lambda m, x: function(m, m.conv(x)))
    assert list(map(kind_of, steps(found.tree))) == ["Conv", "GlobalAvgPool", "Dense"]
    assert len(found.errors) == 1


UNKNOWN = {
    "reflected": (lambda m, x: around(x, mode="reflect"), "aten.pad"),
    "six sides": (lambda m, x: F.pad(x, (0, 0, 0, 0, 1, 0)), "aten.pad"),
    "a steep softplus": (lambda m, x: F.softplus(x, beta=2), "aten.softplus"),
    "divided by zero": (lambda m, x: x / 0, "aten.div"),
    "rounded": (lambda m, x: torch.div(x, 0.3, rounding_mode="floor"), "aten.div"),
    "clamped by a tensor": (lambda m, x: x.clamp(min=m.each[:3]), "aten.clamp"),
    "with a constant": (
        lambda m, x: torch.cat([x, torch.zeros(len(x), 1, 16, 12)], 1),
        "aten.cat",
    ),
    "a constant divided": (lambda m, x: 1 / (x.abs() + 1), "abs affine aten.reciprocal"),
    "the first of several": (lambda m, x: x.max(2)[0], "aten.max"),
    "the second of several": (lambda m, x: torch.var_mean(x, 2)[1], "aten.var_mean"),
    "einsum of values": (lambda m, x: torch.einsum("nchw,nchw->nc", x, x), "aten.einsum"),
    "a transposed convolution": (
        lambda m, x: F.conv_transpose2d(x, m.wide.weight.swapaxes(0, 1)),
        "aten.conv_transpose2d",
    ),
}


@pytest.mark.parametrize(("function", "kinds"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_keeps_its_own_name(function, kinds):
    found = traced(function)
    assert faults(found.graph) == []
    assert " ".join(map(kind_of, steps(found.tree))) == kinds
    assert found.errors == ()


ERRORS = {
    "a mean of all": (
        lambda m, x: x.mean(),
        r"'mean' gives \(\) .* its first axis is not the batch",
    ),
    "a constant output": (lambda m, x: (x, m.weight * 2), "output 1 of the model is a constant"),
    "no outputs": (lambda m, x: (), "expected a model that returns a tensor, .* got nothing"),
    "None": (lambda m, x: None, "got nothing"),
    "a dictionary": (lambda m, x: {"logits": x}, "got dict"),
    "float16 inside": (lambda m, x: x.half().float(), "'aten.to' computes in float16"),
    "a part in place": (
        lambda m, x: (y := m.conv(x), y[:, 0].zero_(), y)[2],
        "'aten.zero' changes a part of a value in place",
    ),
    "a view in place": (
        lambda m, x: (y := m.conv(x), y.view(-1).relu_(), y)[2],
        "'aten.relu' changes a part of a value in place",
    ),
    "across the images": (lambda m, x: x.softmax(0), "works across the images of a batch"),
}


@pytest.mark.parametrize(("function", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_read_is_said(function, message):
    with pytest.raises(TraceError, match=message):
        traced(function)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_less_than_float32_is_refused(dtype):
    with pytest.raises(TraceError, match=r"net\[0\].weight: is b?float16.*model.float\(\)"):
        googlenet.trace(nn.Sequential(nn.Conv2d(3, 4, 1).to(dtype)), "torch", SHAPE)


def test_a_model_in_double_precision():
    model = nn.Sequential(nn.Conv2d(3, 4, 1)).double()
    found = googlenet.trace(model, "torch", SHAPE)
    assert found.params["conv_1.weight"].dtype == np.float32  # as it was before
    assert max(found.errors) <= limit(0) * np.finfo(np.float64).eps / EPS
    with torch.no_grad():
        model[0].weight.fill_(0.1)
    found = googlenet.trace(model, "torch", SHAPE)
    assert max(found.errors) <= limit(0) * np.finfo(np.float64).eps / EPS
    assert isinstance(found.network.layers.children[0][1], spec.Conv)
    with pytest.raises(TraceError, match=r"net\[0\]: its weight is float64"):
        _ = found.params


CHANGES = {
    "a buffer counted up": lambda m, x: (m.six.add_(1), m.conv(x) * m.six[0])[1],
    "a buffer replaced": lambda m, x: (setattr(m, "six", m.six + 1), m.conv(x) * m.six[0])[1],
    "a buffer made": lambda m, x: (m.register_buffer("new", torch.ones(1)), m.conv(x) * m.new)[1],
    "an attribute": lambda m, x: (setattr(m, "calls", m.calls + 1), m.conv(x))[1],
    "a list": lambda m, x: (m.seen.append(x), m.conv(x))[1],
    "a tensor kept": lambda m, x: (setattr(m, "last", m.conv(x)), m.last)[1],
    "a weight": lambda m, x: (m.conv.weight.data.mul_(0.5), m.conv(x))[1],
    "random numbers": lambda m, x: (torch.rand(1), m.conv(x))[1],
}


@pytest.mark.parametrize("function", CHANGES.values(), ids=CHANGES)
def test_a_model_that_changes_itself_stays_as_it_is(function):
    model = Written(function)
    buffers, before = dict(model.named_buffers()), set(vars(model))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    with suppress(TraceError):  # what a change in the capture gives need not be understood
        googlenet.trace(model, "torch", SHAPE)
    after = model.state_dict()
    assert after.keys() == state.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())
    assert all(tensor is buffers[name] for name, tensor in model.named_buffers())
    assert set(vars(model)) == before
    assert (model.calls, model.seen) == (0, [])
    assert torch.equal(torch.get_rng_state(), random)


def test_a_count_in_a_buffer_is_read_as_in_the_first_call():
    found = traced(lambda m, x: (m.six.add_(1), x * m.six[0])[1])
    (step,) = steps(found.tree)
    first = float(Written(None).six[0] + 1)
    assert math.isclose(step.layer.factor, first, rel_tol=EPS)


def test_heads_come_as_they_are_returned():
    class Torchvision(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1)
            self.first, self.second = nn.Linear(4, 2), nn.Linear(5, 2)
            self.last = nn.Linear(5, 3)

        def forward(self, x):
            x = self.a(x)
            aux1 = self.first(x.mean((2, 3)))
            x = self.b(x).mean((2, 3))
            return self.last(x), self.second(x), aux1

    found = googlenet.trace(Torchvision(), "torch", SHAPE)
    assert found.outputs == ("logits", "aux_2", "aux_1")
    assert len(found.errors) == 3
