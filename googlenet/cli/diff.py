"""`googlenet diff A B`: how two networks differ as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from ..actions.diff import Diff, diff
from ..spec.analysis import count_parameters
from ..spec.diff import Difference
from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Classes,
    FirstNetwork,
    Images,
    Interpreters,
    OwnFramework,
    OwnTimeout,
    SecondNetwork,
    Size,
    interpreters_of,
    shape_of,
)
from .output import bars, counted, print_json, say, say_text, shape_text

#: Up to this many layers with the same difference are named one by one; of more, only the first.
FEW = 3

Count = Annotated[
    int,
    typer.Option(
        "--count", metavar="N", min=1, help="Number of images on which to compare the logits."
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Seed for the random weights.")
]
Logits = Annotated[
    bool,
    typer.Option(
        "--logits/--no-logits", help="Run both networks with the same weights, or skip this."
    ),
]


def command(
    first: FirstNetwork,
    second: SecondNetwork,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    images: Images = None,
    count: Count = 4,
    seed: Seed = 0,
    logits: Logits = True,
    own_framework: OwnFramework = None,
    python: Interpreters = None,
    timeout: OwnTimeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Show how network B differs from A: layer by layer, and by how much the logits differ with
    the same weights.

    Both use A's classes and input unless options say otherwise; B uses its own if it cannot use
    A's. Your own model brings its own weights, and takes A's input.
    """

    with bars(as_json) as shown:
        found = diff(
            first,
            second,
            num_classes=num_classes,
            input_shape=shape_of(first, channels=channels, size=size, aux=aux),
            aux=aux,
            images=images,
            count=count,
            seed=seed,
            logits=logits,
            own_framework=own_framework,
            interpreters=interpreters_of(python),
            timeout=timeout,
            progress=shown.stage,
        )
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)


def _print(found: Diff) -> None:
    for sign, network in (("−", found.first), ("+", found.second)):
        say(
            f"{sign} {network.name}: {shape_text(network.input_shape)},"
            f" {count_parameters(network):,} parameters"
        )
    say("")
    for line in _lines(found.differences, found.place):
        say(line, indent="  ")
    if not found.differences:
        say("The two are the same function.")
    elif found.same_in_evaluation:
        say_text("")
        say("They are the same function in evaluation mode; they differ only in training.")
    if found.movement is not None:
        say("")
        say(_logits(found))


def _lines(differences: Sequence[Difference], place: Callable[[str], str] = str) -> list[str]:
    """One line for each difference, or for all layers that share one."""
    grouped: dict[tuple[str, bool], list[str]] = {}
    for difference in differences:
        grouped.setdefault((difference.words, difference.training_alone), []).append(
            place(difference.path)
        )
    lines: list[str] = []
    for (words, training_alone), paths in grouped.items():
        end = f"{words} (only in training)" if training_alone else words
        if len(paths) <= FEW:
            lines.extend(f"{path or 'the whole network'}: {end}" for path in paths)
        else:
            lines.append(f"{paths[0]} and {len(paths) - 1} more such layers: {end}")
    return lines


def _logits(found: Diff) -> str:
    moved, images = found.movement, found.images
    assert moved is not None
    assert images is not None
    if moved.unfit is not None or moved.logits is None:
        return f"Logits not compared: {moved.unfit}."
    on = f"on {counted(len(images.images), 'image')} from {images.description}, seed {found.seed}"
    if moved.first_divergence is None:
        return (
            f"With the same weights the logits agree to {moved.logits:.1e} (relative L2 distance,"
            f" float32) {on}."
        )
    return (
        f"With the same weights the logits differ by {100 * moved.logits:.3g} % (relative L2"
        f" distance) {on}; the first difference is at"
        f" {found.place(moved.first_divergence)}."
    )
