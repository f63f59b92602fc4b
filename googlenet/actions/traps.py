"""What goes wrong when a network is written in a framework, and by how much."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..backend.discovery import REFERENCE, chosen_frameworks
from ..errors import BackendError, DataError
from ..files import check_folder, write_atomically, writing
from ..proof.traps.page import Asked, page_of
from ..proof.traps.report import TIMEOUT, Progress, TrapReport, run_traps
from ..proof.traps.table import TRAPS, find_trap
from .arguments import by_framework, path_of, seconds, several


def traps(
    names: str | Sequence[str] = (),
    frameworks: str | Sequence[str] | None = None,
    *,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    page: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT,
    progress: Progress = lambda who, stage, done, total: None,
) -> TrapReport:
    """The known traps `names`, by default all: the code that users of each of `frameworks` would
    write, the code that is right, and how far apart they are, measured by running both.

    `frameworks` are by default all that are installed, or have an interpreter in `interpreters` (a
    path by framework), and show traps. Each runs in a process of its own, which is killed after
    `timeout` seconds without progress. `page` is a Markdown file to write it all to if every
    framework finishes; otherwise it stays as it is, and `report.page` is None.

    Raises `UnknownNameError`, `SpecError`, `BackendError` or `DataError` for arguments that are not
    valid. A trap that is not as the framework's backend says raises nothing: `report.passed` is
    False.
    """
    named, timeout = dict.fromkeys(map(str, several("names", names))), seconds(timeout)
    chosen_traps = [find_trap(name) for name in named] or [*TRAPS.values()]
    paths = by_framework("interpreters", interpreters)
    given = None if frameworks is None else several("frameworks", frameworks)
    chosen = chosen_frameworks(given, paths)
    if given is None:
        chosen = [framework for framework in chosen if framework != REFERENCE]
    target = None if page is None else _checked(path_of("page", page))
    asked = Asked(
        names=tuple(trap.name for trap in chosen_traps) if named else (),
        frameworks=() if frameworks is None else tuple(chosen),
        interpreters=tuple(paths),
        page=target,
        timeout=None if timeout == TIMEOUT else timeout,
    )
    report = run_traps(chosen_traps, chosen, interpreters=paths, timeout=timeout, progress=progress)
    if hidden := [each.framework for each in report.frameworks if not each.shown]:
        if frameworks is not None:
            raise BackendError(f"framework '{hidden[0]}': its backend shows no traps; leave it out")
        shown = tuple(each for each in report.frameworks if each.shown)
        report = TrapReport(report.traps, shown)
    if target is not None and not report.frameworks:
        raise BackendError(
            f"{target}: not written, since no framework that shows traps is installed here; install"
            " one, or give the path of an interpreter that has one as `interpreters`"
        )
    if target is not None and not report.unfinished:
        with writing(target):
            write_atomically(target, page_of(report, asked).encode())
        report = replace(report, page=str(target))
    return report


def _checked(path: Path) -> Path:
    """`path`. Raises `DataError` unless it ends in .md, in a folder that exists."""
    if path.suffix.lower() != ".md":
        raise DataError(f"{path}: expected a name that ends in .md")
    check_folder(path)
    return path
