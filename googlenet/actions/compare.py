"""What networks cost, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..architectures import as_network
from ..spec.analysis import Budget, budget, smallest_input
from ..spec.layers import Network, Shape
from .arguments import integer, several, size_of

#: The third exercise of the book's section on GoogLeNet compares these, all at the same size: costs
#: can only be compared at one size.
EXERCISE = ("alexnet", "vgg11", "nin", "googlenet")
EXERCISE_SIZE = (224, 224)


@dataclass(frozen=True)
class Costs:
    """What a network costs, and the smallest side of a square image, in pixels, that it accepts
    (None if there is none up to 1024).
    """

    network: Network
    budget: Budget
    smallest_input: int | None

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        costs = self.budget
        return {
            "name": self.network.name,
            "source": self.network.source,
            "input_shape": list(self.network.input_shape),
            "parameters": costs.parameters,
            "convolution_parameters": costs.convolution_parameters,
            "dense_parameters": costs.dense_parameters,
            "norm_parameters": costs.norm_parameters,
            "dense_share": costs.dense_share,
            "multiply_adds": costs.multiply_adds,
            "activation_bytes": costs.activation_bytes,
            "largest_activation_bytes": costs.largest_activation_bytes,
            "smallest_input": self.smallest_input,
        }


def compare(
    networks: str | Network | Sequence[str | Network] = (),
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> list[Costs]:
    """What each of `networks` costs, in the order given; by default those of the book's exercise,
    all at 224×224.

    Networks are names or `Network`s, each at its own input unless `channels` or `input_size`
    (height, width) say otherwise. Raises `UnknownNameError`, `SpecError` or `ShapeError`.
    """
    given = several("networks", networks, (str, Network))
    channels = None if channels is None else integer("channels", channels, 1)
    if input_size is not None:
        input_size = size_of("input_size", input_size)
    elif not given:
        input_size = EXERCISE_SIZE
    found = []
    for each in given or EXERCISE:
        shape: Shape = as_network(each).input_shape
        shape = (shape[0] if channels is None else channels, *(input_size or shape[1:]))
        network = as_network(each, num_classes=num_classes, input_shape=shape)
        found.append(Costs(network, budget(network), smallest_input(network)))
    return found
