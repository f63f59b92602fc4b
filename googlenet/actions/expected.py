"""Logits that another program computed for the same images, and how far ours are from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..data.decoding import map_npy
from ..errors import DataError
from .arguments import path_of

#: Beyond this share of their standard deviation, logits are no longer those of the same function:
#: what is allowed of weights of a zoo (docs/zoo.md).
ALLOWED = 1e-4


@dataclass(frozen=True)
class Distance:
    """How far logits (N, classes) are from what was expected: the largest |a − b|, and its share of
    the standard deviation of the expected ones; and of how many of the `count` images the most
    likely class is the same.
    """

    largest: float
    share: float
    agreeing: int
    count: int

    @property
    def allowed(self) -> bool:
        """Whether they are as near as another order of float32 sums explains."""
        return self.share <= ALLOWED

    @property
    def words(self) -> str:
        """All of it, as a sentence without a stop."""
        verdict = "" if self.allowed else f", more than the {ALLOWED:.0e} that rounding explains"
        return (
            f"largest difference {self.largest:.2g}, {self.share:.1e} of their standard"
            f" deviation{verdict}; the same class for {self.agreeing} of {self.count}"
        )


def expected_logits(path: str | os.PathLike[str]) -> Array:
    """The logits (N, classes) in an .npy file, float64. Raises `DataError` if they are none."""
    found = path_of("expect", path)
    array = map_npy(Path(found))
    if array.ndim != 2 or array.dtype.kind != "f" or array.size == 0:
        raise DataError(
            f"{found}: expected logits of shape (N, classes), got {array.dtype} {array.shape}"
        )
    logits: Array = np.asarray(array, np.float64)
    if not np.isfinite(logits).all():
        raise DataError(f"{found}: expected finite logits, got NaN or infinity")
    return logits


def distance_from(expected: Array, logits: Array) -> Distance:
    """How far `logits` (N, classes) are from `expected`. Raises `DataError` for another shape."""
    if expected.shape != logits.shape:
        raise DataError(
            f"`expect`: holds logits of shape {expected.shape}, expected {logits.shape}: a row for"
            " each image, one column for each class"
        )
    differences = np.abs(logits.astype(np.float64) - expected)
    spread = float(expected.std())
    largest = float(differences.max())
    same = logits.argmax(1) == expected.argmax(1)
    share = largest / spread if spread else (np.inf if largest else 0.0)
    return Distance(largest, share, int(same.sum()), len(same))
