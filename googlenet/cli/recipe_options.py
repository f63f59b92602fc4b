"""Options of the commands that train, and the recipe that they mean."""

from __future__ import annotations

from typing import Annotated

import typer

from ..spec.recipe import SCHEDULES, Recipe
from .options import framework_names

#: The defaults of every command that trains.
BOOK = Recipe()

Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="SET",
        help=(
            "Images to train on: digits (built in), fashion-mnist, or the path of a folder of IDX"
            " files or of images."
        ),
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help=(
            "Folder that already has Fashion-MNIST's files; by default the one that the environment"
            " variable GOOGLENET_DATA_DIR names. Without either, they are downloaded."
        ),
    ),
]
Classes = Annotated[
    int | None,
    typer.Option(
        "--num-classes", metavar="N", help="Number of classes; by default as many as the data has."
    ),
]
Epochs = Annotated[
    int,
    typer.Option("--epochs", metavar="N", help="Number of passes through the training images."),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", metavar="N", help="Number of images per step.")
]
LearningRate = Annotated[
    float,
    typer.Option(
        "--learning-rate", metavar="R", help="Learning rate of stochastic gradient descent."
    ),
]
Momentum = Annotated[
    float, typer.Option("--momentum", metavar="M", help="Momentum of SGD, in [0, 1).")
]
WeightDecay = Annotated[
    float,
    typer.Option(
        "--weight-decay", metavar="D", help="L2 penalty: D × weight is added to the gradient."
    ),
]
LabelSmoothing = Annotated[
    float,
    typer.Option(
        "--label-smoothing",
        metavar="E",
        help="Share of each label that is spread over all classes, in [0, 1).",
    ),
]
AuxWeights = Annotated[
    list[float] | None,
    typer.Option(
        "--aux-weight",
        metavar="W",
        help="Weight of an auxiliary head's loss; give it once for each head, in order.",
    ),
]
ScheduleName = Annotated[
    str,
    typer.Option(
        "--schedule",
        metavar="S",
        help=f"How the learning rate changes: {', '.join(SCHEDULES)}.",
    ),
]
DecayEpochs = Annotated[
    int,
    typer.Option(
        "--decay-epochs",
        metavar="N",
        help="Number of epochs between reductions of the rate by the step schedule.",
    ),
]
DecayFactor = Annotated[
    float,
    typer.Option(
        "--decay-factor", metavar="F", help="Factor by which the step schedule multiplies the rate."
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder for the checkpoint, log, curves and weights; by default one inside runs.",
    ),
]
RaceFrameworks = Annotated[
    list[str] | None,
    typer.Option(
        "--framework",
        metavar="X",
        help=(
            "Train in this framework; can be repeated. By default all installed ones that can"
            " train are used, except numpy."
        ),
        autocompletion=framework_names,
    ),
]
RaceOut = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help=(
            "Folder for the curves, the results, and a folder for each run; by default one inside"
            " runs."
        ),
    ),
]
Curves = Annotated[
    str | None,
    typer.Option(
        "--picture",
        metavar="FILE",
        help="Draw the curves to this .png, .svg or .pdf file; by default curves.png in --out.",
    ),
]


def recipe_of(
    epochs: int,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    label_smoothing: float,
    aux_weight: list[float] | None,
    schedule: str,
    decay_epochs: int,
    decay_factor: float,
    seed: int,
) -> Recipe:
    """The recipe that the options mean. Raises `SpecError` for a value out of range."""
    return Recipe(
        learning_rate=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        aux_weights=tuple(aux_weight) if aux_weight else None,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        schedule=schedule,
        decay_epochs=decay_epochs,
        decay_factor=decay_factor,
    )
