"""Which file holds the weights where somebody names a folder, the common beginning of several
files, or one of several that belong together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...errors import WeightsError
from ...paths import kind_at
from . import tensorflow

SAVED_MODEL: Final = "saved_model.pb"
VARIABLES: Final = Path("variables", "variables.index")
TENSORFLOW_JS: Final = "model.json"
#: What follows a name that was given without its end.
_ENDS: Final = (".index", ".pdiparams", ".pdparams")


def located(path: Path) -> Path:
    """The file to read for `path`: itself, unless it is a folder or the beginning of a name, or the
    shard or graph of a file beside it.

    Raises `WeightsError` for a folder without weights, or with several, and for a shard whose index
    is missing.
    """
    kind = kind_at(path, WeightsError)
    if kind == "folder":
        return _in_folder(path)
    if not kind:
        fitting = [path.with_name(path.name + end) for end in _ENDS if path.name]
        return next((each for each in fitting if kind_at(each, WeightsError) == "file"), path)
    index = tensorflow.index_of(path)
    if index is not None:
        if kind_at(index, WeightsError) != "file":
            raise WeightsError(
                f"{path}: holds arrays of a TensorFlow checkpoint without their names, which are in"
                f" {index.name}, and that is not beside it; put it there"
            )
        return index
    if path.name == SAVED_MODEL:
        return _variables(path.parent)
    if path.suffix in (".pdmodel", ".json"):
        beside = path.with_suffix(".pdiparams")
        return beside if kind_at(beside, WeightsError) == "file" else path
    return path


def _variables(folder: Path) -> Path:
    """The variables of a SavedModel. Raises `WeightsError` if it has none."""
    found = folder / VARIABLES
    if kind_at(found, WeightsError) != "file":
        raise WeightsError(
            f"{folder}: is a SavedModel without {VARIABLES}, so its weights are constants of its"
            " graph; give the model that it was made of, or export it to ONNX with tf2onnx"
        )
    return found


def _in_folder(folder: Path) -> Path:
    if kind_at(folder / SAVED_MODEL, WeightsError) == "file":
        return _variables(folder)
    if kind_at(folder / TENSORFLOW_JS, WeightsError) == "file":
        return folder / TENSORFLOW_JS
    try:
        found = sorted(
            each for each in folder.iterdir() if each.name.endswith((".index", ".pdiparams"))
        )
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be read ({error.strerror or error})") from error
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found[:5])
        raise WeightsError(
            f"{folder}: is a folder with several files of weights; give one: {names}"
        )
    raise WeightsError(f"{folder}: is a folder without weights; expected a weights file")
