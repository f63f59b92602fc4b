"""Which line of the user's code graph mode refuses, where it does not say so itself."""

from __future__ import annotations

import ast
import inspect
import os
import re
import textwrap
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any, Final

import mindspore as ms
from mindspore import nn

from .functions import Functional, called
from .places import is_native

_NAMED: Final = re.compile(r"Unsupported (?:statement|expression) '(?P<kind>\w+)'")
_LINE: Final = re.compile(r"In file (?P<file>[^\n]+?):(?P<line>\d+)[^\n]*\n(?P<code>[^\n]*)")
#: What is known of a tensor before it has values.
_STATIC: Final = ("shape", "ndim", "dtype", "size", "itemsize", "nbytes")


def refused(model: nn.Cell, error: BaseException) -> str:
    """The user's line that graph mode does not understand: `mynet.py, line 12: import math`; "" if
    nobody knows.
    """
    text = str(error)
    named = _NAMED.search(text)
    kind = getattr(ast, named["kind"], None) if named else None
    if kind is not None:
        for each in _functions(cell for _, cell in model.cells_and_names()):
            for node in _statements(each):
                if isinstance(node[0], kind):
                    return _line(each, node[1])
    own = (os.path.dirname(ms.__file__), os.path.dirname(__file__))
    found = [each for each in _LINE.finditer(text) if not each["file"].startswith(own)]
    if not found:
        return ""
    last = found[-1]
    return _shown(last["file"], last["line"], last["code"])


def branching(cells: Iterable[nn.Cell]) -> str:
    """The first line at which the user's code in `cells` depends on the values of tensors; "" if
    nobody knows.
    """
    for each in _functions(cells):
        known = {name for name in inspect.signature(each).parameters if name != "self"}
        for node, line in _statements(each):
            if isinstance(node, ast.Assign | ast.AugAssign) and _depends(node.value, known):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    known |= {one.id for one in ast.walk(target) if isinstance(one, ast.Name)}
            if isinstance(node, ast.If | ast.While | ast.IfExp) and _depends(node.test, known):
                return _line(each, line)
    return ""


def _depends(expression: ast.expr, names: set[str]) -> bool:
    """Whether the value of an expression depends on the values of `names`."""
    if isinstance(expression, ast.Attribute) and expression.attr in _STATIC:
        return False
    if isinstance(expression, ast.Call) and getattr(expression.func, "id", "") == "len":
        return False
    if isinstance(expression, ast.Compare) and all(
        isinstance(each, ast.Is | ast.IsNot) for each in expression.ops
    ):
        return False
    if isinstance(expression, ast.Name):
        return expression.id in names
    parts = [each for each in ast.iter_child_nodes(expression) if isinstance(each, ast.expr)]
    parts += [each.value for each in getattr(expression, "keywords", ())]
    return any(_depends(each, names) for each in parts)


def _functions(cells: Iterable[nn.Cell]) -> Iterator[FunctionType]:
    """The functions that are the user's cells, with the methods and functions that these call."""
    seen: set[Any] = set()
    for cell in cells:
        kind = type(cell)
        roots = [cell.own_function] if isinstance(cell, Functional) else []
        if not isinstance(cell, Functional) and not is_native(kind):
            roots = [kind.construct]
        while roots:
            for each in called(roots.pop(0)):
                if each in seen:
                    continue
                seen.add(each)
                yield each
                methods = (getattr(kind, name, None) for name in each.__code__.co_names)
                roots += [one for one in methods if isinstance(one, FunctionType)]


def _statements(function: FunctionType) -> list[tuple[Any, int]]:
    """The nodes of a function's source in order, each with its line in the file."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):  # no source, or a part of an expression
        return []
    found = [(node, node.lineno + first - 1) for node in ast.walk(tree) if hasattr(node, "lineno")]
    return sorted(found, key=lambda each: (each[1], each[0].col_offset))


def _line(function: FunctionType, line: int) -> str:
    lines, first = inspect.getsourcelines(function)
    return _shown(inspect.getsourcefile(function) or "", line, lines[line - first])


def _shown(file: str, line: int | str, code: str) -> str:
    return f"{os.path.basename(file)}, line {line}: {code.strip().rstrip(':')}"
