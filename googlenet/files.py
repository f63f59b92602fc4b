"""Files that are complete at any moment, old or new, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError, WeightsError
from .paths import check_path, kind_at, system_kind
from .temporary import temporary_folder


def check_folder(path: Path) -> None:
    """Raises `DataError` unless `path` is in a folder that exists, before any work is done for what
    cannot be written.
    """
    if kind_at(path.parent) != "folder":
        raise DataError(f"{path}: its folder does not exist; make it first")
    check_path(path)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns every `OSError` of the block into a `DataError` that names the file or folder."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name to write to, the same in a folder beside `path`: on exit it is flushed to
    disk and renamed to `path`.

    `path` is always complete, old or new. What a process that is killed leaves there is removed by
    the next one that writes in the same folder. Raises `OSError` as the file system does, and if
    `path` is a device, a pipe or a folder.
    """
    target = _target(path)
    with temporary_folder("write", target.parent) as folder:
        temporary = folder / target.name
        yield temporary
        _install(temporary, target)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, which is complete at any moment, old or new. Raises `OSError` as the
    file system does.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def native_file(
    path: str | os.PathLike[str], suffix: str | tuple[str, ...], size: int = 0
) -> Iterator[str]:
    """A temporary name to write a framework's own weights file to, as `replacing`; for the
    backends' `save`, which gives the bytes that the file has at least as `size`.

    It is in its own folder beside `path`, so that whatever else a framework leaves there is removed
    with it. That there is room for `size` bytes is found out first: on a full disk some frameworks
    do not say what is wrong, and TensorFlow's h5py ends the process with a signal. Raises
    `WeightsError` unless `path` ends in `suffix`, or one of several, by which the framework's own
    loader knows its files, or if it cannot be written: frameworks then raise an `OSError` or a
    `RuntimeError`.
    """
    if not Path(path).name.endswith(suffix):
        known = suffix if isinstance(suffix, str) else " or ".join(suffix)
        raise WeightsError(
            f"{path}: expected a name that ends in {known}, by which the framework knows its own"
            " files"
        )
    try:
        target = _target(path)
        with temporary_folder("save", target.parent) as folder:
            temporary = folder / Path(path).name
            _reserve(temporary, size)
            yield str(temporary)
            _install(temporary, target)
    except (OSError, RuntimeError) as error:
        raise unwritable(path, error) from error


#: What a format may need besides the arrays: names, shapes, an index.
_OVERHEAD = 2**20


def _reserve(path: Path, size: int) -> None:
    """Raises `OSError`, in the system's words, unless a file of `size` bytes can be written to
    `path`, where there is none before and after.
    """
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size + _OVERHEAD)
    finally:
        path.unlink(missing_ok=True)


def _target(path: str | os.PathLike[str]) -> Path:
    """The file to replace: what `path` links to, if it is a link.

    Raises `OSError` if it is there and is no file: a rename would put a file in the place of the
    system's /dev/null.
    """
    target = Path(os.path.realpath(path))
    kind = system_kind(target)
    if kind not in ("", "file"):
        raise OSError(errno.EINVAL, f"it is a {kind}, not a file")
    return target


def _install(temporary: Path, target: Path) -> None:
    """Flush `temporary` to disk and rename it to `target`, with the permissions of any new file of
    the user.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    share(temporary, 0o666)
    os.replace(temporary, target)


def share(temporary: Path, mode: int) -> None:
    """Give what was made as temporary, and only its owner may read, the permissions of any new file
    (`mode` 0o666) or folder (0o777) of the user.
    """
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(mode & ~umask)


def unwritable(path: str | os.PathLike[str], error: Exception) -> WeightsError:
    """The error for a weights file that could not be written; of a framework's own error the last
    line, since the lines before may be a traceback.
    """
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    what = " ".join(lines[-1].split()) if lines else type(error).__name__
    return WeightsError(f"{path}: cannot be written ({what}); the old file, if any, is unchanged")
