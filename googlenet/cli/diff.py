"""`googlenet diff A B`: how two networks differ as functions."""

from __future__ import annotations

from collections.abc import Sequence
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
    SecondNetwork,
    Size,
    shape_of,
)
from .output import counted, print_json, say, shape_text

#: So many layers with the same difference are named one by one; of more, the first.
FEW = 3

Count = Annotated[
    int,
    typer.Option("--count", metavar="N", min=1, help="Images on which the logits are compared."),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Seed that the weights are drawn from.")
]
Logits = Annotated[
    bool,
    typer.Option("--logits/--no-logits", help="Run both networks on the same weights, or do not."),
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
    as_json: AsJson = False,
) -> None:
    """Show how network B differs from A: layer by layer in words, and by how much the logits move
    on the same weights.

    Both take A's classes and input unless given otherwise, or their own where B cannot.
    """
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
    for line in _lines(found.differences):
        say(line, indent="  ")
    if not found.differences:
        say("The two are one function.")
    elif found.same_in_evaluation:
        say("\nThe same function in evaluation mode; they differ in training only.")
    if found.movement is not None:
        say("")
        say(_logits(found))


def _lines(differences: Sequence[Difference]) -> list[str]:
    """One line for each difference, or for all layers that have the same one."""
    grouped: dict[tuple[str, bool], list[str]] = {}
    for difference in differences:
        grouped.setdefault((difference.words, difference.training_alone), []).append(
            difference.path
        )
    lines: list[str] = []
    for (words, training_alone), paths in grouped.items():
        end = f"{words} (training only)" if training_alone else words
        if len(paths) <= FEW:
            lines.extend(f"{path or 'the whole'}: {end}" for path in paths)
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
            f"On the same weights the logits agree to {moved.logits:.1e} (relative L2 distance,"
            f" float32) {on}."
        )
    return (
        f"On the same weights the logits move by {100 * moved.logits:.3g} % (relative L2 distance)"
        f" {on}; first at {moved.first_divergence}."
    )
