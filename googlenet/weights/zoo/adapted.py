"""The arrays of a file by the names and with the axes of a table, where one library writes them in
two ways: by the names of a program instead of the model's own, and a classifier as a convolution.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from ...arrays import Array
from ...spec.layers import Dense
from .names import Entry, ZooModel, entries, kind_of, network_of


def adapted(model: ZooModel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """`arrays` by the names of `model`'s table, those that it has not as they are.

    A program of Paddle's numbers its layers by kind in the order in which they were made
    (`conv2d_3.w_0`), which is that of the table's rows; other layers may have been made before. A
    dense layer whose weight is that of a 1×1 convolution, as TensorFlow-Slim's heads are, loses
    those axes.
    """
    found = _by_own_names(model, arrays) if model.program else dict(arrays)
    dense = _dense_names(model)
    return {
        name: _without_ones(array) if name in dense and array.ndim == 4 else array
        for name, array in found.items()
    }


def _without_ones(array: Array) -> Array:
    """(1, 1, A, B) or (A, B, 1, 1) as (A, B)."""
    if array.shape[:2] == (1, 1):
        return array.reshape(array.shape[2:])
    return array.reshape(array.shape[:2]) if array.shape[2:] == (1, 1) else array


@functools.cache
def _all_entries(designator: ZooModel) -> tuple[Entry, ...]:
    return tuple(entries(designator, network_of(designator, aux=designator.aux)))


@functools.cache
def _dense_names(model: ZooModel) -> frozenset[str]:
    """The names of weights of dense layers that take vectors."""
    return frozenset(
        name
        for entry in _all_entries(model)
        if isinstance(entry.spec.site.layer, Dense) and len(entry.shape) == 2
        for name in entry.names
        if len(entry.spec.shape) == 2
    )


@functools.cache
def _modules(model: ZooModel) -> dict[str, list[dict[str, str]]]:
    """By the kind of layer, for each layer in the order of the table the name of its arrays by
    their role.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for entry in _all_entries(model):
        layers = found.setdefault(kind_of(entry.spec), {})
        layers.setdefault(entry.spec.site.path, {})[entry.spec.name] = entry.names[0]
    return {kind: list(layers.values()) for kind, layers in found.items()}


def _by_own_names(model: ZooModel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a program by the model's own names; as they are if they have other names."""
    found: dict[str, str] = {}
    for kind, rule in model.program.items():
        roles = {name: role for role, name in rule.items() if role != "auto"}
        pattern = re.compile(rf"(?:{rule['auto']})_(\d{{1,9}})\.(\w+)", re.ASCII)
        by_number: dict[int, dict[str, str]] = {}
        for name in arrays:
            if match := pattern.fullmatch(name):
                by_number.setdefault(int(match[1]), {})[match[2]] = name
        modules = _modules(model).get(kind, [])
        for (_, held), own in zip(sorted(by_number.items()), modules, strict=False):
            found |= {
                name: own[roles[last]]
                for last, name in held.items()
                if last in roles and roles[last] in own
            }
    return {found.get(name, name): array for name, array in arrays.items()}
