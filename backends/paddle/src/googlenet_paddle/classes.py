"""The classes from which every layer of a user's PaddlePaddle model is derived."""

from __future__ import annotations

from typing import Final

from paddle import nn

layer_classes: Final = (nn.Layer,)
