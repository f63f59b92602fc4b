"""`googlenet summary NAME`: the book's walk through the blocks, from the spec or measured on a
native model.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from ..spec.analysis import count_multiply_adds, count_parameters, smallest_input, stages
from ..spec.layers import Network
from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Classes,
    Dialect,
    NetworkName,
    Size,
    network_of,
)
from .output import add, print_json, say, shape_text, show, table

Framework = Annotated[
    str | None,
    typer.Option(
        "--framework",
        metavar="X",
        help="Build the native model in this framework, and show its actual shapes.",
    ),
]


def command(
    name: NetworkName = "googlenet",
    framework: Framework = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    as_json: AsJson = False,
) -> None:
    """Show each stage's output shape, parameters, multiply-adds and receptive field."""
    network = network_of(
        name, num_classes=num_classes, channels=channels, size=size, aux=aux, dialect=dialect
    )
    answer = collect(network)
    if framework is not None:
        answer |= measured(network, framework)
    if as_json:
        print_json(answer)
        return
    _print(answer)


def collect(network: Network) -> dict[str, Any]:
    """What the spec says, ready for JSON. Raises `ShapeError` if the input is too small."""
    return {
        "name": network.name,
        "source": network.source,
        "input_shape": list(network.input_shape),
        "parameters": count_parameters(network),
        "multiply_adds": count_multiply_adds(network),
        "smallest_input": smallest_input(network),
        "outputs": list(network.outputs),
        "stages": [
            {
                "name": stage.name,
                "output_shape": list(stage.output_shape),
                "parameters": stage.parameters,
                "multiply_adds": stage.multiply_adds,
                "receptive_field": list(stage.receptive_field),
            }
            for stage in stages(network)
        ],
    }


def measured(network: Network, framework: str) -> dict[str, Any]:
    """The same with the shapes and parameters that the native model of `framework` has on one image
    of zeros.
    """
    import numpy as np

    from ..backend.discovery import canonical_name, framework_version
    from ..backend.threads import prepared_backend
    from ..spec.params import param_specs
    from ..weights.initial import init_params

    backend = prepared_backend(framework)
    model = backend.build(network, init_params(network))
    names = [name for name, _ in network.layers.children]
    outputs = backend.forward(model, np.zeros((1, *network.input_shape), np.float32), taps=names)
    specs = param_specs(network)
    held = {
        path: array for path, array in backend.params_of(model).items() if specs[path].trainable
    }
    rows = [
        row
        | {
            "output_shape": list(outputs[row["name"]].shape[1:]),
            "parameters": sum(
                math.prod(array.shape)
                for path, array in held.items()
                if path.startswith(f"{row['name']}.")
            ),
        }
        for row in collect(network)["stages"]
    ]
    return {
        "framework": canonical_name(framework),
        "framework_version": framework_version(framework),
        "parameters": sum(math.prod(array.shape) for array in held.values()),
        "stages": rows,
    }


def _print(answer: dict[str, Any]) -> None:
    where = (
        f", as built in {answer['framework']} {answer['framework_version']}"
        if "framework" in answer
        else ""
    )
    say(f"{answer['name']} ({answer['source']}){where}")
    numbers = ("Parameters", "Multiply-adds", "Receptive field")
    rows = table("Stage", "Output shape", *numbers, right=numbers)
    add(rows, "input", shape_text(answer["input_shape"]), "", "", "1×1")
    for row in answer["stages"]:
        add(
            rows,
            row["name"],
            shape_text(row["output_shape"]),
            f"{row['parameters']:,}",
            f"{row['multiply_adds']:,}",
            shape_text(row["receptive_field"]),
        )
    rows.add_section()
    add(rows, "total", "", f"{answer['parameters']:,}", f"{answer['multiply_adds']:,}", "")
    show(rows)
    side = answer["smallest_input"]
    say(
        f"Smallest square input: {side}×{side}. Shapes are channels×height×width; multiply-adds are"
        " for one image."
    )
