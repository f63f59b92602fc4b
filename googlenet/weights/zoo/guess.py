"""Which model of which zoo a file of weights holds, judged by the names and shapes
of its arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from ...arrays import Array
from ...spec.layers import Dense
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
