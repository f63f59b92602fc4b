"""The handwritten digits that come with scikit-learn: 1797 images of 8×8."""

from __future__ import annotations

import numpy as np

from ..arrays import Array

DIGITS = "digits"
DESCRIPTION = "scikit-learn's digits (real handwriting, 8×8)"
CLASSES = tuple("0123456789")


def read_digits() -> tuple[Array, Array]:
    """Images (1797, 8, 8) uint8, whose sixteenths of ink become 0 to 255, and labels (1797,) int64.

    Source: scikit-learn's `load_digits`, the test half of the UCI set "Optical Recognition of
    Handwritten Digits".
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return images, bunch.target.astype(np.int64)
