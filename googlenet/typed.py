"""Whether a value that came from a file is what its class says: a dataclass checks no types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

#: What turning JSON into objects may raise if it is not what it should be.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def made(make: Callable[[Any], T], values: Any) -> T:
    """`make(values)`, if all that it holds has the types of its fields. Raises `ValueError`, in
    words, for values that are anything else, whatever `make` raises for them.
    """
    try:
        found = make(values)
        wrong = misfit(found, type(found))
    except MALFORMED as error:
        plain = type(error) is ValueError
        what = str(error) if plain else f"{type(error).__name__}: {error}".rstrip(": ")
        raise ValueError(" ".join(what.split())[:200]) from error
    if wrong is not None:
        raise ValueError(wrong)
    return found


def misfit(value: Any, kind: Any, name: str = "the value") -> str | None:
    """What of `value` has not the type `kind`, in words; None if all has. Of a dataclass every
    field is looked at, and of a container every item; a bool is no number.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        ways = sorted(arguments, key=lambda each: each is NoneType)
        found = [misfit(value, each, name) for each in ways]
        return None if None in found else found[0]
    if not _is(value, origin or kind):
        return f"{name} is {_short(value)}, expected {_words(origin or kind)}"
    if origin is tuple and Ellipsis not in arguments and len(value) != len(arguments):
        return f"{name} is {_short(value)}, expected {len(arguments)} items"
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        parts = ((getattr(value, each.name), hints[each.name], each.name) for each in fields(kind))
    else:
        parts = _items(value, origin, arguments, name)
    return next((wrong for part in parts if (wrong := misfit(*part)) is not None), None)


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (None, NoneType):
        return value is None
    if kind is Any or not isinstance(kind, type):
        return True
    if kind is Sequence and isinstance(value, str):
        return False
    return isinstance(value, kind)


def _items(value: Any, origin: Any, arguments: Any, name: str) -> Any:
    """The items of a container, each with its type and what it is called."""
    if not arguments or not isinstance(origin, type):
        return
    if issubclass(origin, Mapping):
        for key, item in value.items():
            yield key, arguments[0], f"a key of {name}"
            yield item, arguments[1], f"{name} '{str(key)[:60]}'"
    elif origin is tuple and Ellipsis not in arguments:
        for item, kind in zip(value, arguments, strict=True):
            yield item, kind, f"an item of {name}"
    elif issubclass(origin, tuple | list | frozenset | Sequence):
        for item in value:
            yield item, arguments[0], f"an item of {name}"


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _words(kind: Any) -> str:
    known = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
    return known.get(kind) or str(getattr(kind, "__name__", kind))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
