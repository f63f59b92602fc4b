"""The MindSpore model is what a user of MindSpore would have written."""

import functools

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn, ops

import googlenet
from googlenet.proof.parity.compare import compare_forward, compare_weights
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.spec.blocks import (
    avg_pool,
    batch_norm,
    concat,
    conv,
    conv_layer,
    inception,
    local_response_norm,
    max_pool,
    residual,
    sequential,
)
from googlenet.spec.layers import Aux, Dense, GlobalAvgPool, Scale
from googlenet.weights.samples import random_images, random_params

backend = googlenet.get_backend("mindspore")

NETWORK = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 79, 95), aux=True)
NORMED = googlenet.get_network("googlenet_bn", num_classes=7, input_shape=(2, 65, 40))

OWN_LAYERS = googlenet.Network(
    "every layer that MindSpore lacks",
    sequential(
        conv=conv(6, 4, 2, 1, norm=batch_norm(scale=False)),
        largest=max_pool(3, 2, 1),
        norm=local_response_norm(3, 0.5),
        mean=avg_pool(3, 1, ((1, 0), (0, 1))),
        around=max_pool(3, 2, ((1, 0), (1, 0))),
        aux1=Aux(sequential(pool=GlobalAvgPool(), dense=Dense(5, bias=True)), 0.3),
        sum=residual(conv_layer(6, 3, 1, 1), scale=0.3),
        block=concat(left=conv_layer(3, 1), right=max_pool(3, 1, 1)),
        scale=Scale(0.7, "eval"),
        dense=Dense(5, bias=True),
    ),
    (3, 40, 44),
    "this test",
)


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(NETWORK, framework="mindspore", weights=random_params(NETWORK))


@pytest.fixture(scope="module")
def images():
    return ms.Tensor(random_images(NETWORK))


@pytest.fixture
def graph_mode():
    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    yield
    ms.set_context(mode=before)


def test_is_native(model):
    assert isinstance(model, nn.Cell)
    assert type(model.b3.inception_3a.branch_5x5.conv.conv) is nn.Conv2d


@pytest.mark.parametrize(
    ("name", "aux", "parameters"),
    [
        ("googlenet", False, 5_977_530),
        ("googlenet_paper", False, 6_998_552),
        ("googlenet_paper", True, 13_378_280),
    ],
)
def test_parameters(name, aux, parameters):
    built = googlenet.get_model(name, framework="mindspore", aux=aux)
    assert sum(parameter.size for parameter in built.trainable_params()) == parameters


def test_prints_readably_with_our_names(model):
    text = repr(model)
    assert "(inception_3a): Concatenation(" in text
    assert "(branch_5x5): SequentialCell(" in text
    window = "kernel_size=(7, 7), stride=(2, 2), pad_mode=pad, padding=(3, 3, 3, 3)"
    assert f"Conv2d(input_channels=3, output_channels=64, {window}" in text


def test_parameter_names_are_ours(model):
    assert list(model.parameters_dict()) == list(googlenet.param_specs(NETWORK))


def test_batch_norm_has_its_own_names_and_no_scale_that_trains():
    model = googlenet.get_model(OWN_LAYERS, framework="mindspore")
    held = {
        name.removeprefix("conv.norm.")
        for name in model.parameters_dict()
        if name.startswith("conv.norm.")
    }
    assert held == {"gamma", "beta", "moving_mean", "moving_variance"}
    trained = [
        parameter.name
        for parameter in model.trainable_params()
        if parameter.name.startswith("conv.norm.")
    ]
    assert trained == ["conv.norm.beta"]
    assert np.array_equal(model.conv.norm.gamma.asnumpy(), np.ones(6))


def test_returns_logits_and_aux(model, images):
    outputs = model(images)
    assert isinstance(outputs, tuple)
    assert [output.shape for output in outputs] == [(3, 7)] * 3


def test_saves_and_loads_with_the_frameworks_own_tools(model, images, tmp_path):
    ms.save_checkpoint(model, str(tmp_path / "model.ckpt"))
    other = googlenet.get_model(NETWORK, framework="mindspore", seed=1)
    assert ms.load_param_into_net(other, ms.load_checkpoint(str(tmp_path / "model.ckpt"))) == (
        [],
        [],
    )
    assert np.array_equal(other(images)[0].asnumpy(), model(images)[0].asnumpy())
    assert not compare_weights(backend, other, random_params(NETWORK))


def test_takes_the_device_that_mindspore_has():
    target = ms.get_context("device_target")
    built = googlenet.get_model(
        "googlenet", framework="mindspore", input_shape=(1, 32, 32), device=target
    )
    assert built(ops.zeros((2, 1, 32, 32))).shape == (2, 10)


@pytest.mark.parametrize("device", ["no-such-device", "CPU:1"])
def test_unknown_device_is_refused(device):
    target = ms.get_context("device_target")
    with pytest.raises(
        googlenet.GoogLeNetError, match=f"^device: '{device}' cannot be used by mindspore: .*CPU"
    ) as refusal:
        googlenet.get_model("googlenet", framework="mindspore", device=device)
    assert "\n" not in str(refusal.value)
    assert ms.get_context("device_target") == target


def as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


