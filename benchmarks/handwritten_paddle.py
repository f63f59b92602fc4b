"""The book's GoogLeNet as a reader of *Dive into Deep Learning* writes it in Paddle: 1 channel, 10
classes, 96×96.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

import googlenet


class Inception(nn.Layer):
    """(N, C, H, W) → (N, c1 + c2[1] + c3[1] + c4, H, W)."""

    def __init__(self, in_channels, c1, c2, c3, c4):
        super().__init__()
        self.p1_1 = nn.Conv2D(in_channels, c1, kernel_size=1)
        self.p2_1 = nn.Conv2D(in_channels, c2[0], kernel_size=1)
        self.p2_2 = nn.Conv2D(c2[0], c2[1], kernel_size=3, padding=1)
        self.p3_1 = nn.Conv2D(in_channels, c3[0], kernel_size=1)
        self.p3_2 = nn.Conv2D(c3[0], c3[1], kernel_size=5, padding=2)
        self.p4_1 = nn.MaxPool2D(kernel_size=3, stride=1, padding=1)
        self.p4_2 = nn.Conv2D(in_channels, c4, kernel_size=1)

    def forward(self, x):
        p1 = F.relu(self.p1_1(x))
        p2 = F.relu(self.p2_2(F.relu(self.p2_1(x))))
        p3 = F.relu(self.p3_2(F.relu(self.p3_1(x))))
        p4 = F.relu(self.p4_2(self.p4_1(x)))
        return paddle.concat([p1, p2, p3, p4], axis=1)


def construct():
    """The network with Paddle's default initial weights."""
    b1 = nn.Sequential(
        nn.Conv2D(1, 64, kernel_size=7, stride=2, padding=3), nn.ReLU(),
        nn.MaxPool2D(kernel_size=3, stride=2, padding=1))  # fmt: skip
    b2 = nn.Sequential(
        nn.Conv2D(64, 64, kernel_size=1), nn.ReLU(),
        nn.Conv2D(64, 192, kernel_size=3, padding=1), nn.ReLU(),
        nn.MaxPool2D(kernel_size=3, stride=2, padding=1))  # fmt: skip
    b3 = nn.Sequential(
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64),
        nn.MaxPool2D(kernel_size=3, stride=2, padding=1))  # fmt: skip
    b4 = nn.Sequential(
        Inception(480, 192, (96, 208), (16, 48), 64),
        Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64),
        Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128),
        nn.MaxPool2D(kernel_size=3, stride=2, padding=1))  # fmt: skip
    b5 = nn.Sequential(
        Inception(832, 256, (160, 320), (32, 128), 128),
        Inception(832, 384, (192, 384), (48, 128), 128),
        nn.AdaptiveAvgPool2D((1, 1)), nn.Flatten())  # fmt: skip
    return nn.Sequential(b1, b2, b3, b4, b5, nn.Linear(1024, 10))


def build(params):
    """The network with `params` by canonical path, which are in the order in which its layers
    stand.
    """
    model = construct()
    for parameter, path in zip(
        model.parameters(), googlenet.param_specs(googlenet.get_network()), strict=True
    ):
        dense = params[path].ndim == 2
        parameter.set_value(params[path].T if dense else params[path])
    return model


def predict(model, images):
    """Images (N, 1, 96, 96) → logits (N, 10), both float32, in evaluation mode, eagerly and without
    gradients.
    """
    model.eval()
    with paddle.no_grad():
        return model(paddle.to_tensor(images)).numpy()


def book_step(model, rate):
    """One step of the book's loop: images (N, 1, 96, 96) of float32 and labels (N,) of int64 → the
    loss.
    """
    model.train()
    optimizer = paddle.optimizer.SGD(rate, parameters=model.parameters())

    def step(images, labels):
        loss = F.cross_entropy(model(paddle.to_tensor(images)), paddle.to_tensor(labels))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        return float(loss)

    return step
