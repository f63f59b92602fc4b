"""Where in the user's code an operation is: in which cell.

MindSpore says the scope of each operation, but reads a function such as `ops.relu`, and an operator
such as `+`, only once: the scope is that of the first call. So a scope only counts where a cell
does an operation itself; a layer's place is that of its weights; and any other is in the cell in
which its inputs come from, or go besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from mindspore import nn

from .mindir import Node, Program, Value, Weight, leaves, path_of

#: A cell's path, in parts.
Path: TypeAlias = "tuple[str, ...]"

#: Operations that Python's operators and the methods of tensors stand for.
_OPERATORS: Final = (
    *("Add", "AddExt", "Sub", "SubExt", "Mul", "Muls", "Div", "RealDiv", "Divs", "Neg", "Pow"),
    *("Reshape", "ExpandDims", "Squeeze", "Transpose", "StridedSlice"),
)
#: Those that helper functions stand for besides.
_COMMON: Final = (*_OPERATORS, "AddN", "Square", "Maximum", "Minimum", "Concat", "Flatten")


def is_native(kind: type) -> bool:
    """Whether a class is MindSpore's own."""
    return kind.__module__.partition(".")[0] == "mindspore"


class Places:
    """The cell of each operation of a program, of those in `cells` by path."""

    def __init__(self, program: Program, cells: Mapping[str, nn.Cell]) -> None:
        self._cells = cells
        self._owners = {
            each.name: path
            for path, cell in reversed(list(cells.items()))
            for each in cell.get_parameters(expand=False)
        }
        self._order = {_parts(path): place for place, path in enumerate(cells)}
        self._users: dict[Node | None, list[Node]] = {}
        for node in program.nodes:
            for value in _values(node):
                self._users.setdefault(value.node, []).append(node)
        #: Of MindSpore's own layers: the cells that are said to do something, by class and kind.
        self._said: dict[tuple[type, str], set[str]] = {}
        for node in program.nodes:
            path = path_of(node.scope)
            if path in cells:
                self._said.setdefault((type(cells[path]), node.kind), set()).add(path)
        self._known: dict[Node | None, Path] = {None: ()}
        for node in program.nodes:
            own = self._own(node)
            if own is not None:
                self._known[node] = own
        for node in program.nodes:
            if node not in self._known:
                alike = self._alike(node)
                self._known[node] = self._nearest(node, alike) if alike else self._between(node)

    def path(self, node: Node) -> str:
        """The path of the cell that `node` is in."""
        return ".".join(self._known.get(node, ()))

    def around(self, node: Node) -> str:
        """The path of the user's cell that `node` is in, whatever layer does it."""
        return ".".join(self._users_cell(self._known.get(node, ())))

    def _own(self, node: Node) -> Path | None:
        """The cell that holds the weights of `node`, or else does it by itself."""
        for given in leaves(node.args):
            if isinstance(given, Weight) and given.name in self._owners:
                return _parts(self._owners[given.name])
        path = path_of(node.scope)
        cell = self._cells.get(path)
        if cell is None or any(True for _ in cell.cells()):
            return None
        if node.kind in (_OPERATORS if is_native(type(cell)) else _COMMON) or self._alike(node):
            return None
        return _parts(path)

    def _alike(self, node: Node) -> list[Path]:
        """The cells of one of MindSpore's classes, one of which does `node`, by a function that was
        read once for all of them; none if the scope is right.
        """
        cell = self._cells.get(path_of(node.scope))
        if cell is None or not is_native(type(cell)) or node.kind in _OPERATORS:
            return []
        if any(True for _ in cell.cells()) or len(self._said[type(cell), node.kind]) > 1:
            return []
        alike = [_parts(path) for path, each in self._cells.items() if type(each) is type(cell)]
        return alike if len(alike) > 1 else []

    def _nearest(self, node: Node, alike: list[Path]) -> Path:
        """That of several like cells which is nearest to what is known around `node`: deep in the
        same cell, and between its inputs and its users as cells are numbered.
        """
        before = self._around(node, lambda each: [value.node for value in _values(each)])
        after = self._around(node, lambda each: self._users.get(each, []))
        low = max((self._order.get(path, 0) for path in before if path), default=0)
        high = min((self._order.get(path, 0) for path in after), default=len(self._order))

        def nearness(path: Path) -> tuple[int, bool, int]:
            shared = sum(_common(path, each) for each in (*before, *after))
            place = self._order[path]
            return shared, low < place < high or path in before, -abs(place - low)

        return max(alike, key=nearness)

    def _around(self, node: Node, step: Callable[[Node], Sequence[Node | None]]) -> list[Path]:
        """The cells of the nearest operations in one direction whose cells are known."""
        found: list[Path] = []
        waiting, seen = list(step(node)), set()
        while waiting:
            each = waiting.pop()
            if each is None or each in seen:
                continue
            seen.add(each)
            if self._known.get(each):
                found.append(self._known[each])
            else:
                waiting += step(each)
        return found

    def _between(self, node: Node) -> Path:
        """The innermost of the user's cells to which each input of `node` belongs: it was computed
        there, or goes there besides.
        """
        choices = [self._belongs(value.node, node) for value in _values(node)]
        if not choices:
            return ()
        first, *others = choices
        if not others:
            return max(first[1:], key=len) if len(first) > 1 else first[0]
        found: Path = ()
        for path in first:
            for length in range(len(path), len(found), -1):
                common = path[:length]
                inside = all(any(p[:length] == common for p in each) for each in others)
                if inside and self._is_users(common):
                    found = common
                    break
        return found

    def _belongs(self, given: Node | None, user: Node) -> list[Path]:
        """The user's cells that have to do with a value: the one that computes it, then those of
        its other users.
        """
        maker = self._users_cell(self._known.get(given, ()))
        others = [
            self._users_cell(self._known[each])
            for each in self._users.get(given, ())
            if each is not user and each in self._known and self._own(each) is not None
        ]
        return [maker, *(each for each in others if each != maker[: len(each)])]

    def _users_cell(self, path: Path) -> Path:
        """The innermost cell around that is the user's own, or the model."""
        while path and not self._is_users(path):
            path = path[:-1]
        return path

    def _is_users(self, path: Path) -> bool:
        cell = self._cells.get(".".join(path))
        return not path or (cell is not None and not is_native(type(cell)))


def _parts(path: str) -> Path:
    return tuple(path.split(".")) if path else ()


def _common(first: Path, second: Path) -> int:
    """How many parts two paths begin with alike."""
    return next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )


def _values(node: Node) -> Iterator[Value]:
    for given in leaves(node.args):
        if isinstance(given, Value):
            yield given
