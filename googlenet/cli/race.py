"""`googlenet race`: train several frameworks from the same start, and lay their curves over one
another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DataError
from . import recipe_options as options
from .command import in_words
from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Dialect,
    Initializer,
    Interpreters,
    NetworkName,
    Size,
    Threads,
    Timeout,
    interpreters_of,
    shape_of,
)
from .output import add, bars, counted, print_json, say, say_aside, shape_text, show, table

if TYPE_CHECKING:
    from ..actions.race import Raced
    from ..training.race import RaceRun, Standing

Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        metavar="N",
        min=1,
        help="Number of runs of each framework, with seeds 0 to N-1.",
    ),
]


def command(
    name: NetworkName = "googlenet",
    framework: options.RaceFrameworks = None,
    python: Interpreters = None,
    seeds: Seeds = 1,
    data: options.Data = "digits",
    data_dir: options.DataDir = None,
    epochs: options.Epochs = options.BOOK.epochs,
    batch_size: options.BatchSize = options.BOOK.batch_size,
    learning_rate: options.LearningRate = options.BOOK.learning_rate,
    momentum: options.Momentum = options.BOOK.momentum,
    weight_decay: options.WeightDecay = options.BOOK.weight_decay,
    label_smoothing: options.LabelSmoothing = options.BOOK.label_smoothing,
    aux_weight: options.AuxWeights = None,
    schedule: options.ScheduleName = options.BOOK.schedule,
    decay_epochs: options.DecayEpochs = options.BOOK.decay_epochs,
    decay_factor: options.DecayFactor = options.BOOK.decay_factor,
    initializer: Initializer = "xavier_uniform",
    num_classes: options.Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    out: options.RaceOut = None,
    picture: options.Curves = None,
    threads: Threads = None,
    timeout: Timeout = 1800.0,
    as_json: AsJson = False,
) -> None:
    """Train a network in several frameworks from the same start, and compare their curves.

    Each runs in its own process, one after another; those that cannot train are skipped. Run the
    same command again to resume a race that was stopped. Exits with 1 if one fails.
    """
    from ..actions.race import race
    from ..drawing.figures import check_picture
    from ..training.folders import CURVES

    recipe = options.recipe_of(
        epochs,
        batch_size,
        learning_rate,
        momentum,
        weight_decay,
        label_smoothing,
        aux_weight,
        schedule,
        decay_epochs,
        decay_factor,
        seed=0,
    )
    path = None if picture is None else Path(picture)
    if path is not None:
        check_picture(path)

    undrawn: list[str] = []

    def finished(raced: Raced) -> None:
        try:
            _draw(raced, path or raced.folder / CURVES)
        except DataError as error:  # no reason to end a race of hours
            if str(error) not in undrawn:
                undrawn.append(str(error))
                say_aside(f"curves not drawn: {error}")
        if not as_json:
            run = raced.runs[-1]
            say(f"{run.framework}, seed {run.seed}: {_words(run)}", indent="  ")

    def begins(raced: Raced) -> None:
        if not as_json:
            _announce(raced, seeds)

    with bars(as_json) as shown:
        raced = race(
            name,
            data,
            recipe,
            frameworks=framework,
            seeds=range(seeds),
            out=out,
            interpreters=interpreters_of(python),
            num_classes=num_classes,
            input_shape=shape_of(name, channels=channels, size=size, aux=aux, dialect=dialect),
            aux=aux,
            dialect=dialect,
            initializer=initializer,
            data_dir=data_dir,
            threads=threads,
            timeout=timeout,
            tell=say_aside,
            report=shown,
            begins=begins,
            progress=lambda framework, seed, stage, done, total: shown.stage(
                f"{framework}, seed {seed}", stage, done, total
            ),
            finished=finished,
        )
    curves = path or raced.folder / CURVES
    if as_json:
        print_json({**raced.to_json(), "picture": None if undrawn else str(curves)})
    else:
        _print(raced)
        if not undrawn:
            say(f"Curves: {curves}")
        say(f"Results: {raced.results}")
    if not raced.passed:
        raise typer.Exit(1)


def _announce(raced: Raced, seeds: int) -> None:
    from ..training.captions import settings_text

    say(
        f"{raced.network.name} at {shape_text(raced.network.input_shape)}, on"
        f" {counted(len(raced.data.train.labels), 'image')} from {raced.data.description}; tested"
        f" on {len(raced.data.test.labels):,}"
    )
    say(f"{settings_text(raced.recipe, seeds=seeds)}; in {raced.folder}")


def _draw(raced: Raced, path: Path) -> None:
    from ..spec.layers import Dropout
    from ..spec.traversal import walk
    from ..training.captions import divergence_note, settings_text
    from ..training.curves import draw_curves

    found = raced.standings
    curves = {standing.framework: [run.epochs for run in standing.runs] for standing in found}
    network = raced.network
    dropout = any(isinstance(site.layer, Dropout) and site.layer.rate for site in walk(network))
    draw_curves(
        path,
        curves,
        f"{network.name} at {shape_text(network.input_shape)} on {raced.data.name}, the same start"
        " in every framework",
        labels={each.framework: f"{each.framework} {each.runs[0].version}" for each in found},
        chance=raced.recipe.chance_loss(network),
        settings=settings_text(raced.recipe, seeds=max(len(each.runs) for each in found)),
        note=divergence_note(curves, dropout=dropout),
    )


def _words(run: RaceRun) -> str:
    if run.error is not None:
        return f"failed: {in_words(run.error)}"
    last = run.epochs[-1]
    return (
        f"loss {last.loss:.4f}, train accuracy {last.train_accuracy:.4f}, test accuracy"
        f" {last.test_accuracy:.4f}"
    )


def _print(raced: Raced) -> None:
    from rich.text import Text

    from ..training.interval import wilson

    tested = len(raced.data.test.labels)
    numbers = ("Loss", "Train", "Test", "95 % interval", "Images/s")
    rows = table("Framework", *numbers, right=numbers)
    found = raced.standings
    for standing in found:
        if not standing.ended:
            add(rows, standing.framework, Text("failed", style="bold red"), "", "", "", "")
            continue
        low, high = wilson(standing.mean("test_accuracy"), tested)
        add(
            rows,
            standing.framework,
            *(
                _with_spread(standing, field, digits)
                for field, digits in (("loss", 4), ("train_accuracy", 3), ("test_accuracy", 3))
            ),
            f"{low:.3f}–{high:.3f}",
            f"{standing.examples_per_second:.1f}",
        )
    show(rows)
    seeds = max(len(standing.ended) for standing in found)
    if not seeds:
        return
    spread = f"Means of {seeds} seeds ± their standard deviation. " if seeds > 1 else ""
    say(
        f"After the last epoch. {spread}Intervals are 95 % confidence intervals (Wilson) for"
        f" {counted(tested, 'test image')}."
    )


def _with_spread(standing: Standing, name: str, digits: int) -> str:
    spread = standing.spread(name)
    shown = f"{standing.mean(name):.{digits}f}"
    return shown if spread is None else f"{shown} ± {spread:.{digits}f}"
