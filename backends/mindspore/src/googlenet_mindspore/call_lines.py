"""The user's lines that call operations, as MindSpore notes them beside a graph that it compiles:
for each operation, by its scope, the files and lines from the outermost call inwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mindspore as ms

from googlenet.backend.lines import closed, innermost

_SCOPE: Final = re.compile(r" *# Fullname with scope: \((.+)\)")
_FRAME: Final = re.compile(r" *# In file (.+?):(\d+)(?:~\d+)?, \d+~\d+/")
#: What is not the user's, and the file of MindSpore's containers.
_OTHERS: Final = closed(ms.__file__, __file__)
_CONTAINERS: Final = (os.path.join("nn", "layer", "container.py"),)
#: Of which of its passes over a graph MindSpore writes the result: the last before an export.
_PASSES: Final = "MS_DEV_DUMP_IR_PASSES"


@contextmanager
def noted(folder: str) -> Iterator[None]:
    """MindSpore writes what it compiles to `folder` for a while."""
    context: Any = ms.context._context()
    names = ms.context.ms_ctx_param
    kept = [(each, context.get_param(each)) for each in (names.save_graphs, names.save_graphs_path)]
    passes = os.environ.get(_PASSES)
    os.environ[_PASSES] = "validate"
    context.set_param(names.save_graphs_path, folder)
    context.set_param(names.save_graphs, 1)
    try:
        yield
    finally:
        for name, value in kept:
            context.set_param(name, value)
        if passes is None:
            del os.environ[_PASSES]
        else:
            os.environ[_PASSES] = passes


def call_lines(folder: str) -> Mapping[str, tuple[str, int]]:
    """The user's line that calls each operation, or the cell that it is in, by its scope; none for
    what one of MindSpore's own containers calls.
    """
    found: dict[str, tuple[str, int]] = {}
    for file in sorted(Path(folder).glob("*_validate_*.ir")):
        scope, frames = "", list[tuple[str, int]]()
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if (named := _SCOPE.match(line)) is not None:
                scope, frames = named.group(1), []
            elif (frame := _FRAME.match(line)) is not None and scope:
                frames.append((frame.group(1), int(frame.group(2))))
                user = innermost(reversed(frames), _OTHERS, _CONTAINERS)
                if user is None:
                    found.pop(scope, None)
                else:
                    found[scope] = user
    return found
