"""The user's line in a stack of calls."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable

#: The folder of this project.
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def closed(framework: str, plugin: str) -> tuple[str, ...]:
    """How the paths of all code begin that is not the user's: what is installed beside the file
    `framework`, the adapter that the file `plugin` belongs to, this project, Python's own library,
    and code that has no file.
    """
    folders = (
        os.path.dirname(os.path.dirname(framework)),
        os.path.dirname(plugin),
        _OWN,
        sysconfig.get_path("stdlib"),
    )
    return ("<", *(os.path.join(folder, "") for folder in folders))


def innermost(
    frames: Iterable[tuple[str, int]], others: tuple[str, ...], containers: tuple[str, ...]
) -> tuple[str, int] | None:
    """The user's line in which an operation is called, or the layer that it is in, of the files and
    lines of its calls from the innermost outwards; None for what one of a framework's own
    `containers` calls, files that are told by how their paths end. `others` is as in `closed`.
    """
    for file, line in frames:
        if not file.startswith(others):
            return file, line
        if file.endswith(containers):
            break
    return None
