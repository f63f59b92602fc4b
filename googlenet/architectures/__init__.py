"""The networks by name: each file holds one paper's or book section's tables, row by row."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable

from ..analysis import smallest_input
from ..errors import ShapeError, UnknownNameError
from ..spec import Network, Shape
from ..walk import walk
from .googlenet import googlenet
from .googlenet_paper import googlenet_paper

NETWORKS: dict[str, Callable[..., Network]] = {make.__name__: make for make in (googlenet, googlenet_paper)}


def get_network(
    name: str = "googlenet",
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
) -> Network:
    """The network called `name`, each argument that is None at the architecture's own default.

    `input_shape` is (C, H, W). Raises `UnknownNameError` for a name, dialect or auxiliary heads that do not exist, `SpecError` for a
    size that is not positive, and `ShapeError` if the input is too small.
    """
    if name not in NETWORKS:
        close = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UnknownNameError(f"network: expected one of {', '.join(NETWORKS)}, got '{name}'{hint}")
    make = NETWORKS[name]
    given = {"num_classes": num_classes, "input_shape": None if input_shape is None else tuple(input_shape), "dialect": dialect}
    arguments: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    if aux:
        arguments["aux"] = True
    for key in arguments.keys() - inspect.signature(make).parameters.keys():
        what = "auxiliary heads" if key == "aux" else f"dialect '{dialect}'"
        having = [other for other, maker in NETWORKS.items() if key in inspect.signature(maker).parameters]
        instead = f"; use {', '.join(having)}" if having else f"; leave {key} out"
        raise UnknownNameError(f"{key}: network '{name}' has no {what}{instead}")
    network = make(**arguments)
    try:
        for _ in walk(network):
            pass
    except ShapeError as error:
        side = smallest_input(network)
        raise ShapeError(f"network '{name}' on {network.input_shape}: {error}; the smallest square image is {side}×{side}") from error
    return network
