"""Curves of training as a picture: the loss, and the accuracies, by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..drawing.colours import colours_of
from ..drawing.figures import arrange, check_picture, in_our_look, save_figure
from ..printable import printable
from .position import Epoch

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: By framework, one run or several seeds', in the order of the seeds.
Runs = Mapping[str, Sequence[Sequence[Epoch]]]

#: The height of the panels in inches.
HEIGHT: Final = 4.3

#: More epochs than this are drawn without a mark at each.
MOST_MARKS: Final = 20

#: A loss above this many times a usual one is off the scale: an arrow at the upper edge marks it.
OFF_SCALE: Final = 4.0

#: The axis spans at least this share of the loss, and of all accuracies, so that flat curves look
#: flat.
LEAST_LOSS, LEAST_ACCURACY = 0.2, 0.2

#: The fields of an epoch that are drawn.
FIELDS: Final = ("loss", "test_loss", "train_accuracy", "test_accuracy")

#: A loss beyond this was infinite: logs cannot hold infinity and have the largest float64 instead.
FINITE: Final = 1e300


def draw_curves(
    path: Path,
    runs: Runs,
    title: str,
    *,
    labels: Mapping[str, str] | None = None,
    chance: float | None = None,
    settings: str = "",
    note: str = "",
) -> None:
    """Draw `curves_figure` of the same arguments to `path`, a .png, .svg or .pdf that is complete
    at any moment. Raises `DataError` for any other ending or a file that cannot be written.
    """
    check_picture(path)
    figure = curves_figure(runs, title, labels=labels, chance=chance, settings=settings, note=note)
    save_figure(path, figure, title)


@in_our_look
def curves_figure(
    runs: Runs,
    title: str,
    *,
    labels: Mapping[str, str] | None = None,
    chance: float | None = None,
    settings: str = "",
    note: str = "",
) -> Figure:
    """The losses on the left and the accuracies on the right, solid for testing and dashed for
    training.

    Each framework has the colour of its name (`colours_of`); `labels` are what the legend calls
    them, by default their names. With several seeds the mean is drawn, and the range from the
    lowest to the highest is shaded. Runs without a finished epoch are left out.

    Axes follow the data. A loss of more than `OFF_SCALE` times a usual one, or that is not finite,
    leaves the panel, and an arrow at the upper edge marks its epoch. `chance` is the training loss,
    in nats, of a network that knows nothing: a line where the axis comes near it.

    `settings` appears in smaller letters below `title`, and `note` below the legend.
    """
    from matplotlib.figure import Figure

    curves = curves_of(runs)
    frameworks = list(dict.fromkeys(curve.framework for curve in curves))
    figure = Figure()
    left, right = figure.subplots(1, 2)
    most = max((curve.values.shape[1] for curve in curves), default=1)
    for axes, kind, heading in ((left, "loss", "loss (nats)"), (right, "accuracy", "accuracy")):
        axes.set_title(heading)
        axes.set_xlabel("epoch")
        margin = min(max(0.04 * (most - 1), 0.1), 0.9) if most > 1 else 0.5
        axes.set_xlim(1 - margin, most + margin)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.yaxis.get_major_locator().set_params(nbins=6, steps=[1, 2, 5, 10])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
        axes.set_ylim(*axis_limits(curves, kind, chance))
        for curve in curves:
            if curve.kind == kind:
                _draw(axes, curve, colours_of(runs)[curve.framework], marks=most <= MOST_MARKS)
    arrange(
        figure,
        HEIGHT,
        title=title,
        settings=settings,
        legends=[
            _framework_handles(curves, frameworks, colours_of(runs), labels or {}),
            _style_handles(curves, left, chance, marks=most <= MOST_MARKS),
        ],
        note=note,
    )
    return figure


@dataclass(frozen=True, eq=False)
class Curve:
    """One number of a framework's epochs: `values` float64 (seeds, epochs), nan after a run's end,
    inf where it was not finite.
    """

    framework: str
    field: str
    values: Floats

    @property
    def kind(self) -> str:
        """Its panel."""
        return "loss" if self.field.endswith("loss") else "accuracy"

    @property
    def test(self) -> bool:
        """Whether it is for the test images."""
        return self.field.startswith("test")

    @property
    def seeds(self) -> int:
        """How many runs have an epoch."""
        return int((~np.isnan(self.values[:, 0])).sum())

    @property
    def mean(self) -> Floats:
        """Over the seeds, (epochs,)."""
        mean: Floats = np.nanmean(self.values, 0)  # every epoch has at least one
        return mean


def curves_of(runs: Runs) -> list[Curve]:
    """Four for each framework that has an epoch; a run without one is a row of nan."""
    curves = []
    for framework, seeds in runs.items():
        length = max(map(len, seeds), default=0)
        for field in FIELDS if length else ():
            values = np.full((len(seeds), length), np.nan)
            for row, epochs in zip(values, seeds, strict=True):
                row[: len(epochs)] = [_finite(getattr(epoch, field)) for epoch in epochs]
            curves.append(Curve(framework, field, values))
    return curves


def _finite(value: float) -> float:
    return value if np.isfinite(value) and abs(value) < FINITE else np.inf


def _seen(curves: Iterable[Curve]) -> Floats:
    """All finite values in one array."""
    values: Floats = np.concatenate([[], *(curve.values.ravel() for curve in curves)])
    finite: Floats = values[np.isfinite(values)]
    return finite


def _ceiling(curves: Sequence[Curve], chance: float | None) -> float:
    """The highest loss that is drawn to scale.

    A usual loss is that of a network that knows nothing, or if `chance` is not given, the lowest
    first loss of any framework; but at least the lower quartile, so that this much is always to
    scale.
    """
    losses = [curve for curve in curves if curve.kind == "loss"]
    values = _seen(losses)
    if not values.size:
        return np.inf
    starts = [np.nanmin(curve.values[:, 0]) for curve in losses if not curve.test]
    usual = chance if chance is not None else min(starts)
    usual = usual if np.isfinite(usual) else 0.0
    return OFF_SCALE * max(usual, float(np.quantile(values, 0.25, method="lower")))


def axis_limits(curves: Sequence[Curve], kind: str, chance: float | None) -> tuple[float, float]:
    """The lower and upper end of the axis of a panel."""
    values = _seen(curve for curve in curves if curve.kind == kind)
    if kind == "loss":
        values = values[values <= _ceiling(curves, chance)]
    if not values.size:
        return (0.0, 1.0 if chance is None or kind == "accuracy" else 1.1 * chance)
    low, high = float(values.min()), float(values.max())
    least = LEAST_ACCURACY if kind == "accuracy" else LEAST_LOSS * high or 1.0
    short = max(least - (high - low), 0.0)
    low, high = low - short / 2, high + short / 2
    if kind == "accuracy":  # from 0 to 1 at most
        low, high = (0.0, least) if low < 0 else (1 - least, 1.0) if high > 1 else (low, high)
        low, high = min(low, values.min()), max(high, values.max())
    elif chance is not None and low - (high - low) < chance < high + (high - low):
        low, high = min(low, chance), max(high, chance)
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _draw(axes: Axes, curve: Curve, colour: str, *, marks: bool) -> None:
    low, high = axes.get_ylim()
    above = high + 0.6 * (high - low)  # out of view
    x = np.arange(1, curve.values.shape[1] + 1)

    def clipped(values: Any) -> Any:
        return np.minimum(values, above)

    style = _style(curve.test, marks=marks or len(x) == 1)
    axes.plot(x, clipped(curve.mean), color=colour, zorder=3 if curve.test else 2.5, **style)
    highest = np.nanmax(curve.values, 0)
    if curve.seeds > 1:
        lowest = np.nanmin(curve.values, 0)
        axes.fill_between(
            x, clipped(lowest), clipped(highest), color=colour, alpha=0.15, linewidth=0
        )
    axes.plot(
        x[highest > high],
        np.full((highest > high).sum(), 0.975),
        transform=axes.get_xaxis_transform(),
        color=colour,
        zorder=4,
        **{**_arrow(curve.test), "linestyle": "none"},
    )


def _style(test: bool, *, marks: bool) -> dict[str, Any]:
    return {
        "linestyle": "-" if test else (0, (4, 1.6)),
        "linewidth": 2.0 if test else 1.7,
        "marker": "o" if marks else "",
        "markersize": 6,
        "markerfacecolor": None if test else "white",
    }


def _arrow(test: bool) -> dict[str, Any]:
    return {"marker": "^", "markersize": 10, "markerfacecolor": None if test else "white"}


def _framework_handles(
    curves: Sequence[Curve],
    frameworks: Sequence[str],
    colours: Mapping[str, str],
    labels: Mapping[str, str],
) -> list[Artist]:
    from matplotlib.lines import Line2D

    counts = _seed_counts(curves)
    handles: list[Artist] = []
    for name in frameworks:
        label = printable(labels.get(name, name))
        if len(set(counts.values())) > 1:
            label += f" ({counts[name]} seed{'' if counts[name] == 1 else 's'})"
        handles.append(
            Line2D([], [], color=colours[name], linewidth=5, solid_capstyle="butt", label=label)
        )
    return handles


def _style_handles(
    curves: Sequence[Curve], axes: Axes, chance: float | None, *, marks: bool
) -> list[Artist]:
    """What the styles mean, in grey; a line at `chance` in `axes` if it is in view."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = []
    if curves:
        handles += [
            Line2D([], [], color="0.4", label="test", **_style(True, marks=marks)),
            Line2D([], [], color="0.4", label="training", **_style(False, marks=marks)),
        ]
    counts = set(_seed_counts(curves).values())
    if counts and max(counts) > 1:
        seeds = f"{max(counts)} seeds" if len(counts) == 1 else "the seeds"
        label = f"lowest to highest of {seeds}; the line is their mean"
        handles.append(Patch(color="0.4", alpha=0.3, linewidth=0, label=label))
    low, high = axes.get_ylim()
    if chance is not None and curves:
        dotted: dict[str, Any] = {"color": "0.3", "linewidth": 1.7, "linestyle": (0, (1, 1.5))}
        label = f"training loss at chance: {chance:.3f}"
        if low <= chance <= high:
            axes.axhline(chance, zorder=2, **dotted)
        else:
            label += f", {'above' if chance > high else 'below'} the panel"
        handles.append(Line2D([], [], label=label, **dotted))
    losses = np.concatenate([[], *(c.values.ravel() for c in curves if c.kind == "loss")])
    if (losses > high).any():
        most = np.nanmax(losses)
        label = f"off the scale, up to {_short(most) if np.isfinite(most) else 'infinity'}"
        grey: dict[str, Any] = {"color": "0.4", "linestyle": "none"}
        handles.append(Line2D([], [], label=label, **grey, **_arrow(True)))
    return handles


def _short(value: float) -> str:
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"


def _seed_counts(curves: Sequence[Curve]) -> dict[str, int]:
    return {curve.framework: curve.seeds for curve in curves}
