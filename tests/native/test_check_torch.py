"""Users' own PyTorch code, checked: what is written otherwise is the same, and what is the same
only at some weights or values is not.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import googlenet
from googlenet import TraceError
from googlenet.architectures import get_network
from googlenet.checking.causes import Cause
from googlenet.weights.samples import random_params

SHAPE = (1, 64, 64)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, given, c1, c2, c3, c4):
        super().__init__()
        self.p1 = nn.Conv2d(given, c1, 1)
        self.p2_1, self.p2_2 = nn.Conv2d(given, c2[0], 1), nn.Conv2d(*c2, 3, padding=1)
        self.p3_1, self.p3_2 = nn.Conv2d(given, c3[0], 1), nn.Conv2d(*c3, 5, padding=2)
        self.pool, self.p4 = nn.MaxPool2d(3, 1, 1), nn.Conv2d(given, c4, 1)

    def branches(self, x):
        return (
            self.p1(x),
            self.p2_2(F.relu(self.p2_1(x))),
            self.p3_2(F.relu(self.p3_1(x))),
            self.p4(self.pool(x)),
        )

    def forward(self, x):
        return torch.cat([F.relu(each) for each in self.branches(x)], 1)


class Net(nn.Module):
    """GoogLeNet as a reader may write it."""

    block = Block

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 64, 7, 2, 3), nn.Conv2d(64, 64, 1)
        self.c3, self.pool = nn.Conv2d(64, 192, 3, padding=1), nn.MaxPool2d(3, 2, 1)
        self.b3 = nn.Sequential(
            self.block(192, 64, (96, 128), (16, 32), 32),
            self.block(256, 128, (128, 192), (32, 96), 64),
        )
        self.b4 = nn.Sequential(
            self.block(480, 192, (96, 208), (16, 48), 64),
            self.block(512, 160, (112, 224), (24, 64), 64),
            self.block(512, 128, (128, 256), (24, 64), 64),
            self.block(512, 112, (144, 288), (32, 64), 64),
            self.block(528, 256, (160, 320), (32, 128), 128),
        )
        self.b5 = nn.Sequential(
            self.block(832, 256, (160, 320), (32, 128), 128),
            self.block(832, 384, (192, 384), (48, 128), 128),
        )
        self.fc = nn.Linear(1024, 10)
        self.more()

    def more(self):
        """Further layers."""

    def first(self, x):
        return F.relu(self.c2(self.pool(F.relu(self.c1(x)))))

    def stem(self, x):
        return self.pool(F.relu(self.c3(self.first(x))))

    def body(self, x):
        return self.b5(self.pool(self.b4(self.pool(self.b3(self.stem(x))))))

    def head(self, x):
        return self.fc(x.mean((2, 3)))

    def forward(self, x):
        return self.head(self.body(x))


def checked(model, against="googlenet", shape=SHAPE):
    return googlenet.check(model, "torch", against=against, input_shape=shape)


def made(**methods):
    """`Net` with other methods."""
    return type("Other", (Net,), methods)()


class ReluAfterAll(Block):
    def forward(self, x):
        return F.relu(torch.cat(self.branches(x), 1))


class Fused(Block):
    """The three 1×1 convolutions of the block's input computed as one."""

    def __init__(self, given, c1, c2, c3, c4):
        super().__init__(given, c1, c2, c3, c4)
        self.sizes = [c1, c2[0], c3[0]]
        self.all = nn.Conv2d(given, sum(self.sizes), 1)
        del self.p1, self.p2_1, self.p3_1

    def branches(self, x):
        one, two, three = F.relu(self.all(x)).split(self.sizes, 1)
        return one, self.p2_2(two), self.p3_2(three), self.p4(self.pool(x))


def part(size):
    """A model of which one parameter holds the weights of a layer."""

    def more(net):
        net.flat = nn.Parameter(torch.randn(64 * 64 + 64))
        del net.c2

    def first(net, x):
        weight, bias = net.flat[: 64 * 64].view(64, 64, 1, 1), net.flat[size:][:64]
        return F.relu(F.conv2d(net.pool(F.relu(net.c1(x))), weight, bias))

    return {"more": more, "first": first}


