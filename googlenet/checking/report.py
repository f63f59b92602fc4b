"""What a check found, as a report and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from ..spec.layers import Shape
from .causes import Cause
from .differences import Difference
from .pour import Divergence

#: The verdicts: the same function, another one, or one that could not be determined.
SAME, DIFFERENT, UNCLEAR = "same", "different", "unclear"
#: The columns of what a line of code is: yours, spec, write.
LABEL: Final = 7
#: At another size: the model cannot be run there.
FAILS: Final = "fails"


@dataclass(frozen=True)
class Passage:
    """A line of the report: further lines, if it is wrapped, begin `hanging` columns from the left;
    `code` is taken as it is.
    """

    text: str
    hanging: int = 0
    code: bool = False


@dataclass(frozen=True)
class Check:
    """What is known of a model: the `verdict`, "same", "different" or "unclear".

    `differences` are in the order of execution, `mentions` what is written otherwise and is the
    same function at this size. `first_divergence` is the first layer whose output is another.
    `parameters` are (the model's, the spec's) trainable numbers. `proved` is whether the verdict
    is: "same" by the outputs in float64, "different" by the model with the differences set right,
    which is then the spec's function. `sizes` has the verdict at other input shapes where it
    depends on that. `reason` says why it is unclear, or what the model looks like.

    It is true if the model is the same, and shows its report in an assertion.
    """

    framework: str
    against: str
    input_shape: Shape
    verdict: str
    differences: tuple[Difference, ...] = ()
    mentions: tuple[Difference, ...] = ()
    first_divergence: Divergence | None = None
    parameters: tuple[int, int] = (0, 0)
    proved: bool = False
    sizes: Mapping[Shape, str] = field(default_factory=dict)
    reason: str = ""

    def __bool__(self) -> bool:
        return self.verdict == SAME

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Check: {self}>"

    @property
    def passed(self) -> bool:
        """Whether the model is the same function."""
        return bool(self)

    def lines(self) -> list[str]:
        """The report as lines of plain text."""
        return [each.text for each in self.passages()]

    def passages(self) -> list[Passage]:
        """The report, with what a terminal needs to wrap it."""
        height, width = self.input_shape[1:]
        size = f"{self.input_shape[0]}×{height}×{width}"
        found = [Passage(f"{_VERDICTS[self.verdict]} {self.against} at {size}.")]
        if self.reason:
            found.append(Passage(self.reason))
        explained = set()
        for each, following in zip_longest(self.differences, self.differences[1:]):
            found.append(Passage(f"- {each.words}", 2))
            if each.explanation and each.explanation not in explained:
                found.append(Passage(f"  {each.explanation}", 2))
                explained.add(each.explanation)
            if following is None or following.rows() != each.rows():  # two things in one line
                found += _side_by_side(each)
        if self.first_divergence is not None:
            found.append(Passage(_divergence_line(self.first_divergence)))
        if self.mentions:
            unused = [each for each in self.mentions if each.cause is Cause.UNUSED]
            for title, told in (
                (_WRITTEN, [each for each in self.mentions if each not in unused]),
                (_UNUSED, unused),
            ):
                found += [Passage(title)] if told else []
                found += [Passage(f"- {each.words}", 2) for each in told]
        for shape, verdict in self.sizes.items():
            size = "×".join(map(str, shape))
            found.append(Passage(f"At {size} it {_AT[verdict]}."))
        mine, theirs = self.parameters
        if mine:
            more = "" if mine == theirs else f"; the spec has {theirs:,}"
            found.append(Passage(f"{mine:,} parameters{more}."))
        if self.verdict == DIFFERENT and (self.differences or self.proved):
            found.append(Passage(_PROVED if self.proved else _MORE))
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        first = self.first_divergence
        return {
            "framework": self.framework,
            "against": self.against,
            "input_shape": list(self.input_shape),
            "verdict": self.verdict,
            "differences": [each.to_json() for each in self.differences],
            "mentions": [each.to_json() for each in self.mentions],
            "first_divergence": None if first is None else first.to_json(),
            "parameters": {"model": self.parameters[0], "spec": self.parameters[1]},
            "proved": self.proved,
            "sizes": [
                {"input_shape": list(shape), "verdict": verdict}
                for shape, verdict in self.sizes.items()
            ],
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Check:
        """The inverse of `to_json`, without the findings of its differences. Raises `ValueError`
        for a verdict or a shape that is none.
        """
        first, counts = values["first_divergence"], values["parameters"]
        for verdict in (values["verdict"], *(each["verdict"] for each in values["sizes"])):
            if verdict not in _VERDICTS:
                raise ValueError(f"the verdict is {verdict!r}")
        if len(values["input_shape"]) != 3:
            raise ValueError(f"the input shape is {values['input_shape']}")
        return cls(
            values["framework"],
            values["against"],
            tuple(values["input_shape"]),
            values["verdict"],
            tuple(map(Difference.from_json, values["differences"])),
            tuple(map(Difference.from_json, values["mentions"])),
            None if first is None else Divergence.from_json(first),
            (counts["model"], counts["spec"]),
            values["proved"],
            {tuple(each["input_shape"]): each["verdict"] for each in values["sizes"]},
            values["reason"],
        )


_VERDICTS: Final = {
    SAME: "The same function as",
    DIFFERENT: "A different function from",
    UNCLEAR: "Unclear whether this is the same function as",
}
_AT: Final = {
    SAME: "is the same function",
    DIFFERENT: "is a different function",
    UNCLEAR: "is unclear",
    FAILS: "cannot be run or captured",
}
_WRITTEN: Final = "Written differently, but the same function at this size:"
_UNUSED: Final = "Made, but never used:"
_PROVED: Final = "With these differences removed, it is the spec's function (proved in float64)."
_MORE: Final = (
    "Something else is wrong, too: with these differences removed, it does not yet give what the"
    " spec gives."
)


def _side_by_side(difference: Difference) -> Iterator[Passage]:
    """The user's line, the spec's layer, the code to write."""
    for label, text in difference.rows():
        start = f"  {label:{LABEL}}"
        yield Passage(f"{start}{text}", len(start), code=True)
    if difference.advice:
        yield Passage(f"  {difference.advice}", 2)


def _divergence_line(first: Divergence) -> str:
    error = (
        f"relative L2 distance {first.error:.2g}" if first.error is not None else "another shape"
    )
    if not first.known:
        error = "what it gives cannot be computed here"
    where = f"{first.place} = {first.path}"
    if first.extra:
        where = f"{first.place}, {f'after {first.path}' if first.path else 'at the beginning'}"
    return f"The first output that differs: {where} ({error})."
