"""A picture made of boxes, lines and words, as SVG that can be read aloud, and for matplotlib.

Lengths are in points, from the top left. The order of the elements is the order of reading.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from ..printable import printable
from .figures import FONTS, in_our_look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The height of capital letters and the depth of letters below the line, in shares of the size.
ASCENT, DESCENT = 0.76, 0.24


@dataclass(frozen=True)
class Fill:
    """How a box is filled: a colour, and a pattern of lines in the colour of its edge: one of
    `PATTERNS` or "", so that black-and-white prints tell boxes apart, too.
    """

    colour: str
    edge: str = "#1a1a1a"
    pattern: str = ""


@dataclass(frozen=True)
class Box:
    """A rectangle; `path` is the layer that it stands for, and `channels` those that make it as
    wide as it is.
    """

    x: float
    y: float
    width: float
    height: float
    fill: Fill
    path: str = ""
    channels: int = 0
    dashed: bool = False
    edge_width: float = 1.0


@dataclass(frozen=True)
class Line:
    """A line through `points`, with an arrowhead at its end if `arrow`."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Words:
    """A line of text whose baseline is at `y`; `anchor` says which of its points is at `x`."""

    x: float
    y: float
    text: str
    size: float
    bold: bool = False
    colour: str = "#1a1a1a"
    anchor: str = "middle"

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Its left, top, right and bottom."""
        width = text_width(self.text, self.size, self.bold)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - ASCENT * self.size, left + width, self.y + DESCENT * self.size


@dataclass
class Group:
    """Elements that belong together. `role` is ARIA's, and `label` what is read aloud; a
    "listitem" without groups inside is read by its label only.
    """

    role: str = ""
    label: str = ""
    elements: list[Element] = field(default_factory=list)

    def add(self, *elements: Element) -> None:
        """Append elements."""
        self.elements.extend(elements)

    def group(self, role: str = "", label: str = "") -> Group:
        """A new group at the end of this one."""
        made = Group(role, label)
        self.elements.append(made)
        return made

    def walk(self) -> Iterator[Box | Line | Words]:
        """All elements of it and of the groups inside, in order."""
        for element in self.elements:
            if isinstance(element, Group):
                yield from element.walk()
            else:
                yield element


Element: TypeAlias = Box | Line | Words | Group


@dataclass(frozen=True)
class Scene:
    """A whole picture: its size, a title, a description of all that it shows, and its elements."""

    width: float
    height: float
    title: str
    description: str
    root: Group


@cache
def text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a line of text is in DejaVu Sans, without hinting."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONTS[0], size=size, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        # A letter that it has not is as wide as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        width: float = text_to_path.get_text_width_height_descent(printable(text), font, False)[0]
    return width


def wrapped(text: str, size: float, most: float, bold: bool = False) -> list[str]:
    """`text` in lines of at most `most`, broken at spaces; a word that is longer than a line after
    its underscores or, if need be, anywhere. A stride stays whole.
    """
    lines: list[str] = []
    for word in re.findall(r"stride \S+|\S+", text):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size, bold) <= most:
            lines[-1] = joined
        elif text_width(word, size, bold) <= most:
            lines.append(word)
        else:
            lines.extend(_broken(word, size, most, bold))
    return lines


def _broken(word: str, size: float, most: float, bold: bool) -> list[str]:
    lines = [""]
    for piece in re.findall(r"[^_]*_|[^_]+", word):
        if lines[-1] and text_width(lines[-1] + piece, size, bold) > most:
            lines.append("")
        for letter in piece:
            if lines[-1] and text_width(lines[-1] + letter, size, bold) > most:
                lines.append("")
            lines[-1] += letter
    return lines


# SVG ----------------------------------------------------------------------------------------------

#: Each pattern by its name, for SVG as a path in a square of 8 points, and as matplotlib has it.
PATTERNS: Final = {
    "/": ("M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4", "///"),
    "x": ("M0,0 l8,8 M0,8 l8,-8", "xxx"),
    "-": ("M0,2 h8 M0,6 h8", "---"),
}


def to_svg(scene: Scene) -> str:
    """`scene` as an SVG document in which text is text. It has a title and a description, and a
    screen reader finds lists of stages, blocks, branches and layers in it.
    """
    fonts = ", ".join(f"'{font}'" if " " in font else font for font in (*FONTS, "sans-serif"))
    body = "\n".join(_svg(scene.root, "  ", silent=False))
    fills = {each.fill for each in scene.root.walk() if isinstance(each, Box) and each.fill.pattern}
    patterns = [
        f'    <pattern id={quoteattr(_pattern_id(fill))} width="8" height="8"'
        f' patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="{fill.colour}"/>'
        f'<path d="{PATTERNS[fill.pattern][0]}" stroke="{fill.edge}" stroke-width="1"/></pattern>'
        for fill in sorted(fills, key=_pattern_id)
    ]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(scene.width)}"'
            f' height="{_n(scene.height)}" viewBox="0 0 {_n(scene.width)} {_n(scene.height)}"'
            ' role="graphics-document document" aria-labelledby="title" aria-describedby="desc"'
            f' xml:lang="en" font-family="{fonts}">',
            f'  <title id="title">{escape(printable(scene.title))}</title>',
            f'  <desc id="desc">{escape(printable(scene.description))}</desc>',
            *(["  <defs>", *patterns, "  </defs>"] if patterns else []),
            '  <rect width="100%" height="100%" fill="#ffffff" aria-hidden="true"/>',
            body,
            "</svg>",
            "",
        ]
    )


def _svg(element: Element, indent: str, *, silent: bool) -> Iterator[str]:
    """The lines of an element; with `silent`, what stands in it is read by the label of its
    group.
    """
    hidden = ' aria-hidden="true"'
    match element:
        case Group(role, label, elements):
            item = role == "listitem" and not any(isinstance(each, Group) for each in elements)
            attributes = (f' role="{role}"' if role else "") + (
                f" aria-label={quoteattr(printable(label))}" if label else ""
            )
            yield f"{indent}<g{attributes}>"
            for each in elements:
                yield from _svg(each, indent + "  ", silent=silent or item)
            yield f"{indent}</g>"
        case Box(x, y, width, height, fill, path, channels, dashed, edge_width):
            colour = f"url(#{_pattern_id(fill)})" if fill.pattern else fill.colour
            data = f" data-path={quoteattr(path)}" if path else ""
            data += f' data-channels="{channels}"' if channels else ""
            yield (
                f'{indent}<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width, 3)}"'
                f' height="{_n(height)}" fill="{colour}" stroke="{fill.edge}"'
                f' stroke-width="{_n(edge_width)}"{_dashes(dashed)}{data}{hidden}/>'
            )
        case Line(points, arrow, dashed):
            path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
            yield (
                f'{indent}<polyline points="{path}" fill="none" stroke="{LINE_COLOUR}"'
                f' stroke-width="1.5"{_dashes(dashed)}{hidden}/>'
            )
            if arrow:
                head = " ".join(f"{_n(x)},{_n(y)}" for x, y in arrowhead(points))
                yield f'{indent}<polygon points="{head}" fill="{LINE_COLOUR}"{hidden}/>'
        case Words(x, y, text, size, bold, colour, anchor):
            weight = ' font-weight="bold"' if bold else ""
            yield (
                f'{indent}<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}"{weight}'
                f' text-anchor="{anchor}" fill="{colour}"{hidden if silent else ""}>'
                f"{escape(printable(text))}</text>"
            )


LINE_COLOUR: Final = "#555555"


def _dashes(dashed: bool) -> str:
    return ' stroke-dasharray="5 4"' if dashed else ""


def _pattern_id(fill: Fill) -> str:
    name = {"/": "slanted", "x": "crossed", "-": "level"}[fill.pattern]
    return f"{name}-{fill.colour[1:]}-{fill.edge[1:]}"


def _n(value: float, digits: int = 1) -> str:
    """A number as short as it can be."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def arrowhead(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The corners of the arrowhead at the end of a line."""
    (x0, y0), (x1, y1) = points[-2], points[-1]
    length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    back, side = 9.0, 4.0
    foot = (x1 - back * dx, y1 - back * dy)
    return (
        (x1, y1),
        (foot[0] - side * dy, foot[1] + side * dx),
        (foot[0] + side * dy, foot[1] - side * dx),
    )


