"""What several actions need: a network and the data that it trains on, and images to run it on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ..architectures import as_network
from ..arrays import Array, Params
from ..data.sets import DataSet, load_data
from ..errors import WeightsError
from ..spec.layers import Network, Shape
from ..spec.memory import check_fits
from ..spec.traversal import num_classes as classes_of
from ..weights.check import check_params
from ..weights.initial import init_params
from ..weights.zoo import load_weights
from .arguments import name_of, path_of

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
    check_fits(spec, training=True)  # before a set is resized for it
    if not isinstance(data, DataSet):
        folder = None if data_dir is None else path_of("data_dir", data_dir)
        data = load_data(
            str(path_of("data", data)), spec.input_shape, data_dir=folder, report=report
        )
    classes = len(data.classes)
    if isinstance(network, str) and num_classes is None and classes != classes_of(spec):
        spec = as_network(
            network, num_classes=classes, input_shape=input_shape, aux=aux, dialect=dialect
        )
    return spec, data


def weights_of(
    weights: Mapping[str, Array] | str | os.PathLike[str] | None,
    network: Network,
    *,
    seed: int,
    initializer: str,
    key: str | None = None,
    head: str | None = None,
    new_head: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Params:
    """The weights of `network`: arrays by path, or a file, of which `key`, `head`, `new_head` and
    `tell` are as for `load_weights`; None draws them by `initializer` from `seed`. Raises
    `WeightsError`, `DataError` or `UnknownNameError`.
    """
    key = None if key is None else name_of("key", key)
    head = None if head is None else name_of("head", head)
    of_file = next((name for name, given in _of_file(key, head, new_head) if given), None)
    if of_file is not None and not isinstance(weights, (str, os.PathLike)):
        raise WeightsError(f"`{of_file}`: applies only to a file of `weights`; give one")
    if weights is None:
        return init_params(network, seed=seed, initializer=name_of("initializer", initializer))
    if isinstance(weights, (str, os.PathLike)):
        path = path_of("weights", weights)
        drawn = seed if new_head else None
        return load_weights(path, network, key=key, head=head, new_head=drawn, tell=tell)
    return check_params(network, weights)


def _of_file(key: str | None, head: str | None, new_head: bool) -> tuple[tuple[str, bool], ...]:
    """The arguments that say how to read a file of weights, and whether each was given."""
    return (("key", key is not None), ("head", head is not None), ("new_head", new_head))
