"""Keras files without the names of layers, as Keras 2.13 and early Keras 3 wrote them: a layer is
its class and how many of that class came before it in `model.layers`, which a zoo's table knows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from ...arrays import Array
from ...spec.layers import BatchNorm, Conv
from ..formats import WeightsFile
from .guess import default_entries
from .models import ZooModel

_GROUP = re.compile(r"((?:.*/)?)layers/(conv2d|batch_normalization|dense)(?:_(\d+))?/vars/(\d+)")
#: The classes of ImageNet: a library's own classifier has them, and one of a user's has not.
_IMAGENET = 1000

#: The groups of one class at one place: for each number, the values of a layer by theirs.
_Groups = dict[int, dict[int, tuple[str, Array]]]


def with_names(file: WeightsFile, model: ZooModel) -> WeightsFile:
    """`file` with the names that `model` gives its arrays, if they have none in the file and there
    are as many convolutions as in the model; otherwise `file` itself.
    """
    if model.nested:
        return _not_nested(file, model)
    if not model.order:
        return file
    found: dict[tuple[str, str], _Groups] = defaultdict(lambda: defaultdict(dict))
    for name, array in file.arrays.items():
        if match := _GROUP.fullmatch(name):
            place = found[match[1], match[2]]
            place[int(match[3] or 0)][int(match[4])] = name, array
    renamed: dict[str, str] = {}
    for (prefix, kind), groups in found.items():
        if kind == "conv2d" and sorted(groups) == list(range(len(model.order))):
            convolutions, norms = _modules(model)
            renamed |= _renamed(groups, convolutions, ["kernel", "bias"])
            norm = found.get((prefix, "batch_normalization"), {})
            if sorted(norm) == list(range(len(norms))):
                renamed |= _renamed(norm, norms, ["beta", "moving_mean", "moving_variance"])
    if renamed:
        dense = [groups for (_, kind), groups in found.items() if kind == "dense"]
        for groups in dense:
            names = {number: f"dense_{number}" if number else "dense" for number in groups}
            if len(dense) == len(groups) == 1 and _classes(groups[0]) == _IMAGENET:
                names = {0: "predictions"}
            renamed |= _renamed(groups, names, ["kernel", "bias"])
    arrays = {renamed.get(name, name): array for name, array in file.arrays.items()}
    return replace(file, arrays=arrays) if len(arrays) == len(file.arrays) else file


def _not_nested(file: WeightsFile, model: ZooModel) -> WeightsFile:
    """`file` with automatic names alone, without those of the modules that the layers are in;
    `file` itself if two arrays would have one name.
    """
    pattern = model.automatic
    assert pattern is not None
    arrays = {}
    for name, array in file.arrays.items():
        last = model.separator.join(name.split(model.separator)[-2:])
        arrays[last if pattern.fullmatch(last) else name] = array
    return replace(file, arrays=arrays) if len(arrays) == len(file.arrays) else file


def _modules(model: ZooModel) -> tuple[dict[int, str], dict[int, str]]:
    """The modules of convolutions and of batch norms, in the library's order of layers."""
    convolutions: list[tuple[str, str]] = []
    norms: dict[str, str] = {}
    for entry in default_entries(model, False):
        module = entry.names[0].rpartition(model.separator)[0]
        path, layer = entry.spec.site.path, entry.spec.site.layer
        if isinstance(layer, Conv) and entry.spec.name == "weight":
            convolutions.append((path.removesuffix("conv"), module))
        elif isinstance(layer, BatchNorm):
            norms[path.removesuffix("norm")] = module
    ordered = [convolutions[index] for index in model.order]
    followed = [norms[path] for path, _ in ordered if path in norms]
    return dict(enumerate(module for _, module in ordered)), dict(enumerate(followed))


def _renamed(groups: _Groups, modules: dict[int, str], variables: list[str]) -> dict[str, str]:
    return {
        name: f"{modules[number]}/{variables[index]}"
        for number, values in groups.items()
        for index, (name, _) in values.items()
        if number in modules and index < len(variables) and len(values) <= len(variables)
    }


def _classes(values: dict[int, tuple[str, Array]]) -> int:
    """How many classes a dense layer has."""
    return values[0][1].shape[-1] if 0 in values and values[0][1].ndim == 2 else 0
