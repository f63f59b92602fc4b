"""Keras weights, .weights.h5, .h5 and .keras, without Keras; they need h5py.

Which names come out depends on what the file knows.

*Legacy .h5* (only weights, or a whole model with them under `model_weights`): `<layer>/<variable>`,
such as `conv2d_3/kernel` or `batch_normalization_3/moving_mean`, in the order of the model's
layers. The file has both names. Whatever its weight names put up to the repeated layer name is
dropped, and so is `:0`; a weight of a model inside the model keeps the rest of its path, as in
`inner/conv_a/kernel`.

*Keras 3* (.weights.h5, and .keras, a zip with one inside): a layer's group is its class and how
many of that class came before it in `model.layers`, such as `layers/conv2d_3`, which is not the
layer of that name. The layer's own name is the attribute `name` of the group `vars` in it, in files
of current versions, and the name given here. Variables have numbers only, and are named here where
class and ranks leave no doubt:

* `<layer>/kernel` and `/bias` for a Conv2D or Dense;
* `<layer>/gamma`, `/beta`, `/moving_mean` and `/moving_variance` for a BatchNormalization;
* for one with three variables, `<layer>/0`, `/moving_mean` and `/moving_variance`: 0 is beta if
  scale=False, and gamma if center=False, and no file says which;
* `<layer>/0`, `<layer>/1` and so on for every other class, and for a layer in an attribute of a
  subclassed model.

A group without `name`, or whose name another group has too, keeps its own path:
`layers/conv2d_3/vars/0`. Groups come in the order of their paths with numbers counted as numbers,
`conv2d_2` before `conv2d_10`. Optimiser state is left out. The configuration in .keras and .h5
files, from which Keras would build objects, is never read. Formats: keras/src/saving/saving_lib.py
and keras/src/legacy/saving/legacy_h5_format.py of Keras 3.15.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...arrays import Array, Params
from ...budget import meter
from ...errors import WeightsError
from ...paths import open_file
from . import archives, hdf5
from .common import UnsuitableError, WeightsFile, plain_arrays

MEMBER = "model.weights.h5"
"""The file in a .keras zip that has the weights."""
CONFIG = "config.json"
"""The one that describes the model."""

# Legacy -------------------------------------------------------------------------------------------


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, which Keras splits into `attribute`0, `attribute`1 and so on if it is too
    long for one attribute.
    """
    attributes = [attribute] if attribute in group.attrs else []
    while (
        not (attributes and attributes[0] == attribute)
        and f"{attribute}{len(attributes)}" in group.attrs
    ):
        attributes.append(f"{attribute}{len(attributes)}")
    return [name for part in attributes for name in hdf5.texts(group, part)]


def _legacy_name(layer: str, weight: str) -> str:
    """`<layer>/<variable>` of `weight`, such as `model/conv2d_3/kernel:0` of layer `conv2d_3`."""
    parts = re.sub(r":\d+$", "", weight).split("/")
    while layer in parts[:-1]:
        parts = parts[parts.index(layer) + 1 :]
    return "/".join([layer, *parts])


def _legacy(weights: Any) -> Params:
    arrays: Params = {}
    for layer in _names(weights, "layer_names"):
        group = _descend(weights, layer)
        for weight in _names(group, "weight_names"):
            name = _legacy_name(layer, weight)
            if name in arrays:
                name = f"{layer}/{weight}"
            arrays[name] = hdf5.array(_descend(group, weight), weight)
    return arrays


def _descend(group: Any, path: str) -> Any:
    parts = path.split("/")
    meter().check_depth(len(parts))
    for part in parts:
        group = hdf5.child(group, part)
    return group


# Keras 3 ------------------------------------------------------------------------------------------


def _natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts `conv2d` before `conv2d_2` before `conv2d_10`."""
    return [
        (0, int(part)) if part.isdecimal() else (1, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _vars_groups(
    group: Any, visited: hdf5.Visited, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every group `vars` that holds variables, with the path of the group that it is in."""
    import h5py

    visited.enter(group, path)
    for name in sorted(hdf5.members(group), key=_natural):
        child = hdf5.child(group, name)
        if not isinstance(child, h5py.Group) or (not path and name == "optimizer"):
            continue
        if name != "vars":
            yield from _vars_groups(child, visited, (*path, name))
        elif len(child):
            visited.enter(child, (*path, name))
            yield path, child


