"""Locks of the operating system, which end with the process that holds them, whatever ends it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .paths import own_handle


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
def held(path: Path, *, wait: float, busy: Callable[[int], Exception]) -> Iterator[int]:
    """The open file of a lock, which is made if need be, held meanwhile and then removed. A link is
    not followed: what it leads to is not ours.

    If another process still has it after `wait` seconds, what `busy` makes of the open file is
    raised; raises `OSError` as the file system does.
    """
    end = time.monotonic() + wait
    while True:
        handle = own_handle(path)  # a lock over a network asks for both ways
        try:
            got = take(handle)
            if got is not False and is_at(handle, path):
                break
            if got is False and time.monotonic() >= end:
                raise busy(handle)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if got is False:  # else who had it has removed it
            time.sleep(INTERVAL)
    try:
        yield handle
    finally:
        with suppress(OSError):  # while it is still held: nobody else's is removed
            if is_at(handle, path):
                path.unlink()
        os.close(handle)


#: The number of seconds between two looks at a lock that another process has.
INTERVAL = 0.1
