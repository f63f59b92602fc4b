"""What a file of weights is, in words, for one that does not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...arrays import Array
from ..files import is_own
from ..formats import WeightsFile
from .guess import looks_like
from .own import fitting_networks
from .parts import keys_of


def described(file: WeightsFile, *, besides: str | None = None) -> str:
    """What to do about a file that does not fit: the model that it looks like, if it is not
    `besides`, or its format.
    """
    if is_own(file.metadata):
        return "it is one of this project's own files, so leave out `model`"
    if any(name.startswith("layers/") and "/vars/" in name for name in file.arrays):
        return (
            "an early Keras 3 wrote it without the names of layers; load it in a current Keras 3"
            " and save it again"
        )
    models, share = looks_like(file.arrays)
    percent = f"{math.floor(100 * share)} % of the arrays match"
    if not models and (fitting := fitting_networks(file)):
        return f"it is a native model of {' or '.join(fitting)}"
    if not models:
        return f"it does not look like any known model ({_held(file.arrays)})"
    if besides in models:
        return f"apart from that it is {besides} ({percent})"
    return f"it looks like {' or '.join(models)} ({percent})"


def _held(arrays: Mapping[str, Array]) -> str:
    """How many arrays there are, the first, and what names begin with."""
    more = f"; names begin with {keys_of(arrays)}" if len(arrays) > 1 else ""
    return f"number of arrays: {len(arrays)}; the first is '{next(iter(arrays))}'{more}"
