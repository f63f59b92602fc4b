"""A backend whose models are those of files: printed source, run as its readers run it, with the
weights that the framework's own loader reads. What is proved of it holds for the files.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from ..arrays import Params
from ..backend.protocols import Adopts
from ..source.folder import LOADER, SOURCE, write_model
from ..spec.layers import Network

#: The modules of written models are counted.
_NUMBERS: Final = count(1)


def written_backend(backend: Adopts, folder: Path) -> Adopts:
    """`backend`, but `build` writes source and weights to a new folder in `folder`, and loads them
    from there.
    """
    numbers = count(1)

    def build(network: Network, params: Params, *, device: str | None = None) -> Any:
        assert device is None, "files are loaded to the framework's default device"
        place = folder / f"model-{next(numbers)}"
        place.mkdir()
        write_model(place, network, params, backend)
        return backend.adopt(loaded(place), network)

    return cast(Adopts, with_functions(backend, build=build))


def with_functions(backend: Any, **functions: Any) -> SimpleNamespace:
    """A backend, which is a module, with other functions in place of its own."""
    public = {name: value for name, value in vars(backend).items() if not name.startswith("_")}
    return SimpleNamespace(**public | functions)


def loaded(folder: str | os.PathLike[str]) -> Any:
    """The model that the files of `write_model` in `folder` make, as their reader gets it.

    Each source has a module of its own, which stays: MindSpore looks for it when it compiles.
    """
    place, source = Path(folder), Path(SOURCE).stem
    module = _imported(place / SOURCE, f"written_{next(_NUMBERS)}")
    before = sys.modules.get(source)
    sys.modules[source] = module
    try:
        return _imported(place / LOADER, f"{module.__name__}_loader").load()
    finally:
        del sys.modules[source]
        if before is not None:
            sys.modules[source] = before


def _imported(file: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
