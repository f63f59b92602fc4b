"""Temporary folders: made in one place, and never left for good.

Each is held by a lock that ends with its process. Whoever makes the next one, in the system's
folder for temporary files or beside the file that is written, removes what processes that were
killed have left there.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import DataError
from .locks import is_at, take

#: What they are called, so that nothing else is ever taken for one.
_NAME = re.compile(r"\.?googlenet-[a-z]+-[0-9a-f]{16}\.tmp")

#: How often a new folder is tried, if another process removes it before it is held.
_ATTEMPTS = 100


@contextmanager
def temporary_folder(purpose: str, where: Path | None = None) -> Iterator[Path]:
    """A new folder that only the user may read, removed on exit with all that is in it; `purpose`
    is a word in its name. It is in `where`, hidden, by default in the system's folder for temporary
    files.

    Raises `OSError` as the file system does, and for the system's folder `DataError`.
    """
    try:
        place = Path(tempfile.gettempdir()) if where is None else where
        remove_leftovers(place)
        path, handle = _made(place, f"{'' if where is None else '.'}googlenet-{purpose}")
    except OSError as error:
        if where is None:
            raise unusable(error) from error
        raise
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)  # it may have been moved to where it belongs
        if handle is not None:
            os.close(handle)
        if where is None:
            remove_leftovers(place)  # of a worker that was killed meanwhile


def unusable(error: OSError) -> DataError:
    """The error for a folder for temporary files in which nothing can be written."""
    place = error.filename or tempfile.tempdir or "temporary files"
    return DataError(
        f"{place}: cannot be written ({error.strerror or error}); set the environment variable"
        " TMPDIR to another folder for temporary files"
    )


def _made(place: Path, name: str) -> tuple[Path, int | None]:
    """A new folder, and what holds it."""
    for _ in range(_ATTEMPTS):
        path = place / f"{name}-{secrets.token_hex(8)}.tmp"
        path.mkdir(0o700)
        if sys.platform == "win32":
            return path, None
        try:
            handle = os.open(path, _FOLDER)
        except FileNotFoundError:  # taken for a leftover before it was held
            continue
        if take(handle) is not False and is_at(handle, path):
            return path, handle
        os.close(handle)
    raise OSError(f"{place}: other processes remove what is made there")


_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def remove_leftovers(place: Path) -> None:
    """Remove the temporary folders in `place` whose processes have ended; what cannot be told or
    removed stays.
    """
    if sys.platform == "win32":  # which has no such locks
        return
    found = []
    with suppress(OSError), os.scandir(place) as entries:
        found = [entry.path for entry in entries if _NAME.fullmatch(entry.name)]
    for path in found:
        with suppress(OSError):
            _remove(path)


def _remove(path: str) -> None:
    if sys.platform == "win32":
        return
    handle = os.open(path, _FOLDER)
    try:
        mine = os.fstat(handle).st_uid == os.geteuid()
        if mine and take(handle) and is_at(handle, path):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)
