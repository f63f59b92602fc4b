"""`googlenet draw NAME`: the architecture as a picture, the whole or one block."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..architectures import get_network
from ..jobs.own import is_own, own_of
from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Classes,
    Dialect,
    Interpreters,
    NetworkOrFile,
    OwnFramework,
    OwnTimeout,
    Size,
    interpreters_of,
    shape_of,
)
from .output import bars, print_json, say

Block = Annotated[
    str | None,
    typer.Option(
        "--block",
        metavar="PATH",
        help="Draw only this part: a block such as inception_3a, with all its layers, or a stage;"
        " a long stage is drawn block by block.",
    ),
]
Out = Annotated[
    list[str] | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help=(
            "File to draw to, an .svg, .png or .pdf; can be repeated. By default an .svg named"
            " after the network and --block."
        ),
    ),
]


def command(
    name: NetworkOrFile = "googlenet",
    block: Block = None,
    out: Out = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    own_framework: OwnFramework = None,
    python: Interpreters = None,
    timeout: OwnTimeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Draw the architecture: stages in a row, branches side by side, the width of each box showing
    its channels.

    Pictures show output shapes, the ratios of the branches' channels, and the reductions before
    the branches. An .svg can be read aloud by a screen reader.
    """
    from ..actions.draw import draw
    from ..drawing.figures import check_picture
    from ..files import check_folder

    shape = shape_of(name, channels=channels, size=size, aux=aux, dialect=dialect)
    called = own_of(name).name if is_own(name) else get_network(name, dialect=dialect).name
    made_up = "-".join(filter(None, (called, block))).replace(":", "-") + ".svg"
    paths = [Path(each) for each in out or [made_up]]
    for path in paths:
        check_picture(path)
        check_folder(path)
    with bars(as_json) as shown:
        drawing = draw(
            name,
            block=block,
            num_classes=num_classes,
            input_shape=shape,
            aux=aux,
            dialect=dialect,
            own_framework=own_framework,
            interpreters=interpreters_of(python),
            timeout=timeout,
            progress=shown.stage,
        )
    for path in paths:
        drawing.save(path)
    if as_json:
        print_json({**drawing.to_json(), "files": list(map(str, paths))})
        return
    say(drawing.alt)
    for path in paths:
        say(f"Picture: {path}")
