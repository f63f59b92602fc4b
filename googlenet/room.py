"""How much memory and disk there is, and requests for more, which are refused before anything is
built: a system would not refuse them, but end the process half-way, or another one.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from .errors import DataError, GoogLeNetError, SpecError


def total_memory() -> int:
    """The bytes of memory that this process and its children may use; 0 if nobody says."""
    found = []
    with suppress(ValueError, OSError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(ValueError, OSError):  # "max", or no such file
            found.append(int((Path("/sys/fs/cgroup") / file).read_text()))
    return min(found, default=0)


def check_memory(
    what: str, needed: int, advice: str, error: type[GoogLeNetError] = SpecError
) -> None:
    """Raises `error` if `what` takes at least `needed` bytes of memory, and the machine has fewer;
    `advice` says what to ask for instead.
    """
    there = total_memory()
    if there and needed > there:
        raise error(
            f"{what}: takes at least {gib(needed)} of memory, but there is {gib(there)}; {advice}"
        )


def check_disk(path: Path, needed: int, advice: str, *, whole: bool = False) -> None:
    """Raises `DataError` if there are fewer than `needed` bytes left for a file at `path`; with
    `whole`, if its disk has fewer, even with nothing else on it.
    """
    there = needed
    for folder in path.absolute().parents:  # the first that is there
        with suppress(OSError):
            usage = shutil.disk_usage(folder)
            there = usage.total if whole else usage.free
            break
    if there < needed:
        has = f"it has {gib(there)}" if whole else f"{gib(there)} are left"
        raise DataError(f"{path}: takes {gib(needed)} on disk, but {has}; {advice}")


def gib(size: int) -> str:
    """A number of bytes in GiB: 1.5 GiB, 12,345 GiB."""
    tenths = size * 10 // 2**30  # of a size that no float may hold
    if tenths >= 10**15:
        return "more than 10¹⁴ GiB"
    return f"{tenths / 10:,.1f} GiB" if tenths < 1000 else f"{tenths // 10:,} GiB"