def relu_as(function):
    """The second ReLU written as a function."""
    return {"first": lambda net, x: function(net.c2(net.pool(F.relu(net.c1(x)))))}


SAME = {
    "plain": {},
    "half of x + |x|": relu_as(lambda x: (x + x.abs()) / 2),
    "a mask": relu_as(lambda x: x * (x > 0)),
    "a mask of numbers": relu_as(lambda x: (x > 0).to(x.dtype) * x),
    "a choice by sign": relu_as(lambda x: torch.where(x > 0, x, torch.zeros_like(x))),
    "the larger of 0": relu_as(lambda x: torch.maximum(x, torch.zeros_like(x))),
    "-min(-x, 0)": relu_as(lambda x: -torch.minimum(-x, torch.zeros(()))),
    "matmul": {"head": lambda net, x: x.mean((2, 3)) @ net.fc.weight.T + net.fc.bias},
    "addmm": {
        "head": lambda net, x: torch.addmm(net.fc.bias, x.mean((2, 3)), net.fc.weight.t()),
    },
    "einsum": {
        "head": lambda net, x: (
            torch.einsum("nc,oc->no", F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0], net.fc.weight)
            + net.fc.bias
        ),
    },
    "a sum divided": {"head": lambda net, x: net.fc(x.sum((2, 3)) / (x.shape[2] * x.shape[3]))},
    "ReLU behind the concatenation": {"block": ReluAfterAll},
    "convolutions in one": {"block": Fused},
    "parts of one parameter": part(64 * 64),
    "times one": {"head": lambda net, x: net.fc(x.mean((2, 3))) * 1.0},
}


@pytest.mark.parametrize("methods", SAME.values(), ids=SAME)
def test_written_otherwise_is_the_same(methods):
    found = checked(made(**methods))
    assert found, str(found)
    assert found.proved
    assert not found.differences
    assert found.parameters == (5_977_530, 5_977_530)


def bias_of(make):
    """The first convolution's bias added by hand: what `make` gives."""

    def more(net):
        net.c1.bias = None
        net.given = make()

    def first(net, x):
        return F.relu(net.c2(net.pool(F.relu(net.c1(x) + net.given))))

    return {"more": more, "first": first}


def after_stem(make, function):
    """A parameter of `make`, and the stem's result through `function` with it."""

    def more(net):
        net.given = nn.Parameter(make())

    def stem(net, x):
        return function(Net.stem(net, x), net.given)

    return {"more": more, "stem": stem}


def without_clamp(low, high):
    return {"head": lambda net, x: Net.head(net, x).clamp(low, high)}


DIFFERENT = {
    "a trained factor of one": (
        after_stem(lambda: torch.ones(()), torch.mul),
        Cause.EXTRA,
        "a trained factor",
    ),
    "trained factors of one": (
        after_stem(lambda: torch.ones(192, 1, 1), torch.mul),
        Cause.EXTRA,
        "an array of trained factors",
    ),
    "trained offsets of zero": (
        after_stem(lambda: torch.zeros(192, 1, 1), torch.add),
        Cause.EXTRA,
        "an array of trained offsets",
    ),
    "a bias that is a number": (bias_of(lambda: 1.0), Cause.FIXED, "its bias is no parameter"),
    "a bias that is a tensor": (
        bias_of(lambda: torch.linspace(0, 1, 64).view(-1, 1, 1)),
        Cause.FIXED,
        "its bias is no parameter",
    ),
    "one bias for all channels": (
        bias_of(lambda: nn.Parameter(torch.zeros(1))),
        Cause.TIED,
        "its bias is one number for all channels",
    ),
    "parts that overlap": (part(0), Cause.TIED, "numbers in common"),
    "dropout of channels": (
        {"head": lambda net, x: Net.head(net, F.dropout2d(x, 0.4, net.training))},
        Cause.DROPOUT,
        "a dropout of whole channels",
    ),
    "alpha dropout": (
        {"head": lambda net, x: Net.head(net, F.alpha_dropout(x, 0.4, net.training))},
        Cause.DROPOUT,
        "an alpha dropout",
    ),
    "dropout that always acts": (
        {"head": lambda net, x: net.fc(F.dropout(x.mean((2, 3)), 0.4))},
        Cause.DROPOUT,
        "also active in evaluation",
    ),
    "bounds that are never reached": (
        without_clamp(-1e6, 1e6),
        Cause.EXTRA_ACTIVATION,
        "a clip to",
    ),
    "the largest for the mean": (
        {"head": lambda net, x: net.fc(F.adaptive_max_pool2d(x, 1).flatten(1))},
        Cause.POOL,
        "an adaptive max pool where",
    ),
}


