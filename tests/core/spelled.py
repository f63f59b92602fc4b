"""How the users of `fake_nn` write networks, in both styles."""

import zlib

from googlenet import spec
from googlenet.backend.call import Call, options
from googlenet.backend.spelling import Classes, Functions

from . import fake_layers, fake_nn


def leaf(site):
    """Some layers are the framework's, others are not; two need a chain."""
    match site.layer:
        case spec.Conv(out, kernel, stride, padding, groups, bias):
            settings = options(stride=(stride, (1, 1)), groups=(groups, 1), bias=(bias, True))
            around = "none" if padding == spec.NO_PADDING else str(padding)
            settings |= options(padding=(around, "none"))
            return (Call(fake_nn.Conv, (site.in_shape[0], out, kernel), settings),)
        case spec.BatchNorm(eps, momentum, scale):
            return (Call(fake_nn.Norm, (site.in_shape[0], eps, momentum, scale)),)
        case spec.MaxPool(kernel, stride, padding):
            return (Call(fake_nn.Pool, ("max", kernel, stride, padding)),)
        case spec.ReLU():
            return (Call(fake_nn.ReLU),)
        case spec.Dropout(rate):
            return (Call(fake_nn.Dropout, (rate,)),)
        case spec.Dense(out, bias) if len(site.in_shape) == 1:
            return (Call(fake_nn.Dense, (*site.in_shape, out, bias)),)
        case other:
            settings = zlib.crc32(repr(other).encode())
            return (Call(fake_layers.Odd, (type(other).__name__, settings)),)


def chained(site):
    """The same, but a dense layer on a map flattens it first."""
    match site.layer:
        case spec.Dense(out, bias) if len(site.in_shape) == 3:
            channels, height, width = site.in_shape
            dense = Call(fake_nn.Dense, (channels * height * width, out, bias))
            return Call(fake_nn.Flatten), dense
        case _:
            return leaf(site)


COMMON = {
    "namespaces": {"nn": fake_nn},
    "modules": fake_layers,
    "imports": {"nn": "from tests.core import fake_nn as nn"},
}
CLASSES = Classes(
    leaf=leaf,
    base="nn.Layer",
    method="forward(self, x)",
    concatenation="nn.join({branches})",
    sequence=fake_layers.sequential,
    total=fake_layers.Sum,
    preamble=("nn.images(0)",),
    **COMMON,
)
FUNCTIONS = Functions(
    leaf=chained,
    images="nn.images({shape})",
    model="nn.Model({images}, {outputs}, name={name})",
    concatenation=fake_nn.Join,
    total=fake_layers.NamedSum,
    endings={fake_nn.Flatten: "flatten"},
    channels_last=True,
    **COMMON,
)


class Writer:
    """A backend as far as it writes."""

    def __init__(self, spelling):
        self.spelling = spelling


AS_CLASSES, AS_FUNCTIONS = Writer(CLASSES), Writer(FUNCTIONS)