# matplotlib ---------------------------------------------------------------------------------------


@in_our_look
def to_figure(scene: Scene) -> Figure:
    """`scene` as a figure of matplotlib's, for its formats of pixels and of print."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(scene.width / 72, scene.height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, scene.width)
    axes.set_ylim(scene.height, 0)
    axes.set_axis_off()
    for order, element in enumerate(scene.root.walk()):
        _draw(axes, element, order)
    return figure


def _draw(axes: Axes, element: Box | Line | Words, order: int) -> None:
    from matplotlib.patches import Polygon, Rectangle

    match element:
        case Box(x, y, width, height, fill, _, _, dashed, edge_width):
            hatch = PATTERNS[fill.pattern][1] if fill.pattern else None
            axes.add_patch(
                Rectangle(
                    (x, y),
                    width,
                    height,
                    facecolor=fill.colour,
                    edgecolor=fill.edge,
                    linewidth=edge_width,
                    linestyle=(0, (5, 4)) if dashed else "-",
                    hatch=hatch,
                    zorder=order,
                    joinstyle="miter",
                )
            )
        case Line(points, arrow, dashed):
            xs, ys = zip(*points, strict=True)
            style = (0, (5, 4)) if dashed else "-"
            axes.plot(xs, ys, color=LINE_COLOUR, linewidth=1.5, linestyle=style, zorder=order)
            if arrow:
                axes.add_patch(
                    Polygon(arrowhead(points), color=LINE_COLOUR, linewidth=0, zorder=order)
                )
        case Words(x, y, text, size, bold, colour, anchor):
            axes.text(
                x,
                y,
                printable(text),
                fontsize=size,
                fontweight="bold" if bold else "normal",
                color=colour,
                ha={"start": "left", "middle": "center", "end": "right"}[anchor],
                va="baseline",
                zorder=order,
            )
