"""The one door for paths: what is there, and files opened, without waiting for a pipe, reading a
device for ever, or an error of the system that says no path.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal

from .budget import meter
from .errors import DataError, GoogLeNetError
from .printable import shown_path

Kind = Literal["", "file", "folder", "pipe", "socket", "device"]

#: What a file system has besides files, in words.
_KINDS: Final[dict[int, Kind]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


def kind_at(path: str | os.PathLike[str], error: type[GoogLeNetError] = DataError) -> Kind:
    """What is at `path`, or what it links to: "" if there is nothing. Raises `error`, naming the
    path, if the system does not say: in a folder that may not be read, of links in a circle, or of
    what cannot be a path, since it is too long or has a NUL in it.
    """
    try:
        return system_kind(path)
    except OSError as fault:
        raise error(f"{shown_path(path)}: cannot be read ({why(fault)})") from fault


def system_kind(path: str | os.PathLike[str]) -> Kind:
    """The same, but raises `OSError` as the file system does."""
    try:
        return _kind(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except ValueError as fault:
        raise OSError(errno.EINVAL, why(fault), os.fspath(path)) from fault


def _kind(mode: int) -> Kind:
    return _KINDS.get(stat.S_IFMT(mode), "device")


def entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """What is in a folder, and of each whether it is a folder itself, and not a link to one. Raises
    `OSError` as the file system does.
    """
    with os.scandir(folder) as found:
        for entry in found:
            yield folder / entry.name, entry.is_dir(follow_symlinks=False)


def check_path(path: str | os.PathLike[str], error: type[GoogLeNetError] = DataError) -> Path:
    """`path`, if the system can have such a path, whether or not anything is there. Raises `error`
    for one that is too long, has a NUL in it or cannot be encoded.
    """
    try:
        os.lstat(path)
    except (OSError, ValueError) as fault:
        if isinstance(fault, ValueError) or fault.errno == errno.ENAMETOOLONG:
            raise error(f"{shown_path(path)}: cannot be a path ({why(fault)})") from fault
    return Path(path)


def expect_file(
    path: str | os.PathLike[str], expected: str, error: type[GoogLeNetError] = DataError
) -> None:
    """Raises `error`, with what is `expected`, unless `path` is a file or links to one; also as
    `kind_at`.
    """
    kind = kind_at(path, error)
    if kind != "file":
        what = f"is a {kind}" if kind else "does not exist"
        raise error(f"{path}: {what}; {expected}")


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """The file at `path`, open for reading. Raises `OSError`, as the file system does, for anything
    but a file: to open a pipe would wait for who writes to it, to read a device might never end.
    """
    try:
        _refuse_all_but_files(os.stat(path).st_mode, path)
        # It may be another now, which must not be waited for either.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    except ValueError as fault:
        raise OSError(errno.EINVAL, why(fault), os.fspath(path)) from fault
    try:
        _refuse_all_but_files(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


_BINARY: Final = getattr(os, "O_BINARY", 0)


def _refuse_all_but_files(mode: int, path: str | os.PathLike[str]) -> None:
    kind = _kind(mode)
    if kind != "file":
        number = errno.EISDIR if kind == "folder" else errno.EINVAL
        raise OSError(number, f"it is a {kind}, not a file", os.fspath(path))


def open_own(path: str | os.PathLike[str], mode: Literal["ab", "r+b", "wb"]) -> BinaryIO:
    """A file of our own at `path`, made if there is none, open for writing in `mode`. Raises
    `OSError`, as the file system does, for anything but a file, and for a link, whoever made it:
    what it links to is not ours to write to.
    """
    handle = own_handle(path, os.O_APPEND if mode == "ab" else 0)
    try:
        if mode == "wb":
            os.ftruncate(handle, 0)
        return os.fdopen(handle, mode)
    except BaseException:
        os.close(handle)
        raise


def own_handle(path: str | os.PathLike[str], flags: int = 0) -> int:
    """The same, for reading and writing, as the system's number, with further `flags`."""
    with suppress(FileNotFoundError):
        _refuse_links(os.lstat(path).st_mode, path)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | flags | _NO_LINKS | _BINARY, 0o666)
    try:
        _refuse_all_but_files(os.fstat(handle).st_mode, path)
    except BaseException:
        os.close(handle)
        raise
    return handle


_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _refuse_links(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "it is a link, and not ours; delete it", os.fspath(path))
    _refuse_all_but_files(mode, path)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, charged to the budget of the file that is being read. Raises `OSError`
    as `open_file` does.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        meter().take_bytes(size)
        return file.read(size)  # and no more, if it grows


def why(fault: OSError | ValueError) -> str:
    """What the system says is wrong, in a few words and without the path."""
    if isinstance(fault, UnicodeEncodeError):
        return "a character of it cannot be in the name of a file"
    return str(getattr(fault, "strerror", None) or fault)
