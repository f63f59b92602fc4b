"""Users' own PyTorch models in files: the book's GoogLeNet as its readers type it, and what goes
wrong with PyTorch.
"""

import numpy as np
import pytest

import googlenet
from googlenet import ModelFileError, TraceError

BOOK = """
import torch
from torch import nn
from torch.nn import functional as F


class Inception(nn.Module):
    def __init__(self, c1, c2, c3, c4):
        super().__init__()
        self.p1 = nn.LazyConv2d(c1, kernel_size=1)
        self.p2_1 = nn.LazyConv2d(c2[0], kernel_size=1)
        self.p2_2 = nn.LazyConv2d(c2[1], kernel_size=3, padding=1)
        self.p3_1 = nn.LazyConv2d(c3[0], kernel_size=1)
        self.p3_2 = nn.LazyConv2d(c3[1], kernel_size=5, padding=2)
        self.p4 = nn.LazyConv2d(c4, kernel_size=1)

    def forward(self, x):
        one = F.relu(self.p1(x))
        two = F.relu(self.p2_2(F.relu(self.p2_1(x))))
        three = F.relu(self.p3_2(F.relu(self.p3_1(x))))
        four = F.relu(self.p4(F.max_pool2d(x, 3, 1, 1)))
        return torch.cat((one, two, three, four), dim=1)


def made(five=32):
    return nn.Sequential(
        nn.LazyConv2d(64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.LazyConv2d(64, 1), nn.ReLU(),
        nn.LazyConv2d(192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Inception(64, (96, 128), (16, five), 32),
        Inception(128, (128, 192), (32, 96), 64), nn.MaxPool2d(3, 2, 1),
        Inception(192, (96, 208), (16, 48), 64),
        Inception(160, (112, 224), (24, 64), 64),
        Inception(128, (128, 256), (24, 64), 64),
        Inception(112, (144, 288), (32, 64), 64),
        Inception(256, (160, 320), (32, 128), 128), nn.MaxPool2d(3, 2, 1),
        Inception(256, (160, 320), (32, 128), 128),
        Inception(384, (192, 384), (48, 128), 128),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(10),
    )


def narrow():
    return made(28)


small = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
small.append(nn.Linear(4, 3))
colour = nn.Conv2d(3, 4, 3)
meta = nn.Conv2d(1, 4, 3, device="meta")
function = F.relu
loss = torch.zeros(3)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torch.py").write_text(BOOK)  # a name that must not hide PyTorch
    return tmp_path


def test_the_books_code_is_the_spec(place):
    same = googlenet.diff("torch.py:made", "googlenet", input_shape=(1, 64, 64), count=1)
    assert same.differences == ()
    assert same.movement.logits == 0
    other = googlenet.diff("googlenet", "torch.py:narrow", input_shape=(1, 64, 64), logits=False)
    (difference,) = other.differences
    assert difference.words == "channels 32 → 28"
    assert other.place(difference.path) == "b3.inception_3a.branch_5x5.conv.conv = net[8].p3_2"


def test_parity_proves_a_users_model_with_its_own_weights(place, framework):
    report = googlenet.parity("torch.py:small", [framework], input_shape=(1, 12, 10), count=16)
    assert report.passed
    found = googlenet.own_network("torch.py:small", input_shape=(1, 12, 10))
    assert found.places["dense_1"] == "net[4]"
    assert found.params["dense_1.weight"].shape == (3, 4)
    assert np.abs(found.params["conv_1.weight"]).max() > 0


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("colour", TraceError, "expected input.* to have 3 channels.*give `input_shape`"),
        ("meta", TraceError, "weight is on the device 'meta', which holds no numbers"),
        ("function", TraceError, r"expected an nn\.Module, got function"),
        ("loss", ModelFileError, r"'loss' is not a model of torch, but a torch\.Tensor"),
    ],
)
def test_what_cannot_be_traced(place, name, error, message):
    with pytest.raises(error, match=message):
        googlenet.own_network(f"torch.py:{name}", input_shape=(1, 12, 10))
