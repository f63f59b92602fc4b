"""What every command has in common: its help is never cut, and errors name what the user typed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from typer.core import TyperCommand

from ..errors import GoogLeNetError

#: Parameters of commands whose names differ from the library's arguments that they fill.
OTHER_NAMES = {
    "aux_weights": "aux_weight",
    "batches": "batch",
    "checkpoint_seconds": "checkpoint_minutes",
    "devices": "device",
    "dtypes": "dtype",
    "folder": "out",
    "library": "framework",
    "format": "form",
    "forms": "form",
    "frameworks": "framework",
    "input_shape": "size",
    "input_size": "size",
    "input_sizes": "size",
    "interpreters": "python",
    "network": "name",
    "networks": "names",
    "taps": "tap",
}
#: An argument as the library writes it: `name` or `name=value`, or at the start what is wrong.
ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`|^(?:Network\.)?(\w+)(?=: )")


class Command(TyperCommand):
    """A command whose errors name its options, and whose help shows arguments by their names."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if param.param_type_name == "argument":
                # typer would add the type in Python's words: `NAME <list[str]>`.
                cast(Any, param).display_type_rich = _nothing

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] A B`: typer puts required arguments into braces, the sign of a choice."""
        return [re.sub(r"^\{(.*)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def invoke(self, ctx: Any) -> Any:
        """Run it; an error of the library says `--num-classes 12` for `num_classes=12`."""
        _running[:] = self.params
        _typed[:] = _words(ctx.params)
        try:
            return super().invoke(ctx)
        except GoogLeNetError as error:
            text = in_words(str(error))
            error.args = (text,)
            if isinstance(error, ImportError):  # which prints not its arguments, but this
                error.msg = text
            raise
        finally:  # what is said later is not said of this command
            _running.clear()
            _typed.clear()

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence of the help, whole: the list of commands wraps it."""
        first, _, _ = (self.help or "").partition("\n\n")
        return " ".join(first.split())


def _nothing(ctx: Any) -> None:
    """What help shows of an argument's type."""


def value_error(error: Exception) -> str | None:
    """What is wrong with the value of an option, as the library says it of an argument, if `error`
    says that it is not a number or too small: typer passes on the words of pydantic, which do not
    tell what was given.
    """
    param = getattr(error, "param", None)
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    number = next((each for each in NUMBERS if each in (kind, *get_args(kind))), None)
    faults: list[Any] = getattr(error.__cause__, "errors", list)()
    if param is None or number is None or not faults:
        return None
    given, least = faults[0]["input"], getattr(param, "min", None)
    bound = "" if least is None else f" of at least {least:g}"
    shown = given if _is_number(given) else f"'{given}'"
    return f"{option_of(param)}: expected {NUMBERS[number]}{bound}, got {shown}"


#: The types of options that hold numbers, in words.
NUMBERS = {int: "an integer", float: "a number"}


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def in_options(message: str, params: Sequence[Any], words: Collection[str] = ()) -> str:
    """`message` with the arguments that it names as the user types them. One that begins with one
    of the `words` that the user typed begins with a path, such as a folder called `out`.
    """
    known = {param.name: param for param in params}

    def typed(found: re.Match[str]) -> str:
        if found[3] in words:
            return found[0]
        name, value = found[1] or found[3], found[2]
        param = known.get(name) or known.get(OTHER_NAMES.get(name, ""))
        if param is None and name == "network":  # which `predict` calls by the weights' model
            param = known.get("model")
        if param is None:
            return found[0].strip("`")
        if param.param_type_name == "argument" and found[3]:
            return found[3]
        if param.param_type_name == "argument":
            return (param.metavar or name).strip("[] .") if value is None else value
        flag = option_of(param, value)
        if value == "False" and param.is_flag and not param.secondary_opts:
            return f"no {flag}"  # it is off unless it is given
        return flag if value in (None, "True", "False") else f"{flag} {value}"

    return ARGUMENT.sub(typed, message)


def option_of(param: Any, value: str | None = None) -> str:
    """The option that a user types for `param`: the long form, or the one that turns it off."""
    off = value == "False" and param.secondary_opts
    return str(param.secondary_opts[0] if off else max(param.opts, key=len))


def in_words(message: str) -> str:
    """`message` of the library with its arguments as the user of the running command types them."""
    return in_options(message, _running, _typed)


def _words(values: Mapping[str, Any]) -> list[str]:
    """What the user typed for parameters that take text, or several of them, as paths are shown:
    `out/` is `out`.
    """
    several = (value if isinstance(value, list) else [value] for value in values.values())
    return [str(Path(word)) for words in several for word in words if isinstance(word, str)]


#: The parameters of the running command, and the words that the user typed for them.
_running: list[Any] = []
_typed: list[str] = []
