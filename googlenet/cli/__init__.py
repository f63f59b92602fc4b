"""The command `googlenet`: every user error is one line on standard error and exit code 2; a failed
proof exits with 1.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, NoReturn, cast

import typer

from ..errors import GoogLeNetError
from ..jobs.signals import terminated_as_interrupted
from ..paths import why
from ..printable import printable
from ..version import __version__
from . import (
    bench,
    check,
    code,
    compare,
    convert,
    diff,
    draw,
    min_size,
    parity,
    predict,
    race,
    summary,
    train,
    translate,
    traps,
)
from . import list as list_command
from .command import Command, value_error
from .output import say_text

#: -h is --help everywhere, and help is as wide as the terminal, up to 80 columns.
SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "terminal_width": max(min(shutil.get_terminal_size().columns, 80) - 2, 20),
}

app = typer.Typer(
    name="googlenet",
    help=(
        "GoogLeNet and its family: one spec, a native model in every framework, proved to be the"
        " same function."
    ),
    context_settings=SETTINGS,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_NAMES: list[str] = []
for module in (
    list_command,
    summary,
    code,
    draw,
    parity,
    compare,
    diff,
    min_size,
    convert,
    predict,
    train,
    race,
    traps,
    check,
    translate,
    bench,
):
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    _NAMES.append(name)
    app.command(name, cls=Command, context_settings=SETTINGS)(module.command)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


# BadParameter's base is the class of every usage error; typer has no public name for it.
_USAGE_ERROR: type[Exception] = cast(type[Exception], typer.BadParameter.__mro__[1])


#: The exit code of a command that Ctrl-C ended, as shells have it: 128 + SIGINT.
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line."""
    # Where one is closed, nothing is written, and no file that is opened later takes its place.
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
            with suppress(OSError):
                os.dup2(getattr(sys, name).fileno(), number)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # an encoding without × or − does not end a command
            stream.reconfigure(errors="replace")
    try:
        with terminated_as_interrupted():  # so that what is temporary is removed
            code = app(standalone_mode=False, prog_name="googlenet")
            sys.stdout.flush()
    except _USAGE_ERROR as error:
        if wrong := value_error(error):
            _fail(wrong, 2)
        context, message = (
            getattr(error, "ctx", None),
            getattr(error, "format_message", error.__str__)(),
        )
        # An error of the parser itself does not say which command it was parsing.
        named = [word for word in sys.argv[1:2] if word in _NAMES]
        command = context.command_path if context else " ".join(["googlenet", *named])
        what = f"{message} See" if message.endswith("?") else f"{message.rstrip('.')}; see"
        _fail(f"{what} '{command} --help'", 2)
    except GoogLeNetError as error:
        if error.details:
            say_text(error.details, aside=True)
        _fail(str(error), 2)
    except BrokenPipeError:
        # The reader of a pipe has gone, as with `| head`; exit without a second error while
        # flushing.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # of a system that is full or broken, which no command has foreseen
        _give_up_streams()
        where = error.filename or ("standard output" if error.errno in FULL else None)
        _fail(f"{where}: {why(error)}" if where else why(error), 2)
    except MemoryError as error:
        _fail(f"there is not enough memory ({str(error) or 'none is left'}); ask for less", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer also returns it, if it is the first to see Ctrl-C
        _fail("interrupted", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


#: What the system says of an open file that cannot take more, such as standard output.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _give_up_streams() -> None:
    """What is left in a standard stream that cannot be written to is dropped, since Python would
    try again as it exits, and say so.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(message: str, code: int) -> NoReturn:
    # Always on one line: scripts read it too.
    with suppress(OSError):  # standard error may be full or closed: the exit code says it too
        say_text(f"googlenet: {printable(message)}", aside=True)
    sys.exit(code)
