"""A user's own model in a file, FILE:NAME, loaded in a process of its own.

What is in the file is run with the rights of the user who asks for it. It is kept apart for what it
may do by accident, not for what it may do on purpose: it may print, exit, never end, fork or crash,
and only its own process does.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, TypeGuard

from ..backend.discovery import (
    FRAMEWORKS_GROUP,
    REFERENCE,
    SHIPPED,
    canonical_name,
    chosen_frameworks,
    entry_points,
    get_backend,
    install_command,
)
from ..errors import BackendError, GoogLeNetError, ModelFileError, UnknownNameError
from ..paths import kind_at
from .bounds import Bounds
from .job import Answer, Job, Report, error_class, run_job

#: The stages of a job that runs the user's code: their file, and what makes the model. A task that
#: runs the model itself reports a stage of its own, `TRACING`.
RUNNING, MAKING, TRACING = "running the file", "making the model", "tracing"

#: What the user's code may take at most: more is a mistake, and would stop the whole machine.
BOUNDS: Final = Bounds()

#: The most characters of a traceback that are kept, and the most names of a file that are listed.
LONGEST, MOST_NAMES = 20_000, 12

#: What the argument for images is usually called.
IMAGES: Final = ("x", "image", "images", "img", "input", "inputs", "input_tensor", "tensor", "data")

#: Other packages of frameworks that users import: the framework's own is called as it is.
_PACKAGES: Final[Mapping[str, str]] = {"keras": "tensorflow", "torchvision": "torch"}


@dataclass(frozen=True)
class Own:
    """FILE:NAME as the user typed it; its `file` is as typed, too."""

    file: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"


def is_own(text: Any) -> TypeGuard[str]:
    """Whether what was given for a network means a model in a file, and not a network's name:
    before a colon stands a path, or what ends as a file of Python does.
    """
    if not isinstance(text, str):
        return False
    file, _, _ = text.rpartition(":")
    return _is_file(file) or _is_file(text)


def _is_file(text: str) -> bool:
    return text.lower().endswith((".py", ".ipynb")) or any(
        separator in text for separator in {"/", os.sep}
    )


def own_of(text: str) -> Own:
    """The file and the name that FILE:NAME means. Raises `ModelFileError` unless both are there,
    and the file is one of Python's.
    """
    file, colon, name = text.rpartition(":")
    if not colon or not _is_file(file):
        raise ModelFileError(
            f"{text}: expected FILE:NAME, a file and the name in it of a model, or of what makes"
            f" one, such as {text if _is_file(text) else 'mynet.py'}:net"
        )
    path = Path(file)
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        raise ModelFileError(f"{file}: expected a Python name after the colon, got '{name}'")
    kind = kind_at(path, ModelFileError)
    if kind == "folder":
        raise ModelFileError(f"{file}: is a folder, expected a file that ends in .py")
    if path.suffix.lower() == ".ipynb":
        raise ModelFileError(
            f"{file}: is a notebook, expected a file that ends in .py; export it as a script with"
            " Jupyter"
        )
    if path.suffix.lower() != ".py":
        raise ModelFileError(f"{file}: expected a Python file, whose name ends in .py")
    if kind != "file":
        what = f"is a {kind}, not a file" if kind else f"does not exist{_close_file(path)}"
        raise ModelFileError(f"{file}: {what}")
    return Own(file, name)


def _close_file(path: Path) -> str:
    """The file beside it whose name is nearly the same."""
    try:
        beside = [each.name for each in path.parent.glob("*.py")]
    except OSError:
        return ""
    return _close(path.name, beside)


def _close(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


# Which framework ----------------------------------------------------------------------------------


def packages() -> dict[str, str]:
    """The framework of each top-level package by which users import one, the reference's apart."""
    known = {name: name for name in SHIPPED} | dict(_PACKAGES)
    known |= {point.value: name for name, point in entry_points(FRAMEWORKS_GROUP).items()}
    return {package: name for package, name in known.items() if name != REFERENCE}


def framework_of(
    own: Own, framework: str | None, interpreters: Mapping[str, str] | None = None
) -> str:
    """The canonical name of `framework`; of None the one that the file imports, which is read and
    not run.

    Raises `ModelFileError` if that is none or several, or if the file imports another one and
    `framework` is not there; what `chosen_frameworks` raises if it is neither installed nor has an
    interpreter in `interpreters` (a path by framework).
    """
    imported = _imported(own.file)
    if framework is None and len(imported) != 1:
        what = f"imports {' and '.join(imported)}" if imported else "imports no framework"
        raise ModelFileError(
            f"{own.file}: {what}; name the framework of its model: `own_framework`"
        )
    named = imported[0] if framework is None else canonical_name(framework)
    try:
        return chosen_frameworks([named], interpreters)[0]
    except (BackendError, UnknownNameError) as error:
        if framework is None or not imported or named in imported:
            raise
        raise ModelFileError(
            f"{own.file}: imports {' and '.join(imported)}, but the framework named is"
            f" '{framework}', which is not available here; name {' or '.join(imported)}"
            " (`own_framework`)"
        ) from error


