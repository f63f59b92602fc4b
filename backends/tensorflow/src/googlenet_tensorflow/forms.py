"""What the modules that read operations have in common: sizes, axes and numbers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import tensorflow as tf

from .constants import Constant
from .writing import CHANNELS_LAST

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

NO_PADDING: Final = ((0, 0), (0, 0))
#: What rounding to float32 changes at most, relatively, in one quotient and one product.
EPS: Final = float(np.finfo(np.float32).eps)
#: The axes of a map that is (N, C, H, W) in TensorFlow as well.
CHANNELS_FIRST: Final = (0, 1, 2, 3)


def axes_of(node: Any) -> tuple[int, ...]:
    """The axes of the neutral graph in the order that a node's map has; () for another form."""
    form = tf.compat.as_str(node.get_attr("data_format"))
    return {"NHWC": CHANNELS_LAST, "NCHW": CHANNELS_FIRST}.get(form, ())


def shortest(value: Any) -> float:
    """The shortest decimal that is the same float32: TensorFlow keeps 1e-3 as its nearest one."""
    return float(str(np.float32(value)))


def number_of(constant: Constant) -> float:
    """A constant of one element as a number."""
    array = constant.array
    value = array.reshape(()).item()
    return shortest(value) if array.dtype == np.float32 else float(value)
