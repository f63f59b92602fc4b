"""`googlenet convert IN OUT`: a model zoo's weights as one of our own files, or as a file of any
framework.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..actions.convert import Converted, convert
from ..spec.params import param_specs
from .options import (
    AsJson,
    Channels,
    Interpreters,
    Size,
    framework_names,
    interpreters_of,
    parse_size,
)
from .output import bars, counted, print_json, say, shape_text
from .weight_options import Head, Key

#: How many names of unused arrays are shown.
MOST_NAMES = 10

Source = Annotated[
    str, typer.Argument(metavar="IN", help="Weights file of any framework or of this project.")
]
Target = Annotated[
    str,
    typer.Argument(
        metavar="OUT", help="File to write: .safetensors unless --to names a framework."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="ZOO:MODEL",
        help=(
            "Model whose weights IN holds, such as torchvision:googlenet, or the network, or your"
            " own model as FILE:NAME; the file is run."
        ),
    ),
]
OwnFramework = Annotated[
    str | None,
    typer.Option(
        "--framework",
        metavar="X",
        help="Framework of your own model; by default the one that its file imports.",
        autocompletion=framework_names,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FRAMEWORK",
        help="Write this framework's own weights file instead, or with ZOO:MODEL that library's.",
    ),
]
Aux = Annotated[
    bool | None,
    typer.Option(
        "--aux/--no-aux",
        help="Include or drop the auxiliary heads; by default they are included if IN has them.",
    ),
]
PreprocessingName = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="NAME",
        help="Preprocessing to store with the weights; by default the library's own.",
    ),
]
ClassNames = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="FILE",
        help="Text file of class names, one per line, to store with the weights.",
    ),
]
Fold = Annotated[
    bool,
    typer.Option(
        "--fold",
        help=(
            "Write the network's form for evaluation: batch norm folded into convolutions, no"
            " dropout."
        ),
    ),
]


def command(
    source: Source,
    target: Target,
    model: Model = None,
    own_framework: OwnFramework = None,
    python: Interpreters = None,
    framework: To = None,
    aux: Aux = None,
    channels: Channels = None,
    size: Size = None,
    key: Key = None,
    head: Head = None,
    preprocessing: PreprocessingName = None,
    classes: ClassNames = None,
    fold: Fold = False,
    as_json: AsJson = False,
) -> None:
    """Convert a model zoo's weights; without --from, rewrite or export a file of this project.

    Weights are read without the library or framework that wrote them.
    """
    of_library = framework is not None and ":" in framework
    with bars(as_json) as shown:
        converted = convert(
            source,
            target,
            model=model,
            own_framework=own_framework,
            channels=channels,
            interpreters=interpreters_of(python),
            framework=None if of_library else framework,
            library=framework if of_library else None,
            aux=aux,
            input_size=None if size is None else parse_size(size),
            key=key,
            head=head,
            preprocessing=preprocessing,
            classes=classes,
            fold=fold,
            progress=shown.stage,
        )
    if as_json:
        print_json(converted.to_json())
    else:
        _print(converted)


def _print(converted: Converted) -> None:
    answer, unused = converted.to_json(), converted.left_over
    heads = f", outputs {', '.join(answer['outputs'])}" if len(answer["outputs"]) > 1 else ""
    shown = ", ".join(unused[:MOST_NAMES])
    if len(unused) > MOST_NAMES:
        shown += f" and {len(unused) - MOST_NAMES:,} more"
    classes = "class" if answer["num_classes"] == 1 else "classes"
    held = any(not spec.trainable for spec in param_specs(converted.network).values())
    statistics = ", including running statistics" if held else ""
    theirs = converted.library or converted.framework
    lines = {
        "Read": f"{converted.format}, {converted.model or 'from this project'}",
        "Network": (
            f"{answer['name']} at {shape_text(converted.network.input_shape)},"
            f" {answer['num_classes']:,} {classes}{heads}"
        ),
        "Parameters": (
            f"{answer['parameters']:,}; {counted(answer['arrays'], 'array')}{statistics}"
        ),
        "Unused": f"{counted(len(unused), 'array')}: {shown}" if unused else "none",
        "Written": (
            f"{converted.target}{f' for {theirs}' if theirs else ''},"
            f" {answer['bytes'] / 2**20:,.1f} MiB"
        ),
    }
    if converted.also:
        lines["Network"] += f"; the same as {', '.join(converted.also)}"
    if converted.key:
        lines["Read"] += f", under '{converted.key}'"
    if converted.head is not None:
        lines["Network"] += f"; its classifier is '{converted.head}'"
    if (chosen := converted.preprocessing) is not None:
        lines["Prepared"] = f"{chosen.name}: {chosen.why}"
        if chosen.alternative:
            lines["Prepared"] += f"; otherwise --preprocessing {chosen.alternative}"
    for label, text in lines.items():
        say(f"{label:<12}{text}", indent=" " * 12)
    if converted.load is not None:
        say("Load it without this project:")
        for line in converted.load.splitlines():
            say(f"    {line}", indent=" " * 8)
