"""The networks by name: each file holds one paper's or book section's tables, row by row, and its
dialects.

A *dialect* is what a library calls by the network's name: the same table of channels with other
settings, and so a different function. `torchvision:inception_v3` is Inception-v3 in torchvision's
dialect; where libraries say `googlenet`, it is `googlenet_paper`'s. Only the book's code has
dialects of `googlenet` itself.

Every network also has a form for evaluation, `folded:` and its name: batch norm folded into the
layer before it, dropout left out. With the weights that `convert(…, fold=True)` makes it
computes the same.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import ShapeError, SpecError, UnknownNameError
from ..spec.analysis import smallest_input
from ..spec.layers import LARGEST_SIZE, Network, Shape, check_input_shape, plain
from ..spec.simplify import folded
from ..spec.traversal import walk
from . import alexnet as _alexnet
from . import bn_inception as _bn_inception
from . import googlenet as _googlenet
from . import googlenet_paper as _googlenet_paper
from . import inception_resnet as _inception_resnet
from . import inception_v3 as _inception_v3
from . import inception_v4 as _inception_v4
from . import nin as _nin
from . import vgg as _vgg

NETWORKS: dict[str, Callable[..., Network]] = {
    make.__name__: make
    for make in (
        _googlenet.googlenet,
        _googlenet.googlenet_bn,
        _googlenet_paper.googlenet_paper,
        _bn_inception.bn_inception,
        _inception_v3.inception_v3,
        _inception_v4.inception_v4,
        _inception_resnet.inception_resnet_v1,
        _inception_resnet.inception_resnet_v2,
        _alexnet.alexnet,
        _vgg.vgg11,
        _vgg.vgg11_small,
        _vgg.vgg16,
        _nin.nin,
    )
}

#: The dialects of each network that has any.
DIALECTS: dict[str, tuple[str, ...]] = {
    "googlenet": tuple(_googlenet.DIALECTS),
    "googlenet_paper": tuple(_googlenet_paper.DIALECTS),
    "bn_inception": tuple(_bn_inception.DIALECTS),
    "inception_v3": tuple(_inception_v3.DIALECTS),
    "inception_v4": tuple(_inception_v4.DIALECTS),
    "inception_resnet_v1": tuple(_inception_resnet.DIALECTS_V1),
    "inception_resnet_v2": tuple(_inception_resnet.DIALECTS_V2),
    "alexnet": tuple(_alexnet.DIALECTS),
    "vgg11": tuple(_vgg.DIALECTS),
    "vgg16": tuple(_vgg.DIALECTS),
}


#: What stands before the name of a network in its form for evaluation.
FOLDED = "folded:"


def is_designator(name: str) -> bool:
    """Whether `get_network` knows `name`."""
    return name.removeprefix(FOLDED) in designators()


def designators() -> tuple[str, ...]:
    """Everything that `get_network` accepts as a name: every network, then every dialect of it as
    `dialect:network`. Each may also stand after `folded:`.
    """
    return tuple(
        each
        for name in NETWORKS
        for each in (name, *(f"{dialect}:{name}" for dialect in DIALECTS.get(name, ())))
    )


def get_network(
    name: str = "googlenet",
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
) -> Network:
    """The network called `name`; an argument that is None takes the architecture's own default.

    `input_shape` is (C, H, W). A dialect is given as `dialect`, or in the name as `dialect:name`;
    the network then has that name, and so do files of its weights. After `folded:` it is that
    network as it is evaluated, without batch norm and dropout: what `convert(…, fold=True)` makes
    weights for. Raises `UnknownNameError` for a name, dialect or auxiliary heads that do not exist,
    `SpecError` for a size that is not positive, and `ShapeError` if the input is too small.
    """
    if isinstance(name, str) and name.startswith(FOLDED):
        whole = get_network(
            name.removeprefix(FOLDED),
            num_classes=num_classes,
            input_shape=input_shape,
            aux=aux,
            dialect=dialect,
        )
        return as_folded(whole)
    num_classes = plain(num_classes)
    if num_classes is not None and not (type(num_classes) is int and num_classes >= 1):
        raise SpecError(f"`num_classes`: expected an integer of at least 1, got {num_classes!r}")
    if num_classes is not None and num_classes > LARGEST_SIZE:
        raise SpecError(f"`num_classes`: expected an integer of at most {LARGEST_SIZE}")
    _check_aux(aux)
    name, dialect = _split(name, dialect)
    make = NETWORKS[name]
    given = {
        "num_classes": num_classes,
        "input_shape": None if input_shape is None else check_input_shape(input_shape),
        "dialect": dialect,
    }
    arguments: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    if aux:
        arguments["aux"] = True
        if "aux" not in inspect.signature(make).parameters:
            having = [
                other
                for other, maker in NETWORKS.items()
                if "aux" in inspect.signature(maker).parameters
            ]
            raise UnknownNameError(
                f"aux: network '{name}' has no auxiliary heads; leave this out, or use"
                f" {_one_of(having)}"
            )
    network = make(**arguments)
    if dialect is not None:
        network = replace(
            network, name=f"{dialect}:{name}", source=f"{network.source}; as {dialect} has it"
        )
    try:
        for _ in walk(network):
            pass
    except ShapeError as error:
        side = smallest_input(network)
        fitting = (
            f"the smallest square image that fits is {side}×{side}"
            if side
            else "no square image up to 1024×1024 fits"
        )
        if side is not None and min(network.input_shape[1:]) >= side:
            fitting += ", but not every larger one does"
        raise ShapeError(
            f"network '{network.name}' at {network.input_shape}: {error}; {fitting}"
        ) from error
    return network


def as_folded(network: Network) -> Network:
    """`network` in its form for evaluation, itself if it has that form already."""
    if network.name.startswith(FOLDED):
        return network
    return replace(
        folded(network),
        name=f"{FOLDED}{network.name}",
        source=f"{network.source}; folded for evaluation",
    )


def as_network(
    network: str | Network,
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
) -> Network:
    """`network` itself, at `input_shape` (C, H, W) if that is given, or the network of that name as
    `get_network` gives it.

    Raises `UnknownNameError` if another argument is given with a `Network`, and what `get_network`
    raises.
    """
    if not isinstance(network, Network):
        return get_network(
            network, num_classes=num_classes, input_shape=input_shape, aux=aux, dialect=dialect
        )
    _check_aux(aux)
    for argument, given in (
        ("num_classes", num_classes is not None),
        ("aux", aux),
        ("dialect", dialect is not None),
    ):
        if given:
            raise UnknownNameError(
                f"`{argument}`: applies only to a network given by name; change the Network itself"
            )
    return network if input_shape is None else network.at(check_input_shape(input_shape))


def _check_aux(aux: bool) -> None:
    """Raises `SpecError` unless `aux` is True or False."""
    if not isinstance(aux, (bool, np.bool_)):
        raise SpecError(f"`aux`: expected True or False, got {aux!r}")


def _split(name: str, dialect: str | None) -> tuple[str, str | None]:
    """The network and the dialect that a designator means. Raises `UnknownNameError` if there is no
    such pair.
    """
    if not isinstance(name, str):
        raise UnknownNameError(f"network: expected a name or a Network, got {name!r}")
    if dialect is not None and not isinstance(dialect, str):
        raise UnknownNameError(f"dialect: expected a name such as 'torchvision', got {dialect!r}")
    prefix, colon, rest = name.partition(":")
    if colon:
        if dialect not in (None, prefix):
            raise UnknownNameError(
                f"dialect: '{name}' already names a dialect, got '{dialect}' too; give only"
                " one of them"
            )
        name, dialect = rest, prefix
    if dialect not in (None, *DIALECTS["googlenet"]) and name == "googlenet":
        name = "googlenet_paper"  # what every library calls googlenet
    if name not in NETWORKS:
        raise UnknownNameError(
            f"network: expected one of {', '.join(NETWORKS)}, got '{name}'{_close(name, NETWORKS)}"
        )
    known = DIALECTS.get(name, ())
    if dialect is None or dialect in known:
        return name, dialect
    if known:
        raise UnknownNameError(
            f"dialect: expected one of {', '.join(known)} for network '{name}', got"
            f" '{dialect}'{_close(dialect, known)}"
        )
    having = [other for other, others in DIALECTS.items() if dialect in others]
    instead = f"use {_one_of(having)}" if having else "leave it out"
    raise UnknownNameError(f"dialect: network '{name}' has no dialect '{dialect}'; {instead}")


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _close(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
