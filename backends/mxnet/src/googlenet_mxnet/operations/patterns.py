"""What users put together from several operations, and is one activation."""

from __future__ import annotations

from typing import Final

from googlenet.arrays import Array

from ..nodes import Node, Part, Parts, by_name
from .arithmetic import ARITHMETIC, PRODUCTS, TIMES, product
from .elementwise import SIGMOID
from .moves import MOVES
from .parts import PARTS


def _gate(node: Node) -> Parts | None:
    """A product with a function of the same value, which is an activation; else any product."""
    if node.constants:
        return product(node)
    for index, (x, gate) in enumerate((node.inputs, node.inputs[::-1])):
        if isinstance(gate, Node) and gate.inputs and origin(gate.inputs[0]) is origin(x):
            is_positive = gate.op in _GREATER and float(gate["scalar"]) == 0
            kind = "relu" if is_positive else "silu" if gate.op in SIGMOID else None
            if kind is not None:
                return (Part(kind, takes=(index,)),)
    return product(node)


def _choice(node: Node) -> Parts | None:
    """Where an element is positive, itself, and elsewhere 0 or a part of it."""
    condition, *rest = node.inputs
    if not isinstance(condition, Node) or condition.op not in _GREATER or not rest:
        return None
    x = origin(rest[0])
    if float(condition["scalar"]) != 0 or not isinstance(x, Node):
        return None
    if origin(condition.inputs[0]) is not x:
        return None
    if len(rest) == 1:
        return (Part("relu", takes=(1,)),) if float(node["scalar"]) == 0 else None
    other = rest[1]
    if not isinstance(other, Node):
        return None if other.any() else (Part("relu", takes=(1,)),)
    is_part = other.op in TIMES and origin(other.inputs[0]) is x
    slope = {"slope": float(other["scalar"])} if is_part else {}
    return (Part("leaky_relu", slope, takes=(1,)),) if slope else None


def origin(node: Node | Array) -> Node | Array:
    """The value that operations which change nothing take in the end."""
    while isinstance(node, Node) and _changes_nothing(node):
        node = node.inputs[0]
    return node


def _changes_nothing(node: Node) -> bool:
    known = HANDING_ON.get(node.op)
    found = None if known is None else known(node)
    return found is not None and [part.kind for part in found] == ["identity"]


_GREATER: Final = ("_greater_scalar", "_npi_greater_scalar")
#: What reads each operation, by its names.
PATTERNS: Final = by_name(
    {
        PRODUCTS: _gate,
        ("where", "_npi_where", "_npi_where_rscalar"): _choice,
    }
)
#: What reads the operations that may change nothing.
HANDING_ON: Final = {**ARITHMETIC, **MOVES, **PARTS}
