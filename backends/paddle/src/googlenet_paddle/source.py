"""How Paddle's users write a network."""

from __future__ import annotations

from typing import Final

from paddle import nn

from googlenet.backend.spelling import Classes

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
