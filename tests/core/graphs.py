"""Small graphs for the tests of the lift."""

import numpy as np

from googlenet.backend.graph import Graph, Op
from googlenet.proof.parity.tolerance import EPS, distance, limit
from googlenet.tracing.lift import lift
from googlenet.tracing.tree import steps

SHAPE = (2, 3, 7, 6)
RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def conv(name, before, out=4, inside=3, size=1, shape=None, **more):
    padding = more.pop("padding", ((size // 2, size // 2),) * 2)
    attributes = {"stride": (1, 1), "padding": padding, "dilation": (1, 1), "groups": 1, **more}
    arrays = {"weight": array(out, inside, size, size)}
    return Op(name, "conv", (before,), shape or (2, out, 7, 6), attributes, arrays, f"net.{name}")


def op(name, kind, *before, shape=(2, 4, 7, 6), arrays=None, **attributes):
    return Op(name, kind, before, shape, attributes, arrays or {}, f"net.{name}")


def lifted(*ops, outputs=None):
    return lift(Graph("images", SHAPE, ops, outputs or (ops[-1].name,)))


def layers(chain):
    return [step.layer for step in steps(chain)]


#: The limit of float32 where nothing but rounding differs, less the digits that it lacks.
ROUNDING = limit(0) * np.finfo(np.float64).eps / EPS


def near(found, expected):
    """Whether two float64 results differ by no more than rounding in float64 may."""
    return distance(found, expected) <= ROUNDING
