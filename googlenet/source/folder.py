"""A model as files that stand alone: its source, its weights in the framework's own format, and
what loads them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..arrays import Params
from ..backend.protocols import Adopts
from ..backend.spelling import Loading
from ..files import write_atomically
from ..spec.layers import Network
from .write import Written, write

#: The files of source and of loading, whose names are those of the modules.
SOURCE, LOADER = "model.py", "load.py"

_LOADER: Final = '''"""`load()` makes {name} with the weights that are beside this file."""

import pathlib
{imports}
from model import {name} as Model


def load(weights=pathlib.Path(__file__).with_name("{weights}")):
    """The model in evaluation mode, with the weights of a file."""
{lines}
'''


@dataclass(frozen=True)
class Files:
    """What `write_model` wrote: the names of its files, and what makes the model."""

    source: str
    weights: str
    loader: str
    name: str


def write_model(
    folder: str | os.PathLike[str], network: Network, params: Params, backend: Adopts
) -> Files:
    """Write `network` with the weights `params` to files in `folder`, which must exist: `model.py`,
    `model` with the framework's own ending, and `load.py`, whose `load()` returns the model.

    Raises `SpecError` for a name that cannot be written, `WeightsError` or `OSError` for a file.
    """
    target = Path(folder)
    written = write(network, backend)
    suffix = backend.file_suffix
    weights = f"model{suffix if isinstance(suffix, str) else suffix[0]}"
    write_atomically(target / SOURCE, written.text.encode())
    backend.save(backend.build(network, params), target / weights)
    loader = _loader(backend.loading, written, weights)
    write_atomically(target / LOADER, loader.encode())
    return Files(SOURCE, weights, LOADER, written.name)


def _loader(loading: Loading, written: Written, weights: str) -> str:
    lines = [f"model = Model({written.arguments})", *loading.lines]
    body = "\n".join(f"    {line}" for line in lines)
    imports = f"\n{loading.imports}\n" if loading.imports else ""
    return _LOADER.format(name=written.name, imports=imports, weights=weights, lines=body)
