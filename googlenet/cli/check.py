"""`googlenet check`: whether a user's own model is a network of the spec; if not, how and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .command import in_words
from .options import (
    AsJson,
    Channels,
    Classes,
    Interpreters,
    OwnTimeout,
    Size,
    framework_names,
    interpreters_of,
    shape_of,
)
from .output import bars, print_json, say

if TYPE_CHECKING:
    from ..checking.report import Check

OwnModel = Annotated[
    str,
    typer.Argument(
        metavar="FILE:NAME",
        help=(
            "Your model as FILE:NAME, such as mynet.py:net; NAME is a model, a function of the"
            " images, or a class or function that returns a model when called without arguments."
            " The file is run."
        ),
        show_default=False,
    ),
]
Framework = Annotated[
    str | None,
    typer.Option(
        "--framework",
        metavar="X",
        help="Framework of your model; by default the one that the file imports.",
        autocompletion=framework_names,
    ),
]
Against = Annotated[
    str,
    typer.Option(
        "--against",
        metavar="NETWORK",
        help="Network that your model should be (`googlenet list` shows them all).",
    ),
]


def command(
    model: OwnModel,
    own_framework: Framework = None,
    against: Against = "googlenet",
    python: Interpreters = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    timeout: OwnTimeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Check whether your own model is the same function as a network.

    If it is not, the command shows where, how and why. Layers are recognised by what they do, never
    by name. Sameness is proved in float64, for any weights; differences are described in words,
    with the layer in your code. Exits with 1 if the model is a different function or if that is
    unclear, and with 2 if it cannot be run.
    """
    from ..actions.check import check_file

    with bars(as_json) as shown:
        found = check_file(
            model,
            own_framework=own_framework,
            against=against,
            input_shape=shape_of(against, channels=channels, size=size),
            num_classes=num_classes,
            interpreters=interpreters_of(python),
            timeout=timeout,
            progress=shown.stage,
        )
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    if not found.passed:
        raise typer.Exit(1)


def _print(found: Check) -> None:
    for each in found.passages():
        said = each.text
        if not each.code:
            body = said.lstrip()
            said = " " * (len(said) - len(body)) + in_words(body)
        say(said, indent=" " * each.hanging)
