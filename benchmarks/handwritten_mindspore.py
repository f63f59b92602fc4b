"""The book's GoogLeNet as a reader of *Dive into Deep Learning* writes it in MindSpore: 1 channel,
10 classes, 96×96.
"""

import mindspore as ms
from mindspore import nn, ops

import googlenet


class Inception(nn.Cell):
    """(N, C, H, W) → (N, c1 + c2[1] + c3[1] + c4, H, W)."""

    def __init__(self, in_channels, c1, c2, c3, c4):
        super().__init__()
        self.p1_1 = nn.Conv2d(in_channels, c1, kernel_size=1, has_bias=True)
        self.p2_1 = nn.Conv2d(in_channels, c2[0], kernel_size=1, has_bias=True)
        self.p2_2 = nn.Conv2d(c2[0], c2[1], kernel_size=3, pad_mode="pad", padding=1, has_bias=True)
        self.p3_1 = nn.Conv2d(in_channels, c3[0], kernel_size=1, has_bias=True)
        self.p3_2 = nn.Conv2d(c3[0], c3[1], kernel_size=5, pad_mode="pad", padding=2, has_bias=True)
        self.p4_1 = nn.MaxPool2d(kernel_size=3, stride=1, pad_mode="same")
        self.p4_2 = nn.Conv2d(in_channels, c4, kernel_size=1, has_bias=True)
        self.relu = nn.ReLU()

    def construct(self, x):
        p1 = self.relu(self.p1_1(x))
        p2 = self.relu(self.p2_2(self.relu(self.p2_1(x))))
        p3 = self.relu(self.p3_2(self.relu(self.p3_1(x))))
        p4 = self.relu(self.p4_2(self.p4_1(x)))
        return ops.cat((p1, p2, p3, p4), axis=1)


def _pool():
    return nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="pad", padding=1)


def construct():
    """The network with MindSpore's default initial weights."""
    b1 = nn.SequentialCell(
        nn.Conv2d(1, 64, kernel_size=7, stride=2, pad_mode="pad", padding=3, has_bias=True),
        nn.ReLU(),
        _pool(),
    )
    b2 = nn.SequentialCell(
        nn.Conv2d(64, 64, kernel_size=1, has_bias=True),
        nn.ReLU(),
        nn.Conv2d(64, 192, kernel_size=3, pad_mode="pad", padding=1, has_bias=True),
        nn.ReLU(),
        _pool(),
    )
    b3 = nn.SequentialCell(
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64), _pool())  # fmt: skip
    b4 = nn.SequentialCell(
        Inception(480, 192, (96, 208), (16, 48), 64),
        Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64),
        Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128), _pool())  # fmt: skip
    b5 = nn.SequentialCell(
        Inception(832, 256, (160, 320), (32, 128), 128),
        Inception(832, 384, (192, 384), (48, 128), 128),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())  # fmt: skip
    return nn.SequentialCell(b1, b2, b3, b4, b5, nn.Dense(1024, 10))


def build(params):
    """The network with `params` by canonical path, which are in the order in which its layers
    stand.
    """
    model = construct()
    for parameter, path in zip(
        model.get_parameters(), googlenet.param_specs(googlenet.get_network()), strict=True
    ):
        parameter.set_data(ms.Tensor(params[path]))
    return model


def predict(model, images):
    """Images (N, 1, 96, 96) → logits (N, 10), both float32, in evaluation mode, eagerly and without
    gradients.
    """
    model.set_train(False)
    return model(ms.Tensor(images)).asnumpy()


def book_step(model, rate):
    """One step of the book's loop, in MindSpore's default mode: images (N, 1, 96, 96) of float32
    and labels (N,) of int64 → the loss.
    """
    model.set_train()
    optimizer = nn.SGD(model.trainable_params(), learning_rate=rate)
    cross_entropy = nn.CrossEntropyLoss()

    def forward(images, labels):
        return cross_entropy(model(images), labels)

    differentiate = ms.value_and_grad(forward, None, optimizer.parameters)

    def step(images, labels):
        loss, gradients = differentiate(ms.Tensor(images), ms.Tensor(labels, ms.int32))
        optimizer(gradients)
        return float(loss.asnumpy())

    return step
