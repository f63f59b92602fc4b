"""Weights of the model zoos: which models there are, what they call their arrays, and how a file
becomes our weights.
"""

from __future__ import annotations

from .carry import carried
from .choose import AmbiguousWeights
from .convert import Imported, import_weights, models_of, unused_in_words
from .export import loading, native_arrays
from .guess import looks_like
from .lifting import lifted
from .load import load_weights
from .models import ZooModel, checkpoint_of, find_model, zoo_models
from .names import Entry, entries, network_of
from .reopen import open_weights, reopen_weights

__all__ = [
    "AmbiguousWeights",
    "Entry",
    "Imported",
    "ZooModel",
    "carried",
    "checkpoint_of",
    "entries",
    "find_model",
    "import_weights",
    "lifted",
    "load_weights",
    "loading",
    "looks_like",
    "models_of",
    "native_arrays",
    "network_of",
    "open_weights",
    "reopen_weights",
    "unused_in_words",
    "zoo_models",
]
