"""What a backend shows of the known traps: for each the code that its users would write, and the
code that does what the spec says, run and printed from one text.

A piece of code is a chain of `Call`s, printed as its layers are written, or a function of native
tensors, printed by its source. So a function of a gallery imports nothing, and names only what the
gallery's `namespaces` have.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any, TypeAlias

from ..spec.traversal import LeafSite
from .call import Call, Chain

#: A chain of layers, or a function of native tensors that are called as the trap calls them.
Code: TypeAlias = "Chain | Callable[..., Any]"


class Outcome(Enum):
    """What becomes of a trap in a framework, by the words that reports have for it."""

    DIFFERS = "differs"
    AGREES = "agrees"
    REFUSES = "refuses"
    ABSENT = "absent"
    FAILED = "failed"


@dataclass(frozen=True)
class Shown:
    """A trap in one framework: the code that its users would write (`default`), what is `expected`
    to become of it, and what is `right`, None for the adapter's own layer. `raises` begins what a
    refusal says: "ValueError: padding".
    """

    expected: Outcome
    default: Code | None = None
    right: Code | None = None
    remark: str = ""
    raises: str = ""


def differs(default: Code, right: Code | None = None, remark: str = "") -> Shown:
    """The trap is there: `default` is another function than the spec's."""
    return Shown(Outcome.DIFFERS, default, right, remark)


def agrees(default: Code, remark: str = "") -> Shown:
    """The framework has no such trap: what its users write is right."""
    return Shown(Outcome.AGREES, default, None, remark)


def refuses(raises: str, default: Code, right: Code | None = None, remark: str = "") -> Shown:
    """The framework raises an error, so nobody falls into the trap unnoticed. `raises` is how the
    error begins, its class and a few words: any other is no refusal, but broken code.
    """
    return Shown(Outcome.REFUSES, default, right, remark, raises)


def absent(remark: str) -> Shown:
    """The trap cannot be written in this framework; `remark` says why."""
    return Shown(Outcome.ABSENT, remark=remark)


@dataclass(frozen=True)
class Gallery:
    """What a framework shows: an entry for each trap by name, the modules that its code names by
    the names in the code, and the adapter's `leaf`, which spells the spec's layers, if it has one.
    """

    entries: Mapping[str, Shown]
    namespaces: Mapping[str, ModuleType]
    leaf: Callable[[LeafSite], Chain] | None = None

    @property
    def imports(self) -> str:
        """The lines that import what the code names."""
        names = [name for name in self.namespaces if "." not in name]
        return "\n".join(_import(name, self.namespaces[name].__name__) for name in names)

    def text(self, code: Code) -> str:
        """The code as it is printed: one line for each layer, or the source of the function."""
        if isinstance(code, tuple):
            return "\n".join(map(self._spelled, code))
        return inspect.getsource(code).rstrip()

    def lacking(self, code: Code) -> Iterator[Any]:
        """What the framework lacks and `code` uses: the adapter's own classes and functions."""
        for call in code if isinstance(code, tuple) else ():
            if self._namespace(call) is None:
                yield call.target

    def _spelled(self, call: Call) -> str:
        found = self._namespace(call)
        return call.written(f"{found}.{call.target.__name__}") if found else str(call)

    def _namespace(self, call: Call) -> str | None:
        """The name of the module that has the target of `call`; None if it is the adapter's own."""
        for name, module in self.namespaces.items():
            if getattr(module, call.target.__name__, None) is call.target:
                return name
        return None


def _import(name: str, module: str) -> str:
    """`import keras`, `from torch import nn`, `import tensorflow as tf`."""
    parent, _, last = module.rpartition(".")
    if last != name:
        return f"import {module} as {name}"
    return f"from {parent} import {last}" if parent else f"import {last}"
