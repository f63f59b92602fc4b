"""Processes that work for this one, each with its own framework: started, followed, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..backend.threads import QUIET, asked_for, thread_variables

#: The environment variable that tells a worker who started it.
PARENT = "GOOGLENET_PARENT"

#: The number of seconds that a worker has to save when it is asked to stop.
GRACE = 60.0


@dataclass(frozen=True)
class Ending:
    """How a worker ended: its exit code (negative for a signal), whether it hung, or why it never
    started.
    """

    code: int | None = None
    hung: bool = False
    error: str | None = None


def worker_environment(threads: int | None = None, *, processes: int = 1) -> dict[str, str]:
    """The environment of a worker: `threads`, by default its share of the cores unless the
    environment says otherwise; frameworks are kept quiet.
    """
    given = {**thread_variables(threads, processes=processes), PARENT: str(os.getpid())}
    quiet = {**QUIET, "PYTHONUNBUFFERED": "1"}
    return (
        {**quiet, **given, **asked_for(), PARENT: given[PARENT]}
        if threads is None
        else {**quiet, **asked_for(), **given}
    )


def end_with_parent(end: Callable[[], None]) -> None:
    """Call `end` in a worker once the process that started it has ended, for whatever reason:
    nobody would read the answer.
    """
    parent = int(os.environ.get(PARENT, "0"))

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
    interval: float = 0.05,
) -> Ending:
    """Run `command`, what it prints going to `log`, until it ends, `stop` is set, or `look()` has
    not changed for `timeout` seconds.

    It runs in its own session, so that all its children end with it; `gentle` first asks it to
    stop, and gives it time to save.
    """
    try:
        output = log.open("wb")
    except OSError as error:
        return Ending(error=f"{log}: cannot be written ({error.strerror})")
    try:
        with output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        return Ending(error=f"{command[0]}: cannot be started ({error.strerror})")
    hung = False
    try:
        hung = _follow(process, look, timeout, stop, interval)
    finally:
        if process.poll() is None and gentle and not hung:
            _signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        _signal(process, signal.SIGKILL)  # even if it ended by itself: its children may still run
        process.wait()
    return Ending(process.returncode, hung)


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
) -> bool:
    """Watch until the worker ends or has to stop; True if it hung."""
    last, since = look(), time.monotonic()
    while process.poll() is None and not stop.is_set():
        now = look()
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > timeout:
            return True
        time.sleep(interval)
    look()
    return False


def failure(
    ending: Ending, log: Path, *, timeout: float, memory_hint: str, timeout_hint: str
) -> str:
    """A message about why a worker gave no answer."""
    if ending.error is not None:
        return ending.error
    if ending.hung:
        return (
            f"stopped responding and was killed after {timeout:g} s without progress;"
            f" {timeout_hint}; last output: {last_output(log)}"
        )
    code = ending.code or 0
    ended = (
        f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    )
    memory = f"; out of memory? {memory_hint}" if code == -signal.SIGKILL else ""
    return f"{ended}{memory}; last output: {last_output(log)}"


def last_output(log: Path) -> str:
    """The last line that is not empty."""
    with log.open("rb") as file:  # of a log that may be long, the end
        file.seek(max(0, log.stat().st_size - 10_000))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "none"
