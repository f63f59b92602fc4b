"""`googlenet parity`: prove that every installed framework gives the same function."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..backend import discovery as backend
from ..errors import BackendError, DataError, UnknownNameError
from ..spec.traversal import num_classes as classes_of
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

if TYPE_CHECKING:
    from rich.table import Table

    from ..proof.parity.run import Report, Result

#: How many of the embedded digits are taken if no number is given.
DEFAULT_COUNT = 64


def command(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="The network; `googlenet list` shows them.")
    ] = "googlenet",
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="PATH",
            help="IDX file, folder, PNG, JPEG or .npy; by default scikit-learn's digits.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count", metavar="N", help=f"Images to use: all of PATH, or {DEFAULT_COUNT} digits."
        ),
    ] = None,
    framework: Annotated[
        list[str] | None,
        typer.Option(
            "--framework",
            metavar="X",
            help="Only this framework; repeatable. By default all installed.",
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
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="Weights by the spec's names; by default drawn from --seed.",
        ),
    ] = None,
    initializer: Annotated[
        str, typer.Option("--initializer", metavar="RULE", help="xavier_uniform or he_normal.")
    ] = "he_normal",
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", min=0, help="Seed of weights and of labels that no file gives."
        ),
    ] = 0,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    gradients: Annotated[
        bool, typer.Option("--gradients/--no-gradients", help="Whether gradients are compared too.")
    ] = True,
    label_smoothing: Annotated[
        float,
        typer.Option(
            "--label-smoothing", metavar="E", help="Of the loss whose gradients are compared."
        ),
    ] = 0.1,
    train_steps: Annotated[
        int,
        typer.Option(
            "--train-steps",
            metavar="K",
            min=0,
            help="Compare K steps of training too: each loss, every weight after each.",
        ),
    ] = 0,
    jobs: Annotated[
        int,
        typer.Option("--jobs", metavar="N", min=1, help="Frameworks that run at the same time."),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", metavar="N", min=1, help="Threads of each framework; by default all cores."
        ),
    ] = None,
    chunk: Annotated[
        int,
        typer.Option(
            "--chunk",
            metavar="N",
            min=1,
            help="Images in one forward pass; fewer take less memory.",
        ),
    ] = 16,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=1,
            help="Seconds without progress after which a framework is given up.",
        ),
    ] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Prove that every framework gives the same function.

    Compares each layer, the logits and each gradient with the float64 reference, with --train-steps
    also the course of training; exits with 1 if a framework differs or fails.
    """
    from ..data.images import load_image_set
    from ..proof.parity.run import ParityOptions, run_parity
    from ..weights.formats import load_weights
    from ..weights.initial import init_params

    network = network_of(
        name, num_classes=num_classes, channels=channels, size=size, aux=aux, dialect=dialect
    )
    interpreters = interpreters_of(python or [])
    frameworks = chosen_frameworks(framework, interpreters)
    image_set = load_image_set(
        images,
        network.input_shape,
        classes_of(network),
        count=DEFAULT_COUNT if count is None and images is None else count,
        seed=seed,
    )
    params = (
        load_weights(weights, network)
        if weights is not None
        else init_params(network, seed=seed, initializer=initializer)
    )
    options = ParityOptions(
        jobs=jobs,
        chunk=chunk,
        threads=threads,
        timeout=timeout,
        label_smoothing=label_smoothing,
        gradients=gradients,
        train_steps=train_steps,
        interpreters=interpreters,
    )
    with _Progress(as_json) as progress:
        report = run_parity(
            network, frameworks, image_set, params, seed=seed, options=options, progress=progress
        )
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
    if not report.passed:
        raise typer.Exit(1)


