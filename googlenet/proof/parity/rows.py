"""What a comparison says of one tensor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One tensor: its path or output name, its relative L2 distance from float64, and the largest
    that passes.
    """

    name: str
    error: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the limit; NaN is not."""
        return self.error <= self.limit

    @property
    def ratio(self) -> float:
        """The error as a share of the limit."""
        return self.error / self.limit
