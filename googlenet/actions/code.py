"""A network as stand-alone source, as each framework's users write it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..backend.discovery import (
    REFERENCE,
    canonical_name,
    chosen_frameworks,
    framework_version,
    get_backend,
)
from ..backend.protocols import Writes
from ..backend.threads import prepared_backend
from ..errors import BackendError, UnknownNameError
from ..files import write_atomically, writing
from ..jobs.job import Job, Report, run_job
from ..source.pages import html_page, markdown
from ..source.printing import printed
from ..source.write import Written, block_path, write
from ..spec.layers import Network, Shape
from ..spec.serial import from_json, to_json
from ..temporary import temporary_folder
from .arguments import by_framework, path_of, seconds, several
from .own import network_or_own

#: The forms of the answer: a file of Python, or pages.
FORMATS: Final = ("py", "md", "html")

#: Told the framework, the stage of its work, and how much of how much of that is done.
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True)
class Source:
    """A file of source: the framework and its version, what the file defines, and its text.

    `name` is the class, or in a functional style the function, that makes the model when it is
    called without arguments; for a single block it is the variable that holds it, or in a
    functional style its output.
    """

    framework: str
    framework_version: str
    name: str
    text: str

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())


@dataclass(frozen=True)
class Code:
    """A network, or with `block` the composite at that path, as source in one or more
    frameworks.
    """

    network: Network
    block: str | None
    sources: tuple[Source, ...]

    @property
    def title(self) -> str:
        """What is written here, in words."""
        return self.network.name if self.block is None else f"{self.block} of {self.network.name}"

    def formatted(self, form: str | None = None) -> str:
        """The answer as one text: `py`, the default for one framework, or a page, `md`, the default
        for several, or `html`.

        Raises `UnknownNameError` for any other form, or for `py` with several frameworks.
        """
        form = check_format(form, [each.framework for each in self.sources])
        if form == "py":
            return self.sources[0].text
        page = markdown if form == "md" else html_page
        title = printed(self.title)
        titled = {f"{each.framework} {each.framework_version}": each.text for each in self.sources}
        return page(title, titled)

    def save(self, path: str | os.PathLike[str], form: str | None = None) -> None:
        """Write `formatted(form)` to `path`, whose ending decides if `form` is None. Raises
        `UnknownNameError` as `formatted` does, and for a `path` that ends as another form does;
        `DataError` if the file cannot be written.
        """
        target = path_of("path", path)
        form = format_of(target, form)
        with writing(target):
            write_atomically(target, self.formatted(form).encode())

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        return {
            "network": self.network.name,
            "source": self.network.source,
            "input_shape": list(self.network.input_shape),
            "block": self.block,
            "sources": [
                {
                    "framework": each.framework,
                    "framework_version": each.framework_version,
                    "name": each.name,
                    "lines": each.lines,
                    "text": each.text,
                }
                for each in self.sources
            ],
        }


def code(
    network: str | Network = "googlenet",
    frameworks: str | Sequence[str] | None = None,
    *,
    block: str | None = None,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    own_framework: str | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    timeout: float = 300.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Code:
    """`network`, a name, a `Network` or FILE:NAME as for `own_network`, as stand-alone source in
    each of `frameworks`, by default all installed ones that can be written.

    The source has no trace of this project: it is what the framework's users write, one class for
    each kind of block, and it loads the native weights file that `convert` writes for the
    framework. `block` is the path of a composite such as `b3.inception_3a`, or its last name; only
    what it needs is written then, and the line that makes it. `input_shape` is (C, H, W).

    One framework is imported in this process. Several, or one with an interpreter in
    `interpreters` (a path by framework), are each imported in a process of their own, which is
    killed after `timeout` seconds without progress. `progress` is told how far each is.

    Raises `UnknownNameError`, `SpecError`, `ShapeError` or `BackendError`, and what `own_network`
    raises.
    """
    timeout = seconds(timeout)
    spec, _ = network_or_own(
        network,
        own_framework=own_framework,
        num_classes=num_classes,
        input_shape=input_shape,
        aux=aux,
        dialect=dialect,
        interpreters=interpreters,
        timeout=timeout,
        progress=progress,
    )
    path = None if block is None else block_path(spec, block)
    paths = by_framework("interpreters", interpreters)
    asked = None if frameworks is None else several("frameworks", frameworks)
    chosen = chosen_frameworks(asked, paths)
    if asked is None:
        chosen = [name for name in chosen if name != REFERENCE]
    if asked is not None and len(chosen) == 1 and chosen[0] not in paths:
        (framework,) = chosen
        backend = prepared_backend(framework)
        if not isinstance(backend, Writes):
            raise _unwritable(framework)
        written = write(spec, backend, block=path)
        sources = [_source(framework, framework_version(framework), written)]
    else:
        sources = _from_workers(spec, path, chosen, paths, timeout, progress, skip=asked is None)
    if not sources:
        raise UnknownNameError(
            "`frameworks`: no installed framework has a backend that can write source code; install"
            " one, or name an interpreter that has it: `interpreters` torch=PATH"
        )
    return Code(spec, path, tuple(sources))


def _source(framework: str, version: str, written: Written) -> Source:
    return Source(canonical_name(framework), version, written.name, written.text)


def _unwritable(framework: str) -> BackendError:
    return BackendError(
        f"framework '{framework}': its backend cannot write source code; name another framework"
    )


def _from_workers(
    network: Network,
    block: str | None,
    frameworks: Sequence[str],
    interpreters: Mapping[str, str],
    timeout: float,
    progress: Progress,
    *,
    skip: bool,
) -> list[Source]:
    """The source of each framework, from a process of its own; with `skip` without those that have
    none. Raises `BackendError` if one fails.
    """
    found: list[Source] = []
    with temporary_folder("code") as folder:
        values = {"network": to_json(network, labels=True), "block": block}
        for framework in frameworks:
            job = Job("googlenet.actions.code:answer", framework, values)
            python = interpreters.get(framework)
            report = partial(progress, framework)
            got = run_job(job, folder, interpreter=python, timeout=timeout, report=report)
            got.check(framework)
            answered = got.give(_Answered.of)
            if answered.written is not None:
                found.append(_source(framework, got.versions[framework], answered.written))
            elif not skip:
                raise _unwritable(framework)
    return found


@dataclass(frozen=True)
class _Answered:
    """What a worker answered."""

    written: Written | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Answered:
        text, name = values["text"], values["name"]
        return cls(None if text is None else Written(text, name))


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """What a worker answers: the text and what it defines, None for a framework that has none."""
    network = from_json(values["network"])
    backend = get_backend(framework)
    if not isinstance(backend, Writes):
        return {"text": None, "name": None}
    written = write(network, backend, block=values["block"])
    return {"text": written.text, "name": written.name}


def format_of(path: str | os.PathLike[str], form: str | None = None) -> str:
    """The form of a file: `form`, or by default what its ending says. Raises `UnknownNameError` if
    that says none of `FORMATS`, or another than `form`.
    """
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise UnknownNameError(f"{path}: expected a name that ends in .py, .md or .html")
    if form not in (None, ending) and form in FORMATS:
        raise UnknownNameError(
            f"{path}: expected a name that ends in .{form}, since `format` is {form}; leave"
            " `format` out, or rename the file"
        )
    return ending if form is None else form


def check_format(form: str | None, frameworks: Sequence[str]) -> str:
    """`form`, or by default the one for so many different `frameworks`. Raises `UnknownNameError`
    for one that does not exist, or that has room for only one framework.
    """
    count = len(set(map(canonical_name, frameworks))) or 1
    if form is None:
        return "py" if count == 1 else "md"
    if form not in FORMATS:
        raise UnknownNameError(f"`format`: expected one of {', '.join(FORMATS)}, got '{form}'")
    if form == "py" and count > 1:
        raise UnknownNameError(
            f"a .py file holds the code of one framework, got {count}; give `format` md or html,"
            " and an `out` that ends in it, or name one framework"
        )
    return form
