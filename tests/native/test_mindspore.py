"""What is MindSpore's own about its models."""

from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn, ops

import googlenet
from googlenet.spec.blocks import conv, conv_layer, max_pool, sequential
from googlenet.spec.layers import SAME, Dense, MaxPool
from googlenet.spec.rewrite import map_leaves
from googlenet.weights.samples import random_images, random_params

from .networks import OWN_LAYERS, PAPER, as_tuple, check_outputs, first_divergence

backend = googlenet.get_backend("mindspore")


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(PAPER, framework="mindspore", weights=random_params(PAPER))


@pytest.fixture
def graph_mode():
    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    yield
    ms.set_context(mode=before)


def arrays(outputs):
    return [output.asnumpy() for output in as_tuple(outputs)]


def test_convolutions_are_mindspores_own(model):
    assert type(model.b3.inception_3a.branch_5x5.conv.conv) is nn.Conv2d


def test_parameters_are_in_our_order(model):
    assert list(model.parameters_dict()) == list(googlenet.param_specs(PAPER))


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


def test_its_own_loader_finds_every_parameter(model, tmp_path):
    ms.save_checkpoint(model, str(tmp_path / "model.ckpt"))
    other = googlenet.get_model(PAPER, framework="mindspore", seed=1)
    loaded = ms.load_checkpoint(str(tmp_path / "model.ckpt"))
    assert ms.load_param_into_net(other, loaded) == ([], [])


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


def test_runs_in_graph_mode_before_and_after_taps(graph_mode):
    """Taps are hooks, which graph mode does not call: they need eager mode for a while, and leave
    nothing behind.
    """
    model = googlenet.get_model(
        OWN_LAYERS, framework="mindspore", weights=random_params(OWN_LAYERS)
    )
    images = random_images(OWN_LAYERS)
    check_outputs(OWN_LAYERS, arrays(model(ms.Tensor(images))))
    tapped = backend.forward(model, images, taps=["sum"])
    assert tapped["sum"].shape == (3, 6, 4, 5)
    assert ms.get_context("mode") == ms.GRAPH_MODE
    check_outputs(OWN_LAYERS, arrays(model(ms.Tensor(images))))


def test_forward_gives_every_cell_its_mode_back():
    model = googlenet.get_model(OWN_LAYERS, framework="mindspore").set_train()
    model.conv.norm.set_train(False)  # a frozen batch norm
    backend.forward(model, random_images(OWN_LAYERS))
    assert [name for name, cell in model.cells_and_names() if not cell.training] == ["conv.norm"]


def test_trains_in_graph_mode(graph_mode, native):
    """The loss falls, as it does in eager mode."""
    model = googlenet.get_model("googlenet", framework="mindspore", input_shape=(1, 32, 32), seed=0)
    images = ms.Tensor(random_images(model.network, batch=4))
    losses = native.train(model, images, [0, 3, 5, 9], 12)
    assert losses[-1] < losses[0]


def test_compiled_steps_have_the_gradients_of_eager_mode():
    """Also before a maximum with asymmetric padding, in any step: `ops.pad` and `nn.MaxPool2d` gave
    wrong ones from the second step on (MindSpore 2.8.0).
    """
    network = googlenet.Network(
        "an asymmetric maximum",
        sequential(
            conv=conv(6, 4, 2, 1),
            pool=max_pool(3, 2, ((1, 0), (1, 0))),
            last=conv_layer(5, 3, 1, 1),
            dense=Dense(5, bias=True),
        ),
        (3, 40, 44),
        "this test",
    )
    params, images, labels = random_params(network), random_images(network), np.array([0, 2, 4])
    trainer = backend.trainer(backend.build(network, params), googlenet.Recipe(momentum=0.0))
    for seed in range(3):
        _, expected = backend.gradients(backend.build(network, params), images, labels)
        trainer.step(images, labels, learning_rate=0.01, seed=seed)
        before, params = params, backend.params_of(trainer.model)
        for path, grad in expected.items():
            found = (before[path] - params[path]) / np.float32(0.01)
            assert abs(found - grad).max() < 1e-3 * abs(grad).max(), (seed, path)


class Conv2dWithoutBias(nn.Conv2d):
    """What `nn.Conv2d` is unless `has_bias` is set, as in the book's MindSpore tab: 5,970,250
    parameters, not 5,977,530.
    """

    def construct(self, x):
        return self.conv2d(x, self.weight)


def without_bias(network, monkeypatch):
    monkeypatch.setattr(nn, "Conv2d", Conv2dWithoutBias)
    return network


def same_max_pools(network, monkeypatch):
    """The pooling of the book's MindSpore tab, which pads only below and to the right."""
    return map_leaves(
        network, lambda leaf: replace(leaf, padding=SAME) if isinstance(leaf, MaxPool) else leaf
    )


@pytest.mark.parametrize(
    ("bug", "layer"), [(without_bias, "b1.conv.conv"), (same_max_pools, "b1.pool")]
)
def test_the_books_bugs_are_caught(bug, layer, monkeypatch):
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    model = backend.build(bug(network, monkeypatch), random_params(network))
    if bug is same_max_pools:
        assert type(model.b1.pool) is nn.MaxPool2d
        assert model.b1.pool.pad_mode.lower() == "same"
    assert first_divergence(backend, model, network) == layer
