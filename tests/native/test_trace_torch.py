"""Users' own PyTorch models, traced: code in any style is understood, or what is foreign in it
named.
"""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import googlenet
from googlenet import TraceError, spec
from googlenet.architectures import get_network
from googlenet.backend.graph import parameters_of
from googlenet.proof.conformance.tracing import outline_of_leaf
from googlenet.proof.parity.tolerance import distance, limit
from googlenet.spec.traversal import walk
from googlenet.tracing.network import kind_of
from googlenet.weights.samples import random_params

SHAPE = (3, 33, 29)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def traced(model, shape=SHAPE):
    return googlenet.trace(model, "torch", shape)


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


def leaves(network):
    """The leaves in order, as far as an evaluation shows them."""
    return [item for site in walk(network) for item in outline_of_leaf(site)]


def test_places_are_as_the_user_writes_them(backend):
    network = get_network("googlenet", num_classes=7, input_shape=(1, 64, 64))
    found = traced(backend.build(network, random_params(network)), network.input_shape)
    assert found.places["concat_1.branch_3.conv_2"] == "net.b3.inception_3a.branch_5x5.conv.conv"


class Functional(nn.Module):
    """Raw parameters, a padding apart, a bias added, a mean for the pool, a lazy dense layer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3, 3, 3))
        self.bias = nn.Parameter(torch.randn(5))
        self.dense = nn.LazyLinear(7)

    def forward(self, x):
        x = F.conv2d(F.pad(x, (1, 2, 3, 0)), self.weight, stride=2) + self.bias[None, :, None, None]
        x = F.max_pool2d(F.pad(F.relu(x), (0, 1, 0, 1)), 3, 2)
        return self.dense(x.mean(dim=(2, 3)))


class WithHead(nn.Module):
    """A scaled residual sum, and a further output."""

    def __init__(self):
        super().__init__()
        self.conv, self.body = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.head, self.aux = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu_(self.conv(x))
        aux = self.aux(F.adaptive_avg_pool2d(x, 1).flatten(1))
        x = F.relu(x + 0.17 * self.body(x))
        x = torch.flatten(F.avg_pool2d(x, x.shape[2:]), 1)
        return self.head(F.dropout(x, 0.4, self.training)), aux


class Grouped(nn.Module):
    """Branches that begin with one layer, and are concatenated all at once."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.one, self.two = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 6, 1)
        self.wide, self.high = nn.Conv2d(6, 3, (1, 3), padding="same"), nn.Conv2d(6, 3, (3, 1))
        self.last = nn.Conv2d(18, 5, 1)

    def forward(self, x):
        x = self.stem(x)
        two = self.two(x).clamp(min=0)
        high = self.high(F.pad(two, (0, 0, 1, 1)))
        found = [torch.relu(self.one(x)), self.wide(two), high, F.avg_pool2d(x, 3, 1, 1)]
        return F.adaptive_avg_pool2d(self.last(torch.cat(found, 1)), (1, 1)).squeeze(-1).squeeze(-1)


STYLES = {
    "functional": (
        Functional,
        [spec.Conv(5, (3, 3), (2, 2), ((3, 0), (1, 2)), 1, True), spec.ReLU()],
    ),
    "with a head": (WithHead, [spec.Conv(4, (1, 1), (1, 1), ((0, 0), (0, 0)), 1, True)]),
    "grouped": (Grouped, [spec.Conv(8, (1, 1), (1, 1), ((0, 0), (0, 0)), 1, True)]),
    "sequential": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 5, padding=2, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.LocalResponseNorm(5, alpha=2e-4, k=2.0),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Flatten(),
            nn.LazyLinear(6),
        ),
        [spec.Conv(4, (5, 5), (1, 1), ((2, 2), (2, 2)), 1, False)],
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_understood(style):
    make, first = STYLES[style]
    torch.manual_seed(0)
    model = make()
    found = traced(model)
    assert leaves(found.network)[: len(first)] == first
    again = copy.deepcopy(model).eval()
    images = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        outputs = again(torch.from_numpy(images))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    check_outputs(found, images, [output.numpy() for output in outputs])


def test_a_head_is_an_auxiliary_output_and_a_sum_a_residual():
    found = traced(WithHead())
    assert found.network.outputs == ("logits", "aux_1")
    (residual,) = [
        each for _, each in found.network.layers.children if isinstance(each, spec.Residual)
    ]
    assert residual.scale == 0.17
    assert residual.shortcut == spec.Sequential(())


