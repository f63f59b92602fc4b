"""`googlenet draw NAME`: the architecture as a picture, the whole or one block."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, AuxHeads, Channels, Classes, Dialect, NetworkName, Size, network_of
from .output import print_json, say

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
    name: NetworkName = "googlenet",
    block: Block = None,
    out: Out = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
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

    network = network_of(
        name, num_classes=num_classes, channels=channels, size=size, aux=aux, dialect=dialect
    )
    made_up = "-".join(filter(None, (network.name, block))).replace(":", "-") + ".svg"
    paths = [Path(each) for each in out or [made_up]]
    for path in paths:
        check_picture(path)
        check_folder(path)
    drawing = draw(network, block=block)
    for path in paths:
        drawing.save(path)
    if as_json:
        print_json({**drawing.to_json(), "files": list(map(str, paths))})
        return
    say(drawing.alt)
    for path in paths:
        say(f"Picture: {path}")
