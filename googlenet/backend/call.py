"""A layer's spelling in a framework, as data: a constructor and its arguments.

An adapter's `leaves.leaf(site)` returns a chain of calls, each applied to the result of the one
before: usually one layer, two where the framework needs one more (Keras pads in a separate layer).
The adapter's `build` evaluates them, and adds what is not part of the layer: names, prefixes, data
formats. Code that prints or documents a layer reads the same table.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

Argument: TypeAlias = "bool | int | float | str | tuple[Argument, ...] | None"


@dataclass(frozen=True, slots=True)
class Call:
    """`target(*args, **kwargs)`, not yet called.

    `target` is a class of the framework's, or of the adapter's `modules`. Arguments are numbers,
    strings, None, and tuples of these. Raises `TypeError` for anything else, such as an array.
    """

    target: Callable[..., Any]
    args: tuple[Argument, ...] = ()
    kwargs: Mapping[str, Argument] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for argument in (*self.args, *self.kwargs.values()):
            if not is_data(argument):
                raise TypeError(
                    f"{self.target.__name__}: expected numbers, strings, None or tuples of these"
                    f" as arguments, got {argument!r}"
                )

    def __hash__(self) -> int:
        return hash((self.target, self.args, tuple(sorted(self.kwargs.items()))))

    def __str__(self) -> str:
        return self.written(self.target.__name__)

    def written(self, target: str) -> str:
        """The call as source, on one line, in which its target is called `target`."""
        arguments = [
            *map(literal, self.args),
            *(f"{name}={literal(value)}" for name, value in self.kwargs.items()),
        ]
        return f"{target}({', '.join(arguments)})"

    def evaluate(self, **more: Any) -> Any:
        """The result of the call; `more` are the keywords that the adapter adds."""
        return self.target(*self.args, **self.kwargs, **more)


Chain: TypeAlias = tuple[Call, ...]


def options(**pairs: tuple[Argument, Argument]) -> dict[str, Argument]:
    """Keyword arguments given as (value, the framework's default), without those at the default."""
    return {name: value for name, (value, default) in pairs.items() if value != default}


@cache
def signature(target: Callable[..., Any]) -> inspect.Signature:
    """What a target takes: of a class whose metaclass takes anything, as Flax's do, what its
    `__init__` does.
    """
    found = inspect.signature(target)
    anything = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if isinstance(target, type) and tuple(each.kind for each in found.parameters.values()) == (
        anything
    ):
        made = next(vars(base)["__init__"] for base in target.__mro__ if "__init__" in vars(base))
        _, *own = inspect.signature(made).parameters.values()
        return found.replace(parameters=own)
    return found


def literal(value: Argument) -> str:
    """Data as source: 64, "same", (1, 7), 1e-05; and `1 - 0.9997` for what that is."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        inside = ", ".join(map(literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, float) and len(repr(value)) > 8:
        rest = f"{1 - value:.6g}"
        if 1 - float(rest) == value:
            return f"1 - {rest}"
    return repr(value)


def is_data(argument: object) -> bool:
    """Whether something can be an argument of a `Call`."""
    if isinstance(argument, tuple):
        return all(map(is_data, argument))
    return argument is None or isinstance(argument, (bool, int, float, str))
