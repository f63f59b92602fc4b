"""The results of a comparison: for one tensor, for one kind of tensor, and for a whole backend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final


class Verdict(Enum):
    """What a comparison says of one tensor, by the word that reports have for it.

    `UNPROVED` is neither of the others: on these images and weights float32 itself strays too far,
    or holds too little, to tell a right tensor from a wrong one.
    """

    SAME = "same"
    DIFFERENT = "different"
    UNPROVED = "not provable"


@dataclass(frozen=True)
class Row:
    """One tensor: its path or output name, its relative L2 distance from float64, and the largest
    that passes, which is 0 if all bits must be the same.

    A row that is not `provable` passes, and proves nothing.
    """

    name: str
    error: float
    limit: float
    provable: bool = True

    @property
    def verdict(self) -> Verdict:
        """Whether the error is within the limit, where that can be told; NaN and infinity never
        are.
        """
        if not self.provable:
            return Verdict.UNPROVED
        within = math.isfinite(self.error) and self.error <= self.limit
        return Verdict.SAME if within else Verdict.DIFFERENT

    @property
    def passed(self) -> bool:
        """Whether nothing is known to be different; see `verdict`."""
        return self.verdict is not Verdict.DIFFERENT

    @property
    def ratio(self) -> float:
        """The error as a share of the limit."""
        return math.inf if math.isinf(self.error) else self.error / self.limit

    def to_json(self) -> dict[str, Any]:
        """Whole words as keys; what is infinite, which JSON cannot hold, becomes null."""
        return {
            "name": self.name,
            "error": self.error if math.isfinite(self.error) else None,
            "limit": self.limit if math.isfinite(self.limit) else None,
            "passed": self.passed,
            "verdict": self.verdict.value,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Row:
        """The inverse of `to_json`."""
        error, limit = (
            math.inf if values[key] is None else values[key] for key in ("error", "limit")
        )
        provable = values["verdict"] != Verdict.UNPROVED.value
        return cls(values["name"], error, limit, provable)


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
        """Whether all weights came back and no row is different; `proved` asks for more."""
        return self.first_divergence is None

    @property
    def unproved(self) -> list[Row]:
        """The rows that these images and weights cannot prove."""
        return [row for row in self.rows if not row.provable]

    @property
    def proved(self) -> bool:
        """Whether enough can be told on these images and weights for `passed` to mean the same
        function: see `shortfall`.
        """
        return bool(self.rows) and not self.shortfall

    @property
    def shortfall(self) -> list[str]:
        """What cannot be told and has to be, in words: any output in evaluation mode, the loss, or
        more than a twentieth of the gradients or of the values of a trajectory.
        """
        short: list[str] = []
        for group, (share, words) in NEEDED.items():
            rows = self[group]
            unproved = sum(not row.provable for row in rows)
            if len(rows) - unproved < share * len(rows):
                count = "" if group is Group.LOSS else f"{unproved} of {len(rows)} "
                short.append(count + words)
        return short

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many rows have each verdict, a weight that did not come back among the different."""
        rows = [*self[Group.WEIGHTS], *self.rows]
        return {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}

    @property
    def largest_share(self) -> float:
        """The largest error as a share of its limit, of the rows that can be told."""
        return max((row.ratio for row in self.rows if row.provable), default=0.0)

    @property
    def first_divergence(self) -> str | None:
        """The first layer, output or array that fails, and in what; None if all pass."""
        for group in Group:
            for row in self[group]:
                if row.passed:
                    continue
                if group is Group.TRAJECTORY:
                    return f"training {row.name}"
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


#: How large a share of these groups must be provable before a network is called the same: every
#: output and the loss; of gradients and trained values, some are 0 but for rounding.
NEEDED: Final[Mapping[Group, tuple[float, str]]] = {
    Group.OUTPUTS: (1.0, "outputs"),
    Group.LOSS: (1.0, "the loss"),
    Group.GRADIENTS: (0.95, "gradients"),
    Group.TRAJECTORY: (0.95, "values of the training steps"),
}


def differing(name: str) -> Row:
    """The row of an array whose bits are not what they must be."""
    return Row(name, math.inf, 0.0)
