"""Text from data, such as the name of a file, a class or an array, as it may be printed: what a
terminal would act on, or what would break a line, is made visible.
"""

from __future__ import annotations

import os
import re
import unicodedata
from textwrap import shorten
from typing import Any, Final

#: Short escapes; others are by number.
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
#: Python's half characters for bytes of a name that is not UTF-8.
_BYTES: Final = range(0xDC80, 0xDD00)
#: What a path that is longer shows of itself: its beginning and its end.
_LONGEST, _BEGINNING, _END = 300, 200, 60


def printable(text: str, *, lines: bool = False) -> str:
    r"""`text` with an escape for each character that is not one to be seen: `\x1b` for a terminal's
    escape, `\n` for a line break unless `lines` is True, `\xff` for a byte of a name that is not
    UTF-8, `\u202e` for one that turns the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(c if _plain(c) or (lines and c == "\n") else _seen(c) for c in text)


def _seen(character: str) -> str:
    code = ord(character)
    if code in _BYTES:
        code -= 0xDC00
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable_json(text: str, *, ascii_only: bool = False) -> str:
    r"""JSON `text` with `\u…`, which means the same, for characters in its strings that are not
    ones to be seen; with `ascii_only` for all that ASCII lacks.
    """

    def escaped(found: re.Match[str]) -> str:
        data = found[0].encode("utf-16-be", "surrogatepass")
        units = (data[i : i + 2] for i in range(0, len(data), 2))
        return "".join(f"\\u{unit.hex()}" for unit in units)

    if ascii_only:
        return re.sub(r"[^\x20-\x7e\n]", escaped, text)
    if text.isprintable():
        return text
    return re.sub(r"[^\n]", lambda found: found[0] if _plain(found[0]) else escaped(found), text)


def _plain(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def shown(value: Any) -> str:
    """`value` as an error shows it: on one line, and only the beginning of what is long."""
    if isinstance(value, int) and abs(value) >= 10**60:
        return "one of more than 60 digits"  # which Python may refuse to write
    return shorten(repr(value), 80, placeholder=" …")


def shown_path(path: str | os.PathLike[str]) -> str:
    """`path` as a message names it: of one that is far too long, the beginning and the end."""
    text = os.fspath(path)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_BEGINNING]}…{text[-_END:]}"
