"""How Keras's users write a network, in the functional style."""

from __future__ import annotations

from typing import Final

import keras

from googlenet.backend.spelling import Functions

from . import leaves, modules
from .model import FIRST, name

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