def _variables(group: str, arrays: list[Array]) -> list[str]:
    """The names of a layer's variables, as far as they follow from its class, after which `group`
    is named.
    """
    if any(
        array.dtype.kind != "f" for array in arrays
    ):  # quantised layers have additional variables
        return [str(index) for index in range(len(arrays))]
    match re.sub(r"_\d+$", "", group), [array.ndim for array in arrays]:
        case ("conv2d", [4]) | ("dense", [2]):
            return ["kernel"]
        case ("conv2d", [4, 1]) | ("dense", [2, 1]):
            return ["kernel", "bias"]
        case "batch_normalization", [1, 1, 1, 1]:
            return ["gamma", "beta", "moving_mean", "moving_variance"]
        case "batch_normalization", [1, 1, 1]:
            return ["0", "moving_mean", "moving_variance"]
        case "batch_normalization", [1, 1]:
            return ["moving_mean", "moving_variance"]
    return [str(index) for index in range(len(arrays))]


def _keras3(file: Any) -> Params:
    groups = list(_vars_groups(file, hdf5.Visited()))
    layers = [hdf5.text(group, "name") for _, group in groups]
    uses = Counter(layers)
    arrays: Params = {}
    for (path, group), layer in zip(groups, layers, strict=True):
        numbers = sorted(hdf5.members(group), key=_natural)
        values = [hdf5.array(hdf5.child(group, number), number) for number in numbers]
        if layer and uses[layer] == 1:
            names = [
                f"{layer}/{variable}" for variable in _variables(path[-1] if path else "", values)
            ]
        else:
            names = ["/".join((*path, "vars", number)) for number in numbers]
        arrays.update(zip(names, values, strict=True))
    return arrays


# Models -------------------------------------------------------------------------------------------

#: Layers that change images, and leave nothing in the weights by which a network would show it.
_BEFORE = re.compile(r'"class_name"\s*:\s*"(Rescaling|Normalization)"')


def _check_layers(config: str) -> None:
    """Raises `UnsuitableError` for a model, described by the JSON `config`, that does more than its
    weights say.
    """
    if (found := _BEFORE.search(config)) is not None:
        raise UnsuitableError(
            f"its model has a layer {found[1]}, which changes what the network gets and is not in"
            " its weights; save only those of the model behind it, with save_weights, and say what"
            " it does to images as `preprocessing`"
        )


# Files --------------------------------------------------------------------------------------------


def _read(path: Path, stream: BinaryIO, container: str) -> WeightsFile:
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise WeightsError(
            f"{path}: reading Keras weights needs h5py, which is not installed; pip install h5py"
        ) from error

    with hdf5.opened(stream) as file:
        whole = hdf5.has(file, "model_weights")
        if whole and "model_config" in file.attrs:
            _check_layers(hdf5.document(file, "model_config"))
        weights = hdf5.child(file, "model_weights") if whole else file
        if "layer_names" in weights.attrs or "layer_names0" in weights.attrs:
            return WeightsFile(path, "Keras legacy weights", plain_arrays(_legacy(weights)), {})
        return WeightsFile(path, container, plain_arrays(_keras3(file)), {})


def read(path: Path) -> WeightsFile:
    """Read a .weights.h5 or .h5 file. Raises `WeightsError` if h5py is not installed."""
    with open_file(path) as file:
        return _read(path, file, "Keras 3 weights")


def read_zip(path: Path) -> WeightsFile:
    """Read the weights in a .keras file. Raises `WeightsError` if h5py is not installed."""
    with archives.opened(path) as archive:
        content = archives.member(archive, MEMBER)
        if CONFIG in archive.namelist():
            _check_layers(archives.member(archive, CONFIG).decode("utf-8", "replace"))
    return _read(path, io.BytesIO(content), "Keras 3 model")
