"""What is drawn of a network: boxes for layers, branches side by side, blocks, repeated or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..spec.layers import (
    Aux,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    Leaf,
    LocalResponseNorm,
    ReLU,
    Residual,
    Scale,
    Shape,
)
from ..spec.outline import Part, has_blocks, splits, words_of
from ..spec.traversal import LeafSite

#: Layers that take each value as it is: they share the box of the layer before them.
FOLLOWING = (BatchNorm, LocalResponseNorm, ReLU, Dropout, Scale)


@dataclass(frozen=True)
class LayerBox:
    """A layer, and those that follow it and leave its shape."""

    sites: tuple[LeafSite, ...]

    @property
    def path(self) -> str:
        """The path of the first of them."""
        return self.sites[0].path

    @property
    def in_shape(self) -> Shape:
        """The shape of its input."""
        return self.sites[0].in_shape

    @property
    def out_shape(self) -> Shape:
        """The shape of its output."""
        return self.sites[-1].out_shape

    @property
    def words(self) -> str:
        """What the layer is."""
        return words_of(self.sites[0].layer)

    @property
    def more(self) -> str:
        """What follows it."""
        return ", ".join(words_of(site.layer) for site in self.sites[1:])

    @property
    def kind(self) -> str:
        """Which fill it has: see `kind_of`."""
        return kind_of(self.sites[:1])


@dataclass(frozen=True)
class Branches:
    """A concatenation or a sum, and what it joins: each branch with its name and its items."""

    part: Part
    branches: tuple[tuple[Part, tuple[Item, ...]], ...]

    @property
    def out_shape(self) -> Shape:
        """The shape of the whole."""
        return self.part.out_shape


@dataclass(frozen=True)
class Block:
    """A block; `parts` are more than one if equal ones follow each other."""

    parts: tuple[Part, ...]
    items: tuple[Item, ...]

    @property
    def part(self) -> Part:
        """The first of them."""
        return self.parts[0]

    @property
    def out_shape(self) -> Shape:
        """The shape of its output."""
        return self.part.out_shape

    @property
    def name(self) -> str:
        """The name of one, or of the first and the last, and how many they are."""
        first, last = self.parts[0].name, self.parts[-1].name
        count = len(self.parts)
        if count == 1:
            return first
        return f"{first}{' and' if count == 2 else ' …'} {last} (×{count})"


@dataclass(frozen=True)
class Side:
    """An auxiliary head beside the main path."""

    part: Part
    items: tuple[Item, ...]


Item: TypeAlias = LayerBox | Branches | Block | Side


def items_of(part: Part, *, inside: bool = False) -> tuple[Item, ...]:
    """What is drawn of `part`, in the order of execution; `inside` a block, a concatenation or sum
    is no block of its own.
    """
    found: list[Item] = []
    _collect(part, found, inside)
    return tuple(found)


def _collect(part: Part, found: list[Item], inside: bool) -> None:
    layer = part.site.layer
    if isinstance(part.site, LeafSite):
        last = found[-1] if found else None
        if isinstance(layer, FOLLOWING) and isinstance(last, LayerBox):
            found[-1] = LayerBox((*last.sites, part.site))
        else:
            found.append(LayerBox((part.site,)))
    elif isinstance(layer, Aux):
        found.append(Side(part, items_of(part.children[0], inside=inside)))
    elif isinstance(layer, (Concat, Residual)):
        branches = Branches(
            part, tuple((child, items_of(child, inside=True)) for child in part.children)
        )
        _append(found, branches if inside else Block((part,), (branches,)))
    elif part.block and splits(part) and not inside and not has_blocks(part):
        inner: list[Item] = []
        for child in part.children:
            _collect(child, inner, True)
        _append(found, Block((part,), tuple(inner)))
    else:
        for child in part.children:
            _collect(child, found, inside)


def _append(found: list[Item], item: Block | Branches) -> None:
    """Add a block, or count it with the one before if that is equal to it."""
    last = found[-1] if found else None
    if isinstance(last, Block) and isinstance(item, Block):
        one, other = last.part.site, item.part.site
        if one.layer == other.layer and one.in_shape == other.in_shape:
            found[-1] = Block((*last.parts, *item.parts), last.items)
            return
    found.append(item)


def kind_of(sites: Sequence[LeafSite]) -> str:
    """Which fill stands for these layers: `1×1`, `3×3` or `larger` by the longest side of a
    convolution's kernel, `dense`, `pool`, or `other`.
    """
    layers: list[Leaf] = [site.layer for site in sites]
    sides = [max(layer.kernel_size) for layer in layers if isinstance(layer, Conv)]
    if sides:
        return "1×1" if max(sides) == 1 else "3×3" if max(sides) <= 3 else "larger"
    if any(isinstance(layer, Dense) for layer in layers):
        return "dense"
    return "pool" if any(not isinstance(layer, FOLLOWING) for layer in layers) else "other"
