"""Which line of the user's code made each layer of their model: noted while it is being made."""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from types import FrameType
from typing import Any

#: The most lines that are noted of one layer, from the one that makes it outwards, and the most
#: characters that are shown of one.
DEEPEST, LONGEST = 12, 200


@dataclass(frozen=True)
class Line:
    """A line of the user's: the file, the number of the line, and the code there: a whole call
    where it is known, else the line. `column` tells two calls on one line apart.
    """

    file: str
    line: int
    text: str
    column: int = 0

    def to_json(self) -> dict[str, Any]:
        """Everything but the column."""
        return {"file": self.file, "line": self.line, "text": self.text}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Line:
        """The inverse of `to_json`."""
        return cls(values["file"], values["line"], values["text"])


class Lines:
    """The lines that made the objects of some classes, from the innermost outwards; `is_users` says
    whether a file is the user's. Files are called as from the folder in which the process is now.
    """

    def __init__(self, is_users: Callable[[str], bool]) -> None:
        self._is_users = is_users
        try:
            self._folder = os.getcwd()  # the user's code may go elsewhere
        except OSError:  # it is gone
            self._folder = os.sep
        self._noted: dict[int, tuple[Callable[[], object], tuple[_Call, ...]]] = {}

    @contextmanager
    def noting(self, classes: Sequence[type]) -> Iterator[None]:
        """Note every object of `classes`, or of one derived from them, that the block makes: their
        `__init__` is another meanwhile.
        """
        originals = [(each, each.__dict__["__init__"]) for each in classes]
        for each, original in originals:
            each.__init__ = self._noticed(original)  # type: ignore[misc]
        try:
            yield
        finally:
            for each, original in originals:
                each.__init__ = original  # type: ignore[misc]

    def made(self, value: object) -> tuple[Line, ...]:
        """Where `value` was made, the line that called its class first; empty if nobody knows."""
        reference, calls = self._noted.get(id(value), (lambda: None, ()))
        if reference() is not value:
            return ()
        return tuple(Line(self._shown(each.file), *each.line()) for each in calls)

    def called(self, file: str, number: int) -> Line | None:
        """A line by its number, if its file is the user's."""
        if not self._is_users(file):
            return None
        text = linecache.getline(file, number).strip()
        return Line(self._shown(file), number, _cut(text)) if text else None

    def is_own(self, value: object) -> bool:
        """Whether the class of `value` is written by the user."""
        module = sys.modules.get(type(value).__module__)
        file = getattr(module, "__file__", None)
        return file is None or self._is_users(file)

    def _shown(self, file: str) -> str:
        """A file as the user would call it, if it is in their folder or below."""
        relative = os.path.relpath(file, self._folder)
        return file if relative.startswith(os.pardir) else relative

    def _noticed(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def init(this: Any, *args: Any, **kwargs: Any) -> None:
            self._note(this, sys._getframe(1))
            original(this, *args, **kwargs)

        init.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        return init

    def _note(self, value: object, frame: FrameType | None) -> None:
        calls: list[_Call] = []
        while frame is not None and len(calls) < DEEPEST:
            if self._is_users(frame.f_code.co_filename) and not _is_inside(frame, value):
                calls.append(_Call.of(frame))
            frame = frame.f_back
        try:
            self._noted.setdefault(id(value), (weakref.ref(value), tuple(calls)))
        except TypeError:  # it takes no weak references
            return
        if self._noted[id(value)][0]() is not value:  # of one that is gone, with the same id
            self._noted[id(value)] = (weakref.ref(value), tuple(calls))


def _is_inside(frame: FrameType, value: object) -> bool:
    """Whether a frame is of a method of `value`, as of its own `__init__`."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    return bool(names) and frame.f_locals.get(names[0]) is value


@dataclass(frozen=True)
class _Call:
    """Where a call stands in a file: lines from 1, columns of UTF-8 from 0, None if unknown."""

    file: str
    first: int
    last: int | None
    start: int | None
    end: int | None

    @classmethod
    def of(cls, frame: FrameType) -> _Call:
        """The call that a frame is in."""
        found = islice(frame.f_code.co_positions(), frame.f_lasti // 2, None)
        first, last, start, end = next(found, (None, None, None, None))
        return cls(frame.f_code.co_filename, first or frame.f_lineno, last, start, end)

    def line(self) -> tuple[int, str, int]:
        """The number of the line, what is shown of it, and the column."""
        text = linecache.getline(self.file, self.first).strip()
        return self.first, _cut(self._whole() or text), self.start or 0

    def _whole(self) -> str:
        """The call itself, on one line."""
        if self.last is None or self.start is None or self.end is None:
            return ""
        lines = [linecache.getline(self.file, n) for n in range(self.first, self.last + 1)]
        code = [line.encode() for line in lines]
        code[-1] = code[-1][: self.end]
        code[0] = code[0][self.start :]
        text = b"".join(code).decode(errors="replace").strip()
        if "\n" in text:
            try:  # without the comments between its lines
                text = ast.unparse(ast.parse(text, mode="eval"))
            except SyntaxError:
                text = " ".join(text.split())
        return text


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def at(model: Any, place: str) -> Any:
    """The object at a place such as `net[3].p3_2` or `net.get_layer("conv2d_3")`, `net` being
    `model`; None if there is none, or the place is written otherwise.
    """
    try:
        return _value(ast.parse(place, mode="eval").body, model)
    except Exception:  # attributes of the user's classes may raise anything
        return None


def _value(node: ast.expr, model: Any) -> Any:
    match node:
        case ast.Name(id="net"):
            return model
        case ast.Attribute(value=inside, attr=name):
            return getattr(_value(inside, model), name)
        case ast.Subscript(value=inside, slice=ast.Constant(value=key)):
            return _value(inside, model)[key]
        case ast.Call(
            func=ast.Attribute(value=inside, attr="get_layer"), args=[ast.Constant(value=key)]
        ):
            return _value(inside, model).get_layer(key)
    raise LookupError(ast.unparse(node))
