"""One operation that MXNet has recorded, and the neutral ones that it is."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from googlenet.arrays import Array
from googlenet.backend.graph import Origin
from googlenet.spec import Shape

#: The result of the part before, among what a `Part` takes.
BEFORE: Final = -1


@dataclass(eq=False)
class Node:
    """One recorded operation: its `op`, the `attributes` as MXNet writes them, and its `inputs`,
    the results of other nodes or constant arrays.

    `shape` and `dtype` are those of its `result`, of which it may have several, counted from 0;
    `active` says whether it ran in training mode, `place` where it is in the user's code, and
    `origins` for each input where it is from, if that is constant.
    """

    op: str
    attributes: Mapping[str, str]
    inputs: tuple[Node | Array, ...]
    shape: Shape
    dtype: Any = None
    active: bool = False
    place: str = ""
    called: tuple[str, int] | None = None
    result: int = 0
    origins: tuple[Origin | None, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return _parsed(self.attributes[name])

    def get(self, name: str, default: Any) -> Any:
        """An attribute, or its default; MXNet leaves out what the user has."""
        found = self[name] if name in self.attributes else None
        return default if found is None else found

    @property
    def given(self) -> Shape:
        """The shape of the first input."""
        return self.inputs[0].shape

    @property
    def constants(self) -> tuple[Array, ...]:
        """The inputs that are constant."""
        return tuple(each for each in self.inputs if not isinstance(each, Node))

    @property
    def is_fixed(self) -> bool:
        """Whether no input is trained, or computed from what is."""
        return all(each in (None, "constant") for each in self.origins)


@dataclass(frozen=True, eq=False)
class Move:
    """How the elements of the array of a `role` are rearranged; what `how` says is the same for the
    same.
    """

    role: str
    how: str
    make: Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Part:
    """One of the neutral operations, in sequence, that an MXNet one is.

    `takes` are the indices of the inputs that it takes, `BEFORE` for the part before; without it
    the first part takes all that are not constant, and any other one the part before.
    """

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    shape: Shape | None = None
    takes: tuple[int, ...] | None = None
    #: How one of the arrays is rearranged first.
    moved: Move | None = None


Parts: TypeAlias = Sequence[Part]
#: What reads one kind of operation; None where nothing neutral does what it does.
Translator: TypeAlias = Callable[[Node], Parts | None]


def by_name(table: Mapping[tuple[str, ...], Translator]) -> dict[str, Translator]:
    """A table whose rows have all the names of an operation, with a row for each name."""
    return {op: translator for ops, translator in table.items() for op in ops}


def pair(value: Any) -> tuple[int, int]:
    """(height, width) of one number or two."""
    sizes = [value] if isinstance(value, int) else list(value)
    return (int(sizes[0]), int(sizes[-1]))


def arrays_of(node: Node, *roles: str) -> dict[str, Array] | None:
    """The inputs after the first, by their roles; None if one is not constant."""
    found = dict(zip(roles, node.inputs[1:], strict=False))
    arrays = {role: each for role, each in found.items() if not isinstance(each, Node)}
    return arrays if len(arrays) == len(found) else None


def simple(kind: str) -> Translator:
    """An operation without settings."""
    return lambda node: (Part(kind),)


def _parsed(text: str) -> Any:
    """A number, a tuple, a truth value, None, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        pass
    try:
        return float(text)  # inf
    except ValueError:
        return text
