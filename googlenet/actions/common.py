"""What several actions need: a network and the data that it trains on, and images to run it on."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..architectures import as_network
from ..arrays import Array, Params
from ..backend.discovery import canonical_name
from ..data.sets import DataSet, load_data
from ..errors import SpecError
from ..spec.layers import Network, Shape
from ..spec.traversal import num_classes as classes_of
from ..weights.check import check_params
from ..weights.formats import load_weights
from ..weights.initial import init_params

#: Called often with what is being done, how much is done, and how much there is (0 if unknown).
Report = Callable[[str, int, int], None]


def network_and_data(
    network: str | Network,
    data: str | os.PathLike[str] | DataSet,
    *,
    num_classes: int | None,
    input_shape: Shape | None,
    aux: bool,
    dialect: str | None,
    data_dir: str | os.PathLike[str] | None,
    report: Report,
) -> tuple[Network, DataSet]:
    """The network, and the images at its size; a network given by name has as many classes as the
    data unless `num_classes` says otherwise.

    Raises what `as_network` and `load_data` raise.
    """
    spec = as_network(
        network, num_classes=num_classes, input_shape=input_shape, aux=aux, dialect=dialect
    )
    if not isinstance(data, DataSet):
        folder = None if data_dir is None else Path(data_dir)
        data = load_data(str(data), spec.input_shape, data_dir=folder, report=report)
    classes = len(data.classes)
    if isinstance(network, str) and num_classes is None and classes != classes_of(spec):
        spec = as_network(
            network, num_classes=classes, input_shape=input_shape, aux=aux, dialect=dialect
        )
    return spec, data


def integer(name: str, value: Any, least: int) -> int:
    """`value`, the argument `name`, as an int; NumPy's integers are taken, too. Raises `SpecError`
    unless it is an integer of at least `least`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise SpecError(f"`{name}`: expected an integer of at least {least}, got {value!r}")
    return number


def several(given: Any, one: type | tuple[type, ...] = str) -> tuple[Any, ...]:
    """What an argument for several things holds, each once read; a single one, of type `one`, is
    taken as that one.
    """
    return (given,) if isinstance(given, one) else tuple(given)


def by_framework(interpreters: Mapping[str, str | os.PathLike[str]] | None) -> dict[str, str]:
    """The paths of interpreters by the canonical names of their frameworks."""
    return {canonical_name(name): str(path) for name, path in (interpreters or {}).items()}


def weights_of(
    weights: Mapping[str, Array] | str | os.PathLike[str] | None,
    network: Network,
    *,
    seed: int,
    initializer: str,
) -> Params:
    """The weights of `network`: arrays by path, or a file; None draws them by `initializer` from
    `seed`. Raises `WeightsError` or `UnknownNameError`.
    """
    if weights is None:
        return init_params(network, seed=seed, initializer=initializer)
    if isinstance(weights, (str, os.PathLike)):
        return load_weights(weights, network)
    return check_params(network, weights)
