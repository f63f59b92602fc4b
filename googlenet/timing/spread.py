"""What a few repeated times say: medians, and which ratios noise leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

#: The fewest rounds of which anything is said.
LEAST_ROUNDS: Final = 5
#: A ratio may lie outside its interval with at most this probability, if rounds are independent.
#: Five rounds, whose interval is all of them, have 1/16.
DOUBT: Final = 1 / 16
#: A ratio is told if 1 is outside its interval, or the whole interval is as near to 1 as this.
ALIKE: Final = 0.05


def median(seconds: Sequence[float]) -> float:
    """The median of times in seconds."""
    return float(np.median(seconds))


def spread(seconds: Sequence[float]) -> float:
    """Half of what lies between the quartiles, as a share of the median."""
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float((high - low) / 2 / middle)


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one thing is as another: the median over the rounds, and an interval
    that holds the true median unless chance wills it, with a probability of at most `DOUBT`.
    """

    median: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether noise leaves something to say."""
        near = self.low >= 1 - ALIKE and self.high <= 1 + ALIKE
        return near or not self.low <= 1 <= self.high

    @classmethod
    def of(cls, base: Sequence[float], times: Sequence[float]) -> Ratio:
        """How many times as fast `times` are as `base`: both in seconds, in the same rounds, so
        that what slows a whole round down cancels.
        """
        ratios = sorted(one / other for one, other in zip(base, times, strict=True))
        place = _place(len(ratios))
        return cls(median(ratios), ratios[place], ratios[-1 - place])


def _place(count: int) -> int:
    """The number of values that lie outside an interval for the median at each end: the order
    statistics of the sign test (any textbook of nonparametric statistics).
    """
    place, beyond = 0, 2 * 0.5**count
    while beyond + 2 * math.comb(count, place + 1) * 0.5**count <= DOUBT:
        place += 1
        beyond += 2 * math.comb(count, place) * 0.5**count
    return place


def growth(costs: Sequence[float], seconds: Sequence[float]) -> float | None:
    """The power of cost with which time grows: the slope of the logarithms, by least squares; None
    for fewer than three costs.
    """
    if len(set(costs)) < 3:
        return None
    return float(np.polyfit(np.log(costs), np.log(seconds), 1)[0])