def _imported(file: str) -> list[str]:
    """The frameworks that a file imports, from its text alone."""
    try:
        source = Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ModelFileError(f"{file}: cannot be read ({error.strerror or error})") from error
    known = packages()
    lines = re.findall(r"^[ \t]*(?:import|from)[ \t]+([^#\n]+)", source, re.MULTILINE)
    # Any part of a name: the book's own package has `from d2l import torch as d2l`.
    words = [word for line in lines for word in re.findall(r"[^\W\d]\w*", line)]
    return list(dict.fromkeys(known[word] for word in words if word in known))


def frameworks_of(value: Any) -> list[str]:
    """The frameworks from whose classes an object's class is derived: those of Keras are not only
    TensorFlow's.
    """
    known = packages()
    names = [str(each.__module__).partition(".")[0] for each in type(value).__mro__]
    return list(dict.fromkeys(known[name] for name in names if name in known))


# In the worker ------------------------------------------------------------------------------------


def load_own(
    file: str, name: str, framework: str, report: Report = lambda stage, done, total: None
) -> Any:
    """The model `name` of `file`, for a task in a worker of `framework`: what has that name, or
    what it gives when it is called without arguments. A function that needs one argument is the
    model itself, and what it needs are the images.

    The file is run as a module of its own, not as a program: its folder is first on the path, and
    `sys.argv` has its path alone. Raises `ModelFileError` if it cannot be run, exits or raises, or
    has no such model; `BackendError` if the framework is not there.
    """
    get_backend(framework)  # before the file's folder is on the path: a file may be called torch.py
    framework = canonical_name(framework)
    report(RUNNING, 0, 0)
    module = _run(file, framework)
    found = _named(file, name, module)
    if image_argument(found) is not None:
        return found
    if not _makes(found):
        return _checked(file, name, found, framework, made=False)
    report(MAKING, 0, 0)
    with users_code(file):
        _check_arguments(file, name, found)
        made = found()
    return _checked(file, name, made, framework, made=True)


@cache
def absolute(file: str) -> str:
    """Where a file is; once known it stays so, wherever its code goes."""
    return os.path.abspath(file)


class _Source(SourceFileLoader):
    """Reads the source, and never an old compiled file beside it."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _run(file: str, framework: str) -> ModuleType:
    """The file as a module that has been run."""
    path = absolute(file)
    stem = Path(path).stem
    taken = stem in sys.modules or stem in sys.stdlib_module_names or not stem.isidentifier()
    called = f"own_{re.sub(r'[^0-9a-zA-Z_]', '_', stem)}" if taken else stem
    sys.argv[:] = [path]
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    loader = _Source(called, path)
    spec = importlib.util.spec_from_file_location(called, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[called] = module  # where pickle, dataclasses and a neighbour look for it
    sys.dont_write_bytecode = True  # for the modules beside the file, too: nothing is left there
    with users_code(file, framework):
        loader.exec_module(module)
    return module


def _named(file: str, name: str, module: ModuleType) -> Any:
    """What has the name, which may have dots."""
    found: Any = module
    for part in name.split("."):
        with users_code(file):
            there = hasattr(found, part)
            names = [] if there else _names(found, module.__name__)
            found = getattr(found, part, None)
        if there:
            continue
        shown = ", ".join(names[:MOST_NAMES])
        if len(names) > MOST_NAMES:
            shown += f" and {len(names) - MOST_NAMES} more"
        what = f"it has {shown}" if names else "it has no models, classes or functions"
        raise ModelFileError(f"{file}: has no '{name}'; {what}{_close(part, names)}")
    return found


def _names(inside: Any, module: str) -> list[str]:
    """The names of the models in a module or class, and of the classes and functions that the
    module has written.
    """
    return [
        name
        for name, value in list(getattr(inside, "__dict__", {}).items())
        if not name.startswith("_")
        and (
            isinstance(value, partial) or getattr(value, "__module__", None) == module
            if _makes(value)
            else callable(value) and frameworks_of(value)
        )
    ]


def _makes(value: Any) -> bool:
    """Whether it is to be called to get a model: a class, a function, or what wraps one."""
    return isinstance(value, type | partial) or inspect.isroutine(value) or _wraps(value)


def _wraps(value: Any) -> bool:
    return hasattr(value, "__wrapped__") and not frameworks_of(value)


def _check_arguments(file: str, name: str, make: Any) -> None:
    """Raises `ModelFileError` if it cannot be called without arguments."""
    needed = [each.name for each in _needed(make)]
    if needed:
        raise ModelFileError(
            f"{file}: '{name}' needs {_counted(needed)}; {_around(needed, file, name)}"
        )


def _needed(make: Any) -> list[inspect.Parameter]:
    """The parameters without which it cannot be called; none if it tells nobody what it takes."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return []
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each for each in parameters if each.default is each.empty and each.kind not in several]


