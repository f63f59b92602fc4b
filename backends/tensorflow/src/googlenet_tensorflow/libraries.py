"""Files of the libraries that stand on Keras."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import keras

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.files import native_file
from googlenet.spec import Network, num_classes

from .model import file_suffix

#: Keras' files are those of a model: its own classes make them.
CLASSES: Final[Mapping[str, Callable[..., keras.Model]]] = {
    "keras:inception_v3": keras.applications.InceptionV3,
    "keras:inception_resnet_v2": keras.applications.InceptionResNetV2,
}


def save_for(
    library: str, network: Network, arrays: Mapping[str, Array], path: str | os.PathLike[str]
) -> None:
    """Write `arrays` to `path` as Keras does, for `load_weights` of the model of `library`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    channels, height, width = network.input_shape
    model = CLASSES[library](
        weights=None,
        input_shape=(height, width, channels),
        classes=num_classes(network),
        classifier_activation=None,
    )
    named = _variables(model)
    for name, array in arrays.items():
        named[name].assign(array)
    with native_file(path, file_suffix, shared.file_bytes(network)) as temporary:
        model.save_weights(temporary)


def _variables(model: keras.Model) -> dict[str, Any]:
    """The variables of a model by LAYER/VARIABLE, with automatic names counted from its own first
    layer on: Keras counts on from model to model. Creation is their order, not that of the layers.
    """
    found: dict[str, Any] = {}
    automatic: dict[str, list[tuple[int, Any]]] = {}
    for layer in model.layers:
        match = re.fullmatch(r"(conv2d|batch_normalization)(?:_(\d+))?", layer.name)
        if match:
            automatic.setdefault(match[1], []).append((int(match[2] or 0), layer))
        else:
            found |= {f"{layer.name}/{each.name}": each for each in layer.variables}
    counts: Counter[str] = Counter()
    for base, numbered in automatic.items():
        for _, layer in sorted(numbered, key=lambda pair: pair[0]):
            name = f"{base}_{counts[base]}" if counts[base] else base
            counts[base] += 1
            found |= {f"{name}/{each.name}": each for each in layer.variables}
    return found
