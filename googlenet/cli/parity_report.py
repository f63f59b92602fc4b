"""What `googlenet parity` prints: a table, and in words what it does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..backend.discovery import REFERENCE
from .command import in_words
from .output import (
    add,
    counted,
    listed,
    say,
    say_how_to_install,
    shape_text,
    show,
    table,
    terminal,
    widths,
)

if TYPE_CHECKING:
    from rich.table import Table

    from ..proof.exact.compare import ExactComparison
    from ..proof.parity.run import Report, Result

#: If whole paths do not fit, they are broken into lines of at most this many columns.
NARROW = 31


def print_report(report: Report) -> None:
    """The table of all frameworks, and what there is to say of each and of all."""
    from ..spec.traversal import num_classes

    network, images = report.network, report.image_set
    say(
        f"{network.name} on {counted(len(images.images), 'image')}"
        f" of {shape_text(network.input_shape)} from {images.description}; seed {report.seed}"
    )
    made = _table(report)
    if terminal().is_terminal and widths(made)[0] > terminal().width:
        narrow = _table(report, NARROW)
        made = narrow if widths(narrow)[0] <= terminal().width else made
    show(made)
    for result in report.results:
        for text in _remarks(report, result):
            say(f"{result.framework}: {text}", indent="  ")
    if report.exact is not None:
        drawn = report.exact.problem
        say(
            f"Exact proof: {drawn.network.name} with {num_classes(drawn.network)} classes on"
            f" {counted(len(drawn.images), 'image')} of {shape_text(drawn.network.input_shape)},"
            " drawn so that no sum needs more than 24 bits (largest:"
            f" {report.exact.bits:.1f} bits).{_without_gradients(report)}"
        )
    say(
        f"{_summary(report)} Errors are relative L2 distances from it; limits come from"
        " float32's own rounding."
    )
    if [(each.framework, each.error) for each in report.results] == [(REFERENCE, None)]:
        say_how_to_install(
            "Only the NumPy reference was compared. To compare a framework, install it",
            "googlenet parity --python torch=torch-env/bin/python",
        )


def _remarks(report: Report, result: Result) -> Iterator[str]:
    """What there is to say of one framework beside its figures."""
    from ..proof.exact.compare import COMPILED
    from ..proof.parity.rows import Verdict

    if result.error is not None:
        yield in_words(result.error)
        return
    found = result.comparison
    if not found.passed:
        yield f"first divergence: {found.first_divergence}"
    elif not found.proved:
        yield (
            f"not proved on these images: {listed(found.shortfall)}, where float32 cannot tell"
            f" right from wrong; {in_words(report.advice)}"
        )
    elif lacking := [each for each in report.asked if each not in result.compared]:
        yield f"{listed(result.compared)} only; {listed(lacking)} could not be compared"
    same, different, unproved = (found.counts[verdict] for verdict in Verdict)
    yield (
        f"{counted(same, 'tensor')} the same, {different:,} different, {unproved:,} not provable on"
        f" these images; largest error {found.largest_share:.2f} times its limit"
    )
    if report.compiled and not any(row.name.endswith(" compiled") for row in found.rows):
        yield "it has no `compile`"
    if result.exact is not None:
        yield exact_remark(result.exact)
        if report.compiled and result.exact.unfit is None and COMPILED not in result.exact.values:
            yield "it has no compiled forms that could be compared"
    if result.device is not None:
        settings = ", ".join(f"{name}={value}" for name, value in result.precision.items())
        threads = "" if result.threads is None else f", threads: {result.threads}"
        yield f"on {result.device}{threads}; {settings}"


def _without_gradients(report: Report) -> str:
    """What to say if gradients were asked for, and no problem with exact ones was found."""
    if report.exact is None or report.exact.gradients or not report.gradients:
        return ""
    return " Gradients are not among the values: their sums need more bits here."


#: What was compared bit for bit, where JSON's key is not the word for it.
_EXACTLY = {"compiled": "compiled forms"}


def exact_remark(found: ExactComparison) -> str:
    """How many bits differ, and which first."""
    if found.unfit is not None:
        return f"exact proof not possible: {found.unfit}"
    what = listed([_EXACTLY.get(each, each) for each in found.values if each != "loss"])
    verb = "differs" if found.differences == 1 else "differ"
    differing = f"{found.differences:,} of {counted(found.count, 'value')} {verb}"
    text = f"exact proof: {differing} ({what})"
    return text if found.first is None else f"{text}; first difference: {found.first}"


def _summary(report: Report) -> str:
    """How many are the same, and in what: those of which less was compared are not among them."""
    same = sum(result.passed and result.compared == report.asked for result in report.results)
    count, what = f"{same} of {len(report.results)}", listed(report.asked)
    only = " only" if len(report.asked) == 1 and not report.gradients else ""
    verb = "compute the same function as" if report.gradients else "agree with"
    exactly = ""
    if report.exact is not None:
        bits = sum(result.exact is not None and result.exact.passed for result in report.results)
        exactly = f"; where float32 rounds nothing, {bits} of {len(report.results)} to the last bit"
    return f"{count} shown to {verb} the float64 reference, in {what}{only}{exactly}."


def _table(report: Report, width: int | None = None) -> Table:
    """All frameworks, with paths broken before their dots into lines of `width` columns."""
    made = table("Framework", "Compared", "Error", "Limit", "Worst at", right=("Error", "Limit"))
    for result in report.results:
        _add_rows(made, result, report, width)
    return made


def _add_rows(made: Table, result: Result, report: Report, width: int | None) -> None:
    """Several lines per framework: its name, version and verdict beside the logits, the worst
    layer, gradient and array of a training run.
    """
    from rich.text import Text

    from ..proof.parity.rows import Group
    from ..proof.parity.run import Outcome

    version = result.versions.get(result.framework, "")
    outcome = result.outcome
    if outcome is Outcome.FAILED:
        add(made, result.framework, Text(outcome.value, style="bold red"), "", "", "")
        made.add_section()
        return
    styles = {Outcome.SAME: "green", Outcome.UNPROVED: "bold yellow"}
    verdict = Text(outcome.value, style=styles.get(outcome, "bold red"))
    if outcome is Outcome.SAME and result.compared == ("outputs",):
        verdict = Text("same outputs", style="green")
    comparison = result.comparison
    outputs = comparison[Group.OUTPUTS]
    compared = [
        ("logits", [row for row in outputs if row.name == "logits"]),
        ("layers", [*outputs, *comparison[Group.STEP_OUTPUTS]]),
        ("gradients", comparison[Group.GRADIENTS]),
    ]
    if report.train_steps:
        compared.append(("training", comparison[Group.TRAJECTORY]))
    for first, (what, rows) in zip(
        (result.framework, version, verdict, "")[: len(compared)], compared, strict=True
    ):
        row = result.worst(rows)
        if row is None:
            add(made, first, what, "", "", "not provable" if rows else "not compared")
        else:
            where = [] if what == "logits" else _broken(row.name, width)
            style = None if row.passed else "bold red"
            add(made, first, what, f"{row.error:.1e}", f"{row.limit:.1e}", where, style=style)
    made.add_section()


def _broken(path: str, width: int | None) -> list[str]:
    """A path in lines of at most `width` characters, broken before its dots."""
    if width is None:
        return [path]
    lines = [""]
    for part in re.split(r"(?=\.)", path):
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return lines
