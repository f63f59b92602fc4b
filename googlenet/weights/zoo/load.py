"""The weights of a given network from a file of any kind, whichever dialect of it that holds."""

from __future__ import annotations

import os
from collections.abc import Callable

from ...architectures import get_network, is_designator
from ...arrays import Params
from ...errors import GoogLeNetError, WeightsError
from ...spec.layers import Network
from ...spec.params import classifier_paths
from ...spec.traversal import num_classes
from ..check import check_params
from ..files import check_file, is_own, refuse_checkpoint
from ..formats import WeightsFile, read_weights_file
from ..initial import init_params
from .carry import carried
from .convert import (
    Imported,
    import_graph,
    import_weights,
    in_layout,
    unused_in_words,
    zoo_models_of,
)
from .guess import LEAST_SHARE
from .heads import expect_heads
from .models import ZooModel, namings, zoo_models
from .own import given_models
from .parts import best_part, parts_of
from .reopen import added_by_heads, reopen_weights
from .source import Source


def load_weights(
    path: str | os.PathLike[str],
    network: Network,
    *,
    key: str | None = None,
    head: str | None = None,
    new_head: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Params:
    """The weights of `network` from a file of any format that has them by the spec's paths, as a
    native model of any framework has, or by the names of the zoo whose network it is: path →
    float32 array. Those of another dialect of the network are converted, as `carried` does, where
    both are one function. `key` and `head` are as for `import_weights`; `new_head` is a seed from
    which the classifiers are drawn, whatever the file has there. `tell` is called with a line that
    names arrays of the file that are not used, if there are any.

    Raises `WeightsError`, naming the file and the first offending path, if they do not fit.
    """
    file = read_weights_file(path)
    fresh = {} if new_head is None else _fresh(network, new_head)
    if is_own(file.metadata):
        if (other := _own_dialect(file, network)) is not None:
            return _carried(file, other, network, fresh, tell)
        kept = _with_its_heads(file, network, tell)
        return check_file(network, {**kept, **fresh}, file.metadata, path)
    refuse_checkpoint(path, file.metadata)
    if file.graph is not None:
        _, height, width = network.input_shape
        given = None if _has_its_name(network) else network
        found = import_graph(file, network.name, input_size=(height, width), given=given)
        kept = {name: array for name, array in found.params.items() if name not in fresh}
        return check_params(network, {**kept, **fresh}, source=str(path))
    models = [*given_models(network), *zoo_models_of(network.name)]
    part = best_part(file, in_layout(file, models), key)
    if part.share < LEAST_SHARE and (model := _dialect_of(file, network)) is not None:
        size = (network.input_shape[1], network.input_shape[2])
        imported = import_weights(file, model.designator, input_size=size, key=key, head=head)
        return _carried(file, imported, network, fresh, tell)
    source = Source(part, head)
    if new_head is None:
        source.look_for_head(network)
        source.check_classes(num_classes(network))
    params, left_over = source.params(network, without=fresh)
    if line := unused_in_words(left_over):
        tell(f"{path}: {line}")
    return check_params(network, {**params, **fresh}, source=str(path))


def _has_its_name(network: Network) -> bool:
    """Whether `network` is what `get_network` makes of its name."""
    if not is_designator(network.name):
        return False
    try:
        named = get_network(
            network.name,
            num_classes=num_classes(network),
            input_shape=network.input_shape,
            aux=len(network.outputs) > 1,
        )
    except GoogLeNetError:  # that has no heads, or does not fit the size
        return False
    return named == network


def _with_its_heads(file: WeightsFile, network: Network, tell: Callable[[str], None]) -> Params:
    """The arrays of a file of ours without those of auxiliary heads that `network` lacks, of which
    `tell` is told. Raises `WeightsError` if the network has heads and the file none.
    """
    expect_heads(network, file.arrays, file.path)
    extra = added_by_heads(network)
    if line := unused_in_words([path for path in file.arrays if path in extra]):
        tell(f"{file.path}: {line}")
    return {path: array for path, array in file.arrays.items() if path not in extra}


def _fresh(network: Network, seed: int) -> Params:
    """New arrays of the classifiers, those of auxiliary heads included."""
    drawn = init_params(network, seed=seed)
    return {path: drawn[path] for path in classifier_paths(network)}


# Other dialects -----------------------------------------------------------------------------------


def _carried(
    file: WeightsFile,
    imported: Imported,
    network: Network,
    fresh: Params,
    tell: Callable[[str], None],
) -> Params:
    """The weights of `network`, with `fresh` ones in the place of the file's, whose number of
    classes they may not share; `tell` is told of what is left out.
    """
    expect_heads(network, imported.params, file.path)
    extra = added_by_heads(network)
    heads = [path for path in imported.params if path in extra]
    if line := unused_in_words([*heads, *imported.left_over]):
        tell(f"{file.path}: {line}")
    target = network
    if fresh:
        target = get_network(
            network.name,
            num_classes=num_classes(imported.network),
            input_shape=network.input_shape,
            aux=len(network.outputs) > 1,
        )
    try:
        kept = carried(imported.params, imported.network, target)
    except WeightsError as error:
        raise WeightsError(f"{file.path}: {error}") from error
    return check_params(network, {**kept, **fresh}, source=str(file.path))


def _base(network: str) -> str:
    """The name of a network without its dialect."""
    return network.rpartition(":")[2]


def _own_dialect(file: WeightsFile, network: Network) -> Imported | None:
    """What a file of ours holds, if that is another dialect of `network`."""
    made_for = file.metadata.get("network", network.name)
    if made_for == network.name or _base(made_for) != _base(network.name):
        return None
    try:
        imported = reopen_weights(file, input_size=(network.input_shape[1], network.input_shape[2]))
    except GoogLeNetError:  # `check_file` says what is wrong
        return None
    return imported


def _dialect_of(file: WeightsFile, network: Network) -> ZooModel | None:
    """The zoo model whose names the file has, if its network is another dialect of `network`."""
    every = [model for each in zoo_models() for model in namings(each)]
    others = [
        model
        for model in every
        if model.network != network.name and _base(model.network) == _base(network.name)
    ]
    shares = {model: parts_of(file, model)[0].share for model in others}
    best = max(shares, key=lambda model: shares[model], default=None)
    return best if best is not None and shares[best] >= LEAST_SHARE else None
