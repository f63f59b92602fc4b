"""Which composites become classes, and what their arguments are.

Composites with one skeleton (kinds, names of children, constructors) are instances of one class. An
argument that differs between instances becomes an argument of the class, arguments that are equal
to each other in every instance become one, and all others stay literals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence, Set
from typing import Any

from ..spec.layers import AvgPool, Conv, MaxPool
from .names import Column, Place, camel, is_composite, network_name, parameter_names
from .tree import (
    NONE,
    Block,
    Item,
    Node,
    Param,
    Ref,
    Use,
    columns,
    handed,
    kind,
    rewritten,
    same,
)


def blocks_of(root: Node, name: str, reserved: frozenset[str] = frozenset()) -> list[Block]:
    """The classes of the network `root` that is called `name`, each after those that it uses, the
    network's own last. Their instances in the tree become calls of them.

    No class and no argument has one of the names `reserved`.
    """
    chosen = _chosen(root)
    # The smallest first, so that a class finds those that it uses.
    order = sorted(chosen, key=lambda group: _height(group[0]))
    own = network_name(name)
    while own in reserved:
        own += "Network"
    names = _names(root, chosen, {own, *reserved})
    taken = {own, *reserved, *names.values()}
    for group in order:
        _block(names[id(group[0])], group, taken)
    return [*dict.fromkeys(used_blocks(root)), Block(own, (), root, root, handed=handed(root))]


def used_blocks(node: Node) -> Iterator[Block]:
    """The classes that the code of `node` calls, each after those that it uses itself."""
    for use in node.uses:
        if isinstance(use.target, Block):
            yield from used_blocks(use.target.body)
            yield use.target
    for child in node.inside.values():
        yield from used_blocks(child)


def _chosen(root: Node) -> list[list[Node]]:
    """The composites that become classes, alike ones together, in the order of the network."""
    groups: dict[Hashable, list[Node]] = {}
    for node in root.below():
        if node is not root and is_composite(node):
            groups.setdefault(skeleton(node), []).append(node)
    stages = set(map(id, root.children.values()))
    return [group for group in groups.values() if _is_class(group, stages)]


def _is_class(group: Sequence[Node], stages: set[int]) -> bool:
    """Whether alike composites are a class: branches and trunks always, layers in sequence if they
    have a name and occur more than once. Stages are written in place.
    """
    first = group[0]
    if kind(first) == "concat" or first.is_trunk:
        return True
    plain = id(first) not in stages or not any(map(is_composite, first.children.values()))
    return bool(kind(first) == "sequence" and first.label and len(group) > 1 and plain)


def skeleton(node: Node) -> Hashable:
    """What instances of one class have in common."""
    calls = tuple(
        # What a signature does not name has no default that could stand for it.
        (use.target, tuple(item.name for item in use.items if item.default is NONE))
        for use in node.uses
    )
    return (
        kind(node),
        node.label,
        node.is_trunk,
        calls,
        tuple((name, child.aux, skeleton(child)) for name, child in node.children.items()),
    )


def _height(node: Node) -> int:
    return 1 + max((_height(child) for child in node.children.values()), default=0)


def _block(name: str, instances: Sequence[Node], taken: Set[str]) -> None:
    """Make `instances` calls of one class, of whose arguments none is called as what is `taken`."""
    found = [[Place(node, *place) for place in columns(node)] for node in instances]
    every: list[Column] = list(zip(*found, strict=True))
    groups: dict[Hashable, list[Column]] = {}
    for column in every:
        if not all(same(place.item.value, column[0].item.value) for place in column):
            groups.setdefault(_values(column), []).append(column)
    arguments_of = parameter_names(list(groups.values()), every, taken)
    names = dict(zip(groups, arguments_of, strict=True))
    params = [Param(names[key], _default(group[0])) for key, group in groups.items()]
    # First what has no default, and of that what comes in.
    order = sorted(
        range(len(params)),
        key=lambda i: (params[i].default is not NONE, not params[i].name.startswith("in_")),
    )
    refs = {key: Ref(argument) for key, argument in names.items()}
    body = rewritten(
        instances[0], (refs.get(_values(column), column[0].item.value) for column in every)
    )
    arguments = tuple(params[i] for i in order)
    block = Block(name, arguments, body, instances[0], len(instances), handed(body))
    firsts = [group[0] for group in groups.values()]
    for number, node in enumerate(instances):
        items = tuple(
            Item(params[i].name, firsts[i][number].item.value, params[i].default) for i in order
        )
        node.block, node.uses = block, (Use(block, items, block.handed),)


def _values(column: Column) -> Hashable:
    """What an argument is in each instance."""
    return tuple((type(place.item.value), place.item.value) for place in column)


def _default(column: Column) -> Any:
    """The default of a class's argument: that of the constructor, or for a word such as a padding's
    the commonest, if no instance has the constructor's; none for what a layer takes in.
    """
    first, values = column[0], [place.item.value for place in column]
    default = first.item.default
    if default is NONE or first.is_input:
        return NONE
    if isinstance(default, str) and default not in values:
        return Counter(values).most_common(1)[0][0]
    return default


def _names(root: Node, groups: Sequence[Sequence[Node]], reserved: Iterable[str]) -> dict[int, str]:
    """The name of each class by the identity of its first instance: what the paper calls it, or
    what the spec calls that instance. Of several with one name, the first has it as it is.
    """
    above = dict(_labels_above(root, ""))
    own = Counter(camel(group[0].name) for group in groups if not group[0].label)
    names: dict[int, str] = {}
    for group in groups:
        taken = {*reserved, *names.values()}
        names[id(group[0])] = next(
            name for name in _candidates(group[0], above, own) if name not in taken
        )
    return names


def _candidates(node: Node, above: dict[int, str], own: Counter[str]) -> Iterator[str]:
    name = camel(node.name)
    if node.label:
        yield node.label
        if any(map(_is_padded_apart, node.below())):
            yield f"Padded{node.label}"
        longer = name if name.startswith(node.label) else node.label + name
    else:
        if own[name] == 1 or not above[id(node)]:
            yield name
        longer = above[id(node)] + name
    yield longer
    number = 2
    while True:
        yield f"{longer}{number}"
        number += 1


def _is_padded_apart(node: Node) -> bool:
    """Whether a convolution or a pool takes another layer for its padding."""
    return isinstance(node.layer, Conv | MaxPool | AvgPool) and len(node.uses) > 1


def _labels_above(node: Node, label: str) -> Iterator[tuple[int, str]]:
    """For every composite by its identity, what the paper calls the nearest one around it that has
    a name.
    """
    yield id(node), label
    for child in node.children.values():
        yield from _labels_above(child, node.label or label)