def test_a_group_is_a_concatenation_inside_another():
    (fork,) = [
        each
        for _, each in traced(Grouped()).network.layers.children
        if isinstance(each, spec.Concat)
    ]
    assert [type(branch.children[-1][1]).__name__ for _, branch in fork.children] == [
        "ReLU",
        "Concat",
        "AvgPool",
    ]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.LeakyReLU(0.1), "leaky_relu"),
        (nn.ReLU6(), "clip"),
        (nn.ELU(), "elu"),
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Softmax(dim=1), "softmax"),
        (nn.Conv2d(3, 4, 3, dilation=2), "conv"),
        (nn.ZeroPad2d(1), "pad"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_spec_has_not_is_foreign_and_computed(layer, kind):
    found = traced(nn.Sequential(nn.Conv2d(3, 3, 1), layer))
    (step,) = found.foreign
    assert (step.layer.kind, step.place) == (kind, "net[1]")
    assert len(found.errors) == 1
    with pytest.raises(TraceError, match=rf"net\[1\]: '{kind}' is not a layer of the spec"):
        _ = found.network


class Excited(nn.Module):
    """Squeeze and excitation in one of the ways in which it is written."""

    def __init__(self, product, squeeze):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.dense, self.point = nn.Linear(4, 4), nn.Conv2d(4, 4, 1)
        self.product, self.squeeze = product, squeeze

    def forward(self, x):
        x = self.conv(x)
        return self.product(x, torch.sigmoid(self.squeeze(self, x)))


PRODUCTS = {
    "*": lambda x, y: x * y,
    "reversed": lambda x, y: y * x,
    "mul": torch.mul,
    "multiply": torch.multiply,
    "mul_": lambda x, y: x.clone().mul_(y),
    "expand_as": lambda x, y: x * y.expand_as(x),
}
SQUEEZES = {
    "view": lambda net, x: net.dense(x.mean((2, 3))).view(-1, 4, 1, 1),
    "None": lambda net, x: net.dense(F.adaptive_avg_pool2d(x, 1).flatten(1))[:, :, None, None],
    "point": lambda net, x: net.point(F.adaptive_avg_pool2d(x, 1)),
}


@pytest.mark.parametrize("squeeze", SQUEEZES.values(), ids=SQUEEZES)
@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_squeeze_and_excitation_is_a_product(product, squeeze):
    found = traced(Excited(product, squeeze))
    assert [kind_of(step) for step in found.foreign] == ["sigmoid", "multiply"]
    assert len(found.errors) == 1  # it was computed, and is what the model gives
    with pytest.raises(TraceError, match="'sigmoid' is not a layer of the spec"):
        _ = found.network


class Gives(nn.Module):
    """What a function of the value of a convolution gives."""

    def __init__(self, function):
        super().__init__()
        # With groups its channels are not taken apart for the parts.
        self.conv, self.function = nn.Conv2d(3, 6, 3, groups=3), function

    def forward(self, x):
        return self.function(self.conv(x))


PARTS = {
    "slice": (lambda x: x[:, 1:3], 1),
    "steps": (lambda x: x[:, ::2], 1),
    "negative": (lambda x: x[:, -2:], 1),
    "rows": (lambda x: x[:, :, 1:], 1),
    "columns": (lambda x: x[..., ::2], 1),
    "ellipsis": (lambda x: x[..., :-1], 1),
    "whole": (lambda x: x[:, :], 0),
    "select": (lambda x: x[:, 2], 1),
    "last": (lambda x: x.select(1, -1), 1),
    "narrow": (lambda x: x.narrow(1, 2, 3), 1),
    "narrow from the end": (lambda x: torch.narrow(x, 1, -3, 2), 1),
    "chunk": (lambda x: torch.cat(x.chunk(3, 1)[::-1], 1), 3),
    "chunk that is left": (lambda x: x.chunk(4, 1)[2], 1),
    "uneven chunks": (lambda x: torch.chunk(x, 2, dim=-1)[1], 1),
    "split": (lambda x: torch.cat(x.split(4, 1)[::-1], 1), 2),
    "split into sizes": (lambda x: torch.cat(torch.split(x, [1, 3, 2], 1)[::-1], 1), 3),
    "tensor_split": (lambda x: torch.cat(torch.tensor_split(x, 4, dim=1)[::-1], 1), 4),
    "tensor_split at": (lambda x: x.tensor_split((1, 4), dim=1)[1], 1),
    "hsplit": (lambda x: torch.hsplit(x, 3)[1], 1),
    "dsplit": (lambda x: torch.dsplit(x[:, :, :27, :27], 3)[1], 2),
    "unbind": (lambda x: torch.unbind(x, dim=1)[4], 1),
}


@pytest.mark.parametrize(("function", "count"), PARTS.values(), ids=PARTS)
def test_a_part_of_a_value_is_a_slice(function, count):
    found = traced(Gives(function))
    assert len(found.errors) == 1
    kinds = [kind_of(step) for step in found.foreign]
    assert set(kinds) <= {"slice", "pad", "reshape"}
    assert len(kinds) == count


def test_a_layer_that_nobody_knows_is_named_and_nothing_is_claimed():
    found = traced(nn.Sequential(nn.Conv2d(3, 8, 1), nn.PixelShuffle(2)))
    assert [(step.layer.kind, step.place) for step in found.foreign] == [
        ("aten.pixel_shuffle", "net[1]")
    ]
    assert found.errors == ()


def test_each_result_of_an_unknown_operation_is_one():
    def both(x):
        variance, mean = torch.var_mean(x, (2, 3))
        return variance + mean

    found = traced(Gives(both))
    assert [(step.layer.kind, step.layer.attributes.get("result")) for step in found.foreign] == [
        ("aten.var_mean", None),
        ("aten.var_mean", 1),
    ]
    assert found.errors == ()


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("no weights were loaded")


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Random(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, training=True)


class AcrossTheBatch(nn.Module):
    def forward(self, x):
        return x.flatten(1).T


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Fails(),
            r"be run on images of shape \(2, 3, 33, 29\).*RuntimeError: no weights were loaded",
        ),
        (
            Branching(),
            r"the model runs, but torch.export cannot capture .*test_trace_torch.py, line \d+:"
            r" `return x if x.sum\(\) > 0 else -x` \(what is computed there depends on the values",
        ),
        (AcrossTheBatch(), "its first axis is not the batch"),
        (nn.Conv2d(4, 2, 1), r"cannot be run on images of shape \(2, 3, 33, 29\)"),
        (lambda x: x, "torch: expected an nn.Module, got function"),
        (nn.Identity, "torch: expected an nn.Module, got type"),
    ],
)
def test_what_cannot_be_traced_is_an_error(model, message):
    with pytest.raises(TraceError, match=message):
        traced(model)


