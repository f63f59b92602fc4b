"""Values beside the weights of a checkpoint (arguments, paths, devices, sets) as stand-ins that
hold nothing and do nothing, whatever a pickle makes of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from . import pickles


class _Fixed(type):
    """A class whose attributes no pickle can set."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(name)


class Inert(metaclass=_Fixed):
    """Stands in for a class, as pickles of protocol 2 and later want one, and for its values: it
    takes any arguments, state, entries or items, and keeps none.
    """

    __slots__ = ()

    def __new__(cls, *_: Any) -> Inert:  # noqa: D102
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Take an item, and drop it."""

    def extend(self, items: Any) -> None:
        """Take items, and drop them."""


def _inert(*_: Any) -> Inert:
    """What every function in the table returns."""
    return Inert()


def _pair(items: Any = (), /) -> tuple[Any, ...]:
    """Stands in for tuple, by which Paddle joins the name of a tensor and its values."""
    if type(items) not in (tuple, list):
        raise ValueError(f"a tuple of one {type(items).__name__}, expected of a list")
    return tuple(items)


def _no_bytes(*arguments: Any) -> bytes | Inert:
    """Stands in for bytes, by which protocols up to 2 write none."""
    return Inert() if arguments else b""


def _mapping(*_: Any) -> dict[Any, Any]:
    """Stands in for defaultdict: the dictionary that the pickle then fills. What makes its missing
    values is dropped.
    """
    return {}


#: Python 2's module, under which protocols up to 2 name it, and Python 3's.
_BUILTINS = ("__builtin__", "builtins")
_VALUES = (
    *((module, name) for module in _BUILTINS for name in ("set", "frozenset", "complex")),
    *((module, name) for module in _BUILTINS for name in ("bytearray", "slice", "range", "xrange")),
    *((module, name) for module in _BUILTINS for name in ("list", "int", "float", "str", "bool")),
    *((module, name) for module in _BUILTINS for name in ("dict", "object")),
    *(
        (module, name)
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
    ),
    ("argparse", "Namespace"),
    ("types", "SimpleNamespace"),
    ("collections", "Counter"),
    ("torch", "device"),
)
#: Harmless values by the names that pickles give them. None of these calls what it stands for.
INERT: pickles.Allowed = {
    **dict.fromkeys(_VALUES, Inert),
    **{(module, "tuple"): pickles.StandIn(_pair) for module in _BUILTINS},
    **{(module, "bytes"): pickles.StandIn(_no_bytes) for module in _BUILTINS},
    # The way in which protocols 0 and 1 make a value of a class that has no other.
    **{(module, "_reconstructor"): pickles.StandIn(_inert) for module in ("copy_reg", "copyreg")},
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): pickles.StandIn(_mapping),
}
