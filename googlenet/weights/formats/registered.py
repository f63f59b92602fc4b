"""Formats that plugins read: an entry point in the group `googlenet.formats`, whose name is the end
of the files' names without its first dot (`own`, `weights.h5`), and whose value is
`module:function`, a function from the file's path to its `WeightsFile`.

The module is imported only for such a file, and should not need the framework.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import WeightsError
from .common import WeightsFile, plain_arrays

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "googlenet.formats"


def suffixes() -> list[str]:
    """The ends of names for which a reader is registered, without their first dot, sorted; nothing
    is imported.
    """
    return sorted({point.name for point in _points()})


def reader_of(path: Path) -> EntryPoint | None:
    """The reader for the longest registered end of the file's name; nothing is imported. Raises
    `WeightsError` if two plugins claim one.
    """
    fitting = [point for point in _points() if path.name.endswith(f".{point.name}")]
    if not fitting:
        return None
    longest = max((point.name for point in fitting), key=len)
    first, *others = (point for point in fitting if point.name == longest)
    for other in others:
        if other.value != first.value:
            raise WeightsError(
                f"{path}: .{longest} files have two readers, {first.value} and {other.value};"
                " uninstall the plugin of one of them"
            )
    return first


def read_registered(reader: EntryPoint, path: Path) -> WeightsFile:
    """What `reader` returns for the file. Raises `WeightsError`: the reader's own, or one that says
    that the reader cannot be imported, raised something else, or did not return a `WeightsFile` of
    plain arrays.
    """
    try:
        read = reader.load()
    except Exception as error:
        raise WeightsError(
            f"{path}: the reader of .{reader.name} files, {reader.value}, cannot be imported"
            f" ({_words(error)}); install its plugin again"
        ) from error
    try:
        file = read(path)
        if not isinstance(file, WeightsFile):
            raise TypeError(f"expected a WeightsFile, got {type(file).__name__}")
        return replace(file, arrays=plain_arrays(file.arrays))
    except WeightsError as error:
        raise WeightsError(" ".join(str(error).split())) from error
    except Exception as error:
        raise WeightsError(
            f"{path}: the reader of .{reader.name} files, {reader.value}, failed ({_words(error)});"
            " save the file again, or report this to the author of the reader"
        ) from error


def _points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