@pytest.mark.parametrize(("methods", "cause", "words"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_same_at_some_weights_only_is_another(methods, cause, words):
    found = checked(made(**methods))
    assert found.verdict == "different", str(found)
    (difference,) = found.differences
    assert difference.cause is cause
    assert words in difference.words
    assert found.proved


def test_one_norm_for_two_weights_is_unclear():
    def more(net):
        for layer in (net.b4[1].p3_1, net.b4[2].p3_1):
            nn.utils.parametrizations.weight_norm(layer)
        one, two = (net.b4[n].p3_1.parametrizations.weight for n in (1, 2))
        two.original0 = one.original0

    found = checked(made(more=more))
    assert found.verdict == "unclear"
    assert [each.cause for each in found.differences] == [Cause.COMPUTED]


def test_computed_weights_are_unclear():
    def head(net, x):
        return F.linear(x.mean((2, 3)), torch.tril(net.fc.weight), net.fc.bias)

    found = checked(made(head=head))
    assert found.verdict == "unclear"
    assert [each.cause for each in found.differences] == [Cause.COMPUTED]


def test_an_operation_nobody_knows_is_decided_by_the_models_own_weights():
    """Reflected borders are another function; a function that changes nothing is not known as such
    here.
    """
    model = Net()
    model.b3[0].p3_2 = nn.Conv2d(16, 32, 5, padding=2, padding_mode="reflect")
    found = checked(model)
    assert found.verdict == "different"
    assert "aten.pad" in found.reason
    found = checked(made(head=lambda net, x: torch.round(Net.head(net, x), decimals=30)))
    assert found.verdict == "unclear"
    assert "aten.round" in found.reason


def test_what_replaces_what_is_not_finite_is_mentioned():
    found = checked(made(head=lambda net, x: torch.nan_to_num(Net.head(net, x))))
    assert found
    (mention,) = found.mentions
    assert "a replacement of what is not finite" in mention.words


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the older of the two
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_normalised_weights_may_be_any_numbers(norm):
    def more(net):
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                norm(layer)

    found = checked(made(more=more))
    assert found, str(found)
    (mention,) = found.mentions
    assert mention.cause is Cause.WEIGHT_NORM
    assert mention.words.startswith("all 57 convolutions: its weight is normalised")


def test_where_values_decide_it_is_unclear_and_says_at_which_line():
    def head(net, x):
        if x.sum() > 0:
            x = x * 1
        return Net.head(net, x)

    found = checked(made(head=head))
    assert found.verdict == "unclear"
    assert "test_check_torch.py, line" in found.reason
    assert "`if x.sum() > 0:`" in found.reason
    assert "depends on the values" in found.reason


def test_another_activation_is_known_by_its_name():
    found = checked(made(first=lambda net, x: F.mish(net.c2(net.pool(F.relu(net.c1(x)))))))
    assert found.verdict == "different"
    (difference,) = found.differences
    assert difference.path == "b2.reduce.relu"
    assert difference.words.endswith("a Mish where the spec has a ReLU")


def test_what_no_output_depends_on_is_mentioned():
    def more(net):
        net.old = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 3))

    found = checked(made(more=more))
    assert found
    (mention,) = found.mentions
    assert (mention.place, mention.cause) == ("net.old", Cause.UNUSED)


