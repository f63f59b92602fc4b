"""Which model of which zoo a file of weights holds, judged by the names and shapes
of its arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from ...arrays import Array
from ...spec.layers import Conv, Dense
from .adapted import adapted
from .models import ZooModel, find_model, namings, zoo_models
from .names import Entry, entries, network_of, plain_name, renumbered

#: Below this share of agreeing arrays, no model is named.
LEAST_SHARE = 0.5


@functools.lru_cache(maxsize=512)
def default_entries(model: ZooModel, aux: bool) -> tuple[Entry, ...]:
    """The entries of a model at its network's own sizes."""
    return tuple(entries(model, network_of(model, aux=aux)))


@functools.lru_cache(maxsize=512)
def expected_names(model: ZooModel) -> frozenset[str]:
    """Every name that an array of `model` may have, auxiliary heads included, automatic ones
    without their numbers.
    """
    return frozenset(
        plain_name(model, name)
        for entry in default_entries(model, model.aux)
        for name in entry.names
    )


def share(model: str | ZooModel, arrays: Mapping[str, Array]) -> float:
    """How well a file and a model agree, from 0 to 1: the arrays with the same name and shape, as a
    share of all that either has.

    The sizes of dense layers and of the input are not compared: they depend on the number of
    classes and channels and on the size of images.
    """
    model = find_model(model) if isinstance(model, str) else model
    arrays = adapted(model, arrays)
    files = renumbered(model, arrays)
    expected = default_entries(model, False)
    if model.aux:
        plain, with_heads = {entry.path for entry in expected}, default_entries(model, True)
        if any(
            name in files for entry in with_heads if entry.path not in plain for name in entry.names
        ):
            expected = with_heads
    first = expected[0].path
    if (count := class_count(model, arrays, files)) and not may_have(model, count):
        return 0.0
    agreeing = copies = 0
    for entry in expected:
        present = [files[name] for name in entry.names if name in files]
        copies += max(0, len(present) - 1)
        shapes = [arrays[name].shape for name in present]
        loose = isinstance(entry.spec.site.layer, Dense) or entry.path == first
        agreeing += any(
            entry.takes(shape) or (loose and len(shape) == len(entry.shape)) for shape in shapes
        )
    counted = sum(name.rpartition(model.separator)[2] not in model.ignored for name in arrays)
    return agreeing / max(len(expected), counted - copies)


def class_count(
    model: ZooModel, arrays: Mapping[str, Array], files: Mapping[str, str]
) -> int | None:
    """How many classes the classifier of a file has, whose names are `files` by those of `model`;
    None if it has none of that name.
    """
    last = next(
        entry
        for entry in reversed(default_entries(model, False))
        if isinstance(entry.spec.site.layer, (Dense, Conv)) and entry.spec.name == "weight"
    )
    for name in last.names:
        shape = arrays[files[name]].shape if name in files else ()
        if len(shape) == len(last.apart):
            return int(shape[last.axes[0]])
    return None


def may_have(model: ZooModel, classes: int) -> bool:
    """Whether a file of `model` may have so many classes: there are models of the same names that
    their number of classes tells apart.
    """
    return model.classes in (None, classes) and not rival(model, classes)


def rival(model: ZooModel, classes: int) -> ZooModel | None:
    """Another model whose arrays have the same names, and which alone has so many classes."""
    if model.own or model.classes is not None:
        return None
    return next(
        (each for each in _numbered() if each.classes == classes and _alike(each, model)), None
    )


@functools.cache
def _numbered() -> tuple[ZooModel, ...]:
    """The models whose number of classes is fixed."""
    every = (model for designator in zoo_models() for model in namings(designator))
    return tuple(model for model in every if model.classes is not None)


@functools.lru_cache(maxsize=512)
def _alike(one: ZooModel, other: ZooModel) -> bool:
    names = [
        {name for entry in default_entries(model, False) for name in entry.names}
        for model in (one, other)
    ]
    return names[0] == names[1]


def looks_like(arrays: Mapping[str, Array]) -> tuple[tuple[str, ...], float]:
    """The models that agree best with a file, and their share; none if nothing agrees well."""
    shares = {
        designator: max(share(model, arrays) for model in namings(designator))
        for designator in zoo_models()
    }
    best = max(shares.values())
    return (
        (tuple(each for each in shares if shares[each] == best), best)
        if best >= LEAST_SHARE
        else ((), 0.0)
    )
