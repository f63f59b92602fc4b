"""`googlenet translate`: a user's own model as code and weights of another framework, proved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .check import OwnModel
from .options import (
    AsJson,
    Interpreters,
    OwnTimeout,
    Threads,
    framework_names,
    interpreters_of,
    shape_of,
)
from .output import add as add_row
from .output import bars, print_json, say, show, table

if TYPE_CHECKING:
    from ..actions.translated import Translation

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="X",
        help="Framework of your model; by default the one that the file imports.",
        autocompletion=framework_names,
    ),
]
To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="X",
        help="Framework to translate the model to.",
        autocompletion=framework_names,
    ),
]
Out = Annotated[
    str, typer.Option("--out", metavar="DIR", help="New or empty folder for the files.")
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights file of your framework, which is loaded into your model first.",
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(
        "--channels", metavar="N", help="Number of image channels; by default 1, as in the book."
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="H[xW]",
        help="Height and width of the images in pixels: 96, as in the book and by default, or"
        " 96x128.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Seed for the images of the proof.")
]


def command(
    model: OwnModel,
    to: To,
    out: Out,
    own_framework: From = None,
    weights: Weights = None,
    python: Interpreters = None,
    channels: Channels = None,
    size: Size = None,
    seed: Seed = 0,
    threads: Threads = None,
    timeout: OwnTimeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Translate your own model into another framework, and prove that nothing has changed.

    Writes the model as source code with your own names, its weights in the other framework's own
    format, what loads them, and the proof: every layer, every gradient, batch norm's statistics and
    three training steps, and with exact weights every bit. The files need nothing of this project.
    Exits with 1 if the proof fails, and with 2, without writing anything, if the model cannot be
    translated.
    """
    from ..actions.translate import translate

    with bars(as_json) as shown:
        found = translate(
            model,
            to,
            out,
            own_framework=own_framework,
            weights=weights,
            input_shape=shape_of(model, channels=channels, size=size),
            interpreters=interpreters_of(python),
            seed=seed,
            threads=threads,
            timeout=timeout,
            progress=shown.stage,
        )
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    if not found.passed:
        raise typer.Exit(1)


def _print(found: Translation) -> None:
    files = found.files
    made = table("compared with float64", *found.columns, right=found.columns)
    for name, *cells in found.rows():
        add_row(made, name, *cells)
    show(made)
    for remark in found.remarks():
        say(remark, aside=True)
    say(f"Written to {found.folder}: {files.source}, {files.weights}, {files.loader}, README.md")
    say(f"{found.model} and {files.source}: {found.verdict}.")
