"""What an argument of an action must be, each checked in one place: numbers may be Python's or
NumPy's.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping
from contextlib import suppress
from numbers import Real
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..backend.discovery import canonical_name
from ..errors import DataError, SpecError, UnknownNameError
from ..paths import check_path
from ..printable import shown
from ..spec.recipe import Recipe

#: What `by_framework` holds, in words, by the name of the argument.
VALUES: Final[Mapping[str, str]] = {
    "devices": "the name of a device",
    "interpreters": "the path of a Python interpreter",
}


#: The largest integer that every library takes, and the most threads that any machine can use.
LARGEST, MOST_THREADS = 2**63 - 1, 4096
#: The longest time that a system can wait for, in seconds: 31 years.
LONGEST = 1e9


def integer(name: str, value: Any, least: int, most: int = LARGEST) -> int:
    """`value`, the argument `name`, as an int. Raises `SpecError` unless it is an integer of at
    least `least` and at most `most`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise SpecError(f"`{name}`: expected an integer of at least {least}, got {shown(value)}")
    if number > most:
        raise SpecError(f"`{name}`: expected an integer of at most {most}, got {shown(value)}")
    return number


def threads_of(threads: Any) -> int | None:
    """The argument `threads` as an int or None. Raises `SpecError` for anything else."""
    return None if threads is None else integer("threads", threads, 1, MOST_THREADS)


def number(name: str, value: Any, least: float, *, finite: bool = False) -> float:
    """`value`, the argument `name`, as a float. Raises `SpecError` unless it is a number of at
    least `least`, and with `finite` not infinite.
    """
    given = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            given = float(value)
    if not given >= least or (finite and math.isinf(given)):  # NaN is not at least anything
        kind = "finite number" if finite else "number"
        raise SpecError(f"`{name}`: expected a {kind} of at least {least:g}, got {shown(value)}")
    return given


def seconds(timeout: Any) -> float:
    """The argument `timeout` as a float, at most `LONGEST`, which is for ever. Raises `SpecError`
    unless it is finite and at least 1.
    """
    return min(number("timeout", timeout, 1, finite=True), LONGEST)


def size_of(name: str, value: Any) -> tuple[int, int]:
    """`value`, the argument `name`, as (height, width). Raises `SpecError` for anything else."""
    try:
        height, width = value
    except (TypeError, ValueError):
        raise SpecError(
            f"`{name}`: expected (height, width), each at least 1, got {shown(value)}"
        ) from None
    return integer(name, height, 1), integer(name, width, 1)


def flag(name: str, value: Any) -> bool:
    """`value`, the argument `name`. Raises `SpecError` unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise SpecError(f"`{name}`: expected True or False, got {shown(value)}")
    return bool(value)


def check_recipe(recipe: Any) -> None:
    """Raises `SpecError` unless the argument `recipe` is a `Recipe`."""
    if not isinstance(recipe, Recipe):
        raise SpecError(f"`recipe`: expected a Recipe, got {shown(recipe)}")


def name_of(name: str, value: Any) -> str:
    """`value`, the argument `name`. Raises `UnknownNameError` unless it is a string."""
    if not isinstance(value, str):
        raise UnknownNameError(f"`{name}`: expected a name, got {shown(value)}")
    return value


def path_of(name: str, value: Any) -> Path:
    """`value`, the argument `name`, as a path. Raises `DataError` for anything else, for an empty
    one, which would mean the current folder, and for what cannot be a path, such as one too long.
    """
    if not isinstance(value, (str, os.PathLike)) or value == "":
        raise DataError(f"`{name}`: expected a path, got {shown(value)}; '.' is the current folder")
    return check_path(value)


def several(name: str, given: Any, one: type | tuple[type, ...] = str) -> tuple[Any, ...]:
    """What the argument `name` for several things holds, each once read; a single one, of type
    `one`, is taken as that one. Raises `UnknownNameError` if it holds nothing.
    """
    if isinstance(given, one):
        return (given,)
    try:
        return tuple(given)
    except TypeError:
        raise UnknownNameError(
            f"`{name}`: expected a name, or several, got {shown(given)}"
        ) from None


def by_framework(name: str, given: Any) -> dict[str, str]:
    """What the argument `name`, one of `VALUES`, gives for each framework, by canonical names; None
    gives nothing. Raises `UnknownNameError` for anything but a mapping to such values.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UnknownNameError(
            f"`{name}`: expected a mapping from frameworks to {VALUES[name]}, as in"
            f" {{'torch': …}}, got {shown(given)}"
        )
    for framework, value in given.items():
        if not isinstance(value, (str, os.PathLike)) or value == "":
            raise UnknownNameError(
                f"`{name}`: expected {VALUES[name]} for '{framework}', got {shown(value)}"
            )
    return {canonical_name(framework): str(value) for framework, value in given.items()}
