"""The log of a run, `log.jsonl`: lines of JSON, written and read in one place.

A line is there when it ends. What a process that was killed, or a power cut, leaves behind the last
one, half a line or zeros, is no part of the log; anything else that is no event is an error that
names its line.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..budget import bounded_json, limited, meter
from ..errors import TrainingError
from ..paths import kind_at, open_file, own_handle
from ..typed import MALFORMED
from .checkpoint import check_same
from .position import Epoch, Position

LOG = "log.jsonl"

Event = dict[str, Any]

#: What an event takes in memory, for each byte of its line.
EVENT = 6


def read_log(path: Path) -> list[Event]:
    """The events of a log: its start, then steps and epochs. Raises `TrainingError` for a file that
    is not one, with the number of the line, or that becomes more than its budget.
    """
    with limited(path, TrainingError):
        return _events(path, _bytes(path))


def has_begun(path: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a run with these settings has begun the log at `path`; False if nothing is there, or
    no more than half of a first line. Raises `TrainingError`, as `check_same`, if another run has,
    and for anything else that is there.
    """
    if not kind_at(path, TrainingError):
        return False
    with limited(path, TrainingError):
        data = _bytes(path)
        for event in _events(path, data):
            check_same(path, {name: event.get(name) for name in settings}, settings)
            return True
    half = data.rstrip(b"\0")[: len(_BEGINNING)]
    if not _BEGINNING.startswith(half):
        raise TrainingError(f"{path}: is not the log of a training run; give another `out`")
    return False


#: How each log begins.
_BEGINNING = b'{"event": "start", '


def epochs_of(events: list[Event]) -> tuple[Epoch, ...]:
    """The epochs of a log's events."""
    return tuple(_epoch(event) for event in events if event["event"] == "epoch")


def _bytes(path: Path, most: int | None = None) -> bytes:
    """The log, or its first `most` bytes, charged to its budget."""
    try:
        with open_file(path) as file:
            held = os.fstat(file.fileno()).st_size
            size = held if most is None else min(held, most)
            meter().take_bytes(size)
            return file.read(size)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error})") from error


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines that have ended, without what is no part of the log."""
    data = data.rstrip(b"\0")
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1


def _events(path: Path, data: bytes) -> list[Event]:
    found: list[Event] = []
    steps = epochs = 0
    for number, line in enumerate(_lines(data), 1):
        meter().take_bytes(EVENT * len(line))
        try:
            event = bounded_json(line)
            kind = _checked(event)
            if (kind == "start") != (number == 1):
                raise ValueError("only the first line is the start")
            steps, epochs = steps + (kind == "step"), epochs + (kind == "epoch")
            if event.get("step", steps) != steps or event.get("epoch", epochs) != epochs:
                raise ValueError("a step or an epoch before it is missing")
        except (TrainingError, *MALFORMED) as error:  # the first for more than the budget
            text = str(error).removeprefix(f"{path}: ") or type(error).__name__
            what = " ".join(text.split())[:160]
            raise TrainingError(
                f"{path}: line {number} is not an event of a training run ({what}); give another"
                " `out`"
            ) from error
        found.append(event)
    return found


def _checked(event: Any) -> str:
    """The kind of an event. Raises one of `MALFORMED` unless it is one."""
    if not isinstance(event, dict):
        raise ValueError(f"expected an object, got {type(event).__name__}")
    kind = event.get("event")
    if kind == "start":
        for name in ("network", "recipe", "data", "weights"):
            if not isinstance(event[name], dict):
                raise ValueError(f"its {name} is not an object")
        for name in ("data", "weights"):
            if not isinstance(event[name]["digest"], str):
                raise ValueError(f"the digest of its {name} is not text")
    elif kind == "step":
        if type(event["step"]) is not int:
            raise ValueError("its step is not an integer")
        for name in ("loss", "accuracy", "learning_rate"):
            if type(event[name]) not in (int, float) or not math.isfinite(event[name]):
                raise ValueError(f"its {name} is not a finite number")
    elif kind == "epoch":
        _epoch(event)
    else:
        raise ValueError("it is neither the start nor a step nor an epoch")
    return str(kind)


def _epoch(event: Event) -> Epoch:
    return Epoch.of({name: value for name, value in event.items() if name != "event"})


class Log:
    """The log of a run in progress, open at its end. Of a process that writes none, `path` is
    None. `kept` says what there is to go on from if it cannot be written.
    """

    def __init__(self, path: Path | None, kept: Callable[[], str]) -> None:
        self._path, self._kept = path, kept
        self._digest = hashlib.sha256()
        self._length = 0
        # Unbuffered: a failed write is not tried again while an error propagates.
        self._file: IO[bytes] | None = None

    def begin(self, start: Mapping[str, Any]) -> None:
        """A new log, in the place of what `has_begun` found there. Raises `TrainingError` if it
        cannot be written.
        """
        if self._path is None:
            return
        self._open(new=True)
        self.write({"event": "start", **start})

    def go_on(self, position: Position) -> None:
        """The log up to `position`: what comes after it belongs to steps that will be taken again.
        Raises `TrainingError` if that is not what was there then.
        """
        path = self._path
        if path is None:
            return
        with limited(path, TrainingError):
            there = kind_at(path, TrainingError)
            data = _bytes(path, position.log_bytes) if there else b""
            events = _events(path, data)  # which names a line that is wrong
        if len(data) < position.log_bytes:
            raise TrainingError(
                f"{path}: is missing or shorter than its checkpoint says; give another `out`"
            )
        if position.log_digest not in ("", hashlib.sha256(data).hexdigest()) or (
            _count(events, "step") != position.step or epochs_of(events) != position.epochs
        ):
            raise TrainingError(
                f"{path}: is not the log that its checkpoint was written with; give another `out`"
            )
        self._open(new=False)
        try:
            assert self._file is not None
            self._file.truncate(position.log_bytes)
            self._file.seek(position.log_bytes)
        except OSError as error:
            raise self._unwritable(error) from error
        self._digest.update(data)
        self._length = len(data)

    def write(self, event: Mapping[str, Any]) -> None:
        """Add an event. Raises `TrainingError` if it cannot be written."""
        if self._file is None:
            return
        line = (json.dumps(event, allow_nan=False) + "\n").encode()
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._unwritable(error) from error
        self._digest.update(line)
        self._length += len(line)

    def flush(self) -> tuple[int, str]:
        """Its length and its digest, once it is on the disk. Raises `TrainingError`."""
        if self._file is not None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._unwritable(error) from error
        return self._length, self._digest.hexdigest()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, *, new: bool) -> None:
        assert self._path is not None
        try:
            handle = own_handle(self._path)
            self._file = os.fdopen(handle, "r+b", buffering=0)
            if new:
                self._file.truncate(0)
        except OSError as error:
            raise TrainingError(
                f"{self._path}: cannot be written ({error.strerror or error}); give another `out`"
            ) from error

    def _unwritable(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"{self._path}: cannot be written ({error.strerror}); {self._kept()}; once it can be"
            " written, give `resume=True`"
        )


def _count(events: list[Event], kind: str) -> int:
    return sum(event["event"] == kind for event in events)