def _around(needed: list[str], file: str, name: str) -> str:
    given = ", ".join(f"{each}=…" for each in needed)
    return (
        f"write a function without arguments around it, such as 'def made(): return"
        f" {name}({given})', and name that: {file}:made"
    )


def image_argument(value: Any) -> str | None:
    """The name of the argument for the images, if `value` is a function that needs one argument and
    no more; None for anything else.
    """
    if isinstance(value, type) or not _makes(value):
        return None
    if isinstance(value, partial) and isinstance(value.func, type):
        return None
    needed = _needed(value)
    if len(needed) != 1 or needed[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return None
    return needed[0].name


def function_advice(value: Any, file: str, name: str) -> str:
    """What to add to an error of `value` with images, if it is a function that perhaps makes a
    model; "" if it is none.
    """
    argument = image_argument(value)
    if argument is None or argument.lower() in IMAGES:
        return ""
    return (
        f"; '{name}' needs {_counted([argument])}, so it was called with the images: if it makes a"
        f" model, {_around([argument], file, name)}"
    )


def _counted(needed: list[str]) -> str:
    names = ", ".join(f"`{each}`" if len(each) == 1 else f"'{each}'" for each in needed)
    return f"the argument {names}" if len(needed) == 1 else f"the arguments {names}"


def _checked(file: str, name: str, value: Any, framework: str, *, made: bool) -> Any:
    """`value`, if it may be a model of the framework: what it says of itself is left to that."""
    theirs = frameworks_of(value)
    which = f"what '{name}' gives when it is called" if made else f"'{name}'"
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if value is None and made:
        raise ModelFileError(
            f"{file}: '{name}' gives None when it is called, expected a model; does it return one?"
        )
    if framework in theirs and callable(value):
        return value
    if theirs and callable(value):
        raise ModelFileError(
            f"{file}: {which} is a model of {theirs[0]} ({kind}), but the framework named is"
            f" {framework}; name {theirs[0]} (`own_framework`)"
        )
    raise ModelFileError(f"{file}: {which} is not a model of {framework}, but {_a(kind)}")


def _a(kind: str) -> str:
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


@contextmanager
def users_code(file: str, framework: str | None = None) -> Iterator[None]:
    """Around whatever runs the user's code: an error of theirs becomes a `ModelFileError`, whose
    `details` are their own part of the traceback, and an error of ours gets such details.

    A process that the block forks ends with it.
    """
    started = os.getpid()
    try:
        yield
    except MemoryError:
        raise
    except GoogLeNetError as error:
        if error.__cause__ is not None and not error.details:
            error.details = users_traceback(error.__cause__, file)
        raise
    except SystemExit as error:
        raise ModelFileError(
            f"{_where(error, file)}: ends the interpreter (exit code {error.code!r}); "
            + (_PROGRAM if framework is not None else "take that out of the model"),
            details=users_traceback(error, file),
        ) from error
    except BaseException as error:
        raise ModelFileError(
            f"{_where(error, file)}: {_said(error)}{_advice(error, framework)}",
            details=users_traceback(error, file),
        ) from error
    finally:
        if os.getpid() != started:  # a child that the code forked, and that came out of it
            os._exit(0)


_PROGRAM: Final = (
    "code that should run only as a program belongs under 'if __name__ == \"__main__\":'"
)


def _said(error: BaseException) -> str:
    """The class of an error and its first line, for a syntax error with the line of code; without
    the traceback that frameworks put before it, or the class again.
    """
    if isinstance(error, SyntaxError):
        line = f": {error.text.strip()}" if error.text else ""
        return f"{type(error).__name__}: {error.msg}{line}"
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an error class of the user's, which may not even print
        lines = []
    called = type(error).__name__
    if lines[:1] == ["Traceback (most recent call last):"]:
        lines = [line for line in lines[1:] if not line.startswith((" ", "["))]
    return f"{called}: {lines[0].removeprefix(f'{called}: ')[:500]}" if lines else called


def _where(error: BaseException, file: str) -> str:
    """The last line of the user's that led to an error."""
    if isinstance(error, SyntaxError) and error.filename:
        same = absolute(file) == error.filename
        return f"{file if same else error.filename}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame)]
    if not frames:
        return file
    last = frames[-1]
    shown = file if last.filename == absolute(file) else last.filename
    inside = "" if last.name.startswith("<") else f", in {last.name}"
    return f"{shown}, line {last.lineno}{inside}"


def _advice(error: BaseException, framework: str | None) -> str:
    if isinstance(error, EOFError):
        return "; input() cannot be used here: there is no keyboard"
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    package = error.name.partition(".")[0]
    theirs = packages().get(package)
    if theirs is not None and framework not in (None, theirs):
        return (
            f"; the file is for {theirs}, but the framework named is {framework}: name {theirs}"
            " (`own_framework`)"
        )
    return f"; install {package} for {sys.executable}, or name another interpreter: `interpreters`"


def users_traceback(error: BaseException | None, file: str) -> str:
    """The traceback of `error`, and of what led to it, with the user's lines only; "" if there are
    none.
    """
    if error is None:
        return ""
    told = traceback.TracebackException.from_exception(error)
    if not _cut(told):
        return ""
    # Without colours, which Keras writes into its errors.
    text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(told.format())).rstrip()
    return text if len(text) <= LONGEST else f"…{text[-LONGEST:]}"


