"""A user's own PyTorch model in either order of memory: the layers beside it round as it does, so
that what rounding decides inside is known.
"""

import numpy as np
import pytest
import torch
from torch import nn

from googlenet.weights.samples import random_images

from .own_run import named, own_backend_of

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
