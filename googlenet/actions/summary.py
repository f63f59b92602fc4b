"""The book's walk through the stages of a network, by the spec or as a native model gives it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..architectures import as_network
from ..backend.discovery import canonical_name, framework_version
from ..backend.threads import prepared_backend
from ..spec.analysis import (
    Stage,
    count_multiply_adds,
    count_parameters,
    smallest_input,
    stages,
)
from ..spec.layers import Network, Shape
from ..spec.params import param_specs
from ..weights.initial import init_params


@dataclass(frozen=True)
class Summary:
    """A network stage by stage: `stages` have output shapes (channels, height, width) without the
    batch axis, trainable parameters, multiply-adds of one image, and receptive fields in pixels.

    With `framework`, shapes and parameters are those of its native model. `smallest_input` is the
    side of the smallest square image in pixels, None if there is none up to 1024.
    """

    network: Network
    stages: tuple[Stage, ...]
    parameters: int
    multiply_adds: int
    smallest_input: int | None
    framework: str | None = None
    framework_version: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        answer: dict[str, Any] = {
            "name": self.network.name,
            "source": self.network.source,
            "input_shape": list(self.network.input_shape),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "smallest_input": self.smallest_input,
            "outputs": list(self.network.outputs),
            "stages": [
                {
                    "name": stage.name,
                    "output_shape": list(stage.output_shape),
                    "parameters": stage.parameters,
                    "multiply_adds": stage.multiply_adds,
                    "receptive_field": list(stage.receptive_field),
                }
                for stage in self.stages
            ],
        }
        if self.framework is not None:
            answer |= {
                "framework": self.framework,
                "framework_version": self.framework_version,
            }
        return answer


def summary(
    network: str | Network = "googlenet",
    *,
    framework: str | None = None,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
) -> Summary:
    """Each stage of `network`, a name or a `Network`, by the spec; with `framework` the native
    model is built, run on one image of zeros, and what it really gives stands in their place.

    Raises `UnknownNameError`, `SpecError`, `ShapeError` or `BackendError`.
    """
    spec = as_network(
        network, num_classes=num_classes, input_shape=input_shape, aux=aux, dialect=dialect
    )
    found = Summary(
        spec,
        tuple(stages(spec)),
        count_parameters(spec),
        count_multiply_adds(spec),
        smallest_input(spec),
    )
    return found if framework is None else _measured(found, framework)


def _measured(found: Summary, framework: str) -> Summary:
    """The same with shapes and parameters as the native model of `framework` gives them."""
    network = found.network
    backend = prepared_backend(framework)
    model = backend.build(network, init_params(network))
    names = [name for name, _ in network.layers.children]
    image = np.zeros((1, *network.input_shape), np.float32)
    outputs = backend.forward(model, image, taps=names)
    specs = param_specs(network)
    held = {
        path: math.prod(array.shape)
        for path, array in backend.params_of(model).items()
        if specs[path].trainable
    }
    measured = tuple(
        replace(
            stage,
            output_shape=tuple(outputs[stage.name].shape[1:]),
            parameters=sum(n for path, n in held.items() if path.startswith(f"{stage.name}.")),
        )
        for stage in found.stages
    )
    return replace(
        found,
        stages=measured,
        parameters=sum(held.values()),
        framework=canonical_name(framework),
        framework_version=framework_version(framework),
    )
