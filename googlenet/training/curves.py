"""Curves of training as a picture: the loss, and the accuracies, by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..files import replacing
from .checkpoint import Epoch
from .colours import colours_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg")

#: More lines than this leave the legend no room among them.
MOST_INSIDE = 6

#: The columns of a legend below them.
COLUMNS = 4


def draw_curves(
    path: Path,
    runs: Mapping[str, Sequence[Sequence[Epoch]]],
    title: str,
    *,
    labels: Mapping[str, str] | None = None,
    chance: float | None = None,
) -> None:
    """Draw the epochs of `runs`, by framework one run or several seeds', to `path`: a PNG or, by
    its ending, an SVG; whole at any moment.

    Each framework has the colour of its name (`colours_of`); `labels` are what the legend calls
    them, by default their names. Of several seeds the mean is drawn, and the range between the
    lowest and the highest shaded.
    `chance` is the loss, in nats, of a network that knows nothing. Raises `DataError` for another
    ending or a file that cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: expected a name that ends in .png or .svg")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(runs) // COLUMNS) if len(runs) > MOST_INSIDE else 0
    figure = Figure(figsize=(10, 4.2 + 0.25 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    colours = colours_of(runs)
    for name, seeds in runs.items():
        colour, label = colours[name], (labels or {}).get(name, name)
        many = f"{label} ({len(seeds)} seeds)" if len(seeds) > 1 else label
        _line(left, seeds, "loss", colour, "-", many)
        _line(right, seeds, "test_accuracy", colour, "-", None)
        _line(right, seeds, "train_accuracy", colour, "--", None)
    if chance is not None:
        left.axhline(chance, color="0.6", linewidth=1, linestyle=":")
        left.annotate(
            "chance",
            (1, chance),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color="0.4",
            fontsize=8,
        )
    left.set_ylabel("training loss (nats)")
    left.set_ylim(bottom=0)
    right.set_ylabel("accuracy: test solid, training dashed")
    right.set_ylim(0, 1.02)
    most = max((len(epochs) for seeds in runs.values() for epochs in seeds), default=1)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.set_xlim(0.9, max(most, 2) + 0.1)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    if len(runs) > MOST_INSIDE:
        figure.legend(loc="outside lower center", ncols=COLUMNS, frameon=False, fontsize=9)
    else:
        left.legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    try:
        with replacing(path) as temporary:
            metadata = (
                {"Date": None} if path.suffix.lower() == ".svg" else None
            )  # the same runs draw the same file
            figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=120, metadata=metadata)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error


def _line(
    axes: Axes,
    seeds: Sequence[Sequence[Epoch]],
    name: str,
    colour: str,
    style: str,
    label: str | None,
) -> None:
    length = max((len(epochs) for epochs in seeds), default=0)
    values = np.full((len(seeds), length), np.nan)
    for row, epochs in zip(values, seeds, strict=True):
        row[: len(epochs)] = [getattr(epoch, name) for epoch in epochs]
    if not values.size:
        return
    x = np.arange(1, length + 1)
    axes.plot(
        x,
        np.nanmean(values, 0),
        style,
        color=colour,
        label=label,
        linewidth=1.6,
        marker="o",
        markersize=2.5,
    )
    if len(seeds) > 1:
        axes.fill_between(
            x, np.nanmin(values, 0), np.nanmax(values, 0), color=colour, alpha=0.15, linewidth=0
        )
