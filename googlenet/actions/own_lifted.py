"""Weights files of a user's own model."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..arrays import Params
from ..errors import TraceError, WeightsError
from ..weights.check import check_params
from ..weights.files import is_own
from ..weights.formats import read_weights_file
from ..weights.zoo import Imported, lifted, load_weights
from .arguments import integer, path_of
from .own import OwnNetwork, Progress, default_shape, own_network


def lifted_weights(
    model: str,
    weights: str | os.PathLike[str],
    *,
    own_framework: str | None = None,
    channels: int | None = None,
    input_size: tuple[int, int] | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    progress: Progress = lambda who, stage, done, total: None,
) -> Imported:
    """The file `weights`, loaded by its own framework into the model FILE:NAME, as a network that
    has a name here, without auxiliary heads. The model is traced on images of `channels` and
    `input_size` (height, width), by default the book's.

    Raises what `own_network` raises, and `TraceError` for a model that computes what no network
    here does.
    """
    usual = default_shape()
    shape = (
        usual[0] if channels is None else integer("channels", channels, 1),
        *(usual[1:] if input_size is None else input_size),
    )
    found = own_network(
        model,
        weights=weights,
        own_framework=own_framework,
        input_shape=shape,
        interpreters=interpreters,
        progress=progress,
    )
    imported = lifted(found.network, found.params)
    if imported is None:
        raise TraceError(
            f"{model}: computes what no network here does on images of {shape}, so its weights are"
            " those of none; `check` says how it differs from one, and `translate` takes it with"
            " its weights to another framework"
        )
    return imported


def own_params(
    found: OwnNetwork,
    weights: str | os.PathLike[str],
    *,
    key: str | None = None,
    head: str | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    timeout: float = 300.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Params:
    """The file `weights` for a user's traced model, path → float32 array: one that has the arrays
    by the names of its layers, as this project writes and reads them, or one of its own framework,
    which loads it into the model. `key` and `head` are as for `import_weights`.

    Raises `WeightsError` for one that does not fit, and what `own_network` raises.
    """
    path = path_of("weights", weights)
    try:
        return load_weights(path, found.network, key=key, head=head)
    except WeightsError:
        if key is not None or head is not None or is_own(read_weights_file(path).metadata):
            raise
    again = own_network(
        str(found.own),
        weights=path,
        own_framework=found.framework,
        input_shape=found.network.input_shape,
        interpreters=interpreters,
        timeout=timeout,
        progress=progress,
    )
    return check_params(found.network, again.params, source=str(path))
