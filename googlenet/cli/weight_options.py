"""The options of every command that takes a weights file: which arrays of it are meant."""

from __future__ import annotations

from typing import Annotated

import typer

Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Which model of a weights file with several, such as model_ema.",
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head",
        metavar="LAYER",
        help="What the weights file calls its classifier, if not as the library does.",
    ),
]
NewHead = Annotated[
    bool,
    typer.Option(
        "--new-head",
        help="Start with a new classifier instead of that of --weights, as for other classes.",
    ),
]
