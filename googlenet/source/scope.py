"""Where the names in a file of source come from: the framework's namespaces, the file's own
classes, and layers that the framework lacks, whose source is copied.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import sys
import textwrap
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from ..errors import BackendError
from .tree import Block


class Scope:
    """Spells targets, and knows afterwards which of the adapter's own layers were used."""

    def __init__(
        self, namespaces: Mapping[str, Any], modules: ModuleType, imports: Mapping[str, str]
    ) -> None:
        """All three as a `Spelling` has them."""
        self._namespaces, self._modules, self._imports = namespaces, modules, imports
        self._helpers: dict[str, str] = {}

    def name(self, target: Any) -> str:
        """`target` as it is written. Raises `BackendError` if it is neither in a namespace nor in
        the adapter's `modules`.
        """
        if isinstance(target, Block):
            return target.name
        named = target.__name__
        for alias, namespace in self._namespaces.items():
            if getattr(namespace, named, None) is target:
                return f"{alias}.{named}"
        self._copy(target)
        return str(named)

    def used_in(self, text: str) -> str:
        """`text`, source that the adapter has written; what it uses of the adapter's `modules` is
        copied, too.
        """
        for used in sorted(used_names(text)):
            target: Any = getattr(self._modules, used, None)
            if getattr(target, "__module__", None) == self._modules.__name__:
                self._copy(target)
        return text

    def _copy(self, target: Any) -> None:
        """Note the source of a layer of `modules`, after that of what it uses of them."""
        modules, named = self._modules, target.__name__
        if named not in vars(modules) or vars(modules)[named] is not target:
            raise BackendError(
                f"{target.__module__}.{named}: cannot be written as source; it is neither in the"
                f" framework's namespaces {', '.join(self._namespaces)} nor in"
                f" {modules.__name__}"
            )
        if named in self._helpers:
            return
        source = textwrap.dedent(inspect.getsource(target)).rstrip()
        for used in sorted(used_names(source) - {named}):
            other: Any = getattr(modules, used, None)
            if getattr(other, "__module__", None) == modules.__name__:
                self._copy(other)
        self._helpers[named] = source

    @property
    def helpers(self) -> list[str]:
        """The sources of the layers that were used, each after those that it uses."""
        return list(self._helpers.values())

    @property
    def reserved(self) -> frozenset[str]:
        """Names that no class or function of a file may have: keywords, and what code uses that
        stands in it.
        """
        given = {*self._namespaces, *self._imports, *vars(self._modules)}
        # `i` counts in loops.
        return frozenset({*given, *dir(builtins), *keyword.kwlist, "self", "i"})

    def imports(self, text: str) -> list[str]:
        """The statements that bind the names which `text` uses, in two groups, sorted."""
        used = used_names(text)
        known = {**_imports_of(self._modules), **_parsed(self._imports)}
        return _sorted({source for name, source in known.items() if name in used})


def used_names(source: str) -> set[str]:
    """Every name that a piece of source reads."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _imports_of(module: Any) -> dict[str, tuple[str, str]]:
    return _bound(ast.parse(inspect.getsource(module)).body)


def _parsed(imports: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return _bound(ast.parse("\n".join(imports.values())).body)


def _bound(body: Iterable[ast.stmt]) -> dict[str, tuple[str, str]]:
    """For each name that imports bind, the module and what is imported from it, or for a module
    itself "" in its place.
    """
    found: dict[str, tuple[str, str]] = {}
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (ast.unparse(alias), "")
        elif isinstance(node, ast.ImportFrom) and node.module not in (None, "__future__"):
            for alias in node.names:
                found[alias.asname or alias.name] = (str(node.module), ast.unparse(alias))
    return found


def sorted_imports(text: str) -> list[str]:
    """The import statements of `text`, each name once, in two groups as tools sort them."""
    return _sorted(set(_bound(ast.parse(text).body).values()))


def _sorted(imports: Iterable[tuple[str, str]]) -> list[str]:
    """Import statements as tools sort them: the standard library first, modules before what comes
    from one.
    """
    modules: dict[str, list[str]] = {}
    for module, member in sorted(imports):
        modules.setdefault(f"from {module}" if member else f"import {module}", []).append(member)
    groups: tuple[list[str], list[str]] = ([], [])
    for start, members in sorted(modules.items(), key=lambda pair: pair[0].startswith("from")):
        standard = start.split()[1].partition(".")[0] in sys.stdlib_module_names
        line = f"{start} import {', '.join(members)}" if members != [""] else start
        groups[0 if standard else 1].append(line)
    first, second = groups
    return [*first, *([""] if first and second else []), *second]
