"""The networks, and the frameworks that are installed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..architectures import NETWORKS, get_network
from ..backend.discovery import SHIPPED, entry_points, framework_version, install_command
from ..spec.analysis import count_multiply_adds, count_parameters
from ..spec.layers import Shape
from ..version import __version__


@dataclass(frozen=True)
class ListedNetwork:
    """A network at its own input (channels, height, width): trainable parameters, multiply-adds of
    one image, and the paper or book section that it is from.
    """

    name: str
    input_shape: Shape
    parameters: int
    multiply_adds: int
    source: str


@dataclass(frozen=True)
class ListedFramework:
    """A framework, whether its backend is installed, in which version, and the command that
    installs it, None for a third party's.
    """

    name: str
    installed: bool
    version: str | None
    install: str | None


@dataclass(frozen=True)
class Listing:
    """All networks by name, and all frameworks that are known or installed."""

    networks: tuple[ListedNetwork, ...]
    frameworks: tuple[ListedFramework, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        return {
            "version": __version__,
            "networks": [
                asdict(each) | {"input_shape": list(each.input_shape)} for each in self.networks
            ],
            "frameworks": [asdict(each) for each in self.frameworks],
        }


def listing() -> Listing:
    """The networks and the frameworks; no framework is imported. Raises `BackendError` if two
    plugins claim one name.
    """
    found = entry_points()
    return Listing(
        tuple(
            ListedNetwork(
                network.name,
                network.input_shape,
                count_parameters(network),
                count_multiply_adds(network),
                network.source,
            )
            for network in map(get_network, NETWORKS)
        ),
        tuple(
            ListedFramework(
                name,
                name in found,
                framework_version(name) if name in found else None,
                install_command(name) if name in SHIPPED else None,
            )
            for name in sorted({*found, *SHIPPED})
        ),
    )
