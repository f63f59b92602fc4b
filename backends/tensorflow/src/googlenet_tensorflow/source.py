"""How Keras's users write a network, in the functional style."""

from __future__ import annotations

from typing import Final

import keras
import numpy as np

from googlenet import spec
from googlenet.backend.spelling import Functions, Loading
from googlenet.spec import Network

from . import leaves, modules
from .model import FIRST, attach, build, name

spelling: Final = Functions(
    leaf=leaves.leaf,
    namespaces={"layers": keras.layers},
    modules=modules,
    imports={"layers": "from keras import layers"},
    channels_last=True,
    images="keras.Input({shape})",
    model="keras.Model({images}, {outputs}, name={name})",
    concatenation=keras.layers.Concatenate,
    total=modules.ResidualSum,
    endings=FIRST,
    framework=name,
)
loading: Final = Loading("", ("model.load_weights(weights)", "return model"))


def adopt(model: keras.Model, network: Network) -> keras.Model:
    """`model`, which the printed source of `network` made, as if `build` had made it: its layers
    have the same names.
    """
    zeros = {
        path: np.zeros(each.shape, np.float32) for path, each in spec.param_specs(network).items()
    }
    return attach(model, network, build(network, zeros).sources)
