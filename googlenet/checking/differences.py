"""What is otherwise in a user's model, in words, and each as a change that can be tried alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ..tracing.tree import Fork, Step
from .causes import Cause
from .nodes import Node
from .sources import Source

#: What a finding is called that concerns where an array is from; its role follows.
ORIGIN: Final = "origin of "


#: The words of a difference, and the paths of the layers.
Key: TypeAlias = "tuple[str, tuple[str, ...]]"
#: A kernel together with the padding that belongs to it.
WINDOW: Final = "window"


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that is otherwise at one node of the alignment: `what`, an attribute's name or what
    happened to the layer; in words without the place; and of what kind its layer is.

    `shape_preserving` is whether all shapes of results and weights stay the spec's. `beside` is the
    user's layer or join before it, or at the beginning of a branch (`is_first`) the one after it.
    """

    node: Node
    what: str
    path: str
    place: str
    words: str
    cause: Cause
    shape_preserving: bool
    of: str = ""
    beside: Step | Fork | None = None
    is_first: bool = False


@dataclass(frozen=True, eq=False)
class Difference:
    """What is otherwise, as a reader is told: once for all the layers of one kind if it holds for
    all of them, at the first of which it stands.

    `path` is the spec's, for something extra that of the layer that it follows, for something
    around a block that of the block; `place` is the user's. `source` is the line of the user's code
    where it is wrong, or after which something is missing, where that is certain; `spec` what the
    spec has there, in words, and `code` the calls that make it in the user's framework, one after
    the other; `advice` is what else to do.
    """

    path: str
    place: str
    words: str
    cause: Cause
    shape_preserving: bool
    findings: tuple[Finding, ...] = ()
    advice: str = ""
    paths: tuple[str, ...] = field(default=())
    explanation: str = ""
    source: Source | None = None
    spec: str = ""
    code: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What it says of which layers: the same with other weights."""
        return self.words, self.paths

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "path": self.path,
            "place": self.place,
            "words": self.words,
            "cause": self.cause.value,
            "explanation": self.explanation,
            "advice": self.advice,
            "shape_preserving": self.shape_preserving,
            "paths": list(self.paths),
            "source": None if self.source is None else self.source.to_json(),
            "spec": self.spec,
            "code": "\n".join(self.code) or None,
        }

    def rows(self) -> list[tuple[str, str]]:
        """The user's code and the spec's layer side by side: what each row is, and its text."""
        found = [] if self.source is None else self.source.rows()
        if self.spec:
            found.append(("spec", self.spec))
        return found + [
            ("then" if number else "write", each) for number, each in enumerate(self.code)
        ]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Difference:
        """The inverse of `to_json`, without the findings."""
        return cls(
            values["path"],
            values["place"],
            values["words"],
            Cause(values["cause"]),
            values["shape_preserving"],
            advice=values["advice"],
            paths=tuple(values["paths"]),
            explanation=values["explanation"],
            source=None if values["source"] is None else Source.from_json(values["source"]),
            spec=values["spec"],
            code=tuple((values["code"] or "").splitlines()),
        )
