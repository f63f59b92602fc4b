"""The arrays of a file by the names and with the axes of a table, where one library writes them in
two ways: by the names of a program instead of the model's own, and a classifier as a convolution.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from ...arrays import Array
from ...spec.layers import Dense
from .models import ZooModel
from .names import Entry, entries, kind_of, network_of


def adapted(model: ZooModel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """`arrays` by the names of `model`'s table, those that it has not as they are.

    A program of Paddle's numbers its layers by kind in the order in which they were made
    (`conv2d_3.w_0`), which is that of the table's rows; other layers may have been made before. A
    dense layer whose weight is that of a 1×1 convolution, as TensorFlow-Slim's heads are, loses
    those axes.
    """
    own, dense = own_names(model, arrays), _dense_names(model)
    return {
        own.get(name, name): _without_ones(array)
        if own.get(name, name) in dense and array.ndim == 4
        else array
        for name, array in arrays.items()
    }


def _without_ones(array: Array) -> Array:
    """(1, 1, A, B) or (A, B, 1, 1) as (A, B)."""
    if array.shape[:2] == (1, 1):
        return array.reshape(array.shape[2:])
    return array.reshape(array.shape[:2]) if array.shape[2:] == (1, 1) else array


@functools.lru_cache(maxsize=512)
def _all_entries(model: ZooModel) -> tuple[Entry, ...]:
    return tuple(entries(model, network_of(model, aux=model.aux)))


@functools.lru_cache(maxsize=512)
def _dense_names(model: ZooModel) -> frozenset[str]:
    """The names of weights of dense layers that take vectors."""
    return frozenset(
        name
        for entry in _all_entries(model)
        if isinstance(entry.spec.site.layer, Dense) and len(entry.shape) == 2
        for name in entry.names
        if len(entry.spec.shape) == 2
    )


@functools.lru_cache(maxsize=512)
def _modules(model: ZooModel) -> dict[str, list[dict[str, str]]]:
    """By the kind of layer, for each layer in the order of the table the name of its arrays by
    their role.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for entry in _all_entries(model):
        layers = found.setdefault(kind_of(entry.spec), {})
        layers.setdefault(entry.spec.site.path, {})[entry.spec.name] = entry.names[0]
    return {kind: list(layers.values()) for kind, layers in found.items()}


def own_names(model: ZooModel, arrays: Mapping[str, Array]) -> dict[str, str]:
    """The model's own names of the arrays of a program, by those that it has; of no others."""
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
    return found
