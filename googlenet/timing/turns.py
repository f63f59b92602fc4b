"""Turns between processes, one at a time: a file says whose turn it is to do what, and the answer
is a file, too.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

#: How often a process looks whether something is there for it, in seconds: what waits must not
#: slow down what is timed.
LOOK: Final = 0.005
#: How often one that waits says that it is still there, in seconds.
BEAT: Final = 1.0
#: What ends a worker.
STOP: Final = "stop"


def tell(folder: Path, number: int, values: dict[str, Any]) -> None:
    """Ask the worker of `folder` for something: its turn `number`."""
    _write(folder / f"turn-{number}.json", values)


def asked(folder: Path, number: int, alive: Callable[[], None]) -> dict[str, Any]:
    """What the worker of `folder` is asked in turn `number`, once it is; meanwhile it says that it
    is `alive`.
    """
    return _awaited(folder / f"turn-{number}.json", alive)


def answer(folder: Path, number: int, values: dict[str, Any]) -> None:
    """The worker's answer to turn `number`."""
    _write(folder / f"answer-{number}.json", values)


def answered(folder: Path, number: int, alive: Callable[[], None]) -> dict[str, Any]:
    """The answer to turn `number`, once it is there; `alive` is called now and then meanwhile, and
    raises if nobody will answer.
    """
    return _awaited(folder / f"answer-{number}.json", alive, every=0.1)


def _write(path: Path, values: dict[str, Any]) -> None:
    """All of it or nothing; not flushed, since nobody needs it after a crash."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values))
    os.replace(temporary, path)


def _awaited(path: Path, alive: Callable[[], None], every: float = BEAT) -> dict[str, Any]:
    last = time.monotonic()
    while True:
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            if time.monotonic() - last > every:
                alive()
                last = time.monotonic()
            time.sleep(LOOK)
        else:
            return found
