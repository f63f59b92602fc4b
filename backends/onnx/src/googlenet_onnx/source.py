"""How a network is written for ONNX, in a functional style: nobody writes graphs node by node."""

from __future__ import annotations

from typing import Final

from googlenet.backend.spelling import Functions

from . import leaves, modules
from .model import FIRST, name

spelling: Final = Functions(
    leaf=leaves.leaf,
    namespaces={},
    modules=modules,
    imports={},
    images="images_of({shape})",
    model="to_model({images}, {outputs}, name={name})",
    concatenation=modules.Concat,
    total=modules.ResidualSum,
    endings=FIRST,
    framework=name,
)
