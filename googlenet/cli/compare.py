"""`googlenet compare M1 M2 ...`: what networks cost, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..actions.compare import Costs, compare
from .options import (
    AsJson,
    Channels,
    Classes,
    Interpreters,
    NetworkNames,
    OwnFramework,
    OwnTimeout,
    Picture,
    Size,
    interpreters_of,
    parse_size,
)
from .output import add, bars, print_json, say, shape_text, show, table


def command(
    names: NetworkNames = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    picture: Picture = None,
    own_framework: OwnFramework = None,
    python: Interpreters = None,
    timeout: OwnTimeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Compare what networks cost: parameters by kind of layer, multiply-adds and activations."""
    from ..drawing.costs import draw_costs
    from ..drawing.figures import check_picture

    path = None if picture is None else Path(picture)
    if path is not None:
        check_picture(path)
    with bars(as_json) as shown:
        found = compare(
            names or (),
            num_classes=num_classes,
            channels=channels,
            input_size=None if size is None else parse_size(size),
            own_framework=own_framework,
            interpreters=interpreters_of(python),
            timeout=timeout,
            progress=shown.stage,
        )
    if path is not None:
        draw_costs(path, [costs.to_json() for costs in found])
    if as_json:
        print_json({"networks": [costs.to_json() for costs in found]})
        return
    _print(found)
    if path is not None:
        say(f"Picture: {path}")


def _print(found: Sequence[Costs]) -> None:
    numbers = ("Input", "Parameters", "Convolutions", "Dense\nlayers", "Batch\nnorm")
    costs = ("Dense\nshare", "Multiply-\nadds", "Activations", "Largest", "Smallest\ninput")
    parameters = table("Network", *numbers, right=numbers)
    others = table("Network", *costs, right=costs)
    for each in found:
        network, spent = each.network, each.budget
        add(
            parameters,
            network.name,
            shape_text(network.input_shape),
            f"{spent.parameters:,}",
            f"{spent.convolution_parameters:,}",
            f"{spent.dense_parameters:,}",
            f"{spent.norm_parameters:,}",
        )
        side = each.smallest_input
        add(
            others,
            network.name,
            f"{100 * spent.dense_share:.1f} %",
            f"{spent.multiply_adds / 1e6:,.1f} M",
            f"{spent.activation_bytes / 2**20:,.1f} MiB",
            f"{spent.largest_activation_bytes / 2**20:,.1f} MiB",
            "none" if side is None else f"{side}×{side}",
        )
    show(parameters)
    show(others)
    say(
        "Activations are the float32 outputs of all layers for one image, which training keeps for"
        " the backward pass; Largest is the largest of them."
    )
    if len({each.network.input_shape[1:] for each in found}) > 1:
        say("Inputs differ, so multiply-adds and activations cannot be compared; give --size.")
    if answer := _answer(found):
        say(answer)


def _answer(found: Sequence[Costs]) -> str:
    """What the table says about dense layers, as a sentence."""
    most, least = (pick(found, key=lambda each: each.budget.dense_share) for pick in (max, min))
    if len(found) < 2 or most.budget.dense_share - least.budget.dense_share < 0.5:
        return ""
    few = least.budget.dense_share
    none = "none" if least.budget.dense_parameters == 0 else f"{100 * few:.2g} %"
    return (
        f"{most.network.name} has {100 * most.budget.dense_share:.0f} % of its parameters in dense"
        f" layers, {least.network.name} {none}: global average pooling replaces them."
    )
