"""`googlenet parity`: prove that every installed framework computes the same function."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Classes,
    Devices,
    Dialect,
    Frameworks,
    Images,
    Initializer,
    Interpreters,
    NetworkOrFile,
    OwnFramework,
    Size,
    Timeout,
    devices_of,
    interpreters_of,
    shape_of,
)
from .output import (
    bars,
    print_json,
)
from .parity_report import print_report
from .weight_options import Head, Key

Count = Annotated[
    int | None,
    typer.Option(
        "--count",
        metavar="N",
        help="Number of images; by default all of --images, or 64 of scikit-learn's digits.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help=(
            "Weights file of the network, of this project or any framework; by default random, from"
            " --seed, or your own model's."
        ),
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Seed for random weights, and for labels if no file has them.",
    ),
]
Gradients = Annotated[
    bool, typer.Option("--gradients/--no-gradients", help="Compare gradients too, or skip them.")
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Also compare bit for bit, on weights and images for which float32 rounds nothing.",
    ),
]
Compiled = Annotated[
    bool,
    typer.Option(
        "--compiled",
        help=(
            "Also compare the outputs of what each framework's `compile` makes of its model, and"
            " with --exact the bits of its compiled forms, such as torch.compile; may take minutes."
        ),
    ),
]
LabelSmoothing = Annotated[
    float,
    typer.Option(
        "--label-smoothing",
        metavar="E",
        help="Label smoothing of the loss whose gradients are compared, in [0, 1).",
    ),
]
TrainSteps = Annotated[
    int,
    typer.Option(
        "--train-steps",
        metavar="K",
        min=0,
        help="Compare K training steps too: each loss, and every weight after each step.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs", metavar="N", min=1, help="Number of frameworks to run at the same time."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help=(
            "Number of threads for each framework; by default what OMP_NUM_THREADS says, or its"
            " share of the cores."
        ),
    ),
]
Chunk = Annotated[
    int,
    typer.Option(
        "--chunk",
        metavar="N",
        min=1,
        help="Number of images per forward pass; fewer use less memory.",
    ),
]


def command(
    name: NetworkOrFile = "googlenet",
    images: Images = None,
    count: Count = None,
    framework: Frameworks = None,
    python: Interpreters = None,
    device: Devices = None,
    weights: Weights = None,
    key: Key = None,
    head: Head = None,
    initializer: Initializer = "he_normal",
    seed: Seed = 0,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    own_framework: OwnFramework = None,
    gradients: Gradients = True,
    exact: Exact = False,
    compiled: Compiled = False,
    label_smoothing: LabelSmoothing = 0.1,
    train_steps: TrainSteps = 0,
    jobs: Jobs = 1,
    threads: Threads = None,
    chunk: Chunk = 16,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Prove that every framework computes the same function.

    Compares each layer, the logits and each gradient with the float64 reference, and with
    --train-steps several training steps too; exits with 1 if a framework differs or fails, or if
    too little can be proved on these images.
    """
    from ..actions.parity import parity

    with bars(as_json) as shown:
        report = parity(
            name,
            framework,
            images=images,
            count=count,
            weights=weights,
            key=key,
            head=head,
            initializer=initializer,
            seed=seed,
            num_classes=num_classes,
            input_shape=shape_of(name, channels=channels, size=size, aux=aux, dialect=dialect),
            aux=aux,
            dialect=dialect,
            own_framework=own_framework,
            gradients=gradients,
            exact=exact,
            compiled=compiled,
            label_smoothing=label_smoothing,
            train_steps=train_steps,
            interpreters=interpreters_of(python),
            devices=devices_of(device),
            jobs=jobs,
            threads=threads,
            chunk=chunk,
            timeout=timeout,
            progress=shown.stage,
        )
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
    if not report.passed:
        raise typer.Exit(1)
