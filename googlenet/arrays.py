"""Arrays by path, and random numbers with the same bytes on every machine: what everything else is
built on.

`Params` maps a path such as `b3.inception_3a.branch_3x3.reduce.conv.weight` to an array in the
canonical layout: a convolution's `weight` is (O, I, H, W), a dense layer's (O, *input shape),
everything else (C,).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Params: TypeAlias = dict[str, Array]


def _bits(seed: int, path: str) -> np.random.PCG64:
    """The source of random bits for this seed and path.

    numpy promises the bit streams of PCG64 and SeedSequence for good, but not the streams of
    `Generator`.
    """
    digest = hashlib.sha256(path.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    return np.random.PCG64(np.random.SeedSequence([seed, *words]))


def uniform(seed: int, path: str) -> Callable[[int], npt.NDArray[np.float64]]:
    """A source of float64 in [0, 1) for this seed and path: the upper 53 of each 64 random bits."""
    bits = _bits(seed, path)
    return lambda count: (
        (np.asarray(bits.random_raw(count), np.uint64) >> np.uint64(11)).astype(np.float64)
        * 2.0**-53
    )


def uniform_float32(seed: int, path: str, count: int) -> npt.NDArray[np.float32]:
    """`count` float32 in [0, 1) for this seed and path: the upper 24 of each 32 random bits, taking
    the lower half of each 64 first.
    """
    halves = np.asarray(_bits(seed, path).random_raw((count + 1) // 2), "<u8").view("<u4")[:count]
    return (halves >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
