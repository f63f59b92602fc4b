"""The classes from which every layer of a user's MindSpore model is derived."""

from __future__ import annotations

from typing import Final

from mindspore import nn

layer_classes: Final = (nn.Cell,)
