"""The results of a comparison: for one tensor, for one kind of tensor, and for a whole backend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Row:
    """One tensor: its path or output name, its relative L2 distance from float64, and the largest
    that passes, which is 0 if all bits must be the same.
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

    def to_json(self) -> dict[str, Any]:
        """Whole words as keys; an infinite error, which JSON cannot hold, becomes null."""
        return {
            "name": self.name,
            "error": self.error if math.isfinite(self.error) else None,
            "limit": self.limit,
            "passed": self.passed,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Row:
        """The inverse of `to_json`."""
        error = values["error"]
        return cls(values["name"], math.inf if error is None else error, values["limit"])


class Group(Enum):
    """What is compared, in the order in which a difference would first show: the name of each group
    in JSON, and what a report calls one of its members.

    Outputs in evaluation mode, those of a training step, and statistics go with the order of
    execution, gradients against it: a wrong layer's gradient is the first on the way back. The
    trajectory has each training step's loss, and every array after it.
    """

    WEIGHTS = "weights", "weights"
    OUTPUTS = "outputs", "output"
    STEP_OUTPUTS = "step_outputs", "output in training mode"
    LOSS = "loss", "loss"
    GRADIENTS = "gradients", "gradient"
    STATISTICS = "statistics", "statistic"
    TRAJECTORY = "trajectory", "training"

    def __init__(self, key: str, what: str) -> None:
        self.key = key
        self.what = what


@dataclass(frozen=True)
class Comparison:
    """All rows of one backend by group; a group that was not compared is empty.

    Weights must come back from the model bit for bit: that group has a row only for each path that
    differs.
    """

    groups: Mapping[Group, list[Row]] = field(default_factory=dict)

    def __getitem__(self, group: Group) -> list[Row]:
        return self.groups.get(group, [])

    @property
    def rows(self) -> list[Row]:
        """Every row that has a distance, that is all but those of weights, forward first."""
        return [row for group in Group if group is not Group.WEIGHTS for row in self[group]]

    @property
    def passed(self) -> bool:
        """Whether all weights came back and every row passed."""
        return self.first_divergence is None

    @property
    def first_divergence(self) -> str | None:
        """The first layer, output or array that fails, and in what; None if all pass."""
        for group in Group:
            for row in self[group]:
                if not row.passed:
                    return row.name if row.name == group.what else f"{group.what} of {row.name}"
        return None

    def to_json(self) -> dict[str, Any]:
        """A list for each group: rows, or for weights their paths."""
        return {
            group.key: [
                row.name if group is Group.WEIGHTS else row.to_json() for row in self[group]
            ]
            for group in Group
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Comparison:
        """The inverse of `to_json`; other keys do not matter. Raises `KeyError` for one that is
        missing.
        """
        return cls(
            {
                group: [
                    differing(each) if group is Group.WEIGHTS else Row.from_json(each)
                    for each in values[group.key]
                ]
                for group in Group
            }
        )


def differing(name: str) -> Row:
    """The row of an array whose bits are not what they must be."""
    return Row(name, math.inf, 0.0)
