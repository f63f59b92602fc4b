"""The classes from which every layer of a user's TensorFlow model is derived."""

from __future__ import annotations

from typing import Final

import keras
import tensorflow as tf

layer_classes: Final = (keras.layers.Layer, tf.Module)