class Overflowing(nn.Module):
    def forward(self, x):
        return x * 1e38 * 1e3


def test_what_is_not_finite_is_not_proved():
    with pytest.raises(TraceError, match="output 0: cannot be proved, since rounding alone"):
        traced(Overflowing())


def test_dropout_that_is_active_is_foreign():
    (step,) = traced(Random()).foreign
    assert step.layer.kind == "dropout"
    assert step.layer.attributes["active"]


def test_the_model_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))
    model[2].eval()
    before = {name: array.clone() for name, array in model.state_dict().items()}
    traced(model)
    assert [module.training for module in model] == [True, True, False]
    assert model.training
    assert all(torch.equal(before[name], array) for name, array in model.state_dict().items())


def test_the_weights_are_copies():
    model = nn.Conv2d(3, 4, 1)
    found = traced(model)
    weight = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.zero_()
    np.testing.assert_array_equal(found.params["conv_1.weight"], weight.numpy())


class Trained(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act, self.norm = nn.PReLU(4), nn.GroupNorm(2, 4)
        self.shift = nn.Parameter(torch.rand(1, 4, 1, 1))
        self.frozen = torch.rand(4, 4, 1, 1)

    def forward(self, x):
        x = self.act(self.conv(x)) + self.shift
        x = F.conv2d(self.norm(x) + self.shift.expand(-1, -1, 31, 27), self.frozen)
        return self.norm(x).mean((2, 3))


def test_every_trained_number_is_counted_once():
    """A factor that is broadcast, and those of layers nobody knows; twice is once."""
    graph = traced(Trained()).graph
    assert parameters_of(graph) == 3 * 4 * 9 + 4 + 4 + 4 + 4 + 4
