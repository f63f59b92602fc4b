"""Locks of the operating system, which end with the process that holds them, whatever ends it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from .paths import own_handle
from .typed import MALFORMED, made


def take(handle: int) -> bool | None:
    """Take the lock on an open file or folder, until it is closed: True if this process has it now,
    False if another one has. None where there are no such locks, as on Windows and on some network
    file systems: nobody can tell then.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_at(handle: int, path: str | os.PathLike[str]) -> bool:
    """Whether what is open is what stands at `path` now: it may have been removed meanwhile."""
    with suppress(OSError):
        there, here = os.lstat(path), os.fstat(handle)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
    return False


@contextmanager
def held(
    path: Path,
    *,
    wait: float,
    busy: Callable[[int], Exception],
    look: Callable[[int], object] = lambda handle: None,
) -> Iterator[int]:
    """The open file of a lock, which is made if need be, held meanwhile and then removed; it says
    who holds it. A link is not followed: what it leads to is not ours. What somebody else wrote
    into it stays.

    If another process still has it after `wait` seconds without progress, what `busy` makes of the
    open file is raised; `look` is called with that file meanwhile, and progress is whenever it
    returns something else. Raises `OSError` as the file system does.
    """
    since, last = time.monotonic(), object()
    while True:
        handle = own_handle(path)  # a lock over a network asks for both ways
        try:
            got = take(handle)
            if got is not False and is_at(handle, path):
                break
            if got is False:
                now = look(handle)
                if now != last:
                    since, last = time.monotonic(), now
                if time.monotonic() - since >= wait:
                    raise busy(handle)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if got is False:  # else who had it has removed it
            time.sleep(INTERVAL)
    ours = _sign(handle)
    try:
        yield handle
    finally:
        with suppress(OSError):  # while it is still held: nobody else's is removed
            if ours and is_at(handle, path):
                path.unlink()
        os.close(handle)


#: The number of seconds between two looks at a lock that another process has.
INTERVAL = 0.1


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    pid: int
    command: str
    since: str
    host: str

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{where} since {self.since}: {self.command}"


#: How what we write into a lock begins, and how much of one is read.
_OURS, _MOST = b'{"pid"', 4096


def _sign(handle: int) -> bool:
    """Write who has the lock; it is held whether that can be written or not. False if something is
    in it that is not ours.
    """
    if sys.platform == "win32":
        return True
    with suppress(OSError):
        before = os.pread(handle, _MOST, 0).strip(b"\0")  # zeros, as a power cut leaves them
        if not _OURS.startswith(before[: len(_OURS)]):
            return False
    program = Path(sys.argv[0] if sys.argv else "")
    name = program.parent.name if program.stem == "__main__" else program.name
    command = shorten(shlex.join([name, *sys.argv[1:]]), 200, placeholder=" …")
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    text = json.dumps(
        {"pid": os.getpid(), "command": command, "since": since, "host": socket.gethostname()}
    )
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(errors="replace"), 0)
    return True


def holder(handle: int) -> Holder | None:
    """Who has the lock; None if the file does not say, as just after it was made."""
    try:
        found = made(lambda data: Holder(**json.loads(data)), os.pread(handle, _MOST, 0))
    except (OSError, *MALFORMED):
        return None
    texts = (found.command, found.since, found.host)
    return found if all(text.isprintable() and len(text) <= 300 for text in texts) else None
