"""One operation that MXNet has recorded, and the neutral ones that it is."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
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
    #: The role of an array that is taken transposed, (I, O) for (O, I).
    transposed: str | None = None


Parts: TypeAlias = Sequence[Part]


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
