"""`googlenet compare M1 M2 ...`: what networks cost, side by side: parameters by kind of layer,
multiply-adds, memory, smallest input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DataError
from ..files import replacing
from ..spec.analysis import budget, smallest_input
from ..spec.layers import Network
from .options import AsJson, Channels, Classes, Size, network_of, print_json, shape_text

#: The book's third exercise of its section on GoogLeNet compares these.
EXERCISE = ["alexnet", "vgg11", "nin", "googlenet"]
EXERCISE_SIZE = "224"
FORMATS = (".png", ".svg", ".pdf")

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
    if picture is not None and picture.suffix.lower() not in FORMATS:
        raise DataError(f"--picture {picture}: expected a name that ends in {', '.join(FORMATS)}")
    if names is None and size is None:
        # the book's GoogLeNet runs at 96×96, the others at 224×224: costs compare at one size alone
        size = EXERCISE_SIZE
    networks = [
        network_of(name, num_classes=num_classes, channels=channels, size=size, aux=False)
        for name in names or EXERCISE
    ]
    answer = {"networks": [collect(network) for network in networks]}
    if picture is not None:
        _draw(answer["networks"], picture)
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


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Parameters by kind of layer, multiply-adds and activations, as three panels of bars. Raises
    `DataError` if it cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.55 * len(rows) + 1.6), layout="constrained")
    parameters, multiply_adds, activations = figure.subplots(1, 3, sharey=True)
    places = range(len(rows))
    left = [0.0] * len(rows)
    for kind, color in (("convolution", "#4477aa"), ("dense", "#ee6677"), ("norm", "#ccbb44")):
        values = [row[f"{kind}_parameters"] / 1e6 for row in rows]
        label = {"convolution": "convolutions", "dense": "dense layers", "norm": "batch norm"}[kind]
        parameters.barh(places, values, left=left, color=color, label=label)
        left = [a + b for a, b in zip(left, values, strict=True)]
    parameters.set_xlabel("parameters, millions")
    parameters.set_yticks(
        places, [f"{row['name']}\n{shape_text(row['input_shape'])}" for row in rows]
    )
    figure.legend(loc="outside lower left", ncols=3, fontsize="small", frameon=False)
    multiply_adds.barh(places, [row["multiply_adds"] / 1e6 for row in rows], color="#228833")
    multiply_adds.set_xlabel("multiply-adds of one image, millions")
    activations.barh(places, [row["activation_bytes"] / 2**20 for row in rows], color="#66ccee")
    activations.set_xlabel("activations of one image, MiB")
    for axes in (parameters, multiply_adds, activations):
        axes.spines[["top", "right"]].set_visible(False)
        axes.bar_label(
            axes.containers[-1], labels=_labels(axes, rows, left), padding=3, fontsize="small"
        )
        axes.set_xlim(0, 1.2 * axes.dataLim.x1)
    parameters.invert_yaxis()
    try:
        # No date and no random names: the same table is the same file.
        with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "googlenet"}):
            dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(
                path.suffix.lower()
            )
            figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=150, metadata=dated)
    except OSError as error:
        raise DataError(
            f"--picture {path}: cannot be written ({error.strerror or error})"
        ) from error


def _labels(axes: Any, rows: list[dict[str, Any]], parameters: list[float]) -> list[str]:
    values = (
        parameters
        if len(axes.containers) > 1
        else [patch.get_width() for patch in axes.containers[-1]]
    )
    return [f"{value:,.1f}" for value in values]
