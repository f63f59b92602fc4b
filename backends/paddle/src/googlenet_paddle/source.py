"""How Paddle's users write a network."""

from __future__ import annotations

from typing import Final

from paddle import nn

from googlenet.backend.spelling import Classes, Loading
from googlenet.spec import Network

from . import leaves, modules
from .model import attributes, name

spelling: Final = Classes(
    leaf=leaves.leaf,
    namespaces={"nn": nn},
    modules=modules,
    imports={},
    base="nn.Layer",
    method="forward(self, x)",
    concatenation="paddle.concat({branches}, axis=1)",
    sequence=modules.sequential,
    total=modules.ResidualSum,
    framework=name,
    attributes=attributes,
)
loading: Final = Loading(
    "import paddle",
    ("model.set_state_dict(paddle.load(str(weights)))", "model.eval()", "return model"),
)


def adopt(model: nn.Layer, network: Network) -> nn.Layer:
    """`model`, which the printed source of `network` made, as if `build` had made it."""
    model.network = network
    return model
