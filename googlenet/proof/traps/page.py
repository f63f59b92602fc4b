"""The page of traps: Markdown, written by running them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...backend.snippets import Outcome
from ...source.scope import sorted_imports
from .question import STANDARD_ERRORS
from .report import FrameworkTraps, TrapReport, short, surprises, words
from .run import Found
from .table import Trap

#: Columns of prose, as of all pages here.
WIDTH = 120


@dataclass(frozen=True)
class Asked:
    """The arguments of the call that writes a page, each as that of `googlenet.traps`; of
    `interpreters` the frameworks, and what is None or empty was not given.
    """

    names: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()
    page: Path | None = None
    timeout: float | None = None


def page_of(report: TrapReport, asked: Asked) -> str:
    """The whole page of `report`, which was `asked` for."""
    lines = [
        "# Traps",
        "",
        *_wrapped(
            "A trap is a place where the code that users of a framework write computes a different"
            " function from the paper's or the book's, and nothing says so. Each piece of code"
            " below was run on the same input, drawn from a fixed seed, and its answer compared"
            " with that of the float64 reference."
        ),
        "",
        *_wrapped(
            "This page is written by the call that measures it; every figure, message and line of"
            " code comes from that run. `googlenet traps NAME` shows one trap in the terminal."
        ),
        "",
        "```python",
        *_call(asked),
        "```",
        "",
        *_wrapped(f"Versions: {_versions(report)}."),
        "",
        *_wrapped(
            "An error is the relative L2 distance of the two answers; for a number, the relative"
            " difference, or the number itself if it should be 0. “Shape” is another shape, “not"
            " finite” NaN or infinite values,"
            " “refused” an error that the framework raises, “right” code that is right as it comes,"
            " and “–” what cannot be written there, or what the plugin does not show. The code on"
            " the right agrees with the reference within [the one tolerance](tolerances.md) of this"
            f" project; a number that is drawn at random agrees within {STANDARD_ERRORS:g} standard"
            " errors."
        ),
        "",
        *_overview(report),
        *(line for each in report.frameworks for line in _not_as_expected(each)),
    ]
    for trap in report.traps:
        lines += ["", *_section(trap, report)]
    lines += _helpers(report)
    return "\n".join(lines) + "\n"


def _call(asked: Asked) -> Iterator[str]:
    """The call that wrote the page, without paths that only one machine has: PATH is that of an
    interpreter, which was another for each, and an absolute path of the page is its name.
    """
    yield "googlenet.traps("
    yield from _listed("", asked.names)
    yield from _listed("frameworks=", asked.frameworks)
    if asked.interpreters:
        yield "    interpreters={"
        yield from (f"        {json.dumps(each)}: PATH," for each in asked.interpreters)
        yield "    },"
    if asked.page is not None:
        shown = asked.page.name if asked.page.is_absolute() else asked.page.as_posix()
        yield f"    page={json.dumps(shown, ensure_ascii=False)},"
    if asked.timeout is not None:
        yield f"    timeout={asked.timeout:g},"
    yield ")"


def _listed(start: str, words: tuple[str, ...]) -> Iterator[str]:
    """An argument that is a list of `words`, if there are any, in one line or with a line for each;
    `start` is its keyword.
    """
    if not words:
        return
    line = f"    {start}[{', '.join(map(json.dumps, words))}],"
    if len(line) <= 100:
        yield line
        return
    yield f"    {start}["
    yield from (f"        {json.dumps(each)}," for each in words)
    yield "    ],"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _versions(report: TrapReport) -> str:
    return ", ".join(
        f"{each.framework} {each.versions.get(each.framework, 'unknown')}"
        for each in report.frameworks
    )


def _overview(report: TrapReport) -> Iterator[str]:
    names = [each.framework for each in report.frameworks]
    yield f"| trap | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    for trap in report.traps:
        found = {framework.framework: short(each) for framework, each in report.of(trap)}
        cells = " | ".join(found.get(name, "failed") for name in names)
        yield f"| [{trap.name}](#{trap.name}) | {cells} |"


def _not_as_expected(framework: FrameworkTraps) -> Iterator[str]:
    problems = [framework.error] if framework.error else list(surprises(framework))
    for problem in problems:
        yield ""
        yield from _wrapped(f"{framework.framework}: {problem}.")


def _section(trap: Trap, report: TrapReport) -> Iterator[str]:
    yield f"## {trap.name}"
    yield ""
    yield from _wrapped(f"**{trap.title}.** {trap.wrong} {trap.why}")
    yield ""
    yield from _wrapped(f"Right: {trap.source}. Compared: the {trap.measured}.")
    yield ""
    yield "<table>"
    yield "<tr><th></th><th>as users write it</th><th>as it should be</th></tr>"
    for framework, found in report.of(trap):
        yield from _row(framework, found)
    yield "</table>"


def _row(framework: FrameworkTraps, found: Found) -> Iterator[str]:
    """Two cells with the code, side by side; the blank lines make Markdown of what is in them."""
    yield "<tr><td>"
    yield ""
    yield f"**{framework.framework}**"
    yield ""
    yield from _wrapped(words(found))
    yield ""
    yield "</td><td>"
    yield from _code(found.default)
    said = found.remark
    if found.outcome is Outcome.REFUSES:
        said = f"`{found.message}` {said}"
    if said:
        yield ""
        yield from _wrapped(said)
    yield ""
    yield "</td><td>"
    yield from _code(found.corrected)
    if found.outcome is Outcome.AGREES and found.as_expected:
        yield ""
        yield "the same"
    yield ""
    yield "</td></tr>"


def _code(text: str) -> Iterator[str]:
    if text:
        yield ""
        yield "```python"
        yield text
        yield "```"


def _helpers(report: TrapReport) -> list[str]:
    """Each class that a framework lacks, once."""
    lines: list[str] = []
    for framework in report.frameworks:
        sources = dict.fromkeys(each.helpers for each in framework.found if each.helpers)
        if sources:
            lines += ["", f"### In {framework.framework}", "", "```python"]
            imports = sorted_imports("\n".join(each.helper_imports for each in framework.found))
            lines += [*imports, *(["", ""] if imports else [])]
            lines += ["\n\n\n".join(sources), "```"]
    if not lines:
        return []
    about = (
        "The code on the right uses some layers that its framework does not have. They are the"
        " adapters' own, from `modules.py` of each plugin, and need nothing but the framework."
    )
    return ["", "## Layers that a framework lacks", "", *_wrapped(about), *lines]
