"""Batch norm, as the spec has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ..arrays import Array
from ..backend.graph import Op
from ..spec.layers import BatchNorm
from .made import short
from .state import State
from .tree import Foreign

#: What batch norm's momentum is where a graph does not say it, as evaluation need not.
MOMENTUM: Final = 0.1


def batch_norm(state: State, op: Op, name: str) -> None:
    """Batch norm along the channels, with statistics of its own; any other is foreign, and one
    along another axis of a map says along which.
    """
    view, found = state.view(name), op.attributes
    groups = view.groups()
    along = groups[0] if groups is not None and len(view.base) == 3 else ()
    if len(along) == 1 and along != (0,):
        layer = Foreign(op.kind, {**found, "axis": along[0] + 1})
        state.add(op, view.value, layer, op.arrays, view.of(op.name))
        return
    if found["train"] or "running_mean" not in op.arrays or along != (0,):
        state.foreign(op)
        return
    if "bias" not in op.arrays:  # what the spec trains is always 0
        op = replace(op, origins={**op.origins, "bias": "constant"})
    norm = BatchNorm(short(found["eps"]), _momentum(found), _is_scaled(op.arrays, state.ones))
    state.add(op, view.value, norm, _norm_arrays(op.arrays, norm), view.of(op.name))


def _momentum(found: Mapping[str, Any]) -> float:
    momentum = short(found.get("momentum", MOMENTUM))
    return momentum if 0 < momentum <= 1 else MOMENTUM


def _is_scaled(arrays: Mapping[str, Array], ones: bool) -> bool:
    """Whether batch norm multiplies by something: unless `ones`, a weight of ones is none."""
    return "weight" in arrays and (ones or bool((arrays["weight"] != 1).any()))


def _norm_arrays(arrays: Mapping[str, Array], layer: BatchNorm) -> dict[str, Array]:
    """A batch norm's arrays as the spec has them: a bias always, a weight if it scales."""
    found = {"bias": np.zeros_like(arrays["running_mean"]), **arrays}
    if not layer.scale:
        found.pop("weight", None)
    return found
