"""The book's GoogLeNet as a reader of *Dive into Deep Learning* writes it in MXNet: 1 channel, 10
classes, 96×96.
"""

import mxnet as mx
from mxnet import autograd, gluon, np, npx
from mxnet.gluon import nn

import googlenet


class Inception(nn.Block):
    """(N, C, H, W) → (N, c1 + c2[1] + c3[1] + c4, H, W)."""

    def __init__(self, c1, c2, c3, c4, **kwargs):
        super().__init__(**kwargs)
        self.b1_1 = nn.Conv2D(c1, kernel_size=1, activation="relu")
        self.b2_1 = nn.Conv2D(c2[0], kernel_size=1, activation="relu")
        self.b2_2 = nn.Conv2D(c2[1], kernel_size=3, padding=1, activation="relu")
        self.b3_1 = nn.Conv2D(c3[0], kernel_size=1, activation="relu")
        self.b3_2 = nn.Conv2D(c3[1], kernel_size=5, padding=2, activation="relu")
        self.b4_1 = nn.MaxPool2D(pool_size=3, strides=1, padding=1)
        self.b4_2 = nn.Conv2D(c4, kernel_size=1, activation="relu")

    def forward(self, x):
        b1 = self.b1_1(x)
        b2 = self.b2_2(self.b2_1(x))
        b3 = self.b3_2(self.b3_1(x))
        b4 = self.b4_2(self.b4_1(x))
        return np.concatenate((b1, b2, b3, b4), axis=1)


def _pool():
    return nn.MaxPool2D(pool_size=3, strides=2, padding=1)


def _net():
    b1, b2, b3, b4, b5, net = (nn.Sequential() for _ in range(6))
    b1.add(nn.Conv2D(64, kernel_size=7, strides=2, padding=3, activation="relu"), _pool())
    b2.add(
        nn.Conv2D(64, kernel_size=1, activation="relu"),
        nn.Conv2D(192, kernel_size=3, padding=1, activation="relu"),
        _pool(),
    )
    b3.add(
        Inception(64, (96, 128), (16, 32), 32), Inception(128, (128, 192), (32, 96), 64), _pool()
    )
    b4.add(
        Inception(192, (96, 208), (16, 48), 64),
        Inception(160, (112, 224), (24, 64), 64),
        Inception(128, (128, 256), (24, 64), 64),
        Inception(112, (144, 288), (32, 64), 64),
        Inception(256, (160, 320), (32, 128), 128),
        _pool(),
    )
    b5.add(
        Inception(256, (160, 320), (32, 128), 128),
        Inception(384, (192, 384), (48, 128), 128),
        nn.GlobalAvgPool2D(),
    )
    net.add(b1, b2, b3, b4, b5, nn.Dense(10))
    return net


def construct():
    """The network with Gluon's default initial weights."""
    npx.set_np()
    net = _net()
    net.initialize()
    net(np.zeros((1, 1, 96, 96)))  # Gluon draws the weights when it first sees an image
    return net


def build(params):
    """The network with `params`, which are in the order in which its layers stand."""
    npx.set_np()
    net = _net()
    net.initialize(mx.init.Zero())
    for parameter, path in zip(
        net.collect_params().values(), googlenet.param_specs(googlenet.get_network()), strict=True
    ):
        parameter.set_data(np.array(params[path]))
    return net


def predict(model, images):
    """Images (N, 1, 96, 96) of float32 → logits (N, 10)."""
    with autograd.pause(train_mode=False):
        return model(np.array(images)).asnumpy()


def book_step(model, rate):
    """One step of the book's loop: images (N, 1, 96, 96) of float32 and labels (N,) of int64 → the
    loss.
    """
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": rate})
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()

    def step(images, labels):
        with autograd.record():
            loss = cross_entropy(model(np.array(images)), np.array(labels))
        loss.backward()
        trainer.step(len(images))
        return float(loss.mean())

    return step
