"""How Flax's users write a network."""

from __future__ import annotations

from typing import Any, Final, cast

from flax import nnx

from googlenet.backend.spelling import Classes, Loading
from googlenet.spec import Network

from . import leaves, modules
from .model import attributes, name

spelling: Final = Classes(
    leaf=leaves.leaf,
    namespaces={"nnx": nnx},
    modules=modules,
    imports={},
    context={"rngs": "nnx.Rngs(0)"},
    channels_last=True,
    base="nnx.Module",
    method="__call__(self, x)",
    concatenation="jnp.concatenate({branches}, axis=-1)",
    sequence=modules.Sequential,
    total=modules.ResidualSum,
    framework=name,
    attributes=attributes,
)
loading: Final = Loading(
    "from flax import nnx, serialization",
    (
        "state = serialization.msgpack_restore(pathlib.Path(weights).read_bytes())",
        "nnx.update(model, state)",
        "model.eval()",
        "return model",
    ),
)


def adopt(model: nnx.Module, network: Network) -> nnx.Module:
    """`model`, which the printed source of `network` made, as if `build` had made it."""
    cast(Any, model).network = network
    return model
