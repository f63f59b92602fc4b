"""How fast frameworks are as a picture: a bar for each case, or curves where something grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import DataError
from ..printable import printable
from .colours import colours_of
from .figures import TEXT, arrange, check_picture, in_our_look, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The height of the panel with curves, in inches.
HEIGHT: Final = 4.3
#: How what is not float32 inference of the native model looks: the fill of a bar, and the line.
FILLS: Final = {"compiled": "///", "own": "\\\\\\"}
LOWER: Final = {"bfloat16": "xxx", "int8": "ooo"}
MARKERS: Final = {"float32": "o", "bfloat16": "x", "int8": "s"}
LINES: Final[dict[str, Any]] = {"native": "-", "compiled": "--", "own": "-.", "training": ":"}


def draw_speeds(path: Path, timings: Mapping[str, Any]) -> None:
    """Draw `speeds_figure(timings)` to `path`, a .png, .svg or .pdf.

    Raises `DataError` for another ending, nothing that was timed, or a file that cannot be written.
    """
    check_picture(path)
    save_figure(path, speeds_figure(timings), "Speed")


@in_our_look
def speeds_figure(timings: Mapping[str, Any]) -> Figure:
    """`timings` as `Timings.to_json` gives them: a bar of images a second for each row, from the
    lower to the upper quartile a line on it; or with `scale`, seconds over multiply-adds, one curve
    for each framework and form, both axes logarithmic. Frameworks have the colours that they have
    in every picture.

    Raises `DataError` if nothing was timed.
    """
    from matplotlib.figure import Figure

    rows = [row for row in timings["timed"] if row["median_seconds"] is not None]
    if not rows:
        raise DataError("`timings`: nothing was timed, so there is nothing to draw")
    colours = colours_of(row["framework"] for row in rows)
    figure = Figure()
    axes = figure.subplots()
    shapes = ["×".join(map(str, each["input_shape"])) for each in timings["networks"]]
    name = printable(timings["networks"][-1]["name"])
    if timings["scale"] is None:
        height = _bars(axes, rows, shapes, colours)
    else:
        _curves(axes, rows, timings["scale"], colours)
        height = HEIGHT
    settings = f"{timings['rounds']} alternated rounds, {timings['threads'] or 'all'} threads"
    if len(set(shapes)) == 1:
        settings = f"at {shapes[0]}, {settings}"
    arrange(
        figure,
        height,
        title=f"Speed of {name}",
        settings=settings,
        legends=[_handles(rows, colours, timings["scale"] is not None)],
    )
    return figure


def _kind(row: Mapping[str, Any]) -> str:
    return "training" if row["work"] == "training" else str(row["form"])


def _bars(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    shapes: Sequence[str],
    colours: Mapping[str, str],
) -> float:
    """A bar for each row, by what is the same for all frameworks; returns the height in inches."""
    groups: dict[tuple[int, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["batch"], row["work"]), []).append(row)
    place, most = 0.0, max(row["images_per_second"] for row in rows)
    ticks, labels = [], []
    for (network, batch, work), members in groups.items():
        ticks.append(place + (len(members) - 1) / 2)
        at = f"\n{shapes[network]}" if len(set(shapes)) > 1 else ""
        labels.append(f"batch {batch:,}{at}" + ("\ntraining" if work == "training" else ""))
        for row in members:
            speeds = row["batch"] / np.asarray(row["seconds"])
            low, middle, high = np.percentile(speeds, [25, 50, 75])
            fill = LOWER.get(row["dtype"], FILLS.get(_kind(row), ""))
            axes.barh(place, middle, color=colours[row["framework"]], hatch=fill, edgecolor="white")
            axes.plot([low, high], [place, place], color="black", linewidth=1.5)
            text = f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}"
            axes.annotate(
                text,
                (max(high, middle), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=TEXT,
            )
            place += 1
        place += 0.7
    axes.set_yticks(ticks, labels)
    axes.set_ylim(place - 0.9, -0.8)  # the first at the top
    axes.set_xlim(0, 1.15 * most)
    axes.set_xlabel("images a second")
    axes.tick_params(left=False)
    return 0.24 * place + 0.9


def _curves(
    axes: Axes, rows: Sequence[Mapping[str, Any]], scale: str, colours: Mapping[str, str]
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    kinds = dict.fromkeys((row["framework"], _kind(row), row["dtype"]) for row in rows)
    for framework, kind, dtype in kinds:
        mine = [
            row
            for row in rows
            if (row["framework"], _kind(row), row["dtype"]) == (framework, kind, dtype)
        ]
        mine.sort(key=lambda row: row["operations"])
        axes.plot(
            [row["operations"] / 2e9 for row in mine],
            [1e3 * row["median_seconds"] for row in mine],
            color=colours[framework],
            linestyle=LINES[kind],
            marker=MARKERS[dtype],
            markersize=4,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"multiply-adds of a call (billions), which grow with the {scale}")
    axes.set_ylabel("time of a call (ms)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)


def _handles(
    rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str], lines: bool
) -> list[Any]:
    """A colour for each framework, and a fill or a line for each form."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    found: list[Any] = [
        Patch(color=colour, label=printable(name)) for name, colour in colours.items()
    ]
    kinds = dict.fromkeys(map(_kind, rows))
    if lines:
        found += [Line2D([], [], color="0.3", linestyle=LINES[each], label=each) for each in kinds]
    else:
        found += [
            Patch(facecolor="0.6", edgecolor="white", hatch=FILLS[each], label=each)
            for each in kinds
            if each in FILLS
        ]
    for dtype in dict.fromkeys(row["dtype"] for row in rows if row["dtype"] in LOWER):
        if lines:
            found.append(Line2D([], [], color="0.3", marker=MARKERS[dtype], ls="", label=dtype))
        else:
            fill = LOWER[dtype]
            found.append(Patch(facecolor="0.6", edgecolor="white", hatch=fill, label=dtype))
    return found
