"""An operation of a Paddle program, and what one is in neutral terms.

Paddle may hold maps as (N, H, W, C); a translation says in which axes its numbers are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from googlenet.arrays import Array

from .constants import Constants, plain, sources

#: How the axes of a map are: as Paddle holds it, (N, C, H, W), (N, H, W, C) to be read as the
#: former; or whichever of these its input has, for what works element by element.
Layout: TypeAlias = Literal["native", "first", "last", "any"]
Padding: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Piece:
    """One neutral operation, of the value before it; `shape` is that of its result, if it is not
    that of the whole.
    """

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Translated:
    """What an operation is: `pieces` one after another, the first of them of `inputs`."""

    inputs: tuple[Any, ...]
    pieces: tuple[Piece, ...]
    layout: Layout = "any"


class Node:
    """An operation of a program, beside the `constants` of the latter."""

    def __init__(self, op: Any, constants: Constants) -> None:
        self.op = op
        self.name = plain(op)
        self.constants = constants
        self.results: list[Any] = op.results()
        self.sources = sources(op)
        self._attributes: dict[str, Any] = op.attrs()
        names = op.get_input_names() if op.name() not in _NAMELESS else ()
        self._operands: dict[str, Any] = dict(zip(names, self.sources, strict=False))

    @property
    def own_name(self) -> str:
        """Paddle's name of the operation."""
        return str(self.op.name()).rstrip("_")

    def value(self, role: str) -> Any:
        """An operand, None if it is left out."""
        return self._operands.get(role)

    def array(self, role: str) -> Array | None:
        """An operand that is constant."""
        value = self._operands.get(role)
        return None if value is None else self.constants.array(value)

    def attribute(self, role: str) -> Any:
        """A setting, which Paddle has as an attribute or as a constant operand. Raises `KeyError`
        if it is trained.
        """
        if role in self._attributes:
            return self._attributes[role]
        value = self._operands.get(role)
        if value is not None and self.constants.trained(value):
            raise KeyError(role)
        array = self.array(role)
        if array is None:
            return None
        return array.tolist() if array.ndim else array.item()

    def number(self, role: str) -> float:
        """A setting that is a number: the shortest decimal of it, which Paddle holds as float32.

        Raises `KeyError` if it depends on the images, or is trained.
        """
        found = self.attribute(role)
        if isinstance(found, list) and len(found) == 1:
            (found,) = found
        if not isinstance(found, int | float):
            raise KeyError(role)
        return shortest(found)

    def numbers(self, role: str) -> tuple[int, ...]:
        """A setting that is a list of whole numbers. Raises `KeyError` as `number` does."""
        found = self.attribute(role)
        if found is None:
            raise KeyError(role)
        return tuple(map(int, found if isinstance(found, list | tuple) else [found]))

    def given(self, role: str) -> tuple[int, ...]:
        """The shape of an operand."""
        return self.constants.shape(self._operands[role])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return self.constants.shape(self.results[0])

    @property
    def settings(self) -> dict[str, Any]:
        """The attributes that say what it computes."""
        return {key: each for key, each in self._attributes.items() if key not in _UNSAID}


#: Operations of the program itself, whose operands have no names.
_NAMELESS: Final = frozenset(
    ("builtin.combine", "builtin.split", "builtin.slice", "pd_op.if", "pd_op.while")
)
#: What Paddle notes beside an operation.
_UNSAID: Final = frozenset(
    ("op_callstack", "op_role", "stop_gradient", "chunk_id", "struct_name", "place", "persistable")
)


def shortest(value: float) -> float:
    """The shortest decimal that is the same float32."""
    return float(str(np.float32(value)))


def listed(value: Any) -> list[Any]:
    """The tensors that an operand is: several, if it is a list."""
    op = None if value is None else value.get_defining_op()
    if op is not None and op.name() == "builtin.combine":
        return list(sources(op))
    return [] if value is None else [value]


def one(node: Node, kind: str, **attributes: Any) -> Translated:
    """An operation of one input."""
    return Translated((node.value("x"),), (Piece(kind, attributes),))


def simple(kind: str, **names: str) -> Callable[[Node], Translated]:
    """An operation with numbers that are called otherwise here."""

    def found(node: Node) -> Translated:
        attributes = {ours: node.number(theirs) for ours, theirs in names.items()}
        return Translated((node.value("x"),), (Piece(kind, attributes),))

    return found