def _cut(told: traceback.TracebackException) -> bool:
    """Leave the user's frames in `told`, and in what led to it; whether any is left."""
    frames = [frame for frame in told.stack if _is_users(frame)]
    told.stack = traceback.StackSummary.from_list(frames)
    # The line of a syntax error is no frame.
    left = bool(frames) or issubclass(told.exc_type or Exception, SyntaxError)
    for inner in told.exceptions or ():
        left |= _cut(inner)
    for name in ("__cause__", "__context__"):
        before = getattr(told, name)
        if before is not None and _cut(before):
            left = True
        else:  # it happened inside a library
            setattr(told, name, None)
    return left


#: Where code is that is not the user's: this package, Python's own, and what is installed.
_OTHERS: Final = tuple(
    {
        os.path.join(os.path.realpath(folder), "")
        for folder in (
            str(Path(__file__).parents[1]),
            *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        )
    }
)


def _is_users(frame: traceback.FrameSummary) -> bool:
    return is_users_file(frame.filename)


@cache
def is_users_file(name: str) -> bool:
    """Whether the file of some code is the user's, and no library's."""
    if name.startswith("<"):
        return False
    path = os.path.realpath(name)
    return not path.startswith(_OTHERS) and not path.startswith(_plugins())


@cache
def _plugins() -> tuple[str, ...]:
    """The folders of the plugins that are loaded: an editable one is in nobody's site-packages."""
    found = []
    for point in entry_points().values():
        module = sys.modules.get(point.value.partition(":")[0].partition(".")[0])
        origin = getattr(module, "__file__", None)
        if origin:
            found.append(os.path.join(os.path.realpath(os.path.dirname(origin)), ""))
    return tuple(found)


# In the core --------------------------------------------------------------------------------------


def run_own(
    task: str,
    own: Own,
    framework: str,
    folder: Path,
    values: Mapping[str, Any],
    *,
    interpreter: str | None = None,
    threads: int | None = None,
    timeout: float,
    report: Report = lambda stage, done, total: None,
) -> Answer:
    """The answer of a job on a user's model: `task`, as in `Job`, is given `values` with the `file`
    and the `name` for `load_own`.

    Raises `ModelFileError` if the user's code fails, ends its process or does not end, what the
    task raised of `googlenet.errors`, and `BackendError` for the rest.
    """
    last = ""

    def heard(stage: str, done: int, total: int) -> None:
        nonlocal last
        last = stage
        report(stage, done, total)

    job = Job(
        task,
        framework,
        {**values, "file": own.file, "name": own.name},
        memory_hint="give a smaller `input_shape`",
    )
    answer = run_job(
        job,
        folder,
        interpreter=interpreter,
        threads=threads,
        timeout=timeout,
        report=heard,
        bounds=BOUNDS,
    )
    if answer.error is None:
        return answer
    kind = None if answer.raised is None else error_class(answer.raised)
    if kind is not None and kind is not BackendError:
        raise kind(answer.error, details=answer.details)
    if answer.raised is None and last in _DOING:
        raise ModelFileError(f"{own.file}: while {_DOING[last]}, the process {answer.error}")
    if answer.raised is None and "No module named" in answer.error and "googlenet" in answer.error:
        raise BackendError(
            f"framework '{framework}': {interpreter} has no googlenet; install it and the plugin"
            f" there: {install_command(framework)}"
        )
    answer.check(framework)
    raise AssertionError("an answer with an error passed its check")


_DOING: Final[Mapping[str, str]] = {
    RUNNING: "the file was being run",
    MAKING: "the model was being made",
    TRACING: "the model was being traced",
}
