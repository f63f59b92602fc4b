"""Options of the commands that train, and the recipe that they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UnknownNameError
from ..spec.recipe import SCHEDULES, Recipe

#: The defaults of all that train.
BOOK = Recipe()

Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="SET",
        help="fashion-mnist, digits (embedded), or the path of IDX files or of a folder of images.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where Fashion-MNIST's files are already; also GOOGLENET_DATA_DIR. Else downloaded.",
    ),
]
Epochs = Annotated[
    int, typer.Option("--epochs", metavar="N", help="Passes through the training images.")
]
BatchSize = Annotated[int, typer.Option("--batch-size", metavar="N", help="Images in a step.")]
LearningRate = Annotated[
    float, typer.Option("--learning-rate", metavar="R", help="Of stochastic gradient descent.")
]
Momentum = Annotated[float, typer.Option("--momentum", metavar="M", help="In [0, 1).")]
WeightDecay = Annotated[
    float,
    typer.Option("--weight-decay", metavar="D", help="Times each weight, added to its gradient."),
]
LabelSmoothing = Annotated[float, typer.Option("--label-smoothing", metavar="E", help="In [0, 1).")]
AuxWeights = Annotated[
    list[float] | None,
    typer.Option(
        "--aux-weight",
        metavar="W",
        help="Weight of an auxiliary head's loss, in their order; repeatable.",
    ),
]
ScheduleName = Annotated[
    str,
    typer.Option("--schedule", metavar="S", help=f"Of the learning rate: {', '.join(SCHEDULES)}."),
]
DecayEpochs = Annotated[
    int,
    typer.Option(
        "--decay-epochs", metavar="N", help="Of the schedule step: epochs until the rate falls."
    ),
]
DecayFactor = Annotated[
    float,
    typer.Option(
        "--decay-factor", metavar="F", help="Of the schedule step: what the rate is multiplied by."
    ),
]
Initializer = Annotated[
    str,
    typer.Option(
        "--initializer", metavar="RULE", help="xavier_uniform, as in the book, or he_normal."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where checkpoint, log, curves and weights go."),
]
Picture = Annotated[str, typer.Option("--picture", metavar="KIND", help="Curves as png or svg.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, help="Threads to compute with; by default all cores."
    ),
]


def check_picture(kind: str) -> None:
    """Raises `UnknownNameError` unless curves can be drawn as `kind`."""
    if kind not in ("png", "svg"):
        raise UnknownNameError(f"--picture: expected png or svg, got '{kind}'")


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


def recipe_arguments(recipe: Recipe) -> list[str]:
    """The options that mean `recipe`, without its seed: the inverse of `recipe_of`."""
    values = {
        name.replace("_", "-"): value
        for name, value in recipe.to_json().items()
        if name not in ("seed", "aux_weights")
    }
    arguments = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return [
        *arguments,
        *(word for weight in recipe.aux_weights or () for word in ("--aux-weight", str(weight))),
    ]
