"""The dropouts that only a model in training mode has, from a second program."""

from __future__ import annotations

from typing import Any

from .mindir import Node, Program, Value, Weight, leaves
from .operations.elementwise import RATES, rate_of


class Dropouts:
    """The dropouts that a model has in training mode only, by what takes their results.

    An operation of the two programs is the same if it is of the same kind, on the same weights and
    values; a dropout is nothing here, and numbers do not count, as a cell may scale otherwise in
    training.
    """

    def __init__(self, evaluated: Program, trained: Program | None) -> None:
        self._keys = _Keys()
        self._found: dict[Any, list[list[Node]]] = {}
        self._evaluated = evaluated
        if trained is not None:
            for node in trained.nodes:
                if node.kind not in RATES:
                    self._add(self._keys.of(node), node.args)
            self._add(None, trained.outputs)

    def _add(self, key: Any, args: tuple[Any, ...]) -> None:
        chains = [_behind(each) for each in leaves(args)]
        if any(chains):
            self._found.setdefault(key, chains)

    def before(self, node: Node | None, position: int) -> list[Node]:
        """The dropouts of training between the argument at `position` of `node` (or an output) and
        what it takes in evaluation.
        """
        chains = self._found.get(None if node is None else self._keys.of(node), [])
        given = self._evaluated.outputs if node is None else node.args
        found = list(leaves(given))
        if len(chains) != len(found) or position >= len(chains):
            return []
        shown = [(each.kind, rate_of(each), each.scope) for each in _behind(found[position])]
        return [
            each
            for each in reversed(chains[position])
            if (each.kind, rate_of(each), each.scope) not in shown
        ]


class _Keys:
    """What an operation does, in a form that can be compared between programs."""

    def __init__(self) -> None:
        self._known: dict[Node, int] = {}
        self._numbers: dict[Any, int] = {}

    def of(self, node: Node) -> int:
        """A number for each way to compute something."""
        if node not in self._known:
            key = (node.kind, tuple(self._part(each) for each in leaves(node.args)))
            self._known[node] = self._numbers.setdefault(key, len(self._numbers))
        return self._known[node]

    def _part(self, given: Any) -> Any:
        given = _before_dropout(given)
        match given:
            case Value(None, _):
                return "images"
            case Value(Node() as node, item):
                return (self.of(node), item)
            case Weight(weight):
                return weight
            case _:
                return "a constant"


def _is_dropout(given: Any) -> bool:
    return isinstance(given, Value) and given.node is not None and given.node.kind in RATES


def _before_dropout(given: Any) -> Any:
    while _is_dropout(given):
        given = given.node.args[0]
    return given


def _behind(given: Any) -> list[Node]:
    """The dropouts that gave a value, the last one first."""
    found: list[Node] = []
    while _is_dropout(given):
        found.append(given.node)
        given = given.node.args[0]
    return found
