"""`googlenet min-size NAME`: the smallest images that a network accepts, in three senses."""

from __future__ import annotations

from typing import Any

from ..spec.analysis import MINIMUM_RULES, minimum_sizes
from ..spec.layers import Network
from .options import AsJson, AuxHeads, Channels, Dialect, NetworkName, network_of
from .output import add, print_json, say, show, table


def command(
    name: NetworkName = "googlenet",
    channels: Channels = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    as_json: AsJson = False,
) -> None:
    """Show the smallest square image on which the network runs at all, the smallest on which no
    stage is 1×1, and the smallest on which no kernel is larger than its input, either.
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
    say(f"{answer['name']} ({answer['source']})")
    rows = table("Condition", "Smallest image", "Limiting stage", right=("Smallest image",))
    for row in answer["minimum_sizes"]:
        side = "none" if row["side"] is None else f"{row['side']}×{row['side']}"
        add(rows, row["meaning"], side, row["stage"] or "")
    show(rows)
    for row in answer["minimum_sizes"]:
        if row["path"] is not None:
            say(f"Below {row['side']}×{row['side']}: {row['path']}: {row['because']}", indent="  ")
