"""Measures the traps of one framework: its users' code and the right code are run on the same
question, and both answers compared with the right one.
"""

from __future__ import annotations

import inspect
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array
from ...backend.call import Chain
from ...backend.discovery import get_backend
from ...backend.precision import FULL_PRECISION
from ...backend.protocols import RunsLayers, SetsPrecision, ShowsTraps
from ...backend.snippets import Code, Gallery, Outcome, Shown, absent
from ...backend.threads import use_threads
from ...errors import BackendError
from ...jobs.job import Report
from ...source.scope import Scope, sorted_imports
from ...spec.traversal import walk
from .question import Question, error_of, is_number
from .table import TRAPS, Trap, find_trap


@dataclass(frozen=True)
class Found:
    """A trap in one framework, as it was measured.

    `error` is that of the users' code, None if it raises an error, whose text is `message`, or if
    there is none; infinite if the shape differs, or something is not finite. `answer` and `right`
    are both numbers or shapes.
    `right_error` is that of the right code, which must be at most `limit`. Code is text, "" where
    there is none: `default`, `corrected` and `helpers`, the classes that the framework lacks, which
    run after the statements `helper_imports`.
    """

    trap: str
    outcome: Outcome
    expected: Outcome
    error: float | None = None
    answer: float | tuple[int, ...] | None = None
    right: float | tuple[int, ...] | None = None
    right_error: float | None = None
    limit: float = 0.0
    default: str = ""
    corrected: str = ""
    helpers: str = ""
    helper_imports: str = ""
    message: str = ""
    remark: str = ""
    raises: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the trap is, or is not, there as the backend says, and its right code is right; a
        refusal also begins as the backend says.

        If a trap is no longer there, an upgrade of the framework has mended it.
        """
        right = self.right_error is None or self.right_error <= self.limit
        return right and self.outcome is self.expected and self.message.startswith(self.raises)

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys; an infinite error is null, and `answer` has the shape
        that differs. An answer that is no finite number is "nan", "inf" or "-inf".
        """
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("outcome", "expected"):
            values[name] = values[name].value
        for name in ("answer", "right"):
            values[name] = _plain(values[name])
        for name in ("error", "right_error"):
            values[name] = _finite(values[name])
        return {**values, "as_expected": self.as_expected}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Found:
        """The inverse of `to_json`."""
        found = {each.name: values[each.name] for each in fields(cls)}
        for name in ("outcome", "expected"):
            found[name] = Outcome(found[name])
        for name in ("answer", "right"):
            if isinstance(found[name], list):
                found[name] = tuple(found[name])
            elif isinstance(found[name], str):
                found[name] = float(found[name])
        if found["error"] is None and found["answer"] is not None:
            found["error"] = math.inf
        has_right_code = found["corrected"] or found["outcome"] is Outcome.FAILED
        if found["right_error"] is None and has_right_code:
            found["right_error"] = math.inf
        return cls(**found)


def _plain(answer: float | tuple[int, ...] | None) -> float | str | list[int] | None:
    """An answer as JSON can hold it, which has no NaN and no infinity."""
    if isinstance(answer, tuple):
        return list(answer)
    return answer if _finite(answer) == answer else str(answer)


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def measure(backend: ShowsTraps, trap: Trap) -> Found:
    """What becomes of `trap` in `backend`. Raises what the right code raises; what the users' code
    raises is a result.
    """
    gallery = backend.shown_traps()
    shown = _shown(gallery, trap.name)
    asked = trap.ask()
    corrected = _right_code(gallery, shown, asked)
    texts = {
        "default": "" if shown.default is None else gallery.text(shown.default),
        "corrected": "" if corrected is None else gallery.text(corrected),
        **({} if corrected is None else _helpers(gallery, corrected)),
        "remark": shown.remark,
    }
    if corrected is not None:
        right_error = error_of(answer_of(backend, corrected, asked), asked)
    else:
        right_error = None
    common: dict[str, Any] = {
        "trap": trap.name,
        "expected": shown.expected,
        "right_error": right_error,
        "limit": asked.limit,
        "raises": shown.raises,
        **texts,
    }
    if shown.default is None:
        return Found(outcome=Outcome.ABSENT, **common)
    try:
        answer = answer_of(backend, shown.default, asked)
    # That a framework refuses the code is a result, whatever it raises.
    except Exception as error:
        return Found(outcome=Outcome.REFUSES, message=_words(error), **common)
    error_found = error_of(answer, asked)
    return Found(
        outcome=Outcome.AGREES if error_found <= asked.limit else Outcome.DIFFERS,
        error=error_found,
        answer=float(answer) if is_number(asked) else tuple(answer.shape),
        right=float(asked.right) if is_number(asked) else tuple(asked.right.shape),
        **common,
    )


