"""`googlenet list`: the networks, the frameworks found, and how to install the others."""

from __future__ import annotations

from ..backend.discovery import WHY_APART, install_lines
from .options import AsJson
from .output import add, print_json, say, say_command, shape_text, show, table


def command(as_json: AsJson = False) -> None:
    """Show the networks, and which frameworks are installed."""
    from ..actions.listing import listing

    found = listing()
    if as_json:
        print_json(found.to_json())
        return
    numbers = ("Parameters", "Multiply-adds")
    networks = table("Network", "Input", *numbers, "Source", right=numbers, wrap=("Source",))
    for network in found.networks:
        add(
            networks,
            network.name,
            shape_text(network.input_shape),
            f"{network.parameters:,}",
            f"{network.multiply_adds / 1e6:,.1f} M",
            network.source,
        )
    frameworks = table("Framework", "Version")
    for framework in found.frameworks:
        add(frameworks, framework.name, framework.version or "not installed")
    show(networks)
    show(frameworks)
    if not all(framework.installed for framework in found.frameworks):
        say(f"Install a framework from a checkout, into a new environment, since {WHY_APART}:")
        for line in install_lines("NAME"):
            say_command(line)
