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
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BackendError
from ..files import write_atomically
from ..version import __version__, source_digest
from .bounds import Bounds
from .workers import failure, run_worker, worker_environment

#: Called often with the stage, how much of it is done, and how much there is (0 if unknown).
Report = Callable[[str, int, int], None]

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
        what = problem.filename or folder
        return Answer(error=f"{what}: cannot be written ({problem.strerror or problem})")
    report(STARTING, 0, 0)

    def look() -> str:
        if not progress.exists():
            return ""
        text = progress.read_text()
        report(*json.loads(text))
        return text

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
    if ending.error is None and not ending.hung and answer.exists():
        return _read(answer)
    error = failure(
        ending,
        log,
        timeout=timeout,
        memory_hint=job.memory_hint,
        timeout_hint=job.timeout_hint,
    )
    if ending.hung or ending.excess or stop.is_set():  # it was ended, and did not fail to start
        return Answer(error=error)
    return Answer(error=_other_version(python, environment) or error)


def _read(path: Path) -> Answer:
    found = json.loads(path.read_text())
    mine, theirs = source_digest(), found.pop("source")
    if (mismatch := different_code(found["versions"]["googlenet"], theirs, mine)) is not None:
        return Answer(error=mismatch)
    return Answer(**found)


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


def _other_version(python: str, environment: Mapping[str, str]) -> str | None:
    """A message that an interpreter which could not start its worker has another version of this
    project, in which the worker may have another name. None if it has this version, or none.
    """
    asked = [python, "-c", "import googlenet; print(googlenet.__version__)"]
    try:
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.strip()
    if not re.fullmatch(r"\d+\.\d+\S*", version):  # it is not a Python that has googlenet
        return None
    return different_code(version, "", "")
