"""One small model with branches, batch norm, dropout by a layer and by a function, and a head, as
users of each framework write it: `Net`.
"""

FILES = {
    "torch": """
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, channels, first, second):
        super().__init__()
        self.p1 = nn.Conv2d(channels, first, 1)
        self.p2_1 = nn.Conv2d(channels, 3, 1)
        self.p2_2 = nn.Conv2d(3, second, 3, padding=1)
        self.bn = nn.BatchNorm2d(first + second, momentum=0.25)

    def forward(self, x):
        both = [F.relu(self.p1(x)), F.relu(self.p2_2(F.relu(self.p2_1(x))))]
        return self.bn(torch.cat(both, 1))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU())
        self.a = Block(4, 3, 4)
        self.b = Block(7, 4, 5)
        self.head = nn.Linear(7, 5)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(9, 5)

    def forward(self, x):
        x = self.a(self.stem(x))
        aux = self.head(x.mean((2, 3)))
        x = self.b(F.max_pool2d(x, 3, 2, 1)).mean((2, 3))
        return self.fc(F.dropout(self.drop(x), 0.2, self.training)), aux
""",
    "tensorflow": """
import keras
import tensorflow as tf
from keras import layers


class Block(layers.Layer):
    def __init__(self, first, second):
        super().__init__()
        self.p1 = layers.Conv2D(first, 1, activation="relu")
        self.p2_1 = layers.Conv2D(3, 1, activation="relu")
        self.p2_2 = layers.Conv2D(second, 3, padding="same", activation="relu")
        self.bn = layers.BatchNormalization(momentum=0.75, epsilon=1e-5)

    def call(self, x):
        return self.bn(tf.concat([self.p1(x), self.p2_2(self.p2_1(x))], -1))


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.pad = layers.ZeroPadding2D(1)
        self.stem = layers.Conv2D(4, 3, 2, activation="relu")
        self.a = Block(3, 4)
        self.b = Block(4, 5)
        self.head = layers.Dense(5)
        self.drop = layers.Dropout(0.3)
        self.fc = layers.Dense(5)

    def call(self, x, training=False):
        x = self.a(self.stem(self.pad(x)))
        aux = self.head(tf.reduce_mean(x, (1, 2)))
        x = tf.nn.max_pool2d(x, 3, 2, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x = self.drop(tf.reduce_mean(self.b(x), (1, 2)))
        if training:
            x = tf.nn.dropout(x, 0.2)
        return self.fc(x), aux
""",
    "mxnet": """
from mxnet.gluon import nn


class Block(nn.HybridBlock):
    def __init__(self, first, second):
        super().__init__()
        with self.name_scope():
            self.p1 = nn.Conv2D(first, 1, activation="relu")
            self.p2_1 = nn.Conv2D(3, 1, activation="relu")
            self.p2_2 = nn.Conv2D(second, 3, padding=1, activation="relu")
            self.bn = nn.BatchNorm(momentum=0.75)

    def hybrid_forward(self, F, x):
        return self.bn(F.concat(self.p1(x), self.p2_2(self.p2_1(x)), dim=1))


class Net(nn.HybridBlock):
    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.stem = nn.Conv2D(4, 3, 2, 1, activation="relu")
            self.a = Block(3, 4)
            self.b = Block(4, 5)
            self.head = nn.Dense(5)
            self.pool = nn.MaxPool2D(3, 2, 1)
            self.drop = nn.Dropout(0.3)
            self.fc = nn.Dense(5)
        self.initialize()

    def hybrid_forward(self, F, x):
        x = self.a(self.stem(x))
        aux = self.head(F.mean(x, (2, 3)))
        x = F.mean(self.b(self.pool(x)), (2, 3))
        return self.fc(F.Dropout(self.drop(x), 0.2)), aux
""",
    "paddle": """
import paddle
from paddle import nn
from paddle.nn import functional as F


class Block(nn.Layer):
    def __init__(self, channels, first, second):
        super().__init__()
        self.p1 = nn.Conv2D(channels, first, 1)
        self.p2_1 = nn.Conv2D(channels, 3, 1)
        self.p2_2 = nn.Conv2D(3, second, 3, padding=1)
        self.bn = nn.BatchNorm2D(first + second, momentum=0.75)

    def forward(self, x):
        both = [F.relu(self.p1(x)), F.relu(self.p2_2(F.relu(self.p2_1(x))))]
        return self.bn(paddle.concat(both, 1))


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2D(1, 4, 3, 2, 1), nn.ReLU())
        self.a = Block(4, 3, 4)
        self.b = Block(7, 4, 5)
        self.head = nn.Linear(7, 5)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(9, 5)

    def forward(self, x):
        x = self.a(self.stem(x))
        aux = self.head(x.mean((2, 3)))
        x = self.b(F.max_pool2d(x, 3, 2, 1)).mean((2, 3))
        return self.fc(F.dropout(self.drop(x), 0.2, training=self.training)), aux
""",
    "mindspore": """
from mindspore import nn, ops


class Block(nn.Cell):
    def __init__(self, channels, first, second):
        super().__init__()
        self.p1 = nn.Conv2d(channels, first, 1, has_bias=True)
        self.p2_1 = nn.Conv2d(channels, 3, 1, has_bias=True)
        self.p2_2 = nn.Conv2d(3, second, 3, has_bias=True)
        self.bn = nn.BatchNorm2d(first + second, momentum=0.75)

    def construct(self, x):
        both = (ops.relu(self.p1(x)), ops.relu(self.p2_2(ops.relu(self.p2_1(x)))))
        return self.bn(ops.cat(both, 1))


class Net(nn.Cell):
    def __init__(self):
        super().__init__()
        self.stem = nn.SequentialCell(
            nn.Conv2d(1, 4, 3, 2, pad_mode="pad", padding=1, has_bias=True), nn.ReLU()
        )
        self.a = Block(4, 3, 4)
        self.b = Block(7, 4, 5)
        self.head = nn.Dense(7, 5)
        self.pool = nn.MaxPool2d(3, 2, pad_mode="pad", padding=1)
        self.drop = nn.Dropout(p=0.3)
        self.fc = nn.Dense(9, 5)

    def construct(self, x):
        x = self.a(self.stem(x))
        aux = self.head(x.mean((2, 3)))
        x = self.b(self.pool(x)).mean((2, 3))
        return self.fc(ops.dropout(self.drop(x), 0.2, training=self.training)), aux
""",
}
