"""The classes from which every layer of a user's MXNet model is derived."""

from __future__ import annotations

from typing import Final

from mxnet import gluon

layer_classes: Final = (gluon.Block,)
