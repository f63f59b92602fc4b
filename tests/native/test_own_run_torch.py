"""A user's own PyTorch model in either order of memory: the layers beside it round as it does, so
that what rounding decides inside is known.
"""

import numpy as np
import pytest
import torch
from torch import nn

from googlenet.weights.samples import random_images

from .own_run import compared, named, own_backend_of

SHAPE = (3, 21, 21)


def made():
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(32, 64, 1), nn.ReLU(), nn.Conv2d(64, 96, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(96, 32, 5, padding=2), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 7)),
    )


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_layers_beside_it_round_alike(backend, order):
    torch.manual_seed(0)
    model = made().to(memory_format=order)
    found = named(backend, model, SHAPE)
    theirs = own_backend_of(backend, model, found, SHAPE)
    images = random_images(found.network, batch=8)
    with torch.no_grad():
        x, inside = torch.from_numpy(images), []
        for layer in model:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                inside.append(x.numpy())
    built = theirs.build(found.network, found.params)
    taps = [path.removesuffix(".weight") for path in found.params if path.endswith(".weight")]
    layers = theirs.forward(built, images, taps=taps)
    for path, each in zip(taps, inside, strict=False):
        assert np.array_equal(layers[path], each), path


class Heads(nn.Module):
    """Returns its auxiliary output in training mode only, as torchvision's Inception-v3 does."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.aux = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
        self.drop = nn.Dropout(0.4)
        self.last = nn.Linear(6, 5)

    def forward(self, x):
        x = self.first(x)
        aux = self.aux(x) if self.training else None
        x = self.last(self.drop(x.mean((2, 3))))
        return (x, aux) if self.training else x


def test_heads_that_are_there_in_training_only_are_opened(backend):
    torch.manual_seed(0)
    model = Heads().eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    x = torch.from_numpy(images)
    expected = model(x)
    assert backend.open_heads(model, images) is True
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    logits, aux = model.eval()(x)
    assert torch.equal(logits, expected)
    assert torch.equal(aux, model.aux(model.first(x)))
    assert not model.first[1].training
    assert not model.drop.training
    assert model.train().drop.training
    found = named(backend, model, SHAPE)
    assert len(found.network.outputs) == 2
    assert compared("torch", model, SHAPE).passed


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
def test_nothing_else_is_opened(backend):
    images = np.zeros((2, *SHAPE), np.float32)
    script = torch.jit.script(made().eval())
    for model in (made(), nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 2)), nn.ReLU()):
        before = dict(vars(model))
        assert backend.open_heads(model, images) is False
        assert vars(model) == before
    assert backend.open_heads(script, images) is False
    assert backend.open_heads(torch.relu, images) is False


def test_what_was_compiled_is_opened_inside(backend):
    model = Heads().eval()
    wrapped = torch.compile(model, backend="eager")
    assert backend.open_heads(wrapped, np.zeros((2, *SHAPE), np.float32)) is True
    assert len(model(torch.zeros(2, *SHAPE))) == 2
    assert len(wrapped.train().eval()(torch.zeros(2, *SHAPE))) == 2
