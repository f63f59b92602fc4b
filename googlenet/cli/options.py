"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer

from ..architectures import get_network
from ..errors import UnknownNameError
from ..spec.layers import Network, Shape

NetworkName = Annotated[
    str, typer.Argument(metavar="NAME", help="The network; `googlenet list` shows them.")
]
Classes = Annotated[
    int | None,
    typer.Option(
        "--num-classes", metavar="N", help="Number of classes; by default the network's own."
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(
        "--channels", metavar="N", help="Channels of the images; by default the network's own."
    ),
]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="H[xW]", help="Height and width in pixels, 96 or 96x128."),
]
AuxHeads = Annotated[bool, typer.Option("--aux", help="With the auxiliary heads.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


#: No image has a longer side.
MOST_SIDE = 65_536
Dialect = Annotated[
    str | None,
    typer.Option(
        "--dialect", metavar="ZOO", help="The library whose network is meant; also ZOO:NAME."
    ),
]


def network_of(
    name: str,
    *,
    num_classes: int | None,
    channels: int | None,
    size: str | None,
    aux: bool,
    dialect: str | None = None,
) -> Network:
    """The network that the options mean. Raises `UnknownNameError`, `SpecError` or `ShapeError`."""
    default = get_network(name, aux=aux, dialect=dialect)
    shape = default.input_shape
    input_shape = (
        channels if channels is not None else shape[0],
        *(shape[1:] if size is None else parse_size(size)),
    )
    return get_network(
        name, num_classes=num_classes, input_shape=input_shape, aux=aux, dialect=dialect
    )


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of `96` or `96x128`. Raises `UnknownNameError` for other text."""
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text)
    if match is None:
        raise UnknownNameError(
            f"--size: expected pixels as 96 or 96x128 (height x width), got '{text}'"
        )
    height, width = match[1], match[2] or match[1]
    if max(len(height), len(width)) > 6 or max(int(height), int(width)) > MOST_SIDE:
        raise UnknownNameError(f"--size: expected at most {MOST_SIDE} pixels a side, got '{text}'")
    return int(height), int(width)


def shape_text(shape: Shape) -> str:
    """(480, 6, 6) → 480×6×6."""
    return "×".join(map(str, shape))


def print_json(value: Any) -> None:
    """Indented JSON on standard output; NaN and infinity are never in it."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
