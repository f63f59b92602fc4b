"""The classes from which every layer of a user's PyTorch model is derived."""

from __future__ import annotations

from typing import Final

from torch import nn

layer_classes: Final = (nn.Module,)
