"""Batch norm, as the spec has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from ..arrays import Array
from ..backend.graph import Op
from ..spec.layers import BatchNorm
from .made import short
from .state import State

#: What batch norm's momentum is in a graph of evaluation, which does not say it.
MOMENTUM: Final = 0.1


def batch_norm(state: State, op: Op, name: str) -> None:
    """Batch norm along the channels, with statistics of its own; any other is foreign."""
    view, found = state.view(name), op.attributes
    groups = view.groups()
    along = groups is not None and groups[0] == (0,) and len(view.base) == 3
    if found["train"] or "running_mean" not in op.arrays or not along:
        state.foreign(op)
        return
    if "bias" not in op.arrays:  # what the spec trains is always 0
        op = replace(op, origins={**op.origins, "bias": "constant"})
    layer = BatchNorm(short(found["eps"]), MOMENTUM, _is_scaled(op.arrays, state.ones))
    state.add(op, view.value, layer, _norm_arrays(op.arrays, layer), view.of(op.name))


def _is_scaled(arrays: Mapping[str, Array], ones: bool) -> bool:
    """Whether batch norm multiplies by something: unless `ones`, a weight of ones is none."""
    return "weight" in arrays and (ones or bool((arrays["weight"] != 1).any()))


def _norm_arrays(arrays: Mapping[str, Array], layer: BatchNorm) -> dict[str, Array]:
    """A batch norm's arrays as the spec has them: a bias always, a weight if it scales."""
    found = {"bias": np.zeros_like(arrays["running_mean"]), **arrays}
    if not layer.scale:
        found.pop("weight", None)
    return found
