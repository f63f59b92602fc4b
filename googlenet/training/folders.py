"""The folder of a run: whose it is while it runs, and what it is called if nobody says."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..locks import held, holder
from ..paths import kind_at
from ..spec.layers import Network
from ..spec.recipe import Recipe
from ..temporary import remove_leftovers

#: The file in a run's folder that is locked while it runs, and says who runs there.
LOCK = ".lock"

#: The picture of a run or a race, unless another is asked for.
CURVES = "curves.png"


def check_free(folder: Path, names: Iterable[str]) -> None:
    """Raises `TrainingError` if one of the files that are about to be written to `folder`, in which
    no run has begun, is there already: it is somebody else's.
    """
    for name in names:
        if kind_at(folder / name, TrainingError) not in ("", "folder"):
            raise TrainingError(
                f"{folder / name}: is there already, and not of a run in this folder; move it away,"
                " or give another `out`"
            )


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
        found = holder(handle)
        who = "" if found is None else f" ({found})"
        return TrainingError(
            f"{folder}: another process is training here; wait for it to finish{who}, or give"
            " another `out`"
        )

    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder / LOCK, wait=wait, busy=busy))
        except OSError as error:
            raise TrainingError(
                f"{folder / LOCK}: cannot be written ({error.strerror}); give another `out`"
            ) from error
        remove_leftovers(folder)
        yield


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
