"""`googlenet traps`: what goes wrong in each framework, what is right, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .command import in_words
from .options import AsJson, Interpreters, NativeFrameworks, Timeout, interpreters_of
from .output import (
    add,
    bars,
    listed,
    print_json,
    say,
    say_how_to_install,
    say_text,
    show,
    table,
)

if TYPE_CHECKING:
    from ..proof.traps.report import FrameworkTraps, TrapReport
    from ..proof.traps.run import Found
    from ..proof.traps.table import Trap


def _traps(incomplete: str) -> list[str]:
    """The names that a shell offers for completion."""
    from ..proof.traps.table import TRAPS

    return [name for name in TRAPS if name.startswith(incomplete)]


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Traps to show with their code; by default all of them, as a table.",
        show_default=False,
        autocompletion=_traps,
    ),
]
Page = Annotated[
    str | None,
    typer.Option("--page", metavar="FILE", help="Write everything to this Markdown file."),
]


def command(
    names: Names = None,
    framework: NativeFrameworks = None,
    python: Interpreters = None,
    page: Page = None,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Show what goes wrong when a network is written in a framework, and by how much.

    Runs the code that users of each framework would write, and the code that is right, on the same
    input; exits with 1 if a framework fails, a trap does not behave as its backend says, or the
    right code gives a wrong answer.
    """
    from ..actions.traps import traps

    with bars(as_json) as shown:
        report = traps(
            names or (),
            framework,
            interpreters=interpreters_of(python),
            page=page,
            timeout=timeout,
            progress=shown.stage,
        )
    if as_json:
        print_json(report.to_json())
    else:
        _print(report, whole=bool(names))
        if page is not None:
            say(f"Page: {report.page}" if report.page else _not_written(page, report))
    if not report.passed:
        raise typer.Exit(1)


def _not_written(page: str, report: TrapReport) -> str:
    return f"Page: {page} is not written, since {listed(report.unfinished)} did not finish"


def _print(report: TrapReport, *, whole: bool) -> None:
    """The traps with their code, or one row for each."""
    from ..proof.traps.report import surprises

    if whole:
        for trap in report.traps:
            _print_trap(trap, report)
    else:
        _print_table(report)
    for framework in report.frameworks:
        if framework.error is not None:
            say(f"{framework.framework}: {in_words(framework.error)}", indent="  ")
        for text in surprises(framework):
            say(f"{framework.framework}: {text}", indent="  ")
    if not report.frameworks:
        say_how_to_install(
            "No framework is installed here. Install one",
            "googlenet traps --python torch=torch-env/bin/python",
        )


def _print_table(report: TrapReport) -> None:
    from rich.text import Text

    from ..proof.traps.report import short

    finished = [each for each in report.frameworks if each.error is None]
    names = [each.framework for each in finished]
    made = table("Trap", *names, right=tuple(names)) if names else table("Trap", "Title")
    for trap in report.traps:
        cells: list[str | Text] = [
            Text(short(found), style="" if found.as_expected else "bold red")
            for _, found in report.of(trap)
        ]
        add(made, trap.name, *(cells if names else [trap.title]))
    show(made)
    if finished:
        versions = [f"{each.framework} {_version(each)}" for each in finished]
        say(
            f"Measured in {listed(versions)}: the relative L2 distance of what users' code gives"
            " from what is right, or, for numbers, their relative difference, or the number itself"
            " if it should be 0. 'right' is right as it comes, 'shape' another shape, 'not finite'"
            " NaN or infinity, 'refused' an error, and '–' what cannot be written there, or what"
            " the plugin does not show."
        )
    shown = (trap.name for trap in report.traps if any(each.default for _, each in report.of(trap)))
    if finished and (first := next(shown, None)) is not None:
        say(f"googlenet traps {first} shows the code of that trap.")


def _version(framework: FrameworkTraps) -> str:
    return framework.versions.get(framework.framework, "")


def _print_trap(trap: Trap, report: TrapReport) -> None:
    say(f"{trap.title} ({trap.name})")
    say(f"{trap.wrong} {trap.why}")
    say(f"Right: {trap.source}. Compared: the {trap.measured}.")
    for framework, found in report.of(trap):
        say_text("")
        _print_found(framework, found)
    say_text("")


def _print_found(framework: FrameworkTraps, found: Found) -> None:
    """The code of one framework, in lines that are never broken, between what is said of it."""
    from ..backend.snippets import Outcome
    from ..proof.traps.report import words

    say(f"{framework.framework} {_version(framework)}: {words(found)}")
    if found.default:
        _print_code("As users write it:", found.default)
    if found.message and found.outcome is not Outcome.FAILED:  # whose words say it
        say(f"  {found.message}", indent="  ")
    if found.remark:
        say(f"  {found.remark}", indent="  ")
    if found.corrected:
        _print_code("As it should be:", found.corrected)
    if found.helpers:
        _print_code(
            f"What {framework.framework} lacks:",
            f"{found.helper_imports}\n\n\n{found.helpers}".lstrip(),
        )


def _print_code(title: str, text: str) -> None:
    say(f"  {title}")
    for line in text.split("\n"):
        say_text(f"    {line}".rstrip())
