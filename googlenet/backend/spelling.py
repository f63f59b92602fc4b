"""How the users of a framework write a network, as data: what stands around the `Call`s of its
leaves.

A backend that `Writes` has one of these as `spelling`. Which layers form a class, what its
arguments are called and where lines break is decided in `googlenet.source`, once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ..spec.traversal import LeafSite
from .call import Chain


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """What every style has: the leaves, and where their names come from.

    A target of a `Call` is written as `alias.Name` if one of `namespaces`, by alias, has it. Any
    other must be in `modules`, whose source is copied whole, with those of its imports that it
    needs. `imports` are further statements, by the name that each binds; `preamble` are statements
    that follow them.
    """

    leaf: Callable[[LeafSite], Chain]
    namespaces: Mapping[str, Any]
    modules: ModuleType
    imports: Mapping[str, str]
    preamble: tuple[str, ...] = ()
    #: The framework's name, that of its backend, for `check_names`.
    framework: str = "the framework"
    #: Names that no layer can have: attributes that the framework itself needs.
    attributes: frozenset[str] = frozenset()
    #: Whether maps are (N, H, W, C) here.
    channels_last: bool = False
    #: Arguments that no layer of the spec has, but the framework's: a class takes them by name and
    #: hands them on to those of its layers that do, such as Flax's source of random numbers. With
    #: what users give for each.
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loading:
    """How the framework's users load a file of `weights` (a `Path`) into a `model`, and return it
    in evaluation mode: statements, and the `imports` that they need.
    """

    imports: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Classes(Spelling):
    """A block is a class that holds its layers as attributes, as in PyTorch.

    `method` is what runs it on `x`; `concatenation` joins `{branches}`, a list, along the channels.
    `sequence(**layers)` and `total(body, shortcut, scale)` are functions or classes of `modules`.
    """

    base: str
    method: str
    concatenation: str
    sequence: Callable[..., Any]
    total: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Functions(Spelling):
    """A block is a function of a symbolic tensor, as in Keras's functional style; every layer is
    given its path as `name`.

    `images` is the tensor of inputs of `{shape}`, `model` the network from `{images}` to
    `{outputs}` with the `{name}`; both may use what is in `modules`. `concatenation()` and
    `total(scale)` make layers that take a list, the latter's [body, shortcut]. Of a chain of
    several calls, all but the last have the path and the ending that `endings` has for their
    target.
    """

    images: str
    model: str
    concatenation: Callable[..., Any]
    total: Callable[..., Any]
    endings: Mapping[Any, str] = field(default_factory=dict)