def test_logits_as_a_map_are_mentioned():
    def more(net):
        net.fc = nn.Conv2d(1024, 10, 1)

    found = checked(made(more=more, head=lambda net, x: net.fc(x.mean((2, 3), keepdim=True))))
    assert found, str(found)
    assert Cause.OUTPUT in [each.cause for each in found.mentions]


def test_what_depends_on_the_size_is_told_at_another():
    """A stride over a map of one pixel; at one pixel more, the branches do not fit together."""
    model = Net()
    model.b5[1].p2_2.stride = (2, 2)
    found = checked(model, shape=(1, 32, 32))
    assert found
    assert found.sizes == {(1, 33, 33): "fails"}
    assert "At 1×33×33 it cannot be run" in str(found)


def test_an_object_in_several_places_is_one_entry():
    model = Net()
    model.pool.ceil_mode = True
    found = checked(model)
    (difference,) = found.differences
    assert "net.pool = b1.pool, b2.pool, b3.pool and b4.pool: " in difference.words
    assert found.sizes == {(1, 65, 65): "same"}


def test_what_is_in_all_blocks_is_one_entry():
    class Later(Block):
        def forward(self, x):
            one, two, three, _ = self.branches(x)
            four = self.pool(self.p4(x))
            return torch.cat([F.relu(each) for each in (two, one, three, four)], 1)

    found = checked(made(block=Later))
    assert {each.cause for each in found.differences} == {Cause.BRANCH_ORDER, Cause.ORDER}
    assert len(found.differences) == 2
    first = found.first_divergence
    assert first is not None
    assert first.place.startswith("net.b3[0]")


class Reordered(nn.Module):
    def __init__(self, model, order):
        super().__init__()
        self.model, self.order = model, order

    def forward(self, x):
        outputs = self.model(x)
        return tuple(outputs[number] for number in self.order)


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_outputs_in_another_order(backend, order):
    shape = (3, 80, 80)
    network = get_network("googlenet_paper", input_shape=shape, num_classes=10, aux=True)
    model = backend.build(network, random_params(network))
    assert checked(model, "googlenet_paper", shape)
    found = checked(Reordered(model, order), "googlenet_paper", shape)
    assert found.verdict == "different"
    assert {each.cause for each in found.differences} == {Cause.OUTPUT}
    assert found.proved


def test_dropout_on_the_other_side_of_a_pool_is_another_in_training():
    shape = (1, 67, 67)
    network = get_network("nin", input_shape=shape, num_classes=10)
    for places, same in (("dropout pool", False), ("pool dropout", True)):
        model = googlenet.get_backend("torch").build(network, random_params(network))
        if not same:
            model.b3.pool, model.b3.dropout = model.b3.dropout, model.b3.pool
        found = checked(model, "nin", shape)
        assert bool(found) is same, places
        assert [each.cause for each in found.differences] == [Cause.DROPOUT] * (not same)


ERRORS = {
    "random": (
        {"head": lambda net, x: Net.head(net, x) + torch.randn(10)},
        "'aten.randn' draws random numbers",
    ),
    "not only tensors": (
        {"head": lambda net, x: (Net.head(net, x), {"aux": 1})},
        "got tuple of Tensor, dict",
    ),
    "another shape": (
        {"more": lambda net: setattr(net, "c1", nn.Conv2d(3, 64, 7, 2, 3))},
        "cannot be run on images",
    ),
}


@pytest.mark.parametrize(("methods", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_checked_is_said(methods, message):
    with pytest.raises(TraceError, match=message):
        checked(made(**methods))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_script_is_refused():
    script = torch.jit.trace(
        nn.Sequential(nn.Flatten(), nn.Linear(4096, 10)), torch.ones(1, *SHAPE)
    )
    with pytest.raises(TraceError, match="TorchScript"):
        checked(script)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # PyTorch's, of its compiler
def test_a_compiled_model_is_the_one_that_was_compiled():
    found = checked(torch.compile(Net()))
    assert found
    assert found.proved
