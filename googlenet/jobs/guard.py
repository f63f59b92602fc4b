"""Ends a worker whose parent has ended: `guard.py MARK GRACE`, a process that does nothing else.

Nothing that happens to the parent, `kill -9` among it, keeps it from hearing of it: its standard
input is a pipe that only the parent holds.

It is run as a file and without `site`, so that it starts in an instant; so it imports nothing of
this package.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path


def has(process: Path, mark: bytes) -> bool:
    """Whether a process was started in an environment with `mark`; of another user's, nobody
    knows.
    """
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def end_marked(mark: bytes) -> None:
    """Kill all that has `mark`, in whatever session, where /proc says what there is."""
    for _ in range(5):  # they may start others meanwhile
        found = [process for process in Path("/proc").glob("[0-9]*") if has(process, mark)]
        for process in found:
            with suppress(OSError):
                os.kill(int(process.name), signal.SIGKILL)
        if not found:
            return


def _send(group: int, number: int) -> bool:
    """Send a signal to a worker and its children in its session; whether there are any."""
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


def main() -> None:
    """Wait for the parent to end, then end what it started: with time to save, then by force. It is
    told the worker's number, and in the end that there is nothing left to do.
    """
    if os.fork():
        os._exit(0)
    mark, grace = sys.argv[1].encode(), float(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)
    group = int(sys.stdin.buffer.readline() or b"0")
    if sys.stdin.buffer.read():
        return
    if group and _send(group, signal.SIGTERM):
        end = time.monotonic() + grace
        while time.monotonic() < end and _is_there(group):
            time.sleep(0.05)
        _send(group, signal.SIGKILL)
    end_marked(mark)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    try:  # one that has ended is there until somebody asks how
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return bool(state) and state[0] != "Z"
    except OSError:
        return True


if __name__ == "__main__":
    main()
