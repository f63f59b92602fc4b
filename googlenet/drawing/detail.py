"""A block in detail: from top to bottom, its branches side by side, every layer with its shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..spec.layers import Residual, Shape
from ..spec.outline import Part, Ratio, Reduction, ratios
from ..spec.shapes import size_text
from .items import Block, Branches, Item, LayerBox, Side, kind_of
from .page import BAR, FILLS, LINE, MARGIN, PAGE, SIZE, Caption, Scale, caption
from .scene import Box, Fill, Group, Line, Words, text_width

#: The space between two boxes, that in which lines spread to branches, and that between branches.
STEP, FAN, APART = 24.0, 34.0, 26.0
#: How wide captions may be: the first with which there is room for the boxes.
CAPTIONS: Final = (220.0, 180.0, 150.0, 125.0)
#: No channel is wider than this, and no picture of a block leaves less than this to its boxes.
WIDEST, ROOM = 6.0, 0.3


class Piece(Protocol):
    """Something that is drawn from its top downwards, centred."""

    @property
    def height(self) -> float:
        """Its height, whatever the scale."""

    def width(self, scale: Scale) -> float:
        """Its width."""

    def draw(self, group: Group, x: float, y: float, scale: Scale) -> None:
        """Draw it, centred at `x` below `y`."""


@dataclass(frozen=True)
class Bar:
    """A box or several joined, and the caption below: a layer, or what a block joins."""

    segments: tuple[tuple[Shape, Fill, str], ...]
    text: Caption
    label: str

    @property
    def height(self) -> float:
        """Its height, whatever the scale."""
        return BAR + 4 + self.text.height

    def long(self, scale: Scale) -> float:
        """The width of its box."""
        return sum(scale.width(shape) for shape, _, _ in self.segments)

    def width(self, scale: Scale) -> float:
        """Its width."""
        return max(self.long(scale), self.text.width)

    def centres(self, x: float, scale: Scale) -> Iterator[float]:
        """The middles of its segments."""
        left = x - self.long(scale) / 2
        for shape, _, _ in self.segments:
            yield left + scale.width(shape) / 2
            left += scale.width(shape)

    def draw(self, group: Group, x: float, y: float, scale: Scale) -> None:
        """Draw it, centred at `x` below `y`."""
        item = group.group("listitem", self.label)
        for centre, (shape, fill, path) in zip(self.centres(x, scale), self.segments, strict=True):
            wide = scale.width(shape)
            item.add(Box(centre - wide / 2, y, wide, BAR, fill, path, shape[0]))
        self.text.draw(item, x, y + BAR + 4)


@dataclass(frozen=True)
class Chain:
    """Pieces below each other, with arrows between them."""

    pieces: tuple[Piece, ...]

    @property
    def height(self) -> float:
        """Its height, whatever the scale."""
        return sum(piece.height for piece in self.pieces) + STEP * max(len(self.pieces) - 1, 0)

    def width(self, scale: Scale) -> float:
        """Its width."""
        return max((piece.width(scale) for piece in self.pieces), default=0.0)

    def draw(self, group: Group, x: float, y: float, scale: Scale) -> None:
        """Draw it, centred at `x` below `y`."""
        for number, piece in enumerate(self.pieces):
            if number:
                group.add(Line(((x, y + 2), (x, y + STEP - 2)), not isinstance(piece, Fork)))
                y += STEP
            piece.draw(group, x, y, scale)
            y += piece.height


@dataclass(frozen=True)
class Branch:
    """A branch with its name above it."""

    name: str
    inside: Chain

    @property
    def height(self) -> float:
        """Its height, whatever the scale."""
        return LINE + 4 + (STEP - 6 + self.inside.height if self.inside.pieces else 0)

    def width(self, scale: Scale) -> float:
        """Its width."""
        return max(text_width(self.name, SIZE), self.inside.width(scale))

    def draw(self, group: Group, x: float, y: float, scale: Scale) -> None:
        """Draw it, centred at `x` below `y`."""
        group.add(Words(x, y + SIZE, self.name, SIZE))
        if self.inside.pieces:
            top = y + LINE + 4
            arrow = not isinstance(self.inside.pieces[0], Fork)
            group.add(Line(((x, top), (x, top + STEP - 8)), arrow))
            self.inside.draw(group, x, top + STEP - 6, scale)


@dataclass(frozen=True)
class Fork:
    """Branches side by side, and the bar that joins them."""

    branches: tuple[Branch, ...]
    joined: Bar
    label: str

    @property
    def height(self) -> float:
        """Its height, whatever the scale."""
        return 2 * FAN + max(branch.height for branch in self.branches) + self.joined.height

    def width(self, scale: Scale) -> float:
        """Its width."""
        return max(self._side_by_side(scale), self.joined.width(scale))

    def _side_by_side(self, scale: Scale) -> float:
        gaps = APART * (len(self.branches) - 1)
        return sum(branch.width(scale) for branch in self.branches) + gaps

    def draw(self, group: Group, x: float, y: float, scale: Scale) -> None:
        """Draw it, centred at `x` below `y`."""
        inner = group.group("listitem", self.label).group("list", "Branches, side by side")
        bottom = y + FAN + max(branch.height for branch in self.branches)
        left = x - self._side_by_side(scale) / 2
        centres = list(self.joined.centres(x, scale))
        if len(centres) < len(self.branches):  # a sum: the arrows come to the middle
            apart = min(self.joined.long(scale), 90.0) / len(self.branches)
            middle = (len(self.branches) - 1) / 2
            centres = [x + apart * (n - middle) for n in range(len(self.branches))]
        for branch, centre in zip(self.branches, centres, strict=True):
            middle = left + branch.width(scale) / 2
            item = inner.group("listitem", branch.name)
            chain = item.group("list", f"Layers of {branch.name}")
            item.add(Line(((x, y), (middle, y + FAN - 2))))
            branch.draw(chain, middle, y + FAN, scale)
            end = y + FAN + branch.height + 2
            tip = bottom + FAN - 1
            turns = ((middle, end), (middle, bottom + 2), (centre, tip - 12), (centre, tip))
            item.add(Line(turns, True))
            left += branch.width(scale) + APART
        self.joined.draw(group, x, bottom + FAN, scale)


@dataclass(frozen=True)
class Frame:
    """A block inside what is drawn, with its name."""

    name: str
    inside: Chain

    @property
    def height(self) -> float:
        """Its height, whatever the scale."""
        return LINE + 14 + self.inside.height + 12

    def width(self, scale: Scale) -> float:
        """Its width."""
        # The name stands to the left of the line that comes in at the middle.
        return max(self.inside.width(scale), 2 * text_width(self.name, SIZE, True)) + 24

    def draw(self, group: Group, x: float, y: float, scale: Scale) -> None:
        """Draw it, centred at `x` below `y`."""
        wide = self.width(scale)
        item = group.group("listitem", self.name)
        item.add(Box(x - wide / 2, y, wide, self.height, Fill("#f6f6f6", "#8c8c8c")))
        item.add(Words(x - wide / 2 + 10, y + 4 + SIZE, self.name, SIZE, True, anchor="start"))
        top = y + LINE + 14
        arrow = not isinstance(self.inside.pieces[0], Fork)
        item.add(Line(((x, y), (x, top - 2)), arrow))
        self.inside.draw(item.group("list", f"Layers of {self.name}"), x, top, scale)
        item.add(Line(((x, top + self.inside.height + 2), (x, y + self.height))))


@dataclass(frozen=True)
class Beside:
    """An auxiliary head, to the right of the main path."""

    name: str
    inside: Chain

    @property
    def height(self) -> float:
        """Its height, whatever the scale."""
        return 2 * STEP + LINE + self.inside.height

    def width(self, scale: Scale) -> float:
        """Its width."""
        return 2 * (40 + max(self.inside.width(scale), text_width(self.name, SIZE, True)))

    def draw(self, group: Group, x: float, y: float, scale: Scale) -> None:
        """Draw it, centred at `x` below `y`."""
        aside = x + 40 + self.width(scale) / 4 - 20
        item = group.group("listitem", self.name)
        item.add(Line(((x, y - 2), (x, y + self.height))))
        item.add(Line(((x, y + 4), (aside, y + 4), (aside, y + STEP)), dashed=True))
        item.add(Words(aside, y + STEP + SIZE, self.name, SIZE, True))
        top = y + STEP + LINE + 4
        item.add(Line(((aside, top), (aside, top + STEP - 6)), True))
        self.inside.draw(item.group("list", f"Layers of {self.name}"), aside, top + STEP - 4, scale)


# From items to pieces -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Maker:
    """Makes pieces whose captions are at most `most` wide, for what lies below the path `root`."""

    most: float
    root: str
    reductions: dict[str, Reduction]

    def chain(self, items: Sequence[Item]) -> Chain:
        """The pieces of `items`, one below the other."""
        return Chain(tuple(map(self._piece, items)))

    def _piece(self, item: Item) -> Piece:
        match item:
            case LayerBox():
                return self._layer(item)
            case Branches():
                return self._fork(item)
            case Block():
                block = item.part.block
                name = f"{item.name}: {block}" if block else item.name
                return Frame(name, self.chain(item.items))
            case Side():
                return Beside(f"{item.part.name}, a further output", self.chain(item.items))

    def _layer(self, item: LayerBox) -> Bar:
        reduction = next(
            (self.reductions[site.path] for site in item.sites if site.path in self.reductions),
            None,
        )
        text = caption(
            self.most,
            (item.words, True),
            (item.more, False),
            (size_text(item.out_shape), False),
            (str(reduction or ""), True),
        )
        segment = (item.out_shape, FILLS[item.kind], item.path)
        return Bar((segment,), text, layer_label(item, self.root, reduction))

    def _fork(self, item: Branches) -> Fork:
        layer, shape = item.part.site.layer, item.out_shape
        branches = tuple(
            Branch(self._name(part, inside), self.chain(inside)) for part, inside in item.branches
        )
        if isinstance(layer, Residual):
            scaled = f"{layer.scale:g} × body" if layer.scale != 1 else "body"
            text = caption(
                math.inf,
                ("sum", True),
                (f"shortcut + {scaled}", False),
                (size_text(shape), False),
            )
            bar = Bar(
                ((shape, FILLS["sum"], item.part.path),),
                text,
                f"Sum of the shortcut and {scaled}: {size_text(shape)}",
            )
            return Fork(branches, bar, "A sum of two paths")
        (ratio,) = ratios(item.part)
        bar = Bar(
            tuple(
                (part.out_shape, FILLS[branch_kind(part)], part.path) for part, _ in item.branches
            ),
            caption(
                math.inf,
                ("concatenation", True),
                (size_text(shape), False),
                (str(ratio), True),
            ),
            f"Concatenation: {size_text(shape)}; the branches' channels are {spoken(ratio)}",
        )
        count = len(branches)
        return Fork(branches, bar, f"{count} branches side by side" if count > 1 else "one branch")

    @staticmethod
    def _name(part: Part, inside: Sequence[Item]) -> str:
        return part.name if inside else f"{part.name}: unchanged"


def branch_kind(part: Part) -> str:
    """Which fill a branch has in what joins it: that of its largest kernel."""
    return kind_of(tuple(part.leaves()))


def layer_label(item: LayerBox, root: str, reduction: Reduction | None = None) -> str:
    """What is read aloud of a layer."""
    name = item.path.removeprefix(f"{root}.") if root else item.path
    more = f", {item.more}" if item.more else ""
    found = f"{name}: {item.words}{more}; {size_text(item.in_shape)} to {size_text(item.out_shape)}"
    if reduction is None:
        return found
    return f"{found}; leaves {reduction.after} of {reduction.before} channels, {reduction.scale}"


def spoken(ratio: Ratio) -> str:
    """A ratio to be read aloud: 64 to 128 to 32, that is 2 to 4 to 1."""
    channels, terms = (" to ".join(map(str, each)) for each in (ratio.channels, ratio.terms))
    return channels if channels == terms else f"{channels}, that is {terms}"


# Fitting it to the page --------------------------------------------------------------------------


def fitted(
    make: Callable[[float], Piece], scale_of: Callable[[float], Scale]
) -> tuple[Piece, Scale, float]:
    """The piece, made for captions of a width, at the largest scale that fits the page, and the
    width of the page. `scale_of` gives the scale at which the widest box has some width.
    """
    room = PAGE - 2 * MARGIN
    for most in CAPTIONS:
        piece = make(most)
        if piece.width(scale_of(room * ROOM)) <= room:
            break
    low, high = 0.0, room
    if piece.width(scale_of(low)) > room:  # more branches than a page has room for
        scale = scale_of(room * ROOM)
        return piece, scale, piece.width(scale) + 2 * MARGIN
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if piece.width(scale_of(middle)) <= room else (low, middle)
    scale = scale_of(low)
    if scale.maps > WIDEST:
        scale = scale_of(low * WIDEST / scale.maps)
    return piece, scale, PAGE
