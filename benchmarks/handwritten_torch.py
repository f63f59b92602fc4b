"""The book's GoogLeNet as a reader of *Dive into Deep Learning* writes it in PyTorch: 1 channel, 10
classes, 96×96.
"""

import torch
from torch import nn
from torch.nn import functional

import googlenet


class Inception(nn.Module):
    """(N, C, H, W) → (N, c1 + c2[1] + c3[1] + c4, H, W)."""

    def __init__(self, channels, c1, c2, c3, c4):
        super().__init__()
        self.b1_1 = nn.Conv2d(channels, c1, kernel_size=1)
        self.b2_1 = nn.Conv2d(channels, c2[0], kernel_size=1)
        self.b2_2 = nn.Conv2d(c2[0], c2[1], kernel_size=3, padding=1)
        self.b3_1 = nn.Conv2d(channels, c3[0], kernel_size=1)
        self.b3_2 = nn.Conv2d(c3[0], c3[1], kernel_size=5, padding=2)
        self.b4_1 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.b4_2 = nn.Conv2d(channels, c4, kernel_size=1)

    def forward(self, x):
        b1 = functional.relu(self.b1_1(x))
        b2 = functional.relu(self.b2_2(functional.relu(self.b2_1(x))))
        b3 = functional.relu(self.b3_2(functional.relu(self.b3_1(x))))
        b4 = functional.relu(self.b4_2(self.b4_1(x)))
        return torch.cat((b1, b2, b3, b4), dim=1)


def _pool():
    return nn.MaxPool2d(kernel_size=3, stride=2, padding=1)


def construct():
    """The network with PyTorch's default initial weights."""
    b1 = nn.Sequential(nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3), nn.ReLU(), _pool())
    b2 = nn.Sequential(
        nn.Conv2d(64, 64, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(64, 192, kernel_size=3, padding=1),
        nn.ReLU(),
        _pool(),
    )
    b3 = nn.Sequential(
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64),
        _pool(),
    )
    b4 = nn.Sequential(
        Inception(480, 192, (96, 208), (16, 48), 64),
        Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64),
        Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128),
        _pool(),
    )
    b5 = nn.Sequential(
        Inception(832, 256, (160, 320), (32, 128), 128),
        Inception(832, 384, (192, 384), (48, 128), 128),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )
    return nn.Sequential(b1, b2, b3, b4, b5, nn.Linear(1024, 10))


def build(params):
    """The network with `params`, which are in the order in which its layers stand."""
    net = construct()
    paths = googlenet.param_specs(googlenet.get_network())
    net.load_state_dict(
        {
            name: torch.tensor(params[path])
            for name, path in zip(net.state_dict(), paths, strict=True)
        }
    )
    return net


def predict(model, images):
    """Images (N, 1, 96, 96) of float32 → logits (N, 10)."""
    with torch.no_grad():
        return model.eval()(torch.from_numpy(images)).numpy()


def book_step(model, rate):
    """One step of the book's loop: images (N, 1, 96, 96) of float32 and labels (N,) of int64 → the
    loss.
    """
    optimizer = torch.optim.SGD(model.train().parameters(), lr=rate)

    def step(images, labels):
        loss = functional.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
