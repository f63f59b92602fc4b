"""Pickles that can hold nothing but data.

A pickle is a program that may call whatever it names. `load` first follows it without building
anything (`opcodes.py`), and then runs it with a table of the names that it may use, each bound to a
stand-in in this package; any other name stops it. The stand-ins have no attributes that a pickle
could set, so that one file cannot change how the next is read.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...errors import WeightsError
from .opcodes import end_of_pickle

Allowed = Mapping[tuple[str, str], Any]


class StandIn:
    """A callable without attributes that a pickle could set, wrapped around a class or function
    that has some.
    """

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *args: Any) -> Any:  # noqa: D102
        return self._call(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


class _Refused(Exception):
    """A name that is not in the table."""


def load(
    path: Path,
    pickled: bytes,
    allowed: Allowed,
    *,
    encoding: str,
    advice: str,
    persistent_load: Callable[[Any], Any] | None = None,
) -> Any:
    """What `pickled`, one complete pickle, holds; `encoding` is for strings of Python 2.

    Raises `WeightsError`, naming `path` and the first name that is not `allowed` and ending in
    `advice`; what the meter raises for one that becomes too much; and whatever a damaged pickle
    makes the unpickler raise.
    """
    loaded, end = load_at(
        path,
        pickled,
        0,
        allowed,
        encoding=encoding,
        advice=advice,
        persistent_load=persistent_load,
    )
    if end != len(pickled):
        raise ValueError("bytes after the end of the pickle")
    return loaded


def load_at(
    path: Path,
    data: bytes,
    start: int,
    allowed: Allowed,
    *,
    encoding: str,
    advice: str,
    persistent_load: Callable[[Any], Any] | None = None,
) -> tuple[Any, int]:
    """What the pickle that begins at `start` of `data` holds, and the offset after it. Raises as
    `load` does.
    """
    end = end_of_pickle(data, start)

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in allowed:
                raise _Refused(
                    " ".join(f"{module}.{name}".split())
                )  # on one line, whatever it holds
            return allowed[module, name]

        def persistent_load(self, pid: Any) -> Any:
            if persistent_load is None:
                raise ValueError("a pickle that refers to data outside itself")
            return persistent_load(pid)

    try:
        stream = io.BytesIO(data)  # which copies nothing
        stream.seek(start)
        return Unpickler(stream, encoding=encoding).load(), end
    except _Refused as refused:
        raise WeightsError(
            f"{path}: expected a pickle of plain arrays, got one that asks for '{refused}', which"
            f" was refused before anything ran; {advice}"
        ) from None
