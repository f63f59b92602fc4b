"""The traps of several frameworks, each measured in its own process; and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...backend.snippets import Outcome
from ...errors import BackendError
from ...jobs.job import Answer, Job, run_job
from ...temporary import temporary_folder
from ...version import __version__
from .run import Found
from .table import Trap

#: A framework that makes no progress for so many seconds hangs, unless the caller says otherwise.
TIMEOUT = 600.0

#: Called often with a framework, its stage, how much of it is done, and how much there is.
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True)
class FrameworkTraps:
    """The traps of one framework in the order asked for, or in `error` why there are none.

    `shown` is whether its backend shows any; `imports` are the lines that its code needs.
    """

    framework: str
    found: tuple[Found, ...] = ()
    error: str | None = None
    shown: bool = True
    imports: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it finished, and every trap is as its backend says."""
        return self.error is None and all(each.as_expected for each in self.found)

    def to_json(self) -> dict[str, Any]:
        """Everything but the traps, with whole-word keys."""
        return {
            "framework": self.framework,
            "passed": self.passed,
            "error": self.error,
            "imports": self.imports,
            "versions": dict(self.versions),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class TrapReport:
    """The traps that were asked for, and what becomes of them in each framework; `page` is the file
    that it was written to, None if it was not.
    """

    traps: tuple[Trap, ...]
    frameworks: tuple[FrameworkTraps, ...]
    page: str | None = None

    @property
    def passed(self) -> bool:
        """Whether each framework finished, every trap is there or not as its backend says, and
        every right code is right.
        """
        return all(each.passed for each in self.frameworks)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The frameworks that did not finish."""
        return tuple(each.framework for each in self.frameworks if each.error is not None)

    def of(self, trap: Trap) -> list[tuple[FrameworkTraps, Found]]:
        """What becomes of `trap` in each framework that finished."""
        return [
            (framework, found)
            for framework in self.frameworks
            for found in framework.found
            if found.trap == trap.name
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        return {
            "version": __version__,
            "passed": self.passed,
            "page": self.page,
            "frameworks": [each.to_json() for each in self.frameworks],
            "traps": [
                {
                    **{name: text for name, text in asdict(trap).items() if name != "ask"},
                    "frameworks": [
                        {"framework": framework.framework, "words": words(found), **found.to_json()}
                        for framework, found in self.of(trap)
                    ],
                }
                for trap in self.traps
            ],
        }


def run_traps(
    traps: Sequence[Trap],
    frameworks: Sequence[str],
    *,
    interpreters: Mapping[str, str],
    timeout: float,
    progress: Progress = lambda who, stage, done, total: None,
) -> TrapReport:
    """Measure `traps` in each of `frameworks`, one after another, each in its own process; one that
    crashes or hangs for `timeout` seconds fails by itself.
    """
    names = [trap.name for trap in traps]

    def work(framework: str, folder: Path) -> FrameworkTraps:
        answer = run_job(
            Job("googlenet.proof.traps.run:answer", framework, {"names": names}),
            folder,
            interpreter=interpreters.get(framework),
            timeout=timeout,
            report=partial(progress, framework),
        )
        if answer.error is not None:
            return FrameworkTraps(framework, error=answer.error)
        try:
            return answer.give(partial(_answered, framework, names, answer))
        except BackendError as error:
            return FrameworkTraps(framework, error=str(error))

    with temporary_folder("traps") as folder:
        return TrapReport(tuple(traps), tuple(work(framework, folder) for framework in frameworks))


def _answered(
    framework: str, names: Sequence[str], answer: Answer, values: Mapping[str, Any]
) -> FrameworkTraps:
    found = tuple(Found.from_json(each) for each in values.get("traps", ()))
    if values["shown"] and [each.trap for each in found] != list(names):
        raise ValueError("it does not have the traps that were asked for")
    return FrameworkTraps(
        framework,
        found,
        shown=values["shown"],
        imports=values.get("imports", ""),
        versions=answer.versions,
        seconds=answer.seconds,
    )


# In words -----------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """0.137 → 14 %, 0.0082 → 0.82 %, 1.38 → 138 %."""
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


def number(value: float) -> str:
    """12352.0 → 12,352, 0.0270369 → 0.02704, and NaN, ∞ or −∞."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def short(found: Found) -> str:
    """What becomes of a trap in one framework, in a cell of a table."""
    match found.outcome:
        case Outcome.DIFFERS:
            error = math.inf if found.error is None else found.error
            if not math.isfinite(error):
                same = isinstance(found.answer, float) or found.answer == found.right
                return "not finite" if same else "shape"
            return f"{error:.2g}" if found.right == 0 else percent(error)
        case Outcome.AGREES:
            return "right"
        case Outcome.REFUSES:
            return "refused"
        case Outcome.ABSENT:
            return "–"
        case Outcome.FAILED:
            return "failed"


def words(found: Found) -> str:
    """The same as a phrase, with the figures."""
    answer, right = found.answer, found.right
    match found.outcome:
        case Outcome.DIFFERS if isinstance(answer, tuple) and isinstance(right, tuple):
            if answer == right:
                return _off(found)
            return f"shape {_shape(answer)}, not {_shape(right)}"
        case Outcome.DIFFERS if isinstance(answer, float) and isinstance(right, float):
            off = "" if right == 0 or not math.isfinite(answer) else f": {_off(found)}"
            return f"{number(answer)}, not {number(right)}{off}"
        case Outcome.AGREES:
            return "right as it comes"
        case Outcome.REFUSES:
            return "refused"
        case Outcome.ABSENT:
            return "not shown"
        case Outcome.FAILED:
            return f"failed: {found.message}"
        case _:
            return short(found)


def _off(found: Found) -> str:
    said = short(found)
    return "NaN or infinite values" if said == "not finite" else f"off by {said}"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def surprises(framework: FrameworkTraps) -> Iterator[str]:
    """What is not as the backend says, one sentence each."""
    for found in framework.found:
        if found.as_expected:
            continue
        if found.outcome is Outcome.FAILED:
            yield f"{found.trap}: the right code failed: {found.message}"
        elif found.right_error is not None and math.isinf(found.right_error):
            yield (
                f"{found.trap}: the right code gives a different shape from the reference, or"
                " values that are not finite"
            )
        elif found.right_error is not None and found.right_error > found.limit:
            yield (
                f"{found.trap}: the right code is {found.right_error:.1e} away from the reference,"
                f" limit {found.limit:.1e}"
            )
        else:
            here = f" with: {found.message}" if found.message else ""
            said = f" with '{found.raises}'" if found.raises else ""
            yield (
                f"{found.trap}: the plugin says that the framework {found.expected.value}{said},"
                f" but here it {found.outcome.value}{here}; the plugin may have been written for"
                " another version of it"
            )
