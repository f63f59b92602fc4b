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
from .options import AsJson
from .output import add, print_json, say, say_command, shape_text, show, table


def command(as_json: AsJson = False) -> None:
    """Show the networks, and which frameworks are installed."""
    answer = collect()
    if as_json:
        print_json(answer)
        return
    networks = table(
        "Network",
        "Input",
        "Parameters",
        "Multiply-adds",
        "Source",
        right=("Parameters", "Multiply-adds"),
        wrap=("Source",),
    )
    for row in answer["networks"]:
        add(
            networks,
            row["name"],
            shape_text(row["input_shape"]),
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e6:,.1f} M",
            row["source"],
        )
    frameworks = table("Framework", "Version")
    for row in answer["frameworks"]:
        add(frameworks, row["name"], row["version"] or "not installed")
    show(networks)
    show(frameworks)
    if not all(row["installed"] for row in answer["frameworks"]):
        say(f"Install a framework from a checkout, into a new environment, since {WHY_APART}:")
        for line in install_lines("NAME"):
            say_command(line)


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
