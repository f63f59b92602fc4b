"""The command `googlenet`: every user error is one line on standard error and exit code 2; a failed
proof exits with 1.
"""

from __future__ import annotations

import sys
from typing import NoReturn, cast

import typer

from ..errors import GoogLeNetError
from ..version import __version__
from . import compare, convert, diff, min_size, parity, predict, race, summary, train
from . import list as list_command

app = typer.Typer(
    name="googlenet",
    help=(
        "GoogLeNet and its family: one spec, a native model in every framework, proved to be the"
        " same function."
    ),
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("list")(list_command.command)
app.command("summary")(summary.command)
app.command("parity")(parity.command)
app.command("compare")(compare.command)
app.command("diff")(diff.command)
app.command("min-size")(min_size.command)
app.command("convert")(convert.command)
app.command("predict")(predict.command)
app.command("train")(train.command)
app.command("race")(race.command)


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


# BadParameter's base is the class of every usage error; typer gives it no public name of its own.
_USAGE_ERROR: type[Exception] = cast(type[Exception], typer.BadParameter.__mro__[1])


#: The exit code of a command that Ctrl-C ended, as shells have it: 128 + SIGINT.
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line."""
    try:
        code = app(standalone_mode=False, prog_name="googlenet")
    except _USAGE_ERROR as error:
        context, message = (
            getattr(error, "ctx", None),
            getattr(error, "format_message", error.__str__)(),
        )
        command = context.command_path if context else "googlenet"
        _fail(f"{message.rstrip('.')}; see '{command} --help'", 2)
    except GoogLeNetError as error:
        _fail(str(error), 2)
    except BrokenPipeError:
        # The reader of a pipe has left, as `| head` does; leave without a second error while
        # flushing.
        sys.stderr.close()
        sys.exit(0)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer returns it, too, where it hears Ctrl-C first
        _fail("interrupted", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    print(f"googlenet: {message}", file=sys.stderr)
    sys.exit(code)
