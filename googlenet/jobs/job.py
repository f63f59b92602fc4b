"""One protocol for all work in other processes: a job in a file, its answer in a file.

Frameworks print where they like, and no two of them share a process. So what a worker is asked, how
far it is and what it found are files of one folder, and its output is a log beside them:

    NAME.job.json       the task, the framework, and values
    NAME.progress.json  the stage, how much of it is done, and how much there is
    NAME.json           the answer, or the error
    NAME.log            whatever the worker printed
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .. import errors
from ..budget import bounded_json, limited
from ..errors import BackendError, GoogLeNetError
from ..files import write_atomically
from ..paths import open_file, read_file
from ..typed import MALFORMED, made
from ..version import __version__, source_digest
from .bounds import Bounds
from .workers import failure, last_output, run_worker, worker_environment

#: Called often with the stage, how much of it is done, and how much there is (0 if unknown).
Report = Callable[[str, int, int], None]

T = TypeVar("T")

#: The longest report of progress that is read, in bytes.
LONGEST_REPORT = 4096

#: How many seconds an interpreter may take to say which googlenet it has.
VERSION_TIMEOUT = 30.0

#: The stages that every job begins with: starting a process, and loading the framework in it.
STARTING, LOADING = "starting", "loading"


@dataclass(frozen=True)
class Job:
    """What a worker is asked.

    `task` is "module:function" of this package: `function(framework, values, folder, report)`
    returns values ready for JSON, as `values` are, and may raise any error. `memory_hint` says what
    to do if memory runs out, `timeout_hint` if there is no progress.
    """

    task: str
    framework: str
    values: Mapping[str, Any] = field(default_factory=dict)
    memory_hint: str = "close other programs"
    timeout_hint: str = "if it only needs longer, give a larger `timeout`"


@dataclass(frozen=True)
class Answer:
    """The result of a job: `values`, or in `error` why there are none; `raised` is then the class
    of `googlenet.errors` that the task raised, with its `details`, or None.

    `versions` are those of the worker's packages, `threads` what its environment asked for,
    `peak_memory_bytes` the most memory it held.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    raised: str | None = None
    details: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    threads: str | None = None
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    def check(self, framework: str, failed: str = "") -> None:
        """Raises `BackendError` that names `framework`, and what `failed` there, if the worker
        could not do its job.
        """
        about = f"framework '{framework}': "
        if self.error is not None and self.error.startswith(about):
            raise BackendError(self.error)
        if self.error is not None:
            raise BackendError(about + (f"{failed}: " if failed else "") + self.error)

    def give(self, make: Callable[[Mapping[str, Any]], T]) -> T:
        """What `make` makes of the values. Raises `BackendError` if they are not what the task
        gives, whatever `make` does of them: a worker's answer is not believed.
        """
        try:
            return made(make, self.values)
        except ValueError as error:
            raise BackendError(f"its answer is not what was asked for ({error})") from error

    @classmethod
    def read(cls, path: Path, framework: str) -> Answer:
        """The answer in a file, which a worker of `framework` wrote. One that cannot be read is an
        answer with an error.
        """
        try:
            with limited(path, BackendError):
                found = bounded_json(read_file(path))
            theirs, version = found.pop("source"), found["versions"]["googlenet"]
            mismatch = different_code(str(version)[:60], str(theirs)[:60], source_digest())
            if mismatch is not None:
                return cls(error=mismatch)
            answer = made(lambda values: cls(**values), found)
            if answer.error is None and framework not in answer.versions:
                raise ValueError(f"it does not tell the version of {framework}")
            if answer.raised is not None and error_class(answer.raised) is None:
                raise ValueError(f"it raised {answer.raised[:60]}")
            return answer
        except (OSError, BackendError, *MALFORMED) as error:  # the second for more than the budget
            what = " ".join((str(error) or type(error).__name__).split())[:400]
            return cls(error=f"gave an answer that cannot be read ({what})")


