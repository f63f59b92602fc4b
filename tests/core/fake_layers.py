"""What `fake_nn` lacks: copied out whole where it is used."""

import math

from tests.core import fake_nn as nn


def sequential(**layers):
    """Layers in sequence, under their names."""
    made = nn.Layer()
    for name, layer in layers.items():
        setattr(made, name, layer)
    return made


class Base(nn.Layer):
    """What another layer here is made of."""


class Odd(Base):
    """Any layer that the framework has no word for."""

    def __init__(self, kind, setting=math.pi, name=None):
        self.note(locals())


class Sum(nn.Layer):
    """shortcut + scale · body."""

    def __init__(self, body, shortcut, scale):
        self.body, self.shortcut, self.scale = body, shortcut, scale


class NamedSum(nn.Layer):
    """The same of a list."""

    def __init__(self, scale, name=None):
        self.note(locals())
