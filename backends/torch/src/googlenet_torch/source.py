"""How PyTorch's users write a network."""

from __future__ import annotations

from typing import Final

from torch import nn

from googlenet.backend.spelling import Classes, Loading
from googlenet.spec import Network

from . import leaves, modules
from .model import attributes, name

spelling: Final = Classes(
    leaf=leaves.leaf,
    namespaces={"nn": nn},
    modules=modules,
    imports={},
    base="nn.Module",
    method="forward(self, x)",
    concatenation="torch.cat({branches}, dim=1)",
    sequence=modules.sequential,
    total=modules.ResidualSum,
    framework=name,
    attributes=attributes,
)
loading: Final = Loading(
    "import torch",
    (
        # The file's own tensors, whose order in memory is the fast one.
        "model.load_state_dict(torch.load(weights, weights_only=True), assign=True)",
        "return model.eval()",
    ),
)


def adopt(model: nn.Module, network: Network) -> nn.Module:
    """`model`, which the printed source of `network` made, as if `build` had made it."""
    object.__setattr__(model, "network", network)  # not a parameter, buffer or child
    return model