def interpreters_of(pairs: list[str]) -> dict[str, str]:
    """The interpreters that `--python X=PATH` names, by framework. Raises `UnknownNameError` or
    `DataError`.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator or not name or not path:
            raise UnknownNameError(
                f"--python: expected FRAMEWORK=PATH, such as mxnet=/path/to/python, got '{pair}'"
            )
        if not Path(path).is_file():
            raise DataError(f"--python {name}: no interpreter at {path}")
        found[backend.canonical_name(name)] = str(Path(path).absolute())
    return found


def chosen_frameworks(chosen: list[str] | None, interpreters: dict[str, str]) -> list[str]:
    """The frameworks that `--framework` names, by default all that are installed or have an
    interpreter, the reference first.
    """
    installed = list(backend.entry_points())
    if not chosen:
        return sorted({*installed, *interpreters}, key=lambda name: (name != "numpy", name))
    names = list(dict.fromkeys(map(backend.canonical_name, chosen)))
    for name in names:
        if name not in installed and name not in interpreters:
            try:
                backend.get_backend(name)
            except BackendError as error:
                raise BackendError(
                    f"{error}; or give an interpreter that has it: --python {name}=PATH"
                ) from error
    return names


class _Progress:
    """A bar for the yardstick and each framework, on standard error and only where
    a person looks.
    """

    def __init__(self, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images"),
            TimeElapsedColumn(),
        )
        self._bars = Progress(
            *columns, console=console, disable=as_json or not console.is_terminal, transient=True
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Progress:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done)


def _print(report: Report) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    network, images = report.network, report.image_set
    console.print(
        f"{network.name} on {len(images.images)} images {shape_text(network.input_shape)} from"
        f" {images.description}; seed {report.seed}",
        soft_wrap=True,
    )
    table = Table(box=SIMPLE_HEAD)
    table.add_column("Framework", no_wrap=True)
    table.add_column("Compared", no_wrap=True)
    table.add_column("Error", justify="right", no_wrap=True)
    table.add_column("Limit", justify="right", no_wrap=True)
    table.add_column("Worst at", no_wrap=True)
    for result in report.results:
        _add_rows(table, result, report.train_steps)
    console.print(table)
    for result in report.results:
        if result.error is not None:
            console.print(f"{result.framework}: {result.error}", soft_wrap=True, markup=False)
        elif not result.passed:
            console.print(
                f"{result.framework}: first divergence at the {result.comparison.first_divergence}",
                soft_wrap=True,
                markup=False,
            )
    same = sum(result.passed for result in report.results)
    console.print(
        f"{same} of {len(report.results)} give the same function as the float64 reference. "
        "Errors are relative L2 distances from it; limits are derived from float32 itself."
    )
    if len(report.results) == 1 and report.results[0].framework == "numpy":
        console.print(
            "Only the NumPy reference is installed here. Install a framework from a checkout, into"
            f" a new environment, since {backend.WHY_APART}, and compare it from here:",
            *(f"  {line}" for line in backend.install_lines("torch")),
            "  googlenet parity --python torch=torch-env/bin/python",
            sep="\n",
            soft_wrap=True,
            markup=False,
        )


def _add_rows(table: Table, result: Result, train_steps: int) -> None:
    """Three lines a framework: its name, version and verdict beside the logits, the worst layer,
    gradient and array of a training run.
    """
    from ..proof.parity.rows import Group

    version = result.versions.get(result.framework, "")
    if result.error is not None:
        table.add_row(result.framework, "[bold red]failed[/]", "", "", "", end_section=True)
        return
    verdict = "[green]same[/]" if result.passed else "[bold red]differs[/]"
    comparison = result.comparison
    outputs = comparison[Group.OUTPUTS]
    compared = [
        ("logits", [row for row in outputs if row.name == "logits"]),
        ("layers", [*outputs, *comparison[Group.STEP_OUTPUTS]]),
        ("gradients", comparison[Group.GRADIENTS]),
    ]
    if train_steps:
        compared.append(("training", comparison[Group.TRAJECTORY]))
    for first, (what, rows) in zip(
        (result.framework, version, verdict, "")[: len(compared)], compared, strict=True
    ):
        row = result.worst(rows)
        if row is None:
            table.add_row(first, what, "", "", "not compared")
        else:
            where = "" if what == "logits" else _broken(row.name)
            style = None if row.passed else "bold red"
            table.add_row(first, what, f"{row.error:.1e}", f"{row.limit:.1e}", where, style=style)
    table.add_section()


def _broken(path: str, width: int = 31) -> str:
    """A path in lines of at most `width` characters, broken before its dots: the table then fits 80
    columns.
    """
    lines = [""]
    for part in re.split(r"(?=\.)", path):
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
