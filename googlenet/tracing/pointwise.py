"""A ReLU that a user's code computes by several operations: (x + |x|) / 2, x · (x > 0),
−min(−x, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ..arrays import Array
from ..rounding import FEW
from ..spec.layers import ReLU, Scale
from .foreign import computed
from .structure import Value
from .tree import Foreign, Step

#: Where a function of one number is tried: thresholds are near 0, bounds far from it, both within
#: what float32 has.
POINTS: Final = np.concatenate(
    [
        np.linspace(-9, 9, 73),
        [-0.37, 0.41, 2.999],
        np.outer([-1, 1], [*10.0 ** np.arange(-38, 0), 0.05, *10.0 ** np.arange(1, 39)]).ravel(),
    ]
)
#: The foreign operations that a ReLU may be made of: those that do something in any mode.
MADE_OF: Final = ("abs", "clip", "greater", "leaky_relu", "mul")


def with_activations(values: Sequence[Value]) -> list[Value]:
    """`values` with a ReLU for the last of several operations that are one."""
    #: Each value as a function of one number: of which value, and what it gives at `POINTS`.
    functions: dict[str, tuple[str, Array]] = {}
    right = np.maximum(POINTS, 0)
    found: list[Value] = []
    for value in values:
        given = [functions.get(name, (name, POINTS)) for name in value.inputs]
        with np.errstate(all="ignore"):  # products of what is large or small
            source, result = given[0][0], _result(value, [array for _, array in given])
        if result is None or any(each != source for each, _ in given):
            found.append(value)
            continue
        functions[value.name] = (source, result)
        again = any(_is_same(array, right) for _, array in given)
        if _is_same(result, right) and not again and value.inputs != (source,):
            item = value.item
            step = Step(ReLU(), {}, item.out_shape, item.place, called=item.called)
            value = replace(value, inputs=(source,), step=step, join=None)
        found.append(value)
    return found


def _result(value: Value, given: list[Array]) -> Array | None:
    """What a value is at `POINTS` if its inputs are `given` there; None if it is more than a
    function of each number.
    """
    if value.join is not None:
        match value.join.join:
            case "sum":
                return np.asarray(sum(given))
            case "product":
                return np.asarray(np.prod(given, axis=0))
        return None
    assert value.step is not None
    match value.step.layer:
        case ReLU():
            return np.maximum(given[0], 0)
        case Scale(factor=factor):
            return given[0] * factor
        case Foreign(kind=kind, attributes=attributes) if kind in MADE_OF:
            return computed(kind, given[0], attributes, {})
    return None


def _is_same(first: Array, second: Array) -> bool:
    return np.allclose(first, second, rtol=FEW, atol=0)
