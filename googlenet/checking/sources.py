"""The lines of the user's code behind what is otherwise: only those that are certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..jobs.lines import Line, Lines, at
from ..tracing.tree import Chain, Fork, Head, Step, Tangle
from .features import family
from .nodes import Around, Extra, ForkPair, Missing, Node, Pair

if TYPE_CHECKING:
    from .differences import Finding

#: What the class of a layer is called, in lower case, by the layer's family.
CALLED: Final[Mapping[str, tuple[str, ...]]] = {
    "weighted": ("conv", "dense", "linear"),
    "pool": ("pool",),
    "norm": ("norm", "lrn"),
    "dropout": ("drop",),
}
#: A line is the one that is wrong itself, and neither before nor after what is missing.
HERE: Final = "yours"
#: What concerns a block as a whole, and not the line that joins its branches.
WHOLE: Final = frozenset({"shared", "moved"})


@dataclass(frozen=True)
class Source:
    """The line to change, or one "before" or "after" which something is missing (`where`); and the
    line in which the layer itself is made where the line to change is not that, but leads to it:
    the numbers with which a block is made.
    """

    line: Line
    made: Line | None = None
    where: str = HERE

    def rows(self) -> list[tuple[str, str]]:
        """The lines as a report has them: what each is, and the place and the code there."""
        found = [(self.where, _row(self.line))]
        return found if self.made is None else [*found, ("calls", _row(self.made))]

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        made = None if self.made is None else self.made.to_json()
        return {**self.line.to_json(), "calls": made, "where": self.where}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Source:
        """The inverse of `to_json`."""
        made = values["calls"]
        return cls(
            Line.from_json(values),
            None if made is None else Line.from_json(made),
            values["where"],
        )


def _row(line: Line) -> str:
    return f"{line.file}:{line.line}  {line.text}"


@dataclass
class Sources:
    """Finds the lines of what is otherwise in `model`, whose tree is `tree`."""

    model: Any
    tree: Chain
    lines: Lines
    #: Where each layer object was made, by its place, from the innermost line outwards.
    _made: dict[str, tuple[Line, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for item in _items(self.tree):
            if item.place not in self._made:
                self._made[item.place] = self._lines_of(item)

    def source(self, finding: Finding, findings: Sequence[Finding]) -> Source | None:
        """The line that is wrong, or after which something is missing, if that is certain. Of the
        lines that made the layer it is the first that made no layer which is right: `findings` are
        all that is wrong.
        """
        item, where = _wrong(finding.node), HERE
        if item is None:
            item, where = finding.beside, "before" if finding.is_first else "after"
        if item is None:
            return None
        if isinstance(item, Fork) and finding.what in WHOLE:
            lines = self._lines_of(item, own=item.place != "net")
            return Source(lines[0]) if lines else None
        made = self._made.get(item.place, ())
        if made and self._is(item, made):
            wrong = {each.place for each in findings if each.what == finding.what}
            for depth in range(1, len(made) + 1):
                alike = {at for at, each in self._made.items() if each[:depth] == made[:depth]}
                if alike <= wrong | {item.place}:
                    return Source(made[depth - 1], made[0] if depth > 1 else None, where)
            return Source(made[0], None, where)
        line = None if item.called is None else self.lines.called(*item.called)
        return None if line is None else Source(line, None, where)

    def _lines_of(self, item: Step | Fork, *, own: bool = False) -> tuple[Line, ...]:
        """The lines that made the object at the place of an item: one of the framework's classes,
        or (`own`) one of the user's, which may do anything.
        """
        value = at(self.model, item.place)
        if value is None or (self.lines.is_own(value) and not own):
            return ()
        return self.lines.made(value)

    def _is(self, item: Step | Fork, made: Sequence[Line]) -> bool:
        """Whether the object at the place of a layer is that layer: the place of a function is the
        layer in which it is called.
        """
        name = type(at(self.model, item.place)).__name__.lower()
        if isinstance(item, Fork):
            return "concat" in name or "add" in name
        own = {each for each, words in CALLED.items() if any(word in name for word in words)}
        if not own:
            return item.place != "net"  # which is the whole model
        if family(item) in own:
            return True
        return "activation" in made[0].text  # Conv2D(64, 1, activation="relu")


def _wrong(node: Node) -> Step | Fork | None:
    """The user's layer or join that is wrong; None if it is missing."""
    match node:
        case Missing(moved=Step() | Fork() as item):
            return item
        case _:
            return user_item(node)


def user_item(node: Node) -> Step | Fork | None:
    """The user's layer or join of a node, if it is one."""
    match node:
        case Pair(user=item) | ForkPair(user=item) | Around(user=item):
            return item
        case Extra(user=Step() | Fork() as item, moved=False):
            return item
        case _:
            return None


def _items(chain: Chain) -> Iterator[Step | Fork]:
    for item in chain:
        match item:
            case Step():
                yield item
            case Fork(branches=branches):
                for branch in branches:
                    yield from _items(branch)
                yield item
            case Head(chain=inside):
                yield from _items(inside)
            case Tangle(knots=knots):
                yield from (knot.item for knot in knots)
