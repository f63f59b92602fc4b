"""`googlenet summary NAME`: the book's walk through the blocks, from the spec or measured on a
native model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, AuxHeads, Channels, Classes, Dialect, NetworkName, Size, network_of
from .output import add, print_json, say, shape_text, show, table

if TYPE_CHECKING:
    from ..actions.summary import Summary

Framework = Annotated[
    str | None,
    typer.Option(
        "--framework",
        metavar="X",
        help="Build the native model in this framework, and show its actual shapes.",
    ),
]


def command(
    name: NetworkName = "googlenet",
    framework: Framework = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    as_json: AsJson = False,
) -> None:
    """Show each stage's output shape, parameters, multiply-adds and receptive field."""
    from ..actions.summary import summary

    found = summary(
        network_of(
            name, num_classes=num_classes, channels=channels, size=size, aux=aux, dialect=dialect
        ),
        framework=framework,
    )
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)


def _print(found: Summary) -> None:
    where = f", as built by {found.framework} {found.framework_version}" if found.framework else ""
    network = found.network
    say(f"{network.name} ({network.source}){where}")
    numbers = ("Parameters", "Multiply-adds", "Receptive field")
    rows = table("Stage", "Output shape", *numbers, right=numbers)
    add(rows, "input", shape_text(network.input_shape), "", "", "1×1")
    for stage in found.stages:
        add(
            rows,
            stage.name,
            shape_text(stage.output_shape),
            f"{stage.parameters:,}",
            f"{stage.multiply_adds:,}",
            shape_text(stage.receptive_field),
        )
    rows.add_section()
    add(rows, "total", "", f"{found.parameters:,}", f"{found.multiply_adds:,}", "")
    show(rows)
    side = found.smallest_input
    say(
        f"Smallest square input: {side}×{side}. Shapes are channels×height×width; multiply-adds are"
        " for one image."
    )
