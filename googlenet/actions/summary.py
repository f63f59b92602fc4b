"""The book's walk through the stages of a network, and on to blocks, branches and layers: by the
spec, or as native models have them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..backend.discovery import chosen_frameworks
from ..errors import UnknownNameError
from ..jobs.native import Native, native
from ..spec.analysis import (
    Stage,
    count_multiply_adds,
    count_parameters,
    smallest_input,
    stages,
)
from ..spec.layers import Network, Shape
from ..spec.outline import Level, Row, outline
from .arguments import by_framework, integer, seconds, several
from .own import network_or_own

#: Called with a framework, what it is doing, how much is done, and how much there is.
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True)
class Summary:
    """A network down to `depth`: `rows` are its stages, and the blocks, branches and layers in
    them; `stages` only the stages. Shapes are (channels, height, width) without the batch axis,
    parameters the trainable ones, multiply-adds those of one image, receptive fields in pixels.

    `natives` has what frameworks make of it. If there is one, `stages` and `parameters` are those
    of its native model. `smallest_input` is the side of the smallest square image in pixels, None
    if there is none up to 1024.
    """

    network: Network
    stages: tuple[Stage, ...]
    parameters: int
    multiply_adds: int
    smallest_input: int | None
    depth: int
    rows: tuple[Row, ...]
    natives: tuple[Native, ...] = ()

    @property
    def framework(self) -> str | None:
        """The framework whose native model was measured, None if it was none or several."""
        return self.natives[0].framework if len(self.natives) == 1 else None

    @property
    def framework_version(self) -> str | None:
        """Its version."""
        return self.natives[0].version if len(self.natives) == 1 else None

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
            "depth": self.depth,
            "rows": [row.to_json() for row in self.rows],
        }
        if self.framework is not None:
            answer |= {
                "framework": self.framework,
                "framework_version": self.framework_version,
            }
        if self.natives:
            answer["frameworks"] = [each.to_json() for each in self.natives]
        return answer


def summary(
    network: str | Network = "googlenet",
    *,
    framework: str | Sequence[str] | None = None,
    depth: int = 1,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    own_framework: str | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    timeout: float = 600.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Summary:
    """What `network`, a name, a `Network` or FILE:NAME as for `own_network`, consists of, by the
    spec: down to its stages (`depth` 1), their blocks and the layers outside them (2), the blocks'
    branches (3), or all layers (4).

    With `framework`, one or several, native models are built and run on one image of zeros, and
    what they really give is there too, with their own layer classes and axes. A single one is built
    in this process; several, and those with an interpreter in `interpreters` (a path by framework),
    each in a process of its own, which is killed after `timeout` seconds.

    Raises `UnknownNameError`, `SpecError`, `ShapeError` or `BackendError`, and what `own_network`
    raises.
    """
    depth, timeout = integer("depth", depth, Level.STAGE), seconds(timeout)
    if depth > Level.LAYER:
        raise UnknownNameError(
            "`depth`: expected at most 4, which is layers; 1 is stages, 2 blocks, 3 branches; got"
            f" {depth}"
        )
    spec, own = network_or_own(
        network,
        own_framework=own_framework,
        num_classes=num_classes,
        input_shape=input_shape,
        aux=aux,
        dialect=dialect,
        interpreters=interpreters,
        timeout=timeout,
        progress=progress,
    )
    found = Summary(
        spec,
        tuple(stages(spec)),
        count_parameters(spec),
        count_multiply_adds(spec),
        smallest_input(spec),
        depth,
        outline(spec, depth),
    )
    paths = by_framework("interpreters", interpreters)
    # An interpreter asks for its framework, unless it only runs the user's file.
    named = () if own is not None else tuple(paths)
    asked = named if framework is None else several("framework", framework)
    if not asked:
        return found
    chosen = chosen_frameworks(asked, paths)
    natives = tuple(
        native(
            name,
            spec,
            {row.path: row.out_shape for row in found.rows},
            apart=len(chosen) > 1 or name in paths,
            interpreter=paths.get(name),
            timeout=timeout,
            report=partial(progress, name),
        )
        for name in chosen
    )
    return _measured(replace(found, natives=natives))


def _measured(found: Summary) -> Summary:
    """The same with the shapes and parameters of a single native model in place of the spec's."""
    if len(found.natives) != 1:
        return found
    layers = found.natives[0].layers
    measured = tuple(
        replace(
            stage,
            output_shape=layers[stage.name].output_shape,
            parameters=layers[stage.name].parameters,
        )
        for stage in found.stages
    )
    return replace(found, stages=measured, parameters=layers[""].parameters)
