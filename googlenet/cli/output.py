"""How commands print: tables and sentences that fit the terminal and cut nothing, JSON, and bars.

In a pipe or a file, where there is no terminal, lines are not wrapped and nothing is coloured.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from ..backend.discovery import WHY_APART, install_lines
from ..printable import printable, printable_json
from ..spec.layers import Shape

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

#: The width where there is no terminal: more columns than any line has.
UNLIMITED = 10_000
#: Columns that the words beside a bar take; a narrower terminal has no bars, only the words.
ROOM = 70


def shape_text(shape: Shape) -> str:
    """(480, 6, 6) → 480×6×6."""
    return "×".join(map(str, shape))


def counted(count: int, what: str) -> str:
    """1 epoch, 2 epochs, 1,438 images."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def listed(words: Sequence[str]) -> str:
    """outputs; outputs and gradients; outputs, gradients and training steps."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def print_json(value: Any) -> None:
    """Indented JSON on standard output; NaN and infinity are never in it, nor is what a terminal
    would act on or the encoding lacks, for which JSON has its own escapes.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    encoding = str(getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("_", "-")
    _write(printable_json(text, ascii_only=not encoding.startswith("utf")))


def say_text(text: str, *, aside: bool = False, end: str = "\n") -> None:
    """Lines on standard output, or `aside` on standard error, that are never wrapped: source, the
    traceback of a user's own code, or a command to copy.
    """
    _write(printable(text.expandtabs(4), lines=True), sys.stderr if aside else sys.stdout, end)


def _write(text: str, stream: TextIO | None = None, end: str = "\n") -> None:
    """Print what is printable: nothing else of a command prints, but for rich's tables and bars,
    whose words are made so.
    """
    print(text, end=end, file=stream or sys.stdout, flush=True)


def terminal(stream: Any = None) -> Console:
    """A console on `stream`, by default standard output, which takes text as it is."""
    from rich.console import Console

    file = stream or sys.stdout
    console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = UNLIMITED
    elif console.is_dumb_terminal:  # whose width rich does not ask for
        console.width = shutil.get_terminal_size().columns
    return console


def say(text: str, *, aside: bool = False, indent: str = "") -> None:
    """A sentence on standard output, or `aside` on standard error, wrapped between words in a
    terminal; a word longer than a line, such as a path, stays whole. Further lines begin with
    `indent`.
    """
    stream = sys.stderr if aside else sys.stdout
    filled = textwrap.fill(
        printable(text),
        max(terminal(stream).width, 20),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    _write(filled, stream)


def say_command(line: str) -> None:
    """A command to copy, on one line however narrow the terminal is."""
    say_text(f"  {line}")


def say_how_to_install(request: str, command: str) -> None:
    """How to install a framework, after `request`, which asks for it, and then run `command`."""
    say(f"{request} from a checkout, into a new environment, since {WHY_APART}, and run from here:")
    for line in (*install_lines("torch"), command):
        say_command(line)


def say_aside(text: str) -> None:
    """A line on standard error, which leaves standard output to the answer."""
    say(f"googlenet: {text}", aside=True)


def table(*titles: str, right: tuple[str, ...] = (), wrap: tuple[str, ...] = ()) -> Table:
    """An empty table with these columns: those in `right` hold numbers, and those in `wrap` prose
    that may be broken between words.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in titles:
        made.add_column(
            title, justify="right" if title in right else "left", no_wrap=title not in wrap
        )
    return made


def add(made: Table, *cells: str | Text | Sequence[str], style: str | None = None) -> None:
    """A row of plain text: none of it is taken for a style or for a command to a terminal. A cell
    of several lines is a sequence of them.
    """
    made.add_row(*map(_plain, cells), style=style)


def _plain(cell: str | Text | Sequence[str]) -> str | Text:
    """A cell whose words are printable."""
    from rich.text import Text

    if isinstance(cell, Text):  # with a style of ours
        cell.plain = printable(cell.plain)
        return cell
    return printable(cell) if isinstance(cell, str) else "\n".join(map(printable, cell))


def widths(made: Table) -> tuple[int, int]:
    """How many columns a table needs with all prose broken, and with none."""
    from rich.cells import cell_len

    console = terminal()
    for column in made.columns:
        if column.no_wrap:  # rich would cut it anyway
            texts = [str(column.header), *map(str, column.cells)]
            column.min_width = max(cell_len(line) for text in texts for line in text.split("\n"))
    found = made.__rich_measure__(console, console.options.update(max_width=UNLIMITED))
    return found.minimum, found.maximum


def show(made: Table) -> None:
    """Print a table: as it is if it fits, with prose wrapped between words if that is enough, or
    else row by row, so that nothing is cut.
    """
    console = terminal()
    least, natural = widths(made)
    if not console.is_terminal:
        console.width = natural
        lines = console.render_lines(made, pad=False)
        text = "\n".join("".join(part.text for part in line).rstrip() for line in lines)
        _write(text.strip("\n"), end="\n\n")
    elif least <= console.width:
        console.print(made)
    else:
        _show_records(made)


def _show_records(made: Table) -> None:
    """Each row as a block of lines, one per cell; the first cell names the row."""
    columns = [
        (str(column.header).replace("-\n", "-").replace("\n", " "), list(column.cells))
        for column in made.columns
    ]
    for index in range(made.row_count):
        for number, (title, cells) in enumerate(columns):
            plain = " ".join(str(cells[index]).split())
            if plain:
                say(plain if number == 0 else f"  {title}: {plain}", indent="    ")
    say_text("")


@contextmanager
def bars(as_json: bool) -> Iterator[Bars]:
    """Progress bars on standard error, shown only in a terminal."""
    with Bars(as_json) as made:
        yield made


class Bars:
    """A bar for each thing in progress, labelled with what it counts; it also moves while a
    framework loads.
    """

    def __init__(self, as_json: bool) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        # A separate descriptor: what a framework prints while it is imported is held back on 2.
        self._stream = _another(sys.stderr)
        console = terminal(self._stream)
        #: Whether the bars are shown.
        self.shown = console.is_terminal and not console.is_dumb_terminal and not as_json
        self._narrow = console.width < ROOM
        words = tuple(
            TextColumn(form, markup=False)
            for form in ("{task.description}", "{task.fields[state]}")
        )
        bar = BarColumn(bar_width=min(40, max(10, console.width - ROOM)))
        columns = words if self._narrow else (words[0], bar, words[1], TimeElapsedColumn())
        self._bars = Progress(
            *columns,
            console=console,
            disable=not self.shown,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._waiting: str | None = None

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()
        if self._stream is not sys.stderr:
            self._stream.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        """`done` of `total` of `what`, the name of what is counted: "images", "resizing". The bar
        goes once all are done, or for a total of 0, which is unknown, when the next one begins.
        """
        what = printable(what)
        self.show(what, "" if total == 0 else f"{done:,} of {total:,}", done, total)
        if total and done >= total:
            self._hide(what)
        elif not total:
            self._waiting = what

    def stage(self, who: str, stage: str, done: int, total: int) -> None:
        """`who` is in `stage`, and has done `done` of `total`, which is 0 if unknown."""
        self.show(who, stage if total == 0 else f"{done:,} of {total:,} {stage}", done, total)

    def show(self, who: str, state: str, done: int, total: int) -> None:
        """The bar of `who`, followed by `state` in words."""
        if not self.shown:
            return
        who, state = printable(who), printable(state)
        if self._waiting not in (None, who):
            self._hide(self._waiting)
            self._waiting = None
        if self._narrow and total:
            state = f"{done:,} of {total:,}"
        # A total of None makes the bar pulse.
        settings: dict[str, Any] = {
            "completed": done,
            "total": total or None,
            "state": state,
            "visible": True,
        }
        if who not in self._tasks:
            self._tasks[who] = self._bars.add_task(who, **settings)
        self._bars.update(self._tasks[who], **settings)
        if total and done >= total:
            self._bars.refresh()

    def _hide(self, who: str | None) -> None:
        if self.shown and who in self._tasks:
            self._bars.update(self._tasks[who], visible=False)


def _another(stream: TextIO) -> TextIO:
    """Another stream to the same place as `stream`; `stream` itself if it is not a file."""
    try:
        return os.fdopen(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="replace")
    except (OSError, ValueError, AttributeError):
        return stream
