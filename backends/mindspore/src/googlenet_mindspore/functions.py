"""Models that are functions, as cells that hold the layers and weights around them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType
from typing import Any

import mindspore as ms
from mindspore import nn


class Functional(nn.Cell):
    """A function as a cell, whose own cells and parameters are those that it `used`: by what the
    user writes for each. `written` says that by the names that they have here.
    """

    def __init__(self, function: Callable[..., Any], used: Mapping[str, Any]) -> None:
        super().__init__()
        self.own_function: Callable[..., Any] = function
        self.own_first: tuple[Any, ...] = ()
        self.own_named: dict[str, Any] = {}
        if isinstance(function, partial):
            self.own_function, self.own_first = function.func, function.args
            self.own_named = function.keywords
        self.written: dict[str, str] = {}
        for text, value in used.items():
            name = re.sub(r"\W+", "_", text).strip("_")
            while hasattr(self, name):
                name += "_"
            self.written[name] = text
            if isinstance(value, ms.Parameter):
                value.name = name
            setattr(self, name, nn.CellList(value) if isinstance(value, list) else value)

    def construct(self, x: ms.Tensor) -> Any:
        """What the function gives."""
        return self.own_function(*self.own_first, x, **self.own_named)


@contextmanager
def as_cell(function: Callable[..., Any]) -> Iterator[Functional]:
    """`function` as a cell. Afterwards its cells and parameters are called what they were."""
    used = _used(function)
    every = [
        each for value in used.values() for each in (value if type(value) is list else [value])
    ]
    cells = [cell for each in every if isinstance(each, nn.Cell) for cell in _inside(each)]
    parameters = [each for each in every if isinstance(each, ms.Parameter)]
    parameters += [each for cell in cells for each in cell.get_parameters(expand=False)]
    names = [(each, each.name) for each in parameters]
    attributes = [(cell, dict(vars(cell))) for cell in cells]
    try:
        yield Functional(function, used)
    finally:
        for each, name in names:
            each.name = name
        for cell, before in attributes:
            vars(cell).update(before)


def _inside(cell: nn.Cell) -> list[nn.Cell]:
    return [each for _, each in cell.cells_and_names()]


def _used(function: Callable[..., Any]) -> dict[str, Any]:
    """The cells, lists of cells, and parameters that a function, and what it calls, takes from
    around it, by what is written for each.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    around = map(surroundings, called(function))
    for each in (_of_method(function), *around):
        for name, value in each.items():
            for text, held in _held(name, value).items():
                if id(held) not in seen:
                    seen.add(id(held))
                    found[text] = held
    return found


def _of_method(function: Callable[..., Any]) -> dict[str, Any]:
    """The attributes of the object that a method belongs to."""
    owner = getattr(function, "__self__", None)
    held = vars(owner) if hasattr(owner, "__dict__") else {}
    if isinstance(owner, nn.Cell):
        held = {**owner._cells, **owner._params}
    return {f"self.{name}": value for name, value in held.items()}


def _held(name: str, value: Any) -> dict[str, Any]:
    match value:
        case nn.Cell() | ms.Parameter():
            return {name: value}
        case list() | tuple() if value and all(isinstance(each, nn.Cell) for each in value):
            return {name: list(value)}
        case list() | tuple():
            items = list(enumerate(value))
        case dict():
            items = list(value.items())
        case _:
            return {}
    kinds = (nn.Cell, ms.Parameter)
    return {f"{name}[{key!r}]": each for key, each in items if isinstance(each, kinds)}


def called(function: Any) -> Iterator[FunctionType]:
    """A user's function and those of theirs that it calls by name, each once."""
    waiting, seen = [inspect.unwrap(getattr(function, "func", function))], set()
    while waiting:
        each = waiting.pop(0)
        each = getattr(each, "__func__", each)
        if not isinstance(each, FunctionType) or each in seen or _is_library(each):
            continue
        seen.add(each)
        yield each
        for value in surroundings(each).values():
            if inspect.isroutine(value):
                waiting.append(inspect.unwrap(value))


def surroundings(function: FunctionType) -> dict[str, Any]:
    """What a function takes from its module, and from the function around it, by name."""
    names = list(_names(function.__code__))
    found = {name: function.__globals__[name] for name in names if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not there yet
            continue
    return found


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def _is_library(function: FunctionType) -> bool:
    package = (function.__module__ or "").partition(".")[0]
    return package in ("mindspore", "numpy", "googlenet", "googlenet_mindspore")