@functools.cache
def exact_and_limits(network):
    """The float64 outputs by name, and how far from them float32 may be."""
    params, images = random_params(network), random_images(network)
    exact = as_tuple(
        googlenet.get_backend("numpy").build(network, params, dtype=np.float64)(images)
    )
    yardstick = forward_yardstick(Problem(network, params, images), chunk=3)
    return {
        name: (output, limit(yardstick[name]))
        for name, output in zip(network.outputs, exact, strict=True)
    }


def check_outputs(network, outputs):
    for output, (exact, most) in zip(
        as_tuple(outputs), exact_and_limits(network).values(), strict=True
    ):
        assert distance(output.asnumpy(), exact) <= most


@pytest.mark.parametrize(
    "network", [NETWORK, NORMED, OWN_LAYERS], ids=["googlenet_paper", "googlenet_bn", "own layers"]
)
def test_jit_gives_the_same_outputs(network):
    """Within the limit that holds for eager mode."""
    model = googlenet.get_model(network, framework="mindspore", weights=random_params(network))
    check_outputs(network, ms.jit(model)(ms.Tensor(random_images(network))))


def test_own_layers_are_all_compiled_above():
    """The network of the test above has every layer that this backend adds to MindSpore."""
    model = googlenet.get_model(OWN_LAYERS, framework="mindspore")
    added = {
        value
        for value in vars(backend.layers).values()
        if isinstance(value, type) and issubclass(value, nn.Cell)
    }
    assert added == {
        type(cell)
        for _, cell in model.cells_and_names()
        if type(cell).__module__ == backend.layers.__name__
    }


def test_runs_in_graph_mode_before_and_after_taps(graph_mode):
    """Taps are hooks, which graph mode does not call: they need eager mode for a while, and leave
    nothing behind.
    """
    model = googlenet.get_model(
        OWN_LAYERS, framework="mindspore", weights=random_params(OWN_LAYERS)
    )
    images = random_images(OWN_LAYERS)
    check_outputs(OWN_LAYERS, model(ms.Tensor(images)))
    tapped = backend.forward(model, images, taps=["sum"])
    assert tapped["sum"].shape == (3, 6, 4, 5)
    assert ms.get_context("mode") == ms.GRAPH_MODE
    check_outputs(OWN_LAYERS, model(ms.Tensor(images)))


def test_forward_gives_every_cell_its_mode_back():
    model = googlenet.get_model(OWN_LAYERS, framework="mindspore").set_train()
    model.conv.norm.set_train(False)  # a frozen batch norm
    backend.forward(model, random_images(OWN_LAYERS))
    assert [name for name, cell in model.cells_and_names() if not cell.training] == ["conv.norm"]


def test_trains_with_the_frameworks_own_optimiser(graph_mode):
    """The README's loop, here in graph mode and on one batch: the loss falls."""
    model = googlenet.get_model(
        "googlenet", framework="mindspore", input_shape=(1, 32, 32), seed=0
    ).set_train()
    optimiser = nn.SGD(model.trainable_params(), learning_rate=0.05, momentum=0.9)
    images, labels = (
        ms.Tensor(random_images(model.network, batch=4)),
        ms.Tensor([0, 3, 5, 9], ms.int32),
    )

    def forward(x, y):
        return ops.cross_entropy(model(x), y)

    step = ms.value_and_grad(forward, None, optimiser.parameters)
    losses = []
    for _ in range(12):
        loss, grads = step(images, labels)
        optimiser(grads)
        losses.append(float(loss))
    assert losses[-1] < losses[0]


def test_a_lone_inception_block():
    block = googlenet.Network(
        "block",
        sequential(inception_3a=inception(64, 96, 128, 16, 32, 32)),
        (192, 28, 20),
        "arXiv:1409.4842",
    )
    assert googlenet.get_model(block, framework="mindspore")(ops.zeros((2, 192, 28, 20))).shape == (
        2,
        256,
        28,
        20,
    )


class Conv2dWithoutBias(nn.Conv2d):
    """What `nn.Conv2d` is unless `has_bias` is set, as in the book's MindSpore tab: 5,970,250
    parameters, not 5,977,530.
    """

    def construct(self, x):
        return self.conv2d(x, self.weight)


def same_max_pool(layer, site):
    """The pooling of the book's MindSpore tab, which pads below and to the right alone."""
    return nn.MaxPool2d(layer.kernel_size, layer.stride, "same")


@pytest.mark.parametrize(
    ("owner", "name", "bug", "layer"),
    [
        (nn, "Conv2d", Conv2dWithoutBias, "b1.conv.conv"),
        (backend.layers, "_max_pool", same_max_pool, "b1.pool"),
    ],
    ids=["convolutions without bias", "SAME pooling"],
)
def test_the_books_bugs_are_caught(owner, name, bug, layer, monkeypatch):
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    params, images = random_params(network), random_images(network)
    monkeypatch.setattr(owner, name, bug)
    model = backend.build(network, params)
    problem = Problem(network, params, images)
    yardstick = forward_yardstick(problem, chunk=3)
    rows = compare_forward(backend, model, problem, yardstick, chunk=3)
    assert next(row.name for row in rows if not row.passed) == layer
