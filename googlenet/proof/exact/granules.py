"""Granules: the power of two that every value of an array is a whole multiple of.

A sum of multiples of one granule is exact in float32, in any order of its terms, as long as
Σ |terms| stays below 2²⁴ granules: every partial sum is then a multiple of the granule with at most
24 significant bits.
"""

from __future__ import annotations

import math

import numpy as np

from ...arrays import Array

#: The significant bits of float32.
BITS = 24

#: The granule of an array that holds only zeros, which are multiples of everything.
ANY = math.inf


def granule(values: Array) -> float:
    """The largest power of two that all of `values` (any shape, float64) are multiples of; infinite
    if all are 0.
    """
    whole, exponents = _integers(values)
    if not whole.size:
        return ANY
    return math.ldexp(1.0, int((exponents + _trailing_zeros(whole)).min()))


def significant_bits(values: Array) -> int:
    """How many bits the mantissa of the most precise of `values` has: 0 if all are 0."""
    whole, _ = _integers(values)
    if not whole.size:
        return 0
    return int((np.frexp(whole.astype(np.float64))[1] - _trailing_zeros(whole)).max())


def common_factor(values: Array, unit: float, factor: int) -> int:
    """The largest divisor of `factor` that divides all `values`, counted in `unit`s, of which they
    are multiples.
    """
    if factor == 1 or not values.any():
        return factor
    whole = np.unique(values / unit).astype(np.int64)
    return math.gcd(factor, int(np.gcd.reduce(whole)))


def _integers(values: Array) -> tuple[Array, Array]:
    """The non-zero values as odd or even integers m and exponents e: value = m · 2ᵉ."""
    kept = np.abs(np.asarray(values, np.float64).ravel())
    mantissas, exponents = np.frexp(kept[kept > 0])
    return (mantissas * 2.0**53).astype(np.int64), exponents - 53


def _trailing_zeros(whole: Array) -> Array:
    zeros: Array = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return zeros