def run_job(
    job: Job,
    folder: Path,
    *,
    name: str | None = None,
    interpreter: str | None = None,
    threads: int | None = None,
    processes: int = 1,
    timeout: float,
    stop: threading.Event | None = None,
    report: Report = lambda stage, done, total: None,
    gentle: bool = False,
    bounds: Bounds | None = None,
) -> Answer:
    """Have a worker do `job` in `folder`, which must exist, and return its answer; never raises for
    what the worker does.

    `name` is the name of its files, by default the framework's; `interpreter` is the Python that
    has the framework, by default this one; `threads` is as in `worker_environment`. A worker that
    reports nothing new for `timeout` seconds is killed, and so is one still running when `stop` is
    set, with time to save first if `gentle`, or one that takes more than `bounds`; its children are
    killed with it.
    """
    name = name or job.framework
    python = interpreter or sys.executable
    answer, log = folder / f"{name}.json", folder / f"{name}.log"
    progress = folder / f"{name}.progress.json"
    asked = {**asdict(job), "version": __version__, "source": source_digest()}
    try:
        for old in (answer, progress):
            old.unlink(missing_ok=True)
        write_atomically(folder / f"{name}.job.json", json.dumps(asked).encode())
    except OSError as problem:
        what = next((each for each in (answer, progress) if each.is_dir()), folder)
        return Answer(error=f"{what}: cannot be written ({problem.strerror or problem})")
    report(STARTING, 0, 0)

    heard = ""

    def look() -> str:
        """What was last reported; what is no report is no sign of life."""
        nonlocal heard
        try:
            with open_file(progress) as file:
                text = file.read(LONGEST_REPORT).decode()
            stage, done, total = made(lambda text: _Progress(*json.loads(text)), text).told
        except (OSError, ValueError):
            return heard
        heard = text
        report(stage, done, total)
        return heard

    stop = stop or threading.Event()
    environment = worker_environment(threads, processes=processes)
    ending = run_worker(
        [python, "-m", "googlenet.jobs.worker", str(folder), name],
        log,
        environment,
        look=look,
        timeout=timeout,
        stop=stop,
        gentle=gentle,
        bounds=bounds,
    )
    if ending.error is None and not ending.hung and answer.is_file():
        return Answer.read(answer, job.framework)
    error = failure(
        ending,
        log,
        timeout=timeout,
        memory_hint=job.memory_hint,
        timeout_hint=job.timeout_hint,
    )
    if ending.hung or ending.excess or stop.is_set():  # it was ended, and did not fail to start
        return Answer(error=error)
    return Answer(error=_other_version(python, environment, log, stop) or error)


@dataclass(frozen=True)
class _Progress:
    """What a worker reports."""

    stage: str
    done: int
    total: int

    @property
    def told(self) -> tuple[str, int, int]:
        return self.stage, self.done, self.total


def error_class(name: str) -> type[GoogLeNetError] | None:
    """The class of `googlenet.errors` with this name; None if there is none."""
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, GoogLeNetError) else None


def different_code(version: str, source: str, mine: str) -> str | None:
    """A message that an interpreter has a different googlenet from this one, whose `source_digest`
    is `mine`. None if it has the same.
    """
    if version != __version__:
        return (
            f"its interpreter has googlenet {version}, but this one has {__version__}; install the"
            " same version in both"
        )
    if source != mine:
        return (
            f"its googlenet {version} has different code (digest {source}) from the one here"
            f" ({mine}); install the same checkout in both"
        )
    return None


def _other_version(
    python: str, environment: dict[str, str], log: Path, stop: threading.Event
) -> str | None:
    """A message that an interpreter which could not start its worker has another version of this
    project, in which the worker may have another name. None if it has this version, or none.
    """
    said = log.with_suffix(".version")
    run_worker(
        [python, "-c", "import googlenet; print(googlenet.__version__)"],
        said,
        environment,
        look=lambda: None,
        timeout=VERSION_TIMEOUT,
        stop=stop,
    )
    version = last_output(said)
    with suppress(OSError):
        said.unlink()
    if not re.fullmatch(r"\d+\.\d+\S*", version):  # it is not a Python that has googlenet
        return None
    return different_code(version, "", "")
