"""PyTorch's operations, as `torch.export` calls them, in the neutral terms of a graph.

A translator is given an operation's arguments by the names of its schema, and returns what it is,
or None if it is nothing that the graph knows: then it keeps its own name, `aten.pad`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.fx import Node

from googlenet.arrays import Array

from .arithmetic import ARITHMETIC, unexpanded
from .calls import WIDE, Call, Found, Translated, Translator, own_name, unrepeated
from .dense import DENSE
from .elementwise import ELEMENTWISE
from .moves import MOVES
from .parts import PARTS, piece
from .windows import WINDOWS

__all__ = ["WIDE", "Translated", "own_name", "piece", "translated", "unrepeated"]


def translated(node: Node, held: Mapping[Node, Array]) -> Found:
    """What an operation is in the graph's terms; None if that does not know it, or where an input
    of it would be lost.
    """
    target: Any = node.target
    name = own_name(target).removeprefix("aten.")
    if name not in KNOWN or not isinstance(target, torch._ops.OpOverload):
        return None
    arguments: Any = target._schema.arguments
    bound: dict[str, Any] = {
        each.name: each.default_value for each in arguments if each.has_default_value()
    }
    bound.update(zip((each.name for each in arguments), node.args, strict=False))
    value: Any = node.meta["val"]
    if isinstance(value, tuple | list):  # the first of several, and nobody uses the others
        value = value[0]
    call = Call({**bound, **node.kwargs}, held, tuple(map(int, value.shape)), value.dtype)
    found = KNOWN[name](call)
    if found is None:
        return None
    inputs = {each for step in found for each in step.inputs}
    arrays = [array for step in found for array in step.arrays.values()]
    if any(each in held for each in inputs):
        return None
    for each in node.all_input_nodes:
        kept = (
            each in inputs
            or unexpanded(each) in inputs
            or any(array is held.get(each) for array in arrays)
        )
        if not kept and name not in ALIKE and not (name in CHANGING and each in held):
            return None
    return found


#: Operations whose constant may come back changed: negated, inverted, multiplied, transposed.
CHANGING: Final = frozenset(
    {"add", "sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide"}
) | {
    *("matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "tensordot", "conv_transpose2d"),
    *("where", "maximum", "minimum", "gt", "greater"),
}
#: Operations that take a second tensor only for its shape or type.
ALIKE: Final = frozenset({"to", "type_as", "view_as", "reshape_as", "expand_as"})

KNOWN: Final[Mapping[str, Translator]] = {
    **WINDOWS,
    **DENSE,
    **MOVES,
    **PARTS,
    **ARITHMETIC,
    **ELEMENTWISE,
}
