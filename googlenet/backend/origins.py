"""Which arrays of a user's model are the same parameter, and which have a part of one in common.

A backend that `Traces` numbers the elements of all trained parameters, each of which has a number
of its own, and carries the numbers along where its framework moves elements about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from ..arrays import Array
from .graph import Op

#: The roles of what no training changes, but running the model in training mode.
STATISTICS: Final = ("running_mean", "running_var")
#: The origins of what training can make any numbers, if nothing else depends on them.
FREE: Final = ("weight", "free")


def separated(
    ops: Iterable[Op],
    span: Callable[[Array], tuple[int, int] | None],
    elements: Callable[[Array], Array],
) -> tuple[Op, ...]:
    """`ops` with one object for all weights of the same elements in the same order; a weight that
    has some elements in common with another otherwise is tied.

    `elements` gives the numbers of an array's elements in the array's own shape, `span` the first
    and the last of them, or bounds of these, which may be known without the numbers; None for an
    array that has nothing in common with any other.
    """
    known: dict[int, tuple[Array, tuple[int, int] | None]] = {}
    found: list[Op] = []
    for op in ops:
        arrays, origins = dict(op.arrays), dict(op.origins)
        for role, array in op.arrays.items():
            if origins.get(role) not in FREE or id(array) in known:
                continue
            own = span(array)
            for other, bounds in known.values():
                if own is None or bounds is None or own[1] < bounds[0] or bounds[1] < own[0]:
                    continue
                mine, theirs = elements(array), elements(other)
                # With the same elements, but changed: negated, say.
                if np.array_equal(mine, theirs) and np.array_equal(array, other, equal_nan=True):
                    arrays[role] = other
                    break
                if np.isin(mine, theirs).any():
                    origins[role] = "tied"
                    break
            else:
                known[id(array)] = (array, own)
        found.append(replace(op, arrays=arrays, origins=origins))
    return tuple(found)