def _helpers(gallery: Gallery, code: Code) -> dict[str, str]:
    """The sources of what the framework lacks and `code` uses, with what these use in turn of their
    own modules, and the statements that import the rest.
    """
    sources: dict[str, None] = {}
    imports: list[str] = []
    for target in gallery.lacking(code):
        scope = Scope(gallery.namespaces, sys.modules[target.__module__], {})
        scope.name(target)
        sources |= dict.fromkeys(scope.helpers)
        imports += scope.imports("\n".join(scope.helpers))
    return {
        "helpers": "\n\n\n".join(sources),
        "helper_imports": "\n".join(sorted_imports("\n".join(imports))),
    }


def _shown(gallery: Gallery, name: str) -> Shown:
    return gallery.entries.get(name, absent("Its plugin does not show this trap."))


def _words(error: Exception) -> str:
    """An error in one line: its class and first line, or its last one where frames come first."""
    lines = [each.strip() for each in str(error).splitlines() if each.strip()] or ["no message"]
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    kind = type(error).__name__
    return line if line.startswith(f"{kind}: ") else f"{kind}: {line}"


def _right_code(gallery: Gallery, shown: Shown, asked: Question) -> Code | None:
    """The right code, None if the users' is: by default the adapter's own layer. Raises
    `BackendError` if there is none.
    """
    if shown.expected in (Outcome.AGREES, Outcome.ABSENT):
        return None
    if shown.right is not None:
        return shown.right
    if asked.network is None or gallery.leaf is None:
        raise BackendError("the plugin gives no right code")
    (site,) = walk(asked.network)
    return gallery.leaf(site)


def answer_of(backend: ShowsTraps, code: Code, asked: Question) -> Array:
    """What `code` answers, as the question sums it up. Raises what the framework raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what counts is what it computes
        if isinstance(code, tuple):
            found = _layers(backend, code, asked)[asked.observed]
        else:
            names = inspect.signature(code).parameters
            found = backend.run_function(code, {each: asked.arguments[each] for each in names})
    found = asked.summary(found)
    return np.reshape(found, ()) if is_number(asked) else found


def _layers(backend: ShowsTraps, chain: Chain, asked: Question) -> dict[str, Array]:
    if asked.network is None:
        raise BackendError(f"{backend.name}: this trap is not about a layer: give a function")
    if not isinstance(backend, RunsLayers):
        raise BackendError(f"{backend.name}: has no `run_layers`: give a function")
    images = asked.arguments["images"]
    return backend.run_layers(chain, asked.network, asked.params, images, train=asked.train)


def measure_all(
    backend: ShowsTraps,
    names: Iterable[str] = tuple(TRAPS),
    report: Callable[[int], None] = lambda done: None,
) -> list[Found]:
    """What becomes of the traps `names`; one whose right code raises an error has failed."""
    found = []
    for done, name in enumerate(names):
        report(done)
        trap = find_trap(name)
        try:
            found.append(measure(backend, trap))
        # The right code of one trap may fail on another version of the framework: the others stand.
        except Exception as error:
            shown = _shown(backend.shown_traps(), name)
            found.append(
                Found(
                    name,
                    Outcome.FAILED,
                    shown.expected,
                    right_error=math.inf,
                    message=_words(error),
                )
            )
    return found


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """A worker's answer: the traps `names` in `framework`, ready for JSON; `shown` is False if its
    backend shows none.
    """
    os.environ.update(FULL_PRECISION)  # before the framework is imported, which reads them
    backend = get_backend(framework)
    if not isinstance(backend, ShowsTraps):
        return {"shown": False}
    use_threads(backend)
    if isinstance(backend, SetsPrecision):
        backend.set_full_precision()
    names = values["names"]
    found = measure_all(backend, names, lambda done: report("traps", done, len(names)))
    return {
        "shown": True,
        "imports": backend.shown_traps().imports,
        "traps": [each.to_json() for each in found],
    }
