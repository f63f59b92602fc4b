"""`googlenet list`: the networks, the frameworks found, and how to install the others."""

from __future__ import annotations

from typing import Any

from ..architectures import NETWORKS, get_network
from ..backend.discovery import (
    SHIPPED,
    WHY_APART,
    entry_points,
    framework_version,
    install_command,
    install_lines,
)
from ..spec.analysis import count_multiply_adds, count_parameters
from ..version import __version__
from .options import AsJson, print_json, shape_text


def command(as_json: AsJson = False) -> None:
    """Show the networks and the frameworks that are installed."""
    answer = collect()
    if as_json:
        print_json(answer)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    networks = Table("Network", "Input", "Parameters", "Multiply-adds", "Source", box=SIMPLE_HEAD)
    for row in answer["networks"]:
        networks.add_row(
            row["name"],
            shape_text(row["input_shape"]),
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e6:,.1f} M",
            row["source"],
        )
    frameworks = Table("Framework", "Version", box=SIMPLE_HEAD)
    for row in answer["frameworks"]:
        frameworks.add_row(row["name"], row["version"] or "not installed")
    console.print(networks)
    console.print(frameworks)
    if not all(row["installed"] for row in answer["frameworks"]):
        console.print(
            f"Install a framework from a checkout, into a new environment, since {WHY_APART}:",
            *(f"  {line}" for line in install_lines("NAME")),
            sep="\n",
            soft_wrap=True,
        )


def collect() -> dict[str, Any]:
    """What the command shows, ready for JSON; imports no framework."""
    networks = [get_network(name) for name in NETWORKS]
    found = entry_points()
    return {
        "version": __version__,
        "networks": [
            {
                "name": network.name,
                "input_shape": list(network.input_shape),
                "parameters": count_parameters(network),
                "multiply_adds": count_multiply_adds(network),
                "source": network.source,
            }
            for network in networks
        ],
        "frameworks": [
            {
                "name": name,
                "installed": name in found,
                "version": framework_version(name) if name in found else None,
                "install": install_command(name) if name in SHIPPED else None,
            }
            for name in sorted({*found, *SHIPPED})
        ],
    }
