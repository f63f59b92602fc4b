"""Calls, lists and signatures as lines of at most 100 columns, broken as formatters of Python
break them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: The most columns of a line.
WIDTH: Final = 100
INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Part:
    """A member of a group: `text` before it, such as `stride=`, and a comment after it."""

    text: str
    code: Code = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Members between brackets: `opening` is all that stands before them, `closing` what follows.

    `long` says that each has a line of its own, whatever would fit.
    """

    opening: str
    parts: tuple[Part, ...]
    closing: str
    long: bool = False


Code: TypeAlias = "str | Group"


def printed(text: str) -> str:
    """`text` on one line; what cannot be printed is escaped."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in " ".join(text.split())
    )


def flat(code: Code) -> str:
    """All on one line."""
    if isinstance(code, str):
        return code
    return code.opening + _members(code.parts) + code.closing


def _members(parts: Sequence[Part]) -> str:
    return ", ".join(part.text + flat(part.code) for part in parts)


def _is_long(code: Code) -> bool:
    return isinstance(code, Group) and (
        code.long or any(_is_long(part.code) or part.comment for part in code.parts)
    )


def lines(
    code: Code, indent: str = "", *, before: str = "", after: str = "", comment: str = ""
) -> list[str]:
    """`before`, `code` and `after` from `indent` on, with a comment at the end of the line, or
    above it if it does not fit there.
    """
    line = f"{indent}{before}{flat(code)}{after}"
    if isinstance(code, str) or (not _is_long(code) and len(line) <= WIDTH):
        return _commented([line], indent, comment)
    inner = indent + INDENT
    opening, closing = f"{indent}{before}{code.opening}", f"{indent}{code.closing}{after}"
    members = inner + _members(code.parts)
    # Arguments may stand together on the next line; the members of a list may not, nor those of a
    # call that is called again: formatters would break the second call.
    called = code.closing != ")" and len(opening + _members(code.parts)) < WIDTH - 1
    together = not _is_long(code) and len(members) <= WIDTH and code.closing[0] == ")"
    if together and not (called and code.closing.endswith(")")):
        return _commented([opening, members, closing], indent, comment)
    return _commented([opening, *_each(code.parts, inner), closing], indent, comment)


def _each(parts: Sequence[Part], indent: str) -> Iterator[str]:
    for part in parts:
        yield from lines(part.code, indent, before=part.text, after=",", comment=part.comment)


def _commented(found: list[str], indent: str, comment: str) -> list[str]:
    if not comment:
        return found
    first = f"{found[0]}  # {comment}"
    if len(found) == 1 and len(first) <= WIDTH:
        return [first]
    return [f"{indent}# {comment}", *found]
