"""The folder of a run: whose it is while it runs, and what it is called if nobody says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from textwrap import shorten
from typing import Any

from ..errors import TrainingError
from ..locks import held
from ..spec.layers import Network
from ..spec.recipe import Recipe
from ..temporary import remove_leftovers
from ..typed import MALFORMED, made

#: The file in a run's folder that is locked while it runs, and says who runs there.
LOCK = ".lock"


@dataclass(frozen=True)
class Runner:
    """Who runs in a folder."""

    pid: int
    command: str
    since: str
    host: str

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{where} since {self.since}: {self.command}"


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it unless they exist. Raises `TrainingError` if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be written ({error.strerror}); give another `out`"
        ) from error


@contextmanager
def locked(folder: Path, *, wait: float = 0.0) -> Iterator[None]:
    """`folder`, which is made if need be, is this process's to write to meanwhile; the lock ends
    with the process, whatever ends it. What processes that were killed left there is removed.

    Raises `TrainingError` that says who runs there if it is still another's after `wait` seconds,
    or if it cannot be made. Where the system has no such locks, as Windows, nothing is locked.
    """
    make_folder(folder)
    if sys.platform == "win32":
        yield
        return

    def busy(handle: int) -> TrainingError:
        runner = _runner(handle)
        who = "" if runner is None else f" ({runner})"
        return TrainingError(
            f"{folder}: another process is training here; wait for it to finish{who}, or give"
            " another `out`"
        )

    with ExitStack() as stack:
        try:
            handle = stack.enter_context(held(folder / LOCK, wait=wait, busy=busy))
        except OSError as error:
            raise TrainingError(
                f"{folder / LOCK}: cannot be written ({error.strerror}); give another `out`"
            ) from error
        _sign(handle)
        remove_leftovers(folder)
        yield


def _sign(handle: int) -> None:
    """Write who has the lock; it is held whether that can be written or not."""
    program = Path(sys.argv[0] if sys.argv else "")
    name = program.parent.name if program.stem == "__main__" else program.name
    command = shorten(shlex.join([name, *sys.argv[1:]]), 200, placeholder=" …")
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    text = json.dumps(
        {"pid": os.getpid(), "command": command, "since": since, "host": socket.gethostname()}
    )
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(errors="replace"), 0)


def _runner(handle: int) -> Runner | None:
    """Who has the lock; None if the file does not say, as just after it was made."""
    try:
        found = made(lambda data: Runner(**json.loads(data)), os.pread(handle, 4096, 0))
    except (OSError, *MALFORMED):
        return None
    texts = (found.command, found.since, found.host)
    return found if all(text.isprintable() and len(text) <= 300 for text in texts) else None


# Names --------------------------------------------------------------------------------------------


def default_folder(
    parts: tuple[str, ...], network: Network, recipe: Recipe, settings: Mapping[str, Any]
) -> Path:
    """The folder of a run for which nobody names one, below `runs`: `parts`, the size of the
    images, what of the recipe is not the book's, and the beginning of a digest of all `settings`.
    The same settings find the same folder, and others another one.
    """
    book = Recipe()
    words = ["x".join(map(str, network.input_shape))]
    for field in fields(Recipe):
        value = getattr(recipe, field.name)
        if value != getattr(book, field.name) and field.name in _SHORT:
            shown = "-".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
            words.append(f"{_SHORT[field.name]}{shown}")
    text = json.dumps(settings, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = "-".join(map(as_name, (*parts, *words))).encode()[:LONGEST].decode(errors="ignore")
    return Path("runs") / f"{name}-{digest}"


#: The most bytes of such a name, without the digest: file systems take 255.
LONGEST = 200

#: What the settings of a recipe are called in the name of a folder; its seed is one of the parts.
_SHORT = {
    "learning_rate": "rate",
    "momentum": "momentum",
    "weight_decay": "decay",
    "label_smoothing": "smoothing",
    "aux_weights": "aux",
    "epochs": "epochs",
    "batch_size": "batch",
    "schedule": "",
}


def as_name(text: str) -> str:
    """`text` as part of the name of a folder: whatever it is, it leads nowhere else."""
    safe = re.sub(r"[^\w.+=,@ -]", "-", text).strip(" ").lstrip(".-")
    return safe[:40] or "unnamed"
