"""What a process and all that it starts may take at most: counted from outside, where /proc tells.

A system's own limits count other things: all processes of a user together, their threads among
them, or memory that is only reserved, of which frameworks reserve much.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

from ..room import total_memory

#: How many seconds lie between two counts.
INTERVAL = 0.25
PROC = Path("/proc")


@dataclass(frozen=True)
class Bounds:
    """The most processes that may run at a time, the most threads of all of them, and the share of
    the machine's memory that all of them may hold. Frameworks have a few threads for each core.
    """

    processes: int = 128
    threads: int = 8192
    memory: float = 0.8


class Watch:
    """Counts what a worker has started: what is in its session, or is `marked` as having been
    started in its environment.
    """

    def __init__(self, session: int, bounds: Bounds, marked: Callable[[Path], bool]) -> None:
        self._session, self._bounds, self._marked = session, bounds, marked
        self._memory = int(total_memory() * bounds.memory)
        self._next = 0.0

    def excess(self) -> str:
        """What is over the bounds, in words; empty if nothing is."""
        if time.monotonic() < self._next:
            return ""
        processes: list[tuple[Path, int]] = []
        bounds, all_threads, all_held = self._bounds, 0, 0
        for number, (process, threads, held) in enumerate(self._counted(), 1):
            all_threads += threads
            all_held += held
            processes.append((process, held))
            if number > bounds.processes:
                return f"started more than {bounds.processes} processes, and was killed"
            if all_threads > bounds.threads:
                return f"started more than {bounds.threads} threads, and was killed"
        # What several hold together counts for each of them in `held`, and is told apart only where
        # it matters, since that takes the system longer.
        if (
            self._memory
            and all_held > self._memory
            and sum(starmap(_own, processes)) > self._memory
        ):
            size = self._memory / 2**30
            return f"needed more than {size:.1f} GiB of memory, and was killed"
        self._next = time.monotonic() + INTERVAL
        return ""

    def _counted(self) -> Iterator[tuple[Path, int, int]]:
        """Each of the processes, its threads, and the bytes that it holds."""
        page = os.sysconf("SC_PAGE_SIZE")
        for process in PROC.glob("[0-9]*") if PROC.is_dir() else ():
            with suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
                # After the name, which may have spaces: state, parent, group, session, ...
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._session or self._marked(process):
                    yield process, int(fields[17]), int(fields[21]) * page


def _own(process: Path, held: int) -> int:
    """The bytes that a process holds, its share alone of those that it holds with others; all that
    it has `held` if nobody says, nothing if it has ended meanwhile.
    """
    with suppress(OSError, ValueError, IndexError):
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return held if process.exists() else 0
