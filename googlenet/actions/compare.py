"""What networks cost, side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..architectures import as_network
from ..errors import UnknownNameError
from ..jobs.own import is_own
from ..spec.analysis import Budget, budget, smallest_input
from ..spec.layers import Network, Shape
from .arguments import integer, several, size_of
from .own import Progress, default_shape, network_or_own

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
    own_framework: str | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    timeout: float = 300.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> list[Costs]:
    """What each of `networks` costs, in the order given; by default those of the book's exercise,
    all at 224×224.

    Networks are names, `Network`s or FILE:NAME as for `own_network`, each at its own input unless
    `channels` or `input_size` (height, width) say otherwise. Raises `UnknownNameError`, `SpecError`
    or `ShapeError`, and what `own_network` raises.
    """
    given = several("networks", networks, (str, Network))
    channels = None if channels is None else integer("channels", channels, 1)
    if input_size is not None:
        input_size = size_of("input_size", input_size)
    elif not given:
        input_size = EXERCISE_SIZE
    if own_framework is not None and not any(map(is_own, given)):
        raise UnknownNameError("`own_framework`: applies only to a model given as FILE:NAME")
    found = []
    for each in given or EXERCISE:
        shape: Shape = default_shape() if is_own(each) else as_network(each).input_shape
        shape = (shape[0] if channels is None else channels, *(input_size or shape[1:]))
        network, _ = network_or_own(
            each,
            own_framework=own_framework if is_own(each) else None,
            num_classes=None if is_own(each) else num_classes,
            input_shape=shape,
            interpreters=interpreters,
            timeout=timeout,
            progress=progress,
        )
        found.append(Costs(network, budget(network), smallest_input(network)))
    return found
