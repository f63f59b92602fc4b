"""What every picture of an architecture has: its fills, scale, captions, heading and legend.

A page is `PAGE` points wide unless it needs more, and no text on it is smaller than `SIZE`: on A4
that is about 6.5 points, at 1200 pixels 15.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..spec.layers import Shape
from .scene import ASCENT, Box, Fill, Group, Line, Scene, Words, text_width, wrapped

PAGE: Final = 1200.0
#: A sheet of A4 that is as wide is as high as this.
SHEET: Final = PAGE * 297 / 210
MARGIN: Final = 26.0
SIZE, LINE = 15.0, 19.5
TITLE_SIZE: Final = 26.0
BAR: Final = 24.0
GREY: Final = "#444444"

#: The fill and the words of the legend by kind. Kernels are darker the larger they are, pools
#: hatched: black-and-white prints tell them apart, too.
FILLS: Final = {
    "1×1": Fill("#d4e6f4"),
    "3×3": Fill("#6fa8d6"),
    "larger": Fill("#1d4f80"),
    "pool": Fill("#ffffff", "#8a4b08", "/"),
    "dense": Fill("#f3d37f", "#7a5a00", "x"),
    "other": Fill("#ffffff"),
    "sum": Fill("#ffffff", "#3a3a3a", "-"),
    "input": Fill("#333333"),
}
LEGEND: Final = {
    "input": "input",
    "1×1": "1×1 convolution",
    "3×3": "convolution up to 3×3",
    "larger": "larger convolution",
    "pool": "pool",
    "dense": "dense layer",
    "other": "other, or unchanged",
    "sum": "sum",
}


@dataclass(frozen=True)
class Scale:
    """How many points a channel is wide: of maps (C, H, W), and of vectors (C,)."""

    maps: float
    vectors: float

    def width(self, shape: Shape) -> float:
        """The width of a box for `shape`."""
        return shape[0] * (self.maps if len(shape) == 3 else self.vectors)


def scale_for(shapes: Iterable[Shape], most: float) -> Scale:
    """The largest scale at which no box is wider than `most`. Vectors have the scale of maps unless
    they have more channels than any map.
    """
    known = list(shapes)
    maps = max((shape[0] for shape in known if len(shape) == 3), default=0)
    vectors = max((shape[0] for shape in known if len(shape) == 1), default=0)
    of_maps = most / maps if maps else most / max(vectors, 1)
    return Scale(of_maps, of_maps if vectors <= maps or not maps else most / vectors)


@dataclass(frozen=True)
class Caption:
    """Lines of text under a box: each with its text, and whether it is bold."""

    lines: tuple[tuple[str, bool], ...]

    @property
    def width(self) -> float:
        """The width of its longest line."""
        return max((text_width(text, SIZE, bold) for text, bold in self.lines), default=0.0)

    @property
    def height(self) -> float:
        """The height of all lines."""
        return LINE * len(self.lines)

    def draw(self, group: Group, x: float, y: float, *, anchor: str = "middle") -> None:
        """Write it below `y`, centred at `x` or starting there."""
        for number, (text, bold) in enumerate(self.lines):
            baseline = y + number * LINE + ASCENT * SIZE + 2
            group.add(Words(x, baseline, text, SIZE, bold, anchor=anchor))


def caption(most: float, *texts: tuple[str, bool]) -> Caption:
    """A caption of these texts, each with whether it is bold, in lines of at most `most`."""
    return Caption(
        tuple((line, bold) for text, bold in texts for line in wrapped(text, SIZE, most, bold))
    )


def finish(
    body: Group,
    bottom: float,
    *,
    width: float,
    title: str,
    heading: Sequence[tuple[str, float, bool]],
    description: str,
    scale: Scale,
    shapes: Collection[Shape],
) -> Scene:
    """The page with its `heading`, which begins at `MARGIN`, and a legend below `bottom` of what
    `body` shows.
    """
    root = Group()
    y = MARGIN
    for text, size, bold in heading:
        root.add(Words(MARGIN, y + ASCENT * size, text, size, bold, anchor="start"))
        y += 1.3 * size
    root.add(body)
    legend = root.group("list", "Legend")
    bottom = _legend(legend, bottom + 18, width, _kinds(body), scale, shapes)
    return Scene(width, bottom + MARGIN, title, description, root)


def heading_of(title: str, texts: Sequence[str], width: float) -> list[tuple[str, float, bool]]:
    """The lines of a heading: text, size, and whether it is bold."""
    most = width - 2 * MARGIN
    return [
        *((line, TITLE_SIZE, True) for line in wrapped(title, TITLE_SIZE, most, True)),
        *((line, SIZE, False) for text in texts for line in wrapped(text, SIZE, most)),
    ]


def heading_height(heading: Sequence[tuple[str, float, bool]]) -> float:
    """Where what follows a heading begins."""
    return MARGIN + sum(1.3 * size for _, size, _ in heading) + 10


def _kinds(body: Group) -> list[str]:
    fills = {each.fill for each in body.walk() if isinstance(each, Box) and each.channels}
    return [kind for kind in LEGEND if FILLS[kind] in fills]


def _legend(
    group: Group,
    y: float,
    width: float,
    kinds: Sequence[str],
    scale: Scale,
    shapes: Collection[Shape],
) -> float:
    """Draw the legend from `y` down; returns where it ends."""
    entries: list[tuple[float, str, str]] = [(30.0, kind, LEGEND[kind]) for kind in kinds]
    places = [MARGIN, y]

    def place(wide: float) -> tuple[float, float]:
        if places[0] > MARGIN and places[0] + wide > width - MARGIN:
            places[0], places[1] = MARGIN, places[1] + LINE + 10
        x = places[0]
        places[0] += wide + 30
        return x, places[1]

    for long, kind, text in entries:
        x, top = place(long + 8 + text_width(text, SIZE))
        item = group.group("listitem", text)
        item.add(Box(x, top, long, LINE, FILLS[kind]))
        item.add(Words(x + long + 8, top + ASCENT * SIZE + 3, text, SIZE, anchor="start"))
    for what, per in _scales(scale, shapes):
        count = _round_count(per)
        # Of "channels of maps" the number changes the first word alone.
        text = f"{count:,} {what if count > 1 else what.replace('s', '', 1)}"
        x, top = place(count * per + 8 + text_width(text, SIZE))
        item = group.group("listitem", f"The widths of boxes show {what}")
        middle, end = top + LINE / 2, x + count * per
        item.add(Line(((x, middle), (end, middle))))
        item.add(*(Line(((at, middle - 6), (at, middle + 6))) for at in (x, end)))
        item.add(Words(end + 8, top + ASCENT * SIZE + 3, text, SIZE, anchor="start"))
    return places[1] + LINE


def _scales(scale: Scale, shapes: Collection[Shape]) -> list[tuple[str, float]]:
    maps, vectors = (any(len(shape) == rank for shape in shapes) for rank in (3, 1))
    if not vectors or scale.maps == scale.vectors:
        return [("channels" if maps else "values", scale.maps)]
    return [("channels of maps", scale.maps), ("values of vectors", scale.vectors)]


def _round_count(per: float) -> int:
    """A power of two whose box is at most 130 points wide, at least 1."""
    count = 1
    while 2 * count * per <= 130:
        count *= 2
    return count
