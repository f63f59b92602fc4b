"""`get_model`: a native model by the names of a network and a framework."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from ..architectures import as_network
from ..arrays import Array
from ..errors import UnknownNameError
from ..spec.layers import Network, Shape
from ..weights.check import check_params
from ..weights.initial import init_params
from .discovery import backends, get_backend


def get_model(
    network: str | Network = "googlenet",
    framework: str | None = None,
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    weights: Mapping[str, Array] | str | os.PathLike[str] | None = None,
    key: str | None = None,
    head: str | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Any:
    """A native model of `framework`: an `nn.Module`, `keras.Model`, `HybridBlock`, `nn.Layer`,
    `nn.Cell`, ...

    `network` is a name (`googlenet`, `googlenet_paper`) or a `Network`; `input_shape` is (C, H, W)
    whatever the framework's own layout. `weights` is a mapping from path to array, or a file that
    `read_weights_file` reads: one of this project, what the framework of any native model saved of
    it, or one of the zoo whose network it is. `key` says which model of the file is meant, if it
    has several, and `head` what its classifier is called; a warning names arrays that are not used.
    Without it weights are drawn from `seed` (Xavier uniform, zero bias), the same in every
    framework. `device` is the framework's own name for it.

    Calling the model on the framework's own tensors, (N, C, H, W) or for TensorFlow (N, H, W, C),
    returns the logits (N, num_classes), or with auxiliary heads the tuple (logits, aux1, aux2).

    Raises `UnknownNameError`, `BackendError`, `SpecError`, `ShapeError`, `WeightsError` or
    `DeviceError`, with what to do.
    """
    if framework is None:
        raise UnknownNameError(
            f"framework: name one, as in get_model('googlenet', 'torch'); installed:"
            f" {', '.join(backends())}"
        )
    spec = as_network(
        network, num_classes=num_classes, input_shape=input_shape, aux=aux, dialect=dialect
    )
    backend = get_backend(framework)
    if weights is None:
        params = init_params(spec, seed=seed)
    elif isinstance(weights, (str, os.PathLike)):
        from ..weights.zoo import (
            load_weights,
        )  # importing the readers here keeps `import googlenet` fast

        params = load_weights(weights, spec, key=key, head=head, tell=_warn)
    else:
        params = check_params(spec, weights)
    return backend.build(spec, params, device=device)


def _warn(line: str) -> None:
    """Warn whoever called `get_model`."""
    warnings.warn(line, stacklevel=4)
