"""What networks cost as a picture: parameters by kind of layer, multiply-adds and activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import DataError
from ..printable import printable
from .figures import TEXT, WIDTH, arrange, check_picture, in_our_look, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Kinds of layers that have parameters: the start of the row's key, the name in the legend, the
#: colour.
KINDS: Final = (
    ("convolution", "convolutions", "#4477aa"),
    ("dense", "dense layers", "#ee6677"),
    ("norm", "batch norm", "#ccbb44"),
)
TITLE: Final = "What networks cost"

#: A part smaller than this share of the longest bar is less than half a point wide.
SEEN: Final = 1 / 250

#: The most letters in one line of a network's name.
LINE: Final = 22


def draw_costs(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw `costs_figure(rows)` to `path`, a .png, .svg or .pdf.

    Raises `DataError` for another ending, no rows, or a file that cannot be written.
    """
    check_picture(path)
    save_figure(path, costs_figure(rows), TITLE)


@in_our_look
def costs_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Three panels of bars, each with a bar for every network.

    A row has `name`; `input_shape` in (channels, height, width); `parameters`, and of them
    `convolution_parameters`, `dense_parameters` and `norm_parameters`; `multiply_adds` and
    `activation_bytes` of one image. The legend has only the kinds of layers that occur. Raises
    `DataError` if there are no rows.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    if not rows:
        raise DataError("`rows`: expected at least one network")
    shapes = ["×".join(map(str, row["input_shape"])) for row in rows]
    alike = len(set(shapes)) == 1
    settings = f"for one image of {shapes[0]}" if alike else "for one image"
    if len({tuple(row["input_shape"][1:]) for row in rows}) > 1:
        settings += "; sizes differ, so multiply-adds and activations cannot be compared"
    names = [
        "\n".join([*_broken(printable(row["name"])), *([] if alike else [shape])])
        for row, shape in zip(rows, shapes, strict=True)
    ]
    figure = Figure()
    panels = figure.subplots(1, 3, sharey=True)
    parameters, multiply_adds, activations = panels
    entries = []
    left = [0.0] * len(rows)
    for kind, label, colour in KINDS:
        values = [row[f"{kind}_parameters"] / 1e6 for row in rows]
        if not any(values):
            continue
        parameters.barh(range(len(rows)), values, left=left, color=colour)
        left = [a + b for a, b in zip(left, values, strict=True)]
        seen = max(values) > SEEN * max(row["parameters"] / 1e6 for row in rows)
        entries.append((label if seen else f"{label} (too few to see)", colour))
    _label(parameters, left)
    for axes, key, unit, colour in (
        (multiply_adds, "multiply_adds", 1e6, "#228833"),
        (activations, "activation_bytes", 2**20, "#66ccee"),
    ):
        values = [row[key] / unit for row in rows]
        axes.barh(range(len(rows)), values, color=colour)
        _label(axes, values)
    parameters.set_title("parameters\n(millions)")
    multiply_adds.set_title("multiply-adds\n(millions)")
    activations.set_title("activations\n(MiB)")
    parameters.set_yticks(range(len(rows)), names)
    parameters.set_ylim(len(rows) - 0.5, -0.5)  # the first at the top
    pitch = max(name.count("\n") + 1 for name in names) * 1.25 * TEXT / 72 + 0.14
    arrange(
        figure,
        pitch * len(rows) + 1.0,
        title=TITLE,
        settings=settings,
        legends=[[Patch(color=colour, label=label) for label, colour in entries]],
    )
    return figure


def _label(axes: Axes, values: Sequence[float]) -> None:
    """Write each value after its bar, and leave the bars as much of the axis as that allows."""
    most = max(values) or 1.0
    labels = [_number(value) for value in values]
    for place, (value, label) in enumerate(zip(values, labels, strict=True)):
        axes.annotate(
            label,
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=TEXT,
        )
    panel = WIDTH / 5  # inches, roughly
    room = 0.1 + max(map(len, labels)) * 0.65 * TEXT / 72
    axes.set_xlim(0, most / (1 - min(room / panel, 0.8)))
    axes.tick_params(left=False)
    axes.set_xticks([])  # the bars are labelled
    axes.spines["bottom"].set_visible(False)


def _number(value: float) -> str:
    """Three significant digits, or all before the point: 15,408, 129, 6.98, 0.0073, 1.2e+09."""
    if value >= 1e7:
        return f"{value:.3g}"
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def _broken(name: str) -> list[str]:
    """A name in lines of at most `LINE` letters, broken after a colon if possible."""
    library, colon, network = name.rpartition(":")
    parts = [f"{library}{colon}", network] if colon else [name]
    return [part[i : i + LINE] for part in parts for i in range(0, len(part), LINE)]
