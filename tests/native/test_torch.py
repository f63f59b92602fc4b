"""The PyTorch model is what a user of PyTorch would have written."""

import numpy as np
import pytest
import torch

import googlenet
from googlenet.proof.parity.compare import compare_forward, compare_weights
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.spec.blocks import inception, sequential
from googlenet.weights.samples import random_images, random_params

from .test_readme import PAGES, run

backend = googlenet.get_backend("torch")

NETWORK = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 79, 95), aux=True)
NORMED = googlenet.get_network("googlenet_bn", num_classes=7, input_shape=(2, 65, 40))


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(NETWORK, framework="torch", weights=random_params(NETWORK)).eval()


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(random_images(NETWORK))


def test_is_native(model):
    assert isinstance(model, torch.nn.Module)


@pytest.mark.parametrize(
    ("name", "aux", "parameters"),
    [
        ("googlenet", False, 5_977_530),
        ("googlenet_paper", False, 6_998_552),
        ("googlenet_paper", True, 13_378_280),
    ],
)
def test_parameters(name, aux, parameters):
    built = googlenet.get_model(name, framework="torch", aux=aux)
    assert sum(parameter.numel() for parameter in built.parameters()) == parameters


def test_prints_readably_with_our_names(model):
    text = repr(model)
    assert "(inception_3a): Concatenation(" in text
    assert "(branch_5x5): Sequential(" in text
    assert "Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3))" in text


def test_parameter_names_are_ours(model):
    assert set(dict(model.named_parameters())) == set(googlenet.param_specs(NETWORK))


def test_returns_logits_and_aux(model, images):
    outputs = model(images)
    assert [tuple(output.shape) for output in outputs] == [(3, 7)] * 3


def test_saves_and_loads_with_the_frameworks_own_tools(model, images, tmp_path):
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = googlenet.get_model(NETWORK, framework="torch", seed=1).eval()
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(other(images)[0], model(images)[0])
    assert not compare_weights(backend, other, random_params(NETWORK))


def test_moves_to_a_device(model, images):
    moved = googlenet.get_model(NETWORK, framework="torch", device="cpu").to(torch.float64)
    assert moved(images.double())[0].dtype == torch.float64


def test_unknown_device_is_refused():
    with pytest.raises(googlenet.GoogLeNetError, match="device: 'no-such-device'"):
        googlenet.get_model("googlenet", framework="torch", device="no-such-device")


def first(outputs):
    """The logits, which stand before those of auxiliary heads if there are any."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


@pytest.mark.parametrize("network", [NETWORK, NORMED], ids=["googlenet_paper", "googlenet_bn"])
def test_runs_in_graph_mode(network):
    """torch.compile gives the same outputs, within the limit that holds for eager mode."""
    params, images = random_params(network), random_images(network)
    compiled = torch.compile(
        googlenet.get_model(network, framework="torch", weights=params).eval(),
        backend="aot_eager",
        fullgraph=True,
    )
    with torch.no_grad():
        logits = first(compiled(torch.from_numpy(images))).numpy()
    exact = first(googlenet.get_backend("numpy").build(network, params, dtype=np.float64)(images))
    assert distance(logits, exact) <= limit(
        forward_yardstick(network, params, images, chunk=3)["logits"]
    )


def test_trains_with_the_frameworks_own_optimiser():
    """The README's loop, on one batch: the loss falls."""
    model = googlenet.get_model("googlenet", framework="torch", input_shape=(1, 32, 32), seed=0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images, labels = torch.rand(4, 1, 32, 32), torch.tensor([0, 3, 5, 9])
    losses = []
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_a_lone_inception_block():
    block = googlenet.Network(
        "block",
        sequential(inception_3a=inception(64, 96, 128, 16, 32, 32)),
        (192, 28, 20),
        "arXiv:1409.4842",
    )
    assert googlenet.get_model(block, framework="torch")(torch.zeros(2, 192, 28, 20)).shape == (
        2,
        256,
        28,
        20,
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_readmes_example(page, tmp_path):
    printed = run(page, "example", tmp_path)
    assert "(inception_3a): Concatenation(" in printed
    assert printed.splitlines()[-1] == "(2, 10) (2, 256, 12, 12)"
    assert (tmp_path / "googlenet.safetensors").stat().st_size > 4 * 5_977_530


class AdaptiveMaxPool(torch.nn.AdaptiveMaxPool2d):
    """The head that the book's PyTorch tab once had (d2l-en#1571)."""

    def __init__(self):
        super().__init__(1)

    def forward(self, x):
        return super().forward(x).flatten(1)


def test_max_pooling_in_the_head_is_caught(monkeypatch):
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    params, images = random_params(network), random_images(network)
    monkeypatch.setattr(backend.modules, "GlobalAvgPool2d", AdaptiveMaxPool)
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
    assert next(row.name for row in rows if not row.passed) == "b5.pool"
