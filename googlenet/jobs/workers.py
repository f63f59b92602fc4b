"""Processes that work for this one, each with its own framework: started, followed, and ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..backend.threads import QUIET, asked_for, thread_variables
from . import guard
from .bounds import Bounds, Watch

#: The environment variable that tells a worker who started it.
PARENT = "GOOGLENET_PARENT"

#: If it is set, Python does not look for modules in the folder in which it is run: that may be a
#: user's, with a file called torch.py.
SAFE_PATH = "PYTHONSAFEPATH"

#: Set to the same unique value in a worker and in all that it starts.
GROUP = "GOOGLENET_GROUP"

#: A log longer than this many bytes is cut to its last `KEPT`.
LONGEST, KEPT = 1 << 20, 1 << 16

#: Set in a worker that a guard ends when its parent has ended; without one it ends itself.
GUARDED = "GOOGLENET_GUARDED"

#: The number of seconds that a worker has to save when it is asked to stop.
GRACE = 60.0

#: The same for one that has nothing to save, if it does not end by itself.
SHORT_GRACE = 5.0


@dataclass(frozen=True)
class Ending:
    """How a worker ended: its exit code (negative for a signal), whether it hung, or why it never
    started; `excess` is what it took too much of, in words.
    """

    code: int | None = None
    hung: bool = False
    error: str | None = None
    excess: str = ""


def worker_environment(threads: int | None = None, *, processes: int = 1) -> dict[str, str]:
    """The environment of a worker: `threads`, by default its share of the cores unless the
    environment says otherwise; frameworks are kept quiet.
    """
    given = {**thread_variables(threads, processes=processes), PARENT: str(os.getpid())}
    quiet = {**QUIET, "PYTHONUNBUFFERED": "1", SAFE_PATH: "1"}
    return (
        {**quiet, **given, **asked_for(), PARENT: given[PARENT]}
        if threads is None
        else {**quiet, **asked_for(), **given}
    )


def end_with_parent(end: Callable[[], None]) -> None:
    """Call `end` in a worker once the process that started it has ended, for whatever reason:
    nobody would read the answer.
    """
    given = os.environ.get(PARENT, "")
    parent = int(given) if re.fullmatch(r"[0-9]{1,10}", given) else 0  # else none of ours wrote it

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        end()

    if parent:
        threading.Thread(target=watch, daemon=True).start()


def run_worker(
    command: Sequence[str],
    log: Path,
    environment: dict[str, str],
    *,
    look: Callable[[], object],
    timeout: float,
    stop: threading.Event,
    gentle: bool = False,
    bounds: Bounds | None = None,
    interval: float = 0.05,
) -> Ending:
    """Run `command`, the end of what it prints going to `log`, until it ends, `stop` is set,
    `look()` has not changed for `timeout` seconds, or it takes more than `bounds`.

    It runs in its own session, so that all its children end with it, and those that leave the
    session, too, where the system tells of them; `gentle` first asks it to stop, and gives it time
    to save.
    """
    group = uuid.uuid4().hex
    try:
        log.unlink(missing_ok=True)
        output = log.open("ab")  # so that what follows a cut is written after what was kept
    except OSError as error:
        return Ending(error=f"{log}: cannot be written ({error.strerror})")
    mark = f"{GROUP}={group}"
    with _guarded(mark, GRACE if gentle else SHORT_GRACE) as tell:
        variables = {GROUP: group} if tell is None else {GROUP: group, GUARDED: "1"}
        try:
            with output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    env={**environment, **variables},
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:  # a ValueError for a NUL in a path
            reason = getattr(error, "strerror", None) or error
            return Ending(error=f"{command[0]}: cannot be started ({reason})")
        if tell is not None:
            tell(process.pid)
        assert process.stdin is not None
        process.stdin.close()  # nothing can be read from it, whatever /dev/null is here
        hung, excess = False, ""
        has = partial(guard.has, mark=mark.encode())
        watch = None if bounds is None else Watch(process.pid, bounds, has)
        try:
            hung, excess = _follow(process, look, timeout, stop, interval, log, watch)
        finally:
            try:
                if process.poll() is None and gentle and not hung:
                    _signal(process, signal.SIGTERM)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(GRACE)
            finally:  # a second Ctrl-C does not wait for it
                _signal(process, signal.SIGKILL)  # also if it has ended: its children may run
                process.wait()
                guard.end_marked(mark.encode())
                _shorten(log)
        return Ending(process.returncode, hung, excess=excess)


@contextmanager
def _guarded(mark: str, grace: float) -> Iterator[Callable[[object], None] | None]:
    """A process that ends the worker should this one be killed; it is to be told the worker's
    number. None if it cannot be started.
    """
    command = [sys.executable, "-I", "-S", guard.__file__, mark, str(grace)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=os.sep,
        )
    except OSError:
        yield None
        return
    pipe = process.stdin
    assert pipe is not None

    def tell(words: object) -> None:
        with suppress(OSError):  # it has been killed
            os.write(pipe.fileno(), f"{words}\n".encode())
        process.wait()  # what was started has ended at once: the guard is nobody's child

    try:
        yield tell
    finally:
        tell("done")
        with suppress(OSError):
            pipe.close()


def _shorten(log: Path) -> None:
    """Cut a log that has become too long to its end; what is printed meanwhile may be lost."""
    with suppress(OSError), log.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size <= LONGEST:
            return
        file.seek(size - KEPT)
        kept = file.read(KEPT)
        file.truncate(0)
        file.seek(0)
        file.write(kept)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the worker and its children in its session; there may be none left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _follow(
    process: subprocess.Popen[bytes],
    look: Callable[[], object],
    timeout: float,
    stop: threading.Event,
    interval: float,
    log: Path,
    watch: Watch | None,
) -> tuple[bool, str]:
    """Watch until the worker ends or has to stop: whether it hung, and what it took too much of."""
    last, since = look(), time.monotonic()
    while process.poll() is None and not stop.is_set():
        now = look()
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > timeout:
            return True, ""
        if watch is not None and (excess := watch.excess()):
            look()  # what it was doing, which it may have said since
            return False, excess
        _shorten(log)
        time.sleep(interval)
    look()
    return False, ""


def failure(
    ending: Ending, log: Path, *, timeout: float, memory_hint: str, timeout_hint: str
) -> str:
    """A message about why a worker gave no answer."""
    if ending.error is not None:
        return ending.error
    if ending.excess:
        return ending.excess
    if ending.hung:
        return (
            f"stopped responding and was killed after {timeout:g} s without progress;"
            f" {timeout_hint}; last output: {last_output(log)}"
        )
    code = ending.code or 0
    ended = f"was killed by {_signal_name(-code)}" if code < 0 else f"exited with code {code}"
    memory = f"; out of memory? {memory_hint}" if code == -signal.SIGKILL else ""
    return f"{ended}{memory}; last output: {last_output(log)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def last_output(log: Path) -> str:
    """The last line that is not empty; "none" also if the log is gone."""
    try:
        with log.open("rb") as file:  # of a log that may be long, the end
            file.seek(max(0, log.stat().st_size - 10_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return "none"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "none"
