"""What a user's GoogLeNet computes, before it is written down in a style: operations and blocks, in
which single edits are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import googlenet
from googlenet.checking.specified import specified
from googlenet.spec.layers import (
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    MaxPool,
    Network,
    ReLU,
)
from googlenet.tracing.tree import Step
from googlenet.weights.samples import random_params

#: The side of the images: the smallest of which no pool before the last leaves only one pixel.
SIDE = 64


@dataclass(frozen=True)
class Op:
    """One operation, at the spec's `path`, in a block relative to that.

    Kinds and their values: conv (out, kernel, stride, padding, bias, dilation, groups), norm (eps),
    act (name), pool (name, kernel, stride, padding, ceil), global (name: avg, max, one), flatten,
    dense (out, inputs, bias), softmax, dropout (rate); residual is a sum around `inside`, conv_head
    a 1×1 convolution for the dense layer.
    """

    kind: str
    path: str
    values: Any = field(default_factory=dict)
    inside: tuple[Op, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def given(self, **values: Any) -> Op:
        """The operation with other values."""
        return replace(self, values={**self.values, **values})


@dataclass(frozen=True)
class Block:
    """A block of branches: `joined` is the order in which they are concatenated, `computed` that in
    which they are written, `like` the name of an earlier block whose object is called again.
    """

    path: str
    branches: tuple[tuple[Op, ...], ...]
    joined: tuple[int, ...]
    computed: tuple[int, ...]
    residual: bool = False
    like: str = ""

    @property
    def name(self) -> str:
        """Such as 4b."""
        return self.path.rpartition("_")[2]

    @property
    def row(self) -> tuple[tuple[int, ...], ...]:
        """The channels of its convolutions by branch."""
        return tuple(
            tuple(op["out"] for op in flat(branch) if op.kind == "conv") for branch in self.branches
        )


Item = Op | Block
Plan = tuple[Item, ...]
Change = Callable[[Op], "tuple[Op, ...]"]


def flat(ops: tuple[Op, ...]) -> Iterator[Op]:
    """Every operation, also inside sums."""
    for op in ops:
        if op.kind == "residual":
            yield from flat(op.inside)
        else:
            yield op


@cache
def plan(network: str) -> Plan:
    """The right plan of a network whose blocks have no blocks inside."""
    found = network_of(network)
    items: list[Item] = []
    for item in specified(found, random_params(found)):
        if isinstance(item, Step):
            items += _ops(item, item.place)
        else:
            cut = len(item.place) + 1
            branches = tuple(
                tuple(op for step in branch for op in _ops(step, step.place[cut:]))
                for branch in item.branches
            )
            order = tuple(range(len(branches)))
            items.append(Block(item.place, branches, order, order))
    return tuple(items)


def network_of(network: str) -> Network:
    """The network of the spec at the size of the benchmark."""
    return googlenet.get_network(network, input_shape=(1, SIDE, SIDE))


def _ops(step: Step, path: str) -> tuple[Op, ...]:
    layer: Any = step.layer
    match layer:
        case Conv():
            values = {
                "out": layer.out_channels,
                "kernel": layer.kernel_size[0],
                "stride": layer.stride[0],
                "padding": layer.padding[0][0],
                "bias": layer.bias,
                "dilation": 1,
                "groups": 1,
            }
            return (Op("conv", path, values),)
        case BatchNorm():
            return (Op("norm", path, {"eps": layer.eps}),)
        case ReLU():
            return (Op("act", path, {"name": "relu"}),)
        case MaxPool():
            sides = (layer.kernel_size[0], layer.stride[0], layer.padding[0][0])
            values = dict(zip(("kernel", "stride", "padding"), sides, strict=True))
            return (Op("pool", path, {"name": "max", "ceil": False, **values}),)
        case GlobalAvgPool():
            return (Op("global", path, {"name": "avg"}), Op("flatten", path))
        case Dense():
            values = {"out": layer.out_features, "inputs": 0, "bias": layer.bias}
            return (Op("dense", path, values),)
    raise ValueError(path)


def sites(found: Plan) -> Iterator[tuple[str, Op]]:
    """Every operation with its path in the network."""
    for item in found:
        if isinstance(item, Op):
            yield item.path, item
            continue
        for branch in item.branches:
            for op in branch:
                yield f"{item.path}.{op.path}", op


def changed(found: Plan, paths: set[str], change: Change) -> Plan:
    """The plan with what `change` gives for the operations at `paths`."""

    def visit(ops: tuple[Op, ...], before: str) -> tuple[Op, ...]:
        new: list[Op] = []
        for op in ops:
            new += change(op) if before + op.path in paths else (op,)
        return tuple(new)

    items: list[Item] = []
    for item in found:
        if isinstance(item, Op):
            items += visit((item,), "")
        else:
            branches = tuple(visit(branch, f"{item.path}.") for branch in item.branches)
            items.append(replace(item, branches=branches))
    return tuple(items)


def blocks(found: Plan) -> list[Block]:
    """The blocks, in order."""
    return [item for item in found if isinstance(item, Block)]


def with_block(found: Plan, name: str, change: Callable[[Block], tuple[Block, ...]]) -> Plan:
    """The plan with what `change` gives for the block of this name."""
    items: list[Item] = []
    for item in found:
        items += change(item) if isinstance(item, Block) and item.name == name else (item,)
    return tuple(items)
