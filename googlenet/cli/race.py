"""`googlenet race`: train several frameworks from the same start, and lay their curves over one
another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..training.interval import wilson
from . import recipe_options as options
from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Classes,
    Dialect,
    Size,
    network_of,
    print_json,
    shape_text,
)
from .parity import chosen_frameworks, interpreters_of
from .train import terminated_as_interrupted
from .watch import preparing, say, say_aside


def command(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="The network; `googlenet list` shows them.")
    ] = "googlenet",
    framework: Annotated[
        list[str] | None,
        typer.Option(
            "--framework",
            metavar="X",
            help="A framework that takes part; repeatable. By default all that train.",
        ),
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(
            "--python",
            metavar="X=PATH",
            help="The interpreter whose environment has framework X; repeatable.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", metavar="N", min=1, help="Runs of each framework, from the seeds 0 to N - 1."
        ),
    ] = 1,
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
    initializer: options.Initializer = "xavier_uniform",
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    out: options.Out = None,
    picture: options.Picture = "png",
    threads: options.Threads = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=1,
            help="Seconds without a step after which a framework is given up.",
        ),
    ] = 1800.0,
    as_json: AsJson = False,
) -> None:
    """Train several frameworks in turn from the same start, and compare their curves.

    Each runs in its own process, one after another; those without a trainer are left out. The same
    command again goes on where a race was stopped. Exits with 1 if one fails.
    """
    from ..data.sets import load_data
    from ..spec import Dropout, walk
    from ..training.captions import divergence_note, settings_text
    from ..training.choice import entrants
    from ..training.curves import draw_curves
    from ..training.race import Lap, RaceOptions, run_race, standings, write_results

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
    options.check_picture(picture)
    paths = interpreters_of(python or [])
    named = chosen_frameworks(framework, paths) if framework else None
    frameworks = entrants(named, interpreters=paths, tell=say_aside)
    network = network_of(
        name, num_classes=num_classes, channels=channels, size=size, aux=aux, dialect=dialect
    )
    with preparing(as_json) as report:
        loaded = load_data(data, network.input_shape, data_dir=data_dir, report=report)
    classes = num_classes if num_classes is not None else len(loaded.classes)
    network = network_of(
        name, num_classes=classes, channels=channels, size=size, aux=aux, dialect=dialect
    )
    folder = out or Path("runs") / f"race-{network.name.replace(':', '-')}-{loaded.name}"
    arguments = [
        name,
        *options.recipe_arguments(recipe),
        "--num-classes",
        str(classes),
        "--picture",
        picture,
    ]
    arguments += [
        *(["--channels", str(channels)] if channels else []),
        *(["--size", size] if size else []),
    ]
    arguments += [*(["--aux"] if aux else []), *(["--dialect", dialect] if dialect else [])]
    race_options = RaceOptions(tuple(arguments), paths, threads, timeout)
    laps: list[Lap] = []
    curves = folder / f"curves.{picture}"
    dropout = any(isinstance(s.layer, Dropout) and s.layer.rate for s in walk(network))

    def finished(lap: Lap) -> None:
        laps.append(lap)
        found = standings(laps)
        runs = {s.framework: [each.epochs for each in s.laps] for s in found}
        title = (
            f"{network.name} at {shape_text(network.input_shape)} on {loaded.name}, the same start"
            " in every framework"
        )
        draw_curves(
            curves,
            runs,
            title,
            labels={s.framework: f"{s.framework} {s.laps[0].version}" for s in found},
            chance=recipe.chance_loss(network),
            settings=settings_text(recipe, seeds=seeds),
            note=divergence_note(runs, dropout=dropout),
        )
        write_results(folder / "results.json", laps)
        if not as_json:
            say(f"{lap.framework}, seed {lap.seed}: {_words(lap)}")

    with terminated_as_interrupted(), _Progress(as_json) as progress:
        run_race(
            network,
            loaded,
            recipe,
            frameworks,
            range(seeds),
            folder,
            initializer=initializer,
            options=race_options,
            progress=progress,
            finished=finished,
        )
    if as_json:
        answer = {
            "name": network.name,
            "input_shape": list(network.input_shape),
            "data": loaded.description,
            "train_image_count": len(loaded.train.labels),
            "test_image_count": len(loaded.test.labels),
            "recipe": recipe.to_json(),
            "picture": str(curves),
            "frameworks": [standing.to_json() for standing in standings(laps)],
        }
        print_json(answer)
    else:
        _print(standings(laps), len(loaded.test.labels))
        say(f"Curves in {curves}, every number in {folder / 'results.json'}")
    if any(lap.error is not None for lap in laps):
        raise typer.Exit(1)


def _words(lap: Any) -> str:
    if lap.error is not None:
        return f"failed: {lap.error}"
    last = lap.epochs[-1]
    return (
        f"loss {last.loss:.4f}, train accuracy {last.train_accuracy:.4f}, test accuracy"
        f" {last.test_accuracy:.4f}"
    )


def _print(found: list[Any], test_images: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    table.add_column("Framework", no_wrap=True)
    for title in ("Loss", "Train", "Test", "95 % interval", "Examples/s"):
        table.add_column(title, justify="right", no_wrap=True)
    for standing in found:
        if not standing.ended:
            table.add_row(standing.framework, "[bold red]failed[/]", "", "", "", "")
            continue
        low, high = wilson(standing.mean("test_accuracy"), test_images)
        cells = [
            _with_spread(standing, field, digits)
            for field, digits in (("loss", 4), ("train_accuracy", 3), ("test_accuracy", 3))
        ]
        table.add_row(
            standing.framework,
            *cells,
            f"{low:.3f}–{high:.3f}",
            f"{standing.examples_per_second:.1f}",
        )
    console = Console(highlight=False)
    console.print(table)
    seeds = max(len(standing.ended) for standing in found)
    spread = f"Means of {seeds} seeds ± their standard deviation. " if seeds > 1 else ""
    console.print(
        f"After the last epoch. {spread}Intervals are those of a share seen in {test_images} images"
        " (Wilson, 95 %)."
    )


def _with_spread(standing: Any, name: str, digits: int) -> str:
    spread = standing.spread(name)
    return f"{standing.mean(name):.{digits}f}" + (
        f" ± {spread:.{digits}f}" if spread is not None else ""
    )


class _Progress:
    """A bar for each run, on standard error and only where a person looks."""

    def __init__(self, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
        )
        self._bars = Progress(
            *columns, console=console, disable=as_json or not console.is_terminal, transient=True
        )
        self._tasks: dict[tuple[str, int], Any] = {}

    def __enter__(self) -> _Progress:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def __call__(self, framework: str, seed: int, done: int, total: int) -> None:
        if (framework, seed) not in self._tasks:
            self._tasks[framework, seed] = self._bars.add_task(
                f"{framework}, seed {seed}", total=total
            )
        self._bars.update(self._tasks[framework, seed], completed=done)
