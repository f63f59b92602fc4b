"""A network as a tree of calls: each leaf the native constructors of an adapter's `Chain`, with
every argument by its name.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..backend.call import Call, is_data, signature
from ..backend.checks import check_names
from ..backend.spelling import Spelling
from ..errors import SpecError
from ..spec.layers import Aux, Composite, Concat, Network, Residual, Sequential, aux_heads
from ..spec.traversal import CompositeSite, LeafSite, Site, fold

#: The default of an argument that has none.
NONE: Final = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that is an argument of the class that it stands in."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """An argument of a call: `value` is data, or a `Ref`. `kept` says that it is written even where
    it is the default, `keyword` that it is only taken by its name.
    """

    name: str
    value: Any
    default: Any = NONE
    kept: bool = False
    keyword: bool = False

    @property
    def is_default(self) -> bool:
        """Whether the call means the same without it."""
        return self.default is not NONE and same(self.value, self.default)


@dataclass(frozen=True, slots=True)
class Use:
    """A call as it is written: the target, a native class, a `Block` or a `Residual`, and its
    arguments in the order of its signature. `handed` are the names of the spelling's `context` that
    it takes too.
    """

    target: Any
    items: tuple[Item, ...] = ()
    handed: tuple[str, ...] = ()


@dataclass(eq=False)
class Node:
    """A layer in its place. `uses` are a leaf's calls in a chain, or the one call of a composite's
    class; for a `Residual` the one that has its scale.

    `children` are empty for a leaf; an auxiliary head stands for its `Aux`, and is `aux`.
    """

    name: str
    site: Site
    uses: tuple[Use, ...] = ()
    children: dict[str, Node] = field(default_factory=dict)
    aux: bool = False
    #: The class that a composite became, if it became one.
    block: Block | None = None

    @property
    def layer(self) -> Any:
        """The layer of the spec."""
        return self.site.layer

    @property
    def path(self) -> str:
        """Where it is in the network."""
        return self.site.path

    @property
    def label(self) -> str:
        """What the paper calls it, if anything."""
        return self.layer.block if isinstance(self.layer, Composite) else ""

    @property
    def inside(self) -> dict[str, Node]:
        """The children that are written where it stands: none, if it is a call of a class."""
        return {} if self.block is not None else self.children

    @property
    def is_trunk(self) -> bool:
        """Whether it returns auxiliary outputs too."""
        return bool(aux_heads(self.layer))

    @property
    def outputs(self) -> list[str]:
        """The names of the auxiliary outputs that come from inside, in their order."""
        return [name for name, _ in aux_heads(self.layer)]

    def below(self) -> Iterator[Node]:
        """Itself and every node below, each before its children."""
        yield self
        for child in self.children.values():
            yield from child.below()


@dataclass(frozen=True, slots=True)
class Param:
    """An argument of a class: its name, and its default if it has one."""

    name: str
    default: Any = NONE


@dataclass(eq=False)
class Block:
    """A class: its name, its arguments, and what it holds, in which the values that differ between
    its `count` instances are `Ref`s. `first` is the first of these; `handed` are the names of the
    spelling's `context` that it takes, since something in it does.
    """

    name: str
    params: tuple[Param, ...]
    body: Node
    first: Node
    count: int = 1
    handed: tuple[str, ...] = ()


def tree(network: Network, spelling: Spelling) -> Node:
    """The whole of `network`, its leaves as a framework spells them. Raises `SpecError` for a name
    that cannot be an attribute, `ShapeError` as `fold` does.
    """
    check_names(network, spelling.framework, spelling.attributes)
    own = spelling.modules.__name__

    def made(site: LeafSite) -> Node:
        calls = spelling.leaf(site)
        name = _name(site)
        return Node(name, site, tuple(bound(call, own, spelling.context) for call in calls))

    def compose(site: CompositeSite, children: dict[str, Node]) -> Node:
        if isinstance(site.layer, Aux):
            head = children["head"]
            head.aux = True
            return head
        scale = getattr(site.layer, "scale", None)
        uses = () if scale is None else (Use(Residual, (Item("scale", scale),)),)
        return Node(_name(site), site, uses, children)

    return fold(network, made, compose)


def _name(site: Site) -> str:
    name = site.path.rpartition(".")[2]
    if keyword.iskeyword(name):
        raise SpecError(
            f"{site.path}: a layer called '{name}' cannot be written as source, since that is a"
            " keyword of Python; rename it"
        )
    return name


def bound(call: Call, own: str, context: Collection[str] = ()) -> Use:
    """A call with every argument by its name, those that are left out too; `own` is the name of the
    module with the adapter's own layers, `context` that of the spelling.
    """
    taken = signature(call.target)
    handed = tuple(name for name in context if name in taken.parameters)
    given = taken.bind(*call.args, **call.kwargs, **dict.fromkeys(handed)).arguments
    items: list[Item] = []
    for name, parameter in taken.parameters.items():
        if name in handed or (name not in given and not _is_data(parameter)):
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            items.extend(Item(key, value) for key, value in given.get(name, {}).items())
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            # What comes first says what a layer is, even where it is the default: Dropout(0.5).
            kept = bool(call.args) and not items
            default = parameter.default
            if call.target.__module__ != own and isinstance(default, tuple):
                default = default[0] if len(set(default)) == 1 else default  # (1, 1), written as 1
            keyword = parameter.kind is parameter.KEYWORD_ONLY
            items.append(Item(name, given.get(name, default), default, kept, keyword))
    return Use(call.target, tuple(items), handed)


def same(one: Any, other: Any) -> bool:
    """Whether two values are written alike: 1 is not True."""
    return one is other or bool(type(one) is type(other) and one == other)


def _is_data(parameter: inspect.Parameter) -> bool:
    """Whether its default, if it has one, could be written."""
    several = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.kind in several or is_data(parameter.default)


def handed(node: Node) -> tuple[str, ...]:
    """The names of the spelling's `context` that something below `node` takes."""
    found = [name for use in node.uses for name in use.handed]
    for child in node.inside.values():
        found.extend(handed(child))
    return tuple(dict.fromkeys(found))


def columns(node: Node) -> Iterator[tuple[tuple[str, ...], Node, Item]]:
    """Every argument below `node`, in the order of writing: the names that lead to its layer, that
    layer, and itself.
    """
    for use in node.uses:
        for item in use.items:
            yield (), node, item
    for name, child in node.inside.items():
        for path, owner, item in columns(child):
            yield (name, *path), owner, item


def rewritten(node: Node, values: Iterator[Any]) -> Node:
    """A copy of `node` with these values in place of its arguments, in the order of `columns`."""
    uses = tuple(
        replace(use, items=tuple(replace(item, value=next(values)) for item in use.items))
        for use in node.uses
    )
    children = {name: rewritten(child, values) for name, child in node.inside.items()}
    return Node(node.name, node.site, uses, children, node.aux, node.block)


def kind(node: Node) -> str:
    """What a composite is to those who write it."""
    match node.layer:
        case Concat():
            return "concat"
        case Residual():
            return "residual"
        case Sequential():
            return "sequence"
        case _:
            return "leaf"
