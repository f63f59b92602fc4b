"""The one budget for what a file may become, whatever its format.

A small file can ask for a lot: a header that declares terabytes, a name for each of a million
copies of one array, a list in a list in a list. Readers therefore charge what they are about to
take to a `Meter` before they take it. GOOGLENET_BUDGET raises the bounds, for a file that its user
trusts.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import DataError, GoogLeNetError
from .printable import shown_path

VARIABLE = "GOOGLENET_BUDGET"

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
#: Deeper than this, Python's own stack may not be enough.
DEEPEST = 500
#: NumPy has no arrays of more axes; before NumPy 2 only of 32.
MOST_AXES = 64
_CAPS = {"depth": DEEPEST, "axes": MOST_AXES}
#: Whatever its size, a file may become this many bytes; beyond that, so many times its size.
LEAST_BYTES, TIMES, COPIES = 256 * 2**20, 8, 4
#: An honest file has one line of JSON for an array, of at most so many bytes a name.
TEXT_PER_NAME = 1024
#: How long the name of an array may be; frameworks join those of nested modules.
LONGEST_NAME = 1024


@dataclass(frozen=True)
class FileBudget:
    """What one file may become.

    `bytes` are those of arrays, pixels, and content read or unpacked, together: at most this many.
    Unless GOOGLENET_BUDGET says how many, they depend on the size of the file (`bytes_of`). `names`
    are those of arrays, groups and members of an archive, `values` all that a pickle or JSON holds,
    `depth` is how deep these are nested, `axes` how many an array has, and `seconds` how long
    reading may take.
    """

    bytes: int = 4 * 2**30
    names: int = 10_000
    values: int = 2_000_000
    depth: int = 64
    axes: int = 32
    seconds: int = 120


def file_budget() -> FileBudget:
    """The budget that the environment variable GOOGLENET_BUDGET makes of the default, such as
    `bytes=8G,names=20000`. Raises `DataError` if it cannot be understood.
    """
    return replace(FileBudget(), **_given())


def _given() -> dict[str, int]:
    given: dict[str, int] = {}
    known = [field.name for field in fields(FileBudget)]
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        match = re.fullmatch(r"\s*([a-z]+)\s*=\s*(\d{1,15})\s*([KMGT]?)\s*", part, re.ASCII)
        if match is None or match[1] not in known or int(match[2]) < 1:
            raise DataError(
                f"{VARIABLE}: expected NAME=NUMBER, with K, M, G or T for units of 1024, separated"
                f" by commas, where NAME is one of {', '.join(known)}, got {_short(part)!r};"
                " correct it, or unset it"
            )
        given[match[1]] = int(match[2]) * _UNITS[match[3]]
        if given[match[1]] > (most := _CAPS.get(match[1], given[match[1]])):
            what = f"a depth of at most {most}" if match[1] == "depth" else f"at most {most} axes"
            raise DataError(f"{VARIABLE}: expected {what}, got {match[2]}{match[3]}")
    return given


def bytes_of(size: int, held: int, most: int = FileBudget.bytes) -> int:
    """What a file of `size` bytes may become: `TIMES` as many, at least `LEAST_BYTES` and at most
    `most`. One that is larger itself may be joined and copied; then only what it has on the disk
    counts, `held` bytes, since a file of a terabyte may be nothing but a hole.
    """
    return max(LEAST_BYTES, min(TIMES * size, max(most, COPIES * held)))


class Meter:
    """What the file `path` has taken so far; `most` is how many bytes it may become, unless
    GOOGLENET_BUDGET says it. Each method raises `error`, a `GoogLeNetError`, before the budget is
    exceeded; the message says by what, and how to raise it.
    """

    def __init__(self, path: object, error: type[GoogLeNetError], most: int = 0) -> None:
        budget = replace(FileBudget(), **{"bytes": most or LEAST_BYTES, **_given()})
        self.budget, self.path, self._error = budget, path, error
        self._sizes = [_sizes_of(path)]
        self._taken = dict.fromkeys(("bytes", "names", "values"), 0)
        self._end = time.monotonic() + budget.seconds

    @property
    def left(self) -> int:
        """How many bytes may still be taken."""
        return self.budget.bytes - self._taken["bytes"]

    def add_file(self, path: str | os.PathLike[str]) -> None:
        """Reckon with the size of a file that belongs to this one, such as a shard, too."""
        self._sizes.append(_sizes_of(path))
        if "bytes" not in _given():
            together = bytes_of(
                sum(size for size, _ in self._sizes), sum(h for _, h in self._sizes)
            )
            self.budget = replace(self.budget, bytes=max(self.budget.bytes, together))

    def take_bytes(self, count: int) -> None:
        """Charge bytes of arrays, pixels or unpacked content."""
        self._take("bytes", count)

    def check_bytes(self, count: int) -> None:
        """Whether so many bytes may still be taken, by what is charged once its size is known."""
        self._check("bytes", self._taken["bytes"] + count)

    def take_names(self, count: int) -> None:
        """Charge names of arrays, groups or members."""
        self._take("names", count)

    def check_names(self, count: int) -> None:
        """How many names one list, group or archive has."""
        self._check("names", count)

    def take_values(self, count: int) -> None:
        """Charge objects of a pickle or of JSON."""
        self._take("values", count)

    def check_depth(self, depth: int) -> None:
        """How deep something is nested."""
        self._check("depth", depth)

    def check_axes(self, count: int) -> None:
        """How many axes an array has."""
        self._check("axes", count)

    def check_name(self, name: str) -> None:
        """How long a name is."""
        if len(name) > LONGEST_NAME:
            raise self._error(
                f"{self.path}: has a name of {len(name)} characters, expected at most"
                f" {LONGEST_NAME}; save it again with shorter names"
            )

    def check_time(self) -> None:
        """How long reading has taken."""
        if time.monotonic() > self._end:
            raise self._error(
                f"{self.path}: was not read within {self.budget.seconds} seconds; {_advice()} a"
                f" larger number, such as {VARIABLE}=seconds={10 * self.budget.seconds}"
            )

    def _take(self, what: str, count: int) -> None:
        self._taken[what] += count
        self._check(what, self._taken[what])
        self.check_time()

    def _check(self, what: str, count: int) -> None:
        most: int = getattr(self.budget, what)
        if count <= most:
            return
        size = _size if what == "bytes" else str
        asked = size(count) if len(str(count)) <= 24 else "far too much"
        text = f"{self.path}: asks for {_WORDS[what].format(asked)}, expected at most {size(most)}"
        if count > _CAPS.get(what, 10**15):  # which nobody can allow
            raise self._error(f"{text}; no setting allows that; save it again with less")
        enough = f"{-(-count // 2**30)}G" if what == "bytes" else f"{max(count, 2 * most)}"
        if what in _CAPS:
            enough = f"{min(int(enough), _CAPS[what])}"
        raise self._error(f"{text}; {_advice()} {VARIABLE}={what}={enough}")


_WORDS = {
    "bytes": "{} of memory",
    "names": "{} names of arrays and groups",
    "values": "{} objects",
    "depth": "objects nested {} deep",
    "axes": "an array of {} axes",
}


def _advice() -> str:
    return "if you trust it, set the environment variable"


def _size(count: int) -> str:
    if count >= 10**24:
        return "far more bytes than any machine has"
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sizes_of(path: object) -> tuple[int, int]:
    """The size of a file, and what it has on the disk."""
    try:
        found = os.stat(path)  # type: ignore[arg-type]  # what is no path has no size
    except (OSError, ValueError, TypeError):  # whoever opens it says so
        return 0, 0
    return found.st_size, 512 * getattr(found, "st_blocks", found.st_size // 512)


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def limited(path: str | os.PathLike[str], error: type[GoogLeNetError]) -> Iterator[Meter]:
    """The meter of the file `path`, which `meter` returns inside the block: the one that is already
    there if a file is read as a part of another, else a new one. Also raises `error`, naming the
    file, if there is not enough memory for what the budget allows.
    """
    if (active := _METER.get()) is not None:
        yield active
        return
    token = _METER.set(Meter(path, error, bytes_of(*_sizes_of(path))))
    try:
        yield meter()
    except MemoryError as fault:
        raise error(out_of_memory(path)) from fault
    finally:
        _METER.reset(token)


def out_of_memory(path: str | os.PathLike[str]) -> str:
    """What to say if reading `path` takes more memory than there is."""
    return f"{shown_path(path)}: takes more memory than is left; give a smaller one"


def meter() -> Meter:
    """The meter of the file that is being read; outside `limited`, one of its own."""
    return _METER.get() or Meter("the file", DataError)


def bounded_shape(shape: object) -> tuple[int, ...]:
    """`shape`, from a file, as sizes of axes. Raises `ValueError` unless it is a list or tuple of
    integers of at least 0, and what the meter raises for too many axes.
    """
    if not isinstance(shape, (list, tuple)):
        raise ValueError(f"expected a shape, got {type(shape).__name__}")
    meter().check_axes(len(shape))
    if any(type(size) is not int or not 0 <= size < 2**63 for size in shape):
        raise ValueError(f"expected a shape of integers from 0 to 2^63, got {_few(shape)}")
    return tuple(shape)


def _few(shape: Sequence[object]) -> str:
    texts = (str(size) if type(size) is int else type(size).__name__ for size in shape)
    return _short(", ".join(texts))


# Possessive, so that a string without an end is passed over once, not once for each of its quotes.
_JSON = re.compile(r'"(?:[^"\\]++|\\.)*+"?+|[\[{\]},]', re.DOTALL)


def bounded_json(text: str | bytes) -> Any:
    """What the JSON `text` means. Raises `ValueError` if it is none, and what the meter raises if
    it is too long, too deep or holds too much.
    """
    taken = meter()
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if len(text) > taken.budget.names * TEXT_PER_NAME:
        taken.take_bytes(taken.left + len(text))
    depth = 0
    for count, match in enumerate(_JSON.finditer(text)):
        sign = match[0]
        if sign in "[{":
            depth += 1
            taken.check_depth(depth)
        elif sign in "]}":
            depth -= 1
        if count % 4096 == 4095:
            taken.take_values(4096)
    try:
        return json.loads(text)
    except RecursionError as error:  # only if the text is no JSON at all, since depth was bounded
        raise ValueError("it is nested too deep") from error
