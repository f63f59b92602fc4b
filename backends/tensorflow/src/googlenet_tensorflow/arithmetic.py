"""Sums, differences, products and quotients of a TensorFlow graph in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from googlenet.arrays import Array
from googlenet.errors import TraceError

from .constants import Constant
from .elementwise import elementwise, finished
from .forms import CHANNELS_FIRST, EPS, NO_PADDING, axes_of, number_of
from .recognition import norm
from .writing import CHANNELS_LAST, Noise, Rule, Scalar, Tensor, Tiled, Value, Writer, broadcast

_ADDS: Final = ("Add", "AddV2", "BiasAdd")


def _arithmetic(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    """Sums, differences, products and quotients."""
    if len(inputs) == 2 and all(isinstance(each, Value) for each in inputs):
        return _combined(writer, node, *inputs)
    if any(isinstance(each, Noise | Tiled) for each in inputs):
        return None
    first, second = inputs
    if isinstance(second, Constant):
        return _with_constant(writer, node, first, second, first=False)
    return _with_constant(writer, node, second, first, first=True)


def _combined(writer: Writer, node: Any, first: Value, second: Value) -> Tensor | None:
    if first.axes == second.axes and (whole := _softmax(writer, node, first, second)) is not None:
        return whole
    alike = (first.shape, first.axes, first.lead) == (second.shape, second.axes, second.lead)
    names = (first.name, second.name)
    if alike:
        found = finished(writer, first, Scalar(node, names)) or _softmax(
            writer, node, first, second
        )
        if found is not None:
            return found
    kind = {"Mul": "multiply", "Add": "add", "AddV2": "add", "Sub": "add"}.get(node.type)
    if alike and kind != "add":
        return elementwise(writer, node, [first, second])
    if kind is None or len(writer.native(first)) != len(writer.native(second)):
        return None
    attributes = {"factor": -1.0} if node.type == "Sub" else {}
    if not alike:
        return joined(writer, node, kind, first, second, attributes)
    found = writer.same(node, kind, first, attributes, second.name)
    writer.pointwise[found.name] = Scalar(node, names)
    return found


def joined(
    writer: Writer, node: Any, kind: str, first: Value, second: Value, attributes: Mapping[str, Any]
) -> Value:
    """Two values of the same rank combined element by element, with their axes in their places."""
    names = (writer.canonical(first), writer.canonical(second))
    shape = broadcast(*map(writer.shape, names))
    name = writer.emit(node, kind, names, shape, attributes)
    axes = CHANNELS_LAST if len(shape) == 4 else tuple(range(len(shape)))
    return Value(name, tuple(shape[axis] for axis in axes), axes)


def _sum_of_many(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    if not all(isinstance(each, Value) for each in inputs):
        return None
    first: Value = inputs[0]
    names = tuple(writer.canonical(each) for each in inputs)
    if len(names) == 1:
        return first
    name = writer.emit(node, "add", names, writer.shape(names[0]))
    rank = len(first.shape)
    return Value(name, first.shape, CHANNELS_LAST if rank == 4 else tuple(range(rank)))


def _with_constant(
    writer: Writer, node: Any, x: Value, constant: Constant, *, first: bool
) -> Tensor | None:
    """A value and a constant, which stands `first` or second."""
    kind = {"BiasAdd": "AddV2", "Add": "AddV2", "Div": "RealDiv"}.get(node.type, node.type)
    if kind == "RealDiv" and first:
        return elementwise(writer, node, [constant, x])
    given = x
    if kind == "Sub" and first:
        x = writer.same(node, "mul", x, {"factor": -1.0})
    names = (constant, given.name) if first else (given.name, constant)
    # The bias of a lone channel, and the like, is an array of one element, and no number.
    is_array = constant.array.ndim > 0 and x.shape[-1] == 1
    is_array = is_array or _is_lone_count(writer, x, constant)
    is_scalar = writer.is_number(constant) and not is_array
    if is_scalar and (known := finished(writer, given, Scalar(node, names))) is not None:
        return known
    if is_scalar and constant.array.ndim <= max(len(x.shape), 1):
        number = number_of(constant)
        if number == (1 if kind in ("Mul", "RealDiv") else 0):
            name = writer.emit(node, "identity", (x.name,), writer.shape(x.name))
        elif kind in ("Mul", "RealDiv"):
            name = _scaled(writer, node, x, number if kind == "Mul" else 1 / number)
        else:
            other = np.float64(-number if kind == "Sub" and not first else number)
            held = {"other": np.asarray(other, np.float64)}
            shape = writer.shape(x.name)
            name = writer.emit(node, "affine", (x.name,), shape, {"product": False}, held)
        writer.pointwise[name] = Scalar(node, names)
    else:
        found = _affine(writer, node, x, constant, kind, negative=kind == "Sub" and not first)
        if found is None:
            return None
        x, name = found, found.name
    writer.chains[name] = (given.name, node, constant, first)
    normed = norm(writer, name, x.axes)
    if normed is not None:
        base, attributes, arrays = normed
        link = writer.chains[name]
        name = writer.emit(node, "batch_norm", (base,), writer.shape(base), attributes, arrays)
        writer.chains[name] = link  # there may be more of it
    return replace(x, name=name)


def _softmax(writer: Writer, node: Any, first: Value, second: Value) -> Value | None:
    """`exp(x) / Σ exp(x)` along one axis; before that, the largest x may be taken from all."""
    above, total = (writer.ops.get(each.name) for each in (first, second))
    if node.type != "RealDiv" or above is None or above.kind != "tf.Exp" or total is None:
        return None
    mean = writer.ops.get(total.inputs[0]) if total.name in writer.sums else None
    if mean is None or not mean.attributes["keepdims"]:
        return None
    summed = writer.ops.get(mean.inputs[0])
    if summed is None or (summed.kind, summed.inputs) != (above.kind, above.inputs):
        return None
    (axis, *more) = mean.attributes["axes"]
    if more:
        return None
    (base,) = above.inputs
    lowered = writer.ops.get(base)
    if lowered is not None and lowered.kind == "add" and lowered.attributes.get("factor") == -1:
        x, largest = lowered.inputs
        op = writer.ops.get(largest)
        if op is not None and op.kind == "tf.Max" and op.inputs == (x,):
            base = x  # the same for whatever is taken from all
    name = writer.emit(node, "softmax", (base,), writer.shape(base), {"axis": axis})
    return replace(first, name=name)


def _scaled(writer: Writer, node: Any, x: Value, factor: float) -> str:
    """`factor · x`; of a sum over axes that this makes a mean of, the mean."""
    op = writer.ops.get(x.name)
    if (
        op is not None
        and x.name in writer.sums
        and math.isclose(factor * op.attributes["factor"], 1, rel_tol=EPS)
    ):
        return op.inputs[0]
    return writer.emit(node, "mul", (x.name,), writer.shape(x.name), {"factor": factor})


def _affine(
    writer: Writer, node: Any, x: Value, constant: Constant, kind: str, *, negative: bool
) -> Value | None:
    """A value with a constant array added, or multiplied by it."""
    rank = len(x.shape)
    shape = constant.array.shape
    if node.type == "BiasAdd" and axes_of(node) == CHANNELS_FIRST:
        shape = (*shape, *(1 for _ in range(rank - 2)))
    if len(shape) > rank or (x.lead is not None and constant.array.size not in (1, x.shape[-1])):
        return None
    full = (*(1 for _ in range(rank - len(shape))), *shape)
    if full[0] != 1:
        raise TraceError(
            f"{writer.place}: '{node.type}' has a constant of shape {constant.array.shape}, with an"
            " axis for the batch; a network does the same to every image"
        )
    order = np.argsort(x.axes)
    product = kind in ("Mul", "RealDiv")

    def moved(array: Array) -> Array:
        found: Array = array.reshape(full).transpose(order)[0]
        return found

    def change(array: Array) -> Array:
        found = moved(array)
        if kind == "RealDiv":
            found = 1 / found.astype(np.float64)
        return -found if negative else found

    writer.by_parameter(constant)
    what = f"{kind} {negative} {x.axes} {full}"
    held = writer.array(constant, what, change, moved)
    name, given = x.name, writer.shape(x.name)
    pool = writer.ops.get(name)
    if product and pool is not None and _is_counted(pool, held):
        # A mean with counts of its own: the sum over each window, and those.
        kernel = pool.attributes["kernel_size"]
        settings = {k: v for k, v in pool.attributes.items() if k != "count_include_pad"}
        name = writer.emit(pool.name, "sum_pool", pool.inputs, pool.shape, settings)
        counts = _counts(held.astype(np.float64) / math.prod(kernel))
        writer.origins.same(counts, held)
        held = counts
    result = broadcast(given, (1, *held.shape))
    name = writer.emit(node, "affine", (name,), result, {"product": product}, {"other": held})
    return replace(x, name=name, shape=tuple(result[axis] for axis in x.axes))


def _counts(shares: Array) -> Array:
    """Factors that are one over a number of elements, but for rounding, exactly so."""
    with np.errstate(divide="ignore"):
        numbers = np.rint(1 / shares)
    # A quotient and a product, each rounded to float32: at most one unit in the last place.
    strayed = np.abs(shares * numbers - 1)
    is_count = np.isfinite(numbers).all() and strayed.max() <= EPS
    return 1 / numbers if is_count else shares


def _is_lone_count(writer: Writer, x: Value, constant: Constant) -> bool:
    """Whether a number (1, 1, 1, 1) may say how many elements the only window of a pool has."""
    pool = writer.ops.get(x.name)
    return pool is not None and constant.array.ndim == 4 and _is_counted(pool, np.ones((1, 1, 1)))


def _is_counted(pool: Any, held: Array) -> bool:
    """Whether an array (1, H, W) of factors may say how many elements each window of a pool has."""
    plain = pool.kind == "avg_pool" and pool.attributes["padding"] == NO_PADDING
    return plain and held.ndim == 3 and held.shape == (1, *pool.shape[2:])


#: How the operations here are read.
RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys((*_ADDS, "Sub", "Mul", "RealDiv", "Div"), _arithmetic),
    "AddN": _sum_of_many,
}
