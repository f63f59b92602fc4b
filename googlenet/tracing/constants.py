"""What is added or multiplied and does not depend on the images: a bias that is added into its
convolution, the divisors of a pool, a factor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from ..arrays import Array
from ..backend.graph import Op, Origin
from ..errors import SpecError, TraceError
from ..spec.layers import (
    NO_PADDING,
    AvgPool,
    Conv,
    Dense,
    ExplicitPadding,
    Pair,
    Scale,
    Shape,
)
from .evaluate import evaluate
from .made import fits, is_dilated, short
from .paddings import added, unpadded
from .state import State
from .tree import Foreign, Step
from .views import View, plain


def sum_pool(state: State, op: Op, name: str) -> None:
    """Sums over windows, which something may divide."""
    before, padding = unpadded(state, op, name, 0.0) or (state.plain(name), NO_PADDING)
    state.sums[op.name] = (before, added(op.attributes["padding"], padding), op)
    state.views[op.name] = plain(op.name, op.shape[1:])


def affine(state: State, op: Op, name: str) -> None:
    """The sum or product with a constant: a bias, the divisors of a pool, or a factor."""
    other = op.arrays["other"]
    if op.attributes["product"] and is_divisor(state, op, name, other):
        return
    view = state.view(name)
    constant = view.constant(other) if op.shape[1:] == view.shape else None
    if constant is None:
        if other.ndim == len(op.shape) and len(other) != 1:
            raise TraceError(
                f"{op.place}: takes a constant for {len(other)} images, which does not fit"
                " batches of other sizes"
            )
        state.foreign(op)
    elif not _is_bias(state, op, view, constant):
        trained = state.ones and may_be_trained(
            constant, op.origins.get("other"), product=op.attributes["product"]
        )
        factor = None if trained else _factor(op, constant)
        layer = factor or Foreign(op.kind, dict(op.attributes))
        arrays = {} if isinstance(layer, Scale) else {"other": constant}
        state.add(op, view.value, layer, arrays, view.of(op.name))


def may_be_trained(constant: Array, origin: Origin | None, *, product: bool) -> bool:
    """Whether what is added or multiplied is a weight: one that changes nothing is, where its
    origin is not known, since nobody writes that.
    """
    nothing = bool((constant == (1 if product else 0)).all())
    return origin == "weight" or (origin is None and nothing)


def _factor(op: Op, constant: Array) -> Scale | None:
    """The product with one number, which is a layer of the spec."""
    if not op.attributes["product"] or constant.size != 1 or not np.isfinite(constant).all():
        return None
    return Scale(short(constant.item()), "always")


def _is_bias(state: State, op: Op, view: View, constant: Array) -> bool:
    """Whether an addition is the bias of the convolution or dense layer before it, which then
    has it.
    """
    value = state.values.get(view.value)
    if value is None or value.step is None or state.uses.get(view.value, 0) > 1:
        return False
    layer, channels = value.step.layer, view.base[0]
    weighted = isinstance(layer, Conv | Dense) or is_dilated(layer)
    if not weighted or "bias" in value.step.arrays or op.attributes["product"]:
        return False
    if constant.size not in (1, channels) or constant.shape[0] != constant.size:
        return False
    key = (id(op.arrays["other"]), channels)
    if key not in state.biases:
        state.biases[key] = np.array(np.broadcast_to(constant.reshape(-1), channels))
    arrays = {**value.step.arrays, "bias": state.biases[key]}
    origins = dict(value.step.origins)
    if (origin := op.origins.get("other")) is not None:
        origins["bias"] = origin
    if constant.size != channels and origin != "constant":
        origins["bias"] = "tied"  # one number for all channels
    if isinstance(layer, Conv | Dense):
        layer = replace(layer, bias=True)
    step = replace(value.step, layer=layer, arrays=arrays, origins=origins)
    state.values[view.value] = replace(value, step=step)
    state.views[op.name] = view
    return True


def is_divisor(state: State, op: Op, name: str, other: Array) -> bool:
    """Whether a product makes means of sums over windows, which are an average pool then: what
    a framework without asymmetric or uncounted paddings needs two pools for.
    """
    view = state.views[name]
    summed = state.sums.get(view.value)
    if summed is None or not view.is_plain or op.shape[1:] != view.shape:
        return False
    if view.value in state.values:  # something needs the sums
        return False
    before, padding, pool = summed
    found, given = pool.attributes, state.shape(before)
    kernel, stride = found["kernel_size"], found["stride"]
    counted = _counts(given, op.shape[2:], kernel, stride, padding)
    if not counted.all() or (other.size != 1 and other.ndim < 2):
        return False
    rows = other.reshape(-1, *other.shape[-2:]) if other.ndim > 1 else other.reshape(1, 1, 1)
    if rows[0].size not in (1, counted.size) or (rows != rows[0]).any():
        return False  # not the same for each channel
    ones = np.ones((1, 1, *given[1:]))
    for layer in _averages(kernel, stride, padding):
        if not fits(layer, given, op.shape[1:]):
            continue
        (right,) = evaluate((Step(layer, {}, op.shape[1:], op.place),), ones)
        # Divisions are rounded correctly, so these are the same numbers or others.
        if (rows[0].astype(np.float32) == (right[0, 0] / counted).astype(np.float32)).all():
            state.add(op, before, layer, {})
            return True
    return False


def _averages(kernel: Pair, stride: Pair, padding: ExplicitPadding) -> Iterator[AvgPool]:
    """The average pools whose windows may read `padding`: what is behind the map may be its padding
    or beyond it, where windows that round up reach.
    """
    (top, bottom), (left, right) = padding
    for ceil_mode, included in ((False, False), (False, True), (True, False), (True, True)):
        behind = product(range(bottom, -1, -1), range(right, -1, -1))
        for below, beside in behind if ceil_mode else ((bottom, right),):
            try:
                yield AvgPool(kernel, stride, ((top, below), (left, beside)), ceil_mode, included)
            except SpecError:  # a padding of more than half of the kernel
                continue


def _counts(
    given: Shape, size: Shape, kernel: Pair, stride: Pair, padding: ExplicitPadding
) -> Array:
    """How many elements of a map `given` (C, H, W) each of the windows, `size` of them (height,
    width), has.
    """
    axes = []
    for axis in range(2):
        start = np.arange(size[axis]) * stride[axis] - padding[axis][0]
        stop = np.minimum(start + kernel[axis], given[1 + axis])
        axes.append(np.maximum(stop - np.maximum(start, 0), 0))
    counts: Array = np.outer(*axes).astype(np.float64)
    return counts
