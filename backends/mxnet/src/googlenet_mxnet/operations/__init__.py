"""MXNet's operations in neutral terms: what each of those that `autograd` records computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..nodes import Node, Part, Parts, Translator
from .arithmetic import ARITHMETIC, PRODUCTS
from .dense import DENSE
from .elementwise import ELEMENTWISE
from .moves import BROADCASTING, MOVES, RESHAPING
from .parts import PARTS, SEVERAL
from .patterns import PATTERNS
from .windows import WINDOWS

__all__ = ["BROADCASTING", "FILLED", "PRODUCTS", "RESHAPING", "translated"]


def translated(node: Node) -> Parts:
    """What an operation is in neutral terms; one with MXNet's own name if nothing else."""
    known = KNOWN.get(node.op)
    is_first = not node.result or node.op in SEVERAL
    found = known(node) if known is not None and is_first else None
    if found is not None:
        return found
    arrays = {str(n): each for n, each in enumerate(node.inputs) if not isinstance(each, Node)}
    attributes = {"arguments": dict(node.attributes), "result": node.result}
    return (Part(public(node.op), attributes, arrays),)


def public(op: str) -> str:
    """What users call an operation: mx.np.exp for _npi_exp."""
    for private, shown in (("_npi_", "np."), ("_np_", "np."), ("_npx_", "npx.")):
        if op.startswith(private):
            return f"mx.{shown}{op.removeprefix(private)}"
    return f"mx.contrib.{op[9:]}" if op.startswith("_contrib_") else f"mx.{op}"


#: Operations whose result depends on nothing but the shape of what they take.
FILLED: Final = ("zeros_like", "ones_like", "_npi_full_like", "shape_array", "size_array")

KNOWN: Final[Mapping[str, Translator]] = {
    **WINDOWS,
    **DENSE,
    **MOVES,
    **PARTS,
    **ARITHMETIC,
    **ELEMENTWISE,
    **PATTERNS,  # products, which are also arithmetic, last
}
