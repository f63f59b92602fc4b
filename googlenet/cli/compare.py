"""`googlenet compare M1 M2 ...`: what networks cost, side by side: parameters by kind of layer,
multiply-adds, memory, smallest input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..drawing.figures import check_picture
from ..spec.analysis import budget, smallest_input
from ..spec.layers import Network
from .options import AsJson, Channels, Classes, Size, network_of, print_json, shape_text

#: The book's third exercise of its section on GoogLeNet compares these.
EXERCISE = ["alexnet", "vgg11", "nin", "googlenet"]
EXERCISE_SIZE = "224"

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME ...]",
        help=f"Networks; by default the book's: {', '.join(EXERCISE)}.",
        show_default=False,
    ),
]
Picture = Annotated[
    Path | None,
    typer.Option("--picture", metavar="FILE", help="Draw the table as a .png, .svg or .pdf."),
]


def command(
    names: Names = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    """Compare what networks cost: where AlexNet, VGG, NiN and GoogLeNet keep their parameters (the
    book's exercise).
    """
    if picture is not None:
        check_picture(picture)
    if names is None and size is None:
        # the book's GoogLeNet runs at 96×96, the others at 224×224: costs compare at one size alone
        size = EXERCISE_SIZE
    networks = [
        network_of(name, num_classes=num_classes, channels=channels, size=size, aux=False)
        for name in names or EXERCISE
    ]
    answer = {"networks": [collect(network) for network in networks]}
    if picture is not None:
        from ..drawing.costs import draw_costs

        draw_costs(picture, answer["networks"])
    if as_json:
        print_json(answer)
        return
    _print(answer["networks"])
    if picture is not None:
        typer.echo(f"Drawn: {picture}")


def collect(network: Network) -> dict[str, Any]:
    """One row of the table, ready for JSON. Raises `ShapeError` if the input does not fit."""
    costs = budget(network)
    return {
        "name": network.name,
        "source": network.source,
        "input_shape": list(network.input_shape),
        "parameters": costs.parameters,
        "convolution_parameters": costs.convolution_parameters,
        "dense_parameters": costs.dense_parameters,
        "norm_parameters": costs.norm_parameters,
        "dense_share": costs.dense_share,
        "multiply_adds": costs.multiply_adds,
        "activation_bytes": costs.activation_bytes,
        "largest_activation_bytes": costs.largest_activation_bytes,
        "smallest_input": smallest_input(network),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row["name"].replace(":", ":\n"), justify="right")
    lines: list[tuple[str, Any]] = [
        ("Input", lambda row: shape_text(row["input_shape"])),
        ("Parameters", lambda row: f"{row['parameters']:,}"),
        ("  convolutions", lambda row: f"{row['convolution_parameters']:,}"),
        ("  dense layers", lambda row: f"{row['dense_parameters']:,}"),
        ("  batch norm", lambda row: f"{row['norm_parameters']:,}"),
        ("Dense share", lambda row: f"{100 * row['dense_share']:.1f} %"),
        ("Multiply-adds", lambda row: f"{row['multiply_adds'] / 1e6:,.1f} M"),
        ("Activations", lambda row: f"{row['activation_bytes'] / 2**20:,.1f} MiB"),
        ("  the largest", lambda row: f"{row['largest_activation_bytes'] / 2**20:,.1f} MiB"),
        (
            "Smallest input",
            lambda row: (
                "none"
                if row["smallest_input"] is None
                else f"{row['smallest_input']}×{row['smallest_input']}"
            ),
        ),
    ]
    for label, cell in lines:
        table.add_row(label, *map(cell, rows))
    console.print(table)
    console.print(
        "Activations: the outputs of all layers for one image in float32, which training keeps for"
        " the way back.",
        soft_wrap=True,
    )
    if len({tuple(row["input_shape"][1:]) for row in rows}) > 1:
        console.print(
            "Inputs differ, so multiply-adds and activations do not compare; give --size.",
            soft_wrap=True,
        )
    if answer := _answer(rows):
        console.print(answer, soft_wrap=True)


def _answer(rows: list[dict[str, Any]]) -> str:
    """What the table says about dense layers, in words."""
    most, least = (
        max(rows, key=lambda row: row["dense_share"]),
        min(rows, key=lambda row: row["dense_share"]),
    )
    if len(rows) < 2 or most["dense_share"] - least["dense_share"] < 0.5:
        return ""
    few = "none" if least["dense_parameters"] == 0 else f"{100 * least['dense_share']:.1g} %"
    return (
        f"{most['name']} keeps {100 * most['dense_share']:.0f} % of its parameters in dense layers,"
        f" {least['name']} {few}: global average pooling in their place is what saves them."
    )
