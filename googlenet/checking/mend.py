"""A user's model with some of what is otherwise in it set right: advice that is tried before it is
given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import TypeAlias

from ..arrays import Array
from ..spec.layers import BatchNorm, Dense
from ..tracing.tree import Chain, Foreign, Fork, Item, Step
from .align import pair_of
from .differences import ORIGIN, WINDOW, Finding
from .features import kind
from .nodes import Around, Extra, ForkPair, HeadPair, Missing, Node, Nodes, Pair, Tangled
from .pour import filled, fits

#: Findings as (node, what): those that are set right.
Chosen: TypeAlias = "Collection[tuple[Node, str]]"


def mended(nodes: Nodes, findings: Collection[Finding], arrays: Mapping[int, Array]) -> Chain:
    """The user's model with each of `findings` set right, and with the spec's weights: its own
    places and shapes, but for what is set right. `arrays` are those that its own, by `id`, are
    filled with.
    """
    return _Mender({(each.node, each.what) for each in findings}, arrays).chain(nodes)


class _Mender:
    def __init__(self, chosen: Chosen, arrays: Mapping[int, Array]) -> None:
        self._chosen, self._arrays = chosen, arrays

    def chain(self, nodes: Nodes) -> Chain:
        """The items of an alignment in the user's order, or where that is set right, the spec's."""
        found: list[Item] = []
        moved = {
            node.moved
            for node in nodes
            if isinstance(node, Missing) and (node, "moved") in self._chosen
        }
        stay = {
            node.moved: node.spec
            for node in nodes
            if isinstance(node, Missing) and node.moved is not None
        }
        for node in nodes:
            match node:
                case Pair():
                    found.append(self._step(node))
                case ForkPair():
                    found.append(self._fork(node))
                case HeadPair(user=user, spec=spec, inside=inside):
                    number = spec.number if (node, "number") in self._chosen else user.number
                    found.append(replace(user, chain=self.chain(inside), number=number))
                case Missing(spec=spec, moved=None):
                    found += [spec] if (node, "missing") in self._chosen else []
                case Missing(spec=spec, moved=item):
                    if (node, "moved") in self._chosen and item is not None:
                        found += self.chain((pair_of(item, spec),))
                case Extra(user=user, moved=False):
                    found += [] if (node, "extra") in self._chosen else [self._as_it_is(user)]
                case Extra(user=user):
                    if user not in moved:
                        found += self.chain((pair_of(user, stay[user]),))
                case Tangled(user=user, spec=spec):
                    found += spec if (node, "tangled") in self._chosen else [self._as_it_is(user)]
                case Around(user=user, inside=inside, number=number):
                    chain = self.chain(inside)
                    if (node, "around") in self._chosen:
                        found += chain
                    else:
                        branches = [tuple(map(self._as_it_is, each)) for each in user.branches]
                        branches[number] = chain
                        found.append(replace(user, branches=tuple(branches)))
        return tuple(found)

    def _step(self, node: Pair) -> Step:
        user, spec = node.user, node.spec
        chosen = {what for at, what in self._chosen if at is node}
        replaced = any(what.startswith(ORIGIN) for what in chosen) or chosen & {"kind", "shared"}
        if replaced or (isinstance(user.layer, Foreign) and chosen):
            return replace(spec, place=user.place)
        if WINDOW in chosen:
            chosen |= {"kernel_size", "padding"}
        layer = user.layer
        if not isinstance(layer, Foreign) and kind(user) == kind(spec):
            names = {each.name for each in fields(layer)}
            given = {_field(layer, what): what for what in chosen}
            layer = replace(
                layer, **{name: getattr(spec.layer, name) for name in given if name in names}
            )
        return replace(user, layer=layer, arrays=self._filled(node, layer, chosen))

    def _filled(self, node: Pair, layer: object, chosen: Collection[str]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        user, spec = node.user.arrays, node.spec.arrays
        for role in {**user, **spec}:
            if role not in user:
                if (role == "bias" and "bias" in chosen) or (
                    role == "weight" and "scale" in chosen
                ):
                    found[role] = spec[role]
                continue
            own = self._arrays.get(id(user[role]), user[role])
            if role not in spec:
                left_out = "bias" if role == "bias" else "scale"
                if left_out not in chosen:
                    found[role] = own
            elif fits(spec[role], own):
                found[role] = own
            else:
                found[role] = spec[role]
        if isinstance(layer, BatchNorm) and not layer.scale:
            found.pop("weight", None)
        return found

    def _fork(self, node: ForkPair) -> Fork:
        user, spec = node.user, node.spec
        if (node, "shared") in self._chosen:
            return spec
        if (node, "join") in self._chosen:
            user = replace(user, join=spec.join)
        mine = {number: self.chain(inside) for number, _, inside in node.branches}
        for number in node.more:
            if (node, f"more {number}") not in self._chosen:
                mine[number] = tuple(map(self._as_it_is, user.branches[number]))
        added = [other for other in node.without if (node, f"without {other}") in self._chosen]
        if (node, "order") not in self._chosen and not added:
            return replace(user, branches=tuple(mine[number] for number in sorted(mine)))
        theirs = {other: mine.pop(number) for number, other, _ in node.branches}
        theirs |= {other: spec.branches[other] for other in added}
        return replace(
            user, branches=(*(theirs[other] for other in sorted(theirs)), *mine.values())
        )

    def _as_it_is(self, item: Item) -> Item:
        """An item of the user's with the weights that it was filled with."""
        return filled((item,), self._arrays)[1][item]


def _field(layer: object, what: str) -> str:
    return "out_features" if isinstance(layer, Dense) and what == "out_channels" else what
