"""`googlenet code NAME`: a network as stand-alone source, in one framework or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Classes,
    Dialect,
    Interpreters,
    NativeFrameworks,
    NetworkOrFile,
    OwnFramework,
    Size,
    Timeout,
    interpreters_of,
    shape_of,
)
from .output import bars, counted, print_json, say, say_text

Block = Annotated[
    str | None,
    typer.Option(
        "--block",
        metavar="PATH",
        help="Write only this block: its path, such as b3.inception_3a, or the last part of it.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="FILE", help="Write to this .py, .md or .html file instead of printing."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORM",
        help=(
            "py for one framework, or a page for several: md or html. By default what --out ends"
            " in, or else py or md."
        ),
    ),
]


def command(
    name: NetworkOrFile = "googlenet",
    framework: NativeFrameworks = None,
    python: Interpreters = None,
    block: Block = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    own_framework: OwnFramework = None,
    form: Format = None,
    out: Out = None,
    timeout: Timeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Write the network as source code, as the framework's own users would write it.

    The code stands alone, and loads the weights that `googlenet convert --to` writes for the
    framework.
    """
    from ..actions.code import check_format, code, format_of
    from ..files import check_folder

    if out is not None:
        form = format_of(out, form)
        check_folder(Path(out))
    check_format(form, framework or ())
    with bars(as_json) as shown:
        found = code(
            name,
            framework,
            block=block,
            interpreters=interpreters_of(python),
            timeout=timeout,
            num_classes=num_classes,
            input_shape=shape_of(name, channels=channels, size=size, aux=aux, dialect=dialect),
            aux=aux,
            dialect=dialect,
            own_framework=own_framework,
            progress=shown.stage,
        )
    if out is not None:
        found.save(out, form)
    if as_json:
        files = {} if out is None else {"files": [str(Path(out))]}
        print_json({**found.to_json(), **files})
    elif out is not None:
        for each in found.sources:
            lines = counted(each.lines, "line")
            say(f"{each.framework} {each.framework_version}: {lines}, which define {each.name}")
        say(f"Written: {Path(out)}")
    else:
        say_text(found.formatted(form), end="")
