"""A traced model as a network whose layers and blocks have the names of the user's code.

Layers that stand in one layer object of the user's are one block here, called as its attribute and,
as a class, as its class; what its code computes by functions is called by its kind, and counted.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, TypeAlias

from ..backend.graph import Graph
from ..spec.layers import Aux, Concat, Layer, Residual, Sequential, Shape
from .network import Maker, Traced, word
from .tree import Chain, Fork, Head, Item, Step, steps

#: The parts of a place behind the model itself: `net.b3[0].p1` is b3, 0, p1.
Parts: TypeAlias = "tuple[str, ...]"

#: Names that no layer may have at the root: those of outputs.
_OUTPUTS: Final = frozenset({"logits"})


def as_named(chain: Chain, graph: Graph, name: str, input_shape: Shape, source: str) -> Traced:
    """As `as_traced`, but with the names of the user's code, as far as the `graph` of the model has
    them, in lower case, and with the names of their classes as blocks.

    Raises as `as_traced` does.
    """
    return _Named(chain, graph.classes).traced(name, input_shape, source)


def renamed(traced: Traced, taken: Mapping[str, str] | frozenset[str]) -> Traced:
    """The same with other names for the layers that are called as something in `taken`."""
    names: dict[str, str] = {}

    def layer(each: Layer, old: str, new: str) -> Layer:
        names[old] = new
        match each:
            case Sequential() | Concat():
                return replace(each, children=children(each.children, old, new))
            case Residual(body, shortcut):
                return replace(
                    each,
                    body=layer(body, f"{old}.body", f"{new}.body"),
                    shortcut=layer(shortcut, f"{old}.shortcut", f"{new}.shortcut"),
                )
            case Aux(head):
                inside = replace(head, children=children(head.children, old, new))
                return replace(each, head=inside)
            case _:
                return each

    def children(
        before: tuple[tuple[str, Layer], ...], old: str, new: str
    ) -> tuple[tuple[str, Layer], ...]:
        found: dict[str, Layer] = {}
        own = {name for name, _ in before}
        for name, each in before:
            free = name
            while free in taken or (free != name and free in own):
                free += "_"
            found[free] = layer(each, _joined(old, name), _joined(new, free))
        return tuple(found.items())

    network = traced.network
    layers = replace(network.layers, children=children(network.layers.children, "", ""))
    params = {
        f"{names[path.rpartition('.')[0]]}.{path.rpartition('.')[2]}": array
        for path, array in traced.params.items()
    }
    places = {names[path]: place for path, place in traced.places.items()}
    outputs = tuple(
        each if each == "logits" else names[each].rpartition(".")[2] for each in traced.outputs
    )
    return Traced(replace(network, layers=layers), params, places, outputs)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def parts_of(place: str) -> Parts:
    """`net.b3[0].p1` → b3, 0, p1; how Keras holds all layers of a model is no part."""
    plain = re.sub(r"\.layers(?=\[)", "", place)
    plain = re.sub(r"\.get_layer\((\"[^\"]*\")\)", r"[\1]", plain)
    found = re.findall(r"""\.([^.\[\]]+)|\[('[^']*'|"[^"]*"|[^\]]*)\]""", plain)
    return tuple(name or key.strip("'\"") for name, key in found)


def legal(text: str) -> str:
    """A name of the spec for one of the user's: lower-case letters, digits and underscores."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", text)
    plain = re.sub(r"[^a-z0-9_]+", "_", plain.lower()).strip("_")
    if not plain or not plain[0].isalpha():
        plain = f"layer_{plain}".rstrip("_")
    return f"{plain}_layer" if keyword.iskeyword(plain) or plain in _OUTPUTS else plain


class _Named(Maker):
    """Makes blocks of what stands in one layer object."""

    def __init__(self, chain: Chain, classes: Mapping[str, str]) -> None:
        super().__init__()
        self._chain = chain
        self._classes = {parts_of(place): name for place, name in classes.items()}
        places = [parts_of(item.place) for item in _items(chain) if not isinstance(item, Head)]
        #: What holds others, or does something by itself besides its layers.
        self._holders = {place[:end] for place in places for end in range(len(place))}
        self._holders |= {parts_of(item.place) for item in _items(chain) if isinstance(item, Fork)}
        self._inside: Parts = ()

    def traced(self, name: str, input_shape: Shape, source: str) -> Traced:
        """The whole."""
        return self.whole(self._chain, name, input_shape, source)

    def children(self, chain: Chain, path: str) -> dict[str, Layer]:
        """The layers and blocks of a chain that is inside of `self._inside`."""
        found: dict[str, Layer] = {}
        depth = len(self._inside)
        for key, group in groupby(chain, key=lambda item: self._block(item, depth)):
            items = tuple(group)
            if key is None:
                for item in items:
                    name = self._name(item)
                    if name in found:  # such as the activation of a layer
                        name = f"{name}_{word(item)}"
                    name = self._free(name, found)
                    found[name] = self.item(item, _joined(path, name))
            else:
                name = self._free(self._called(key), found)
                found[name] = self._whole_block(items, key, _joined(path, name))
        return found

    def branches(self, fork: Fork, path: str) -> list[tuple[str, Layer]]:
        """The branches of a concatenation, each called as the one layer object that it is in."""
        found: dict[str, Layer] = {}
        depth = len(self._inside)
        for number, branch in enumerate(fork.branches, 1):
            keys = {self._block(item, depth) for item in branch}
            (key,) = keys if len(keys) == 1 else (None,)
            called = f"branch_{number}" if key is None else self._called(key)
            name = self._free(called, found)
            if key is None:
                found[name] = self.sequential(branch, _joined(path, name))
            else:
                found[name] = self._whole_block(branch, key, _joined(path, name))
        return list(found.items())

    def head(self, head: Head, path: str) -> Sequential:
        """A further output."""
        keys = {self._block(item, len(self._inside)) for item in head.chain}
        (key,) = keys if len(keys) == 1 else (None,)
        if key is None:
            return self.sequential(head.chain, path)
        before, self._inside = self._inside, key
        found = self.sequential(head.chain, path)
        self._inside = before
        return replace(found, block=self._class(key))

    def _whole_block(self, chain: Chain, key: Parts, path: str) -> Layer:
        """A layer object with all that is in it."""
        before, self._inside = self._inside, key
        if len(chain) == 1 and isinstance(chain[0], Fork) and self._is_at(chain[0], key):
            made = self.item(chain[0], path)
        else:
            made = self.sequential(chain, path)
        self._inside = before
        if isinstance(made, Sequential | Concat | Residual):
            made = replace(made, block=self._class(key))
        return made

    def _block(self, item: Item, depth: int) -> Parts | None:
        """The next layer object inwards that an item is in; None if it stands here by itself."""
        if isinstance(item, Head):
            return None
        place = parts_of(item.place)
        if place[:depth] != self._inside:  # of another block, in the middle of this one
            return None
        holder = place if place in self._holders else place[:-1]
        return holder[: depth + 1] if len(holder) > depth else None

    def _is_at(self, fork: Fork, key: Parts) -> bool:
        return parts_of(fork.place) == key

    def _class(self, key: Parts) -> str:
        name = re.sub(r"\W", "", self._classes.get(key, "")).lstrip("_")
        return name if name.isidentifier() and not keyword.iskeyword(name) else ""

    def _called(self, key: Parts) -> str:
        """What a block is called: as its attribute, or its class where it only has a number."""
        if not key[-1].isdigit():
            return legal(key[-1])
        kind = self._class(key)
        return f"{legal(kind) if kind else 'block'}_{key[-1]}"

    def _name(self, item: Item) -> str:
        """What a layer is called that stands by itself: as its attribute, or else its kind."""
        kind = word(item)
        if isinstance(item, Head):
            keys = [self._block(each, len(self._inside)) for each in item.chain]
            return legal(keys[0][-1]) if keys and keys[0] and len({*keys}) == 1 else kind
        place = parts_of(item.place)
        if not isinstance(item, Step) or not place or place in self._holders:
            return kind
        return f"{kind}_{place[-1]}" if place[-1].isdigit() else legal(place[-1])

    @staticmethod
    def _free(name: str, found: Mapping[str, Layer]) -> str:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        return free


def _items(chain: Chain) -> Sequence[Item]:
    found: list[Item] = list(steps(chain))
    for item in chain:
        match item:
            case Fork(branches=branches):
                found.append(item)
                for branch in branches:
                    found += [each for each in _items(branch) if not isinstance(each, Step)]
            case Head(chain=inside):
                found += [each for each in _items(inside) if not isinstance(each, Step)]
    return found
