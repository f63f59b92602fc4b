"""How Gluon's users write a network."""

from __future__ import annotations

from typing import Final

from mxnet.gluon import HybridBlock, nn

from googlenet.backend.spelling import Classes, Loading
from googlenet.spec import Network

from . import leaves, modules
from .model import attributes, name

spelling: Final = Classes(
    leaf=leaves.leaf,
    namespaces={"nn": nn},
    modules=modules,
    imports={"npx": "from mxnet import npx"},
    preamble=("npx.set_np()",),
    base="HybridBlock",
    method="hybrid_forward(self, F, x)",
    concatenation="F.np.concatenate({branches}, axis=1)",
    sequence=modules.sequential,
    total=modules.ResidualSum,
    framework=name,
    attributes=attributes,
)
loading: Final = Loading(
    "from mxnet import npx\n\nnpx.set_np()", ("model.load_parameters(str(weights))", "return model")
)


def adopt(model: HybridBlock, network: Network) -> HybridBlock:
    """`model`, which the printed source of `network` made, as if `build` had made it."""
    model.network = network
    return model
