"""Locks of the operating system, which end with the process that holds them, whatever ends it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


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


def open_lock(path: Path) -> int:
    """Open the file of a lock, which is made if need be. A link is not followed: what it leads to
    is not ours. Raises `OSError`.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags, 0o666)
