"""`googlenet min-size NAME`: the smallest images that a network can take, in three senses."""

from __future__ import annotations

from typing import Any

from ..spec.analysis import MINIMUM_RULES, minimum_sizes
from ..spec.layers import Network
from .options import AsJson, AuxHeads, Channels, Dialect, NetworkName, network_of, print_json


def command(
    name: NetworkName = "googlenet",
    channels: Channels = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    as_json: AsJson = False,
) -> None:
    """Show the smallest side of a square image that runs, that leaves no stage 1×1, and where no
    kernel leans on padding.
    """
    answer = collect(
        network_of(name, num_classes=None, channels=channels, size=None, aux=aux, dialect=dialect)
    )
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def collect(network: Network) -> dict[str, Any]:
    """What the command shows, ready for JSON."""
    return {
        "name": network.name,
        "source": network.source,
        "minimum_sizes": [
            {
                "rule": size.rule,
                "meaning": MINIMUM_RULES[size.rule],
                "side": size.side,
                "stage": size.stage,
                "path": size.path,
                "because": size.because,
            }
            for size in minimum_sizes(network)
        ],
    }


def _print(answer: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"{answer['name']} ({answer['source']})", soft_wrap=True)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("Smallest side")
    table.add_column("Pixels", justify="right")
    table.add_column("Binding stage")
    for row in answer["minimum_sizes"]:
        table.add_row(
            row["meaning"],
            "none" if row["side"] is None else f"{row['side']}×{row['side']}",
            row["stage"] or "",
        )
    console.print(table)
    for row in answer["minimum_sizes"]:
        if row["path"] is not None:
            console.print(
                f"Below {row['side']}×{row['side']}: {row['path']}: {row['because']}",
                soft_wrap=True,
                markup=False,
            )
