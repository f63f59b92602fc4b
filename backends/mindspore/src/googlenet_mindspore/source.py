"""How MindSpore's users write a network."""

from __future__ import annotations

from typing import Final

from mindspore import nn

from googlenet.backend.spelling import Classes, Loading
from googlenet.spec import Network

from . import leaves, modules
from .model import attributes, name

spelling: Final = Classes(
    leaf=leaves.leaf,
    namespaces={"nn": nn},
    modules=modules,
    imports={},
    base="nn.Cell",
    method="construct(self, x)",
    concatenation="ops.cat({branches}, axis=1)",
    sequence=modules.sequential,
    total=modules.ResidualSum,
    framework=name,
    attributes=attributes,
)
loading: Final = Loading(
    "import mindspore",
    (
        "held = mindspore.load_checkpoint(str(weights))",
        "mindspore.load_param_into_net(model, held, strict_load=True)",
        "return model.set_train(False)",
    ),
)


def adopt(model: nn.Cell, network: Network) -> nn.Cell:
    """`model`, which the printed source of `network` made, as if `build` had made it."""
    model.network = network
    return model
