"""Zip archives whose members are read within the budget, and only as far as the archive says.

A member may declare less than it unpacks to, several may be one, and the directory of an archive
may be larger than its content. What frameworks write is stored or deflated, nothing else.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ...budget import TEXT_PER_NAME, meter
from ...paths import open_file

#: deflate expands one byte to at most this many.
MOST_INFLATED = 1032
_OTHERS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}


class _Directory:
    """A file of which no more than `most` bytes are read at once until `most` is 0."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file, self.most = file, most

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def read(self, count: int = -1) -> bytes:
        if count > self.most > 0:
            raise ValueError(f"a directory of {count} bytes, expected at most {self.most}")
        return self.file.read(self.most if self.most and count < 0 else count)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive `path`, to read with `member` or `stream`. Raises `BadZipFile` or `ValueError` if
    it is damaged, `OSError` if it is not a file, and what the meter raises for too many members.
    """
    taken = meter()
    with open_file(path) as file:
        bounded = _Directory(file, taken.budget.names * TEXT_PER_NAME)
        with zipfile.ZipFile(cast(BinaryIO, bounded)) as archive:
            bounded.most = 0
            taken.check_names(len(archive.namelist()))
            yield archive


@contextmanager
def stream(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[BinaryIO, int]]:
    """The member `name`, to read in blocks, and its size when unpacked, which is not charged yet.
    Raises `KeyError` if there is none, `ValueError` if it is neither stored nor deflated, encrypted
    or declares more than it can hold.
    """
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        kind = _OTHERS.get(info.compress_type, f"method {info.compress_type}")
        raise ValueError(f"member '{name}' is packed with {kind}, expected deflate or none")
    if info.flag_bits & 1:
        raise ValueError(f"member '{name}' is encrypted")
    most = info.compress_size * (MOST_INFLATED if info.compress_type else 1)
    if info.file_size > most:
        raise ValueError(
            f"member '{name}' declares {info.file_size} bytes, more than its {info.compress_size}"
            " can hold"
        )
    with archive.open(info) as file:
        yield cast(BinaryIO, file), info.file_size


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of the member `name`, charged to the budget before it is read. Raises as `stream`
    does, and `BadZipFile` if it is not what its sum says.
    """
    with stream(archive, name) as (file, size):
        meter().take_bytes(size)
        # With its size: read() alone would unpack all that there is before it looks at the size.
        content = file.read(size)
        if len(content) != size or file.read(1):  # which also checks its sum
            raise ValueError(f"member '{name}' does not hold the {size} bytes that it declares")
        return content
