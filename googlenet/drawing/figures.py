"""What all pictures have in common: their look, the text around the axes, and how they are saved.

A picture is `WIDTH` inches wide and meant for a projector: no text in it is smaller than `TEXT`
points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from ..errors import DataError
from ..files import replacing, writing
from ..printable import printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.text import Text

SUFFIXES: Final = (".png", ".svg", ".pdf")

#: Inches.
WIDTH: Final = 10.0
#: Points.
TEXT, HEADING, TITLE = 13.5, 15.0, 17.0
#: The space at the edges, and between two lines of text: inches.
MARGIN, GAP = 0.15, 0.11
GREY: Final = "0.35"
DOTS_PER_INCH: Final = 150

#: Fallbacks for DejaVu Sans, which comes with matplotlib but may be missing from browsers: the
#: first two are about as wide.
FONTS: Final = ("DejaVu Sans", "Verdana", "Geneva", "Noto Sans", "Arial", "Helvetica")
#: If one of these is installed, a PNG or PDF can show Chinese and Japanese names too.
EAST_ASIAN_FONTS: Final = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
)

P = ParamSpec("P")
T = TypeVar("T")


def check_picture(path: Path) -> None:
    """Raises `DataError` unless the name ends in one of `SUFFIXES`."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: expected a name that ends in .png, .svg or .pdf")


@contextmanager
def _look() -> Iterator[None]:
    """matplotlib's defaults, whatever the user has set, with our changes."""
    import matplotlib
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A letter that no font has is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": ["sans-serif", *(n for n in EAST_ASIAN_FONTS if n in installed)],
                "font.sans-serif": list(FONTS),
                "font.size": TEXT,
                "axes.titlesize": HEADING,
                "axes.titlelocation": "left",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "text.parse_math": False,  # a name may have a dollar sign
                "svg.fonttype": "none",  # text stays text
                "svg.hashsalt": "googlenet",  # not random
                "pdf.fonttype": 42,
            }
        )
        yield


def in_our_look(function: Callable[P, T]) -> Callable[P, T]:
    """A function that makes a figure or saves one, whatever the user has set in matplotlib."""

    @wraps(function)
    def wrapped_function(*args: P.args, **kwargs: P.kwargs) -> T:
        with _look():
            return function(*args, **kwargs)

    return wrapped_function


@in_our_look
def save_figure(path: Path, figure: Figure, title: str) -> None:
    """Save `figure` in the format that the ending of `path` says; the file is complete at any
    moment.

    `title` goes into the file's metadata. The file has no date in it and nothing random: the same
    figure always makes the same file. Raises `DataError` for any other ending or a file that cannot
    be written.
    """
    check_picture(path)
    kind = path.suffix.lower()[1:]
    dates: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    metadata = {"Title": printable(title), **dates.get(kind, {})}
    with writing(path), replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)


def arrange(
    figure: Figure,
    height: float,
    *,
    title: str,
    settings: str = "",
    legends: Sequence[Sequence[Artist]] = (),
    note: str = "",
) -> None:
    """Give `figure` its size: its axes take `height` inches; above them are `title` and `settings`,
    and below them a legend for each list of handles, and `note`.

    Nothing covers anything else; text that is too wide continues on another line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure.set_size_inches(WIDTH, height)  # for measuring
    canvas: Any = FigureCanvasAgg(figure)
    renderer: RendererBase = canvas.get_renderer()
    above = [
        _text(figure, renderer, title, TITLE, "black"),
        *([_text(figure, renderer, settings, TEXT, GREY)] if settings else []),
    ]
    below: list[Legend | Text] = [_legend(figure, renderer, each) for each in legends if each]
    if note:
        below.append(_text(figure, renderer, note, TEXT, "black"))

    def tall(artist: Legend | Text) -> float:
        return artist.get_window_extent(renderer).height / figure.dpi

    top = MARGIN + sum(tall(artist) + GAP for artist in above)
    bottom = MARGIN + sum(tall(artist) + GAP for artist in below)
    total = top + height + bottom
    figure.set_size_inches(WIDTH, total)
    place = total - MARGIN
    for text in above:
        text.set_position((MARGIN / WIDTH, place / total))
        place -= tall(text) + GAP
    place = bottom - GAP
    for artist in below:
        if hasattr(artist, "set_bbox_to_anchor"):
            artist.set_bbox_to_anchor((MARGIN / WIDTH, place / total))
        else:
            artist.set_position((MARGIN / WIDTH, place / total))
        place -= tall(artist) + GAP
    rect = (0, bottom / total, 1, height / total)
    figure.set_layout_engine(
        ConstrainedLayoutEngine(rect=rect, w_pad=MARGIN, h_pad=GAP / 2, wspace=0.03)
    )


def _text(figure: Figure, renderer: RendererBase, text: str, size: float, colour: str) -> Text:
    return figure.text(
        0,
        0,
        _wrapped(renderer, printable(text), size, (WIDTH - 2 * MARGIN) * figure.dpi),
        fontsize=size,
        color=colour,
        ha="left",
        va="top",
        linespacing=1.25,
    )


def _wrapped(renderer: RendererBase, text: str, size: float, most: float) -> str:
    """`text` in lines of at most `most` pixels, broken at spaces, or within a word that is longer
    than a line.
    """
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size)

    def fits(line: str) -> bool:
        return renderer.get_text_width_height_descent(line, font, False)[0] <= most

    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if fits(joined):
            lines[-1] = joined
            continue
        lines.append("")
        for letter in word:
            if fits(lines[-1] + letter):
                lines[-1] += letter
            else:
                lines.append(letter)
    return "\n".join(line for line in lines if line)


def _legend(figure: Figure, renderer: RendererBase, handles: Sequence[Artist]) -> Legend:
    """A legend in as few rows as the width allows, with columns of about equal length."""
    for rows in range(1, len(handles) + 1):
        legend = figure.legend(
            handles=list(handles),
            loc="upper left",
            bbox_to_anchor=(0, 0),
            ncols=-(-len(handles) // rows),
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=2.6,
            columnspacing=1.5,
        )
        if legend.get_window_extent(renderer).width <= (WIDTH - 2 * MARGIN) * figure.dpi:
            break
        if rows < len(handles):
            legend.remove()
    return legend
