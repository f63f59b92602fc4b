"""What TensorFlow's operations are in neutral terms, by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.backend.graph import Op
from googlenet.errors import TraceError

from .constants import Constant, run
from .reading import (
    CHANNELS_LAST,
    Noise,
    Reader,
    Rule,
    Scalar,
    Shape,
    Tensor,
    Tiled,
    Value,
    broadcast,
)
from .recognition import activation, base_of, norm

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

NO_PADDING: Final = ((0, 0), (0, 0))
#: The axes of a map that is (N, C, H, W) in TensorFlow as well.
CHANNELS_FIRST: Final = (0, 1, 2, 3)
_ADDS: Final = ("Add", "AddV2", "BiasAdd")


def shortest(value: Any) -> float:
    """The shortest decimal that is the same float32: TensorFlow keeps 1e-3 as its nearest one."""
    return float(str(np.float32(value)))


def _number(constant: Constant) -> float:
    array = constant.array
    value = array.reshape(()).item()
    return shortest(value) if array.dtype == np.float32 else float(value)


# Windows ------------------------------------------------------------------------------------------


def _axes(node: Any) -> tuple[int, ...]:
    form = tf.compat.as_str(node.get_attr("data_format"))
    return {"NHWC": CHANNELS_LAST, "NCHW": CHANNELS_FIRST}.get(form, ())


def _spatial(node: Any, values: Sequence[int]) -> Pair:
    """The two of four numbers, in the node's order of axes, that are a map's height and width."""
    first = 1 if _axes(node) == CHANNELS_LAST else 2
    return (int(values[first]), int(values[first + 1]))


def _explicit(node: Any, kernel: Pair, stride: Pair, size: Pair) -> Padding:
    """The padding around a map of `size`; SAME is one for each size, more of it behind."""
    word = tf.compat.as_str(node.get_attr("padding"))
    if word == "VALID":
        return NO_PADDING
    if word == "EXPLICIT":
        sides = [int(each) for each in node.get_attr("explicit_paddings")]
        first = 2 if _axes(node) == CHANNELS_LAST else 4
        top, bottom, left, right = sides[first : first + 4]
        return ((top, bottom), (left, right))
    whole = [
        max((-(-size[axis] // stride[axis]) - 1) * stride[axis] + kernel[axis] - size[axis], 0)
        for axis in (0, 1)
    ]
    height, width = whole
    return ((height // 2, height - height // 2), (width // 2, width - width // 2))


def _size(shape: Shape, kernel: Pair, stride: Pair, padding: Padding) -> Pair:
    """How many windows there are in a map (N, C, H, W)."""
    down, across = (
        (shape[2 + axis] + sum(padding[axis]) - kernel[axis]) // stride[axis] + 1 for axis in (0, 1)
    )
    return (down, across)


def _conv(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, weight = inputs
    if isinstance(x, Tiled):
        return replace(x, node=node, rest=(weight,)) if x.node is None else None
    if not isinstance(x, Value) or not isinstance(weight, Constant) or not _axes(node):
        return None
    return _convolved(reader, node, x, weight, None, None)


def _convolved(
    reader: Reader,
    node: Any,
    x: Value,
    weight: Constant,
    dilation: Pair | None,
    padding: Padding | None,
) -> Value:
    """A convolution of a map; its `dilation` and `padding` are the node's where they are None."""
    axes = _axes(node)
    name = reader.ordered(reader.apart(x), axes)
    given = reader.shape(name)
    deep = node.type == "DepthwiseConv2dNative"
    stride = _spatial(node, node.get_attr("strides"))
    dilation = dilation or _spatial(node, node.get_attr("dilations"))
    height, width, inside, outside = weight.array.shape
    kernel = ((height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
    if padding is None:
        padding = _explicit(node, kernel, stride, (given[2], given[3]))
    reader.by_parameter(weight)
    if deep:
        groups, channels = inside, inside * outside
        held = reader.array(
            weight,
            "depthwise",
            lambda array: array.transpose(2, 3, 0, 1).reshape(channels, 1, height, width),
        )
    else:
        groups, channels = given[1] // inside, outside
        held = reader.array(weight, "conv", lambda array: array.transpose(3, 2, 0, 1))
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    shape = (given[0], channels, *_size(given, kernel, stride, padding))
    found = reader.emit(node, "conv", (name,), shape, attributes, {"weight": held})
    return Value(found, tuple(shape[axis] for axis in axes), axes)


def _max_pool(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    return _pooled(reader, node, inputs, "max_pool")


def _avg_pool(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    return _pooled(reader, node, inputs, "avg_pool")


def _pooled(reader: Reader, node: Any, inputs: list[Any], kind: str) -> Tensor | None:
    x, *rest = inputs
    if isinstance(x, Tiled):
        return replace(x, node=node) if x.node is None else None
    if not isinstance(x, Value) or not _axes(node):
        return None
    if not all(isinstance(each, Constant) for each in rest):
        return None
    sizes = [each.array for each in rest] or [node.get_attr("ksize"), node.get_attr("strides")]
    channel = 3 if _axes(node) == CHANNELS_LAST else 1
    if any(int(each[axis]) != 1 for each in sizes for axis in (0, channel)):
        return None  # a pool across channels or images
    kernel, stride = (_spatial(node, each) for each in sizes)
    return _windows(reader, node, x, kind, kernel, stride, None, (1, 1))


def _windows(
    reader: Reader,
    node: Any,
    x: Value,
    kind: str,
    kernel: Pair,
    stride: Pair,
    padding: Padding | None,
    dilation: Pair,
) -> Value:
    axes = _axes(node)
    name = reader.ordered(reader.apart(x), axes)
    given = reader.shape(name)
    if padding is None:
        padding = _explicit(node, kernel, stride, (given[2], given[3]))
    over = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    size = _size(given, over, stride, padding)
    if padding == NO_PADDING:
        name = _uncropped(reader, name, over, stride, size)
    attributes: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "ceil_mode": False,
    }
    more = (
        {"dilation": dilation}
        if kind == "max_pool"
        else {"count_include_pad": padding == NO_PADDING}
    )
    shape = (*given[:2], *size)
    found = reader.emit(node, kind, (name,), shape, {**attributes, **more})
    return Value(found, tuple(shape[axis] for axis in axes), axes)


def _uncropped(reader: Reader, name: str, kernel: Pair, stride: Pair, size: Pair) -> str:
    """The map before its last rows and columns were cut off, perhaps before a padding as well, if
    no window reaches them: `name` otherwise.
    """
    op = reader.ops.get(name)
    padded = op if op is not None and op.kind == "pad" and _least(op) >= 0 else None
    padding: Padding = NO_PADDING
    if padded is not None:
        padding, op = padded.attributes["padding"], reader.ops.get(padded.inputs[0])
    if op is None or op.kind != "pad" or _least(op) >= 0:
        return name
    (before,), cut = op.inputs, op.attributes["padding"]
    given = reader.shape(before)
    behind = [cut[axis][1] < 0 and padding[axis][1] > 0 for axis in (0, 1)]
    ahead = [cut[axis][0] != 0 or cut[axis][1] > 0 for axis in (0, 1)]
    if any(behind) or any(ahead) or _size(given, kernel, stride, padding) != size:
        return name
    if padded is None:
        return before
    height, width = (given[2 + axis] + sum(padding[axis]) for axis in (0, 1))
    return reader.emit(
        f"{name}.whole", "pad", (before,), (*given[:2], height, width), padded.attributes
    )


def _least(op: Op) -> int:
    """The smallest number of a padding, negative where it cuts off."""
    return min(int(side) for sides in op.attributes["padding"] for side in sides)


def _space_to_batch(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, block, padding = inputs
    if not isinstance(x, Value) or len(x.shape) != 4 or block.array.size != 2:
        return None
    return Tiled(x, _pair(block.array), _two_by_two(padding))


def _batch_to_space(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """A convolution or max pool between cutting a map into several and joining them is one with
    gaps between what its windows see.
    """
    tiled, block, crops = inputs
    if not isinstance(tiled, Tiled) or tiled.node is None or _pair(block.array) != tiled.block:
        return None
    padding = _joined_padding(tiled, crops)
    inner = tiled.node
    if inner.type == "MaxPool" and padding == NO_PADDING:  # TensorFlow pads with zeros here
        kernel = _spatial(inner, inner.get_attr("ksize"))
        return _windows(
            reader, inner, tiled.value, "max_pool", kernel, (1, 1), padding, tiled.block
        )
    if padding is not None and tiled.rest:
        (weight,) = tiled.rest
        return _convolved(reader, inner, tiled.value, weight, tiled.block, padding)
    shape = tuple(int(size) for size in node.outputs[0].shape)
    ours = tuple(shape[axis] for axis in np.argsort(CHANNELS_LAST))
    attributes = {"dilation": tiled.block}
    name = reader.canonical(tiled.value)
    return Value(
        reader.emit(inner, f"tf.{inner.type}", (name,), ours, attributes), shape, CHANNELS_LAST
    )


def _joined_padding(tiled: Tiled, crops: Constant) -> Padding | None:
    """The padding around the whole map; None if what is done to the parts is no plain window."""
    inner = tiled.node
    if tf.compat.as_str(inner.get_attr("padding")) != "VALID" or not _axes(inner):
        return None
    if _spatial(inner, inner.get_attr("strides")) != (1, 1):
        return None
    cut = _two_by_two(crops)
    top, bottom, left, right = (
        tiled.padding[axis][side] - cut[axis][side] for axis in (0, 1) for side in (0, 1)
    )
    return ((top, bottom), (left, right)) if min(top, bottom, left, right) >= 0 else None


def _pair(array: Array) -> Pair:
    first, second = (int(each) for each in array)
    return (first, second)


def _two_by_two(constant: Constant) -> Padding:
    (top, bottom), (left, right) = ((int(a), int(b)) for a, b in constant.array)
    return ((top, bottom), (left, right))


# Dense layers -------------------------------------------------------------------------------------


def _matmul(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, weight = inputs
    flipped = [
        name in [each.name for each in node.op_def.attr] and bool(node.get_attr(name))
        for name in ("transpose_a", "transpose_b", "adj_x", "adj_y")
    ]
    if flipped[0] or flipped[2]:
        return None
    return _dense(reader, node, x, weight, by_rows=flipped[1] or flipped[3])


def _einsum(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """A product along the last axis, `nhwc,cd->nhwd`: any other is foreign."""
    left, _, right = tf.compat.as_str(node.get_attr("equation")).replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or len(inputs) != 2:
        return None
    if isinstance(inputs[0], Constant):
        terms, inputs = terms[::-1], inputs[::-1]
    if all(isinstance(each, Value) for each in inputs):
        return _product_by_letters(reader, node, inputs, terms, right)
    given, weights = terms
    last, new = given[-1:], right[-1:]
    if right != given[:-1] + new or sorted(weights) != sorted(last + new) or new in given:
        return None
    return _dense(reader, node, *inputs, by_rows=weights[-1] == last)


def _product_by_letters(
    reader: Reader, node: Any, inputs: list[Any], terms: list[str], right: str
) -> Tensor | None:
    """The product of two values element by element, `nhwc,nc->nhwc`: none for any other."""
    first, second = (reader.apart(each) for each in inputs)
    given, fewer = terms
    if given != right:
        first, second, given, fewer = second, first, fewer, given
    if given != right or [each for each in given if each in fewer] != list(fewer):
        return None
    if fewer[:1] != given[:1] or len(set(given)) != len(given):
        return None
    sizes = dict(zip(fewer, second.shape, strict=True))
    second = reshaped(reader, node, second, tuple(sizes.get(each, 1) for each in given))
    return _joined(reader, node, "multiply", first, second, {})


def _dense(reader: Reader, node: Any, x: Any, weight: Any, *, by_rows: bool) -> Tensor | None:
    """The product of vectors (N, I), or of each pixel of a map, with a weight (I, O)."""
    if not isinstance(x, Value) or not isinstance(weight, Constant) or weight.array.ndim != 2:
        return None

    def matrix(array: Array) -> Array:
        return array if by_rows else array.T

    out = matrix(weight.array).shape[0]
    if x.lead is None and len(x.shape) == 2:
        reader.by_parameter(weight)
        held = reader.array(weight, f"dense {by_rows}", matrix)
        name = reader.emit(
            node, "dense", (reader.canonical(x),), (x.shape[0], out), {}, {"weight": held}
        )
        return Value(name, (x.shape[0], out), (0, 1))
    if len(x.shape) != 4:
        return None
    name = reader.ordered(x, CHANNELS_LAST)
    reader.by_parameter(weight)
    held = reader.array(weight, f"pixels {by_rows}", lambda array: matrix(array)[:, :, None, None])
    attributes = {"stride": (1, 1), "padding": NO_PADDING, "dilation": (1, 1), "groups": 1}
    batch, _, *size = reader.shape(name)
    shape = (batch, out, *size)
    name = reader.emit(node, "conv", (name,), shape, attributes, {"weight": held})
    return replace(x, name=name, shape=(*x.shape[:3], out), axes=CHANNELS_LAST)


# Element by element -------------------------------------------------------------------------------


def _unary(kind: str, **names: str) -> Rule:
    """An operation on each element, with attributes that are called otherwise here."""

    def rule(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
        x = inputs[0]
        if not isinstance(x, Value):
            return None
        attributes = {ours: shortest(node.get_attr(theirs)) for ours, theirs in names.items()}
        return _applied(reader, node, kind, x, attributes)

    return rule


def _applied(
    reader: Reader, node: Any, kind: str, x: Value, attributes: Mapping[str, Any]
) -> Value:
    scalar = Scalar(node, (x.name,))
    found = _finished(reader, x, scalar)
    if found is None:
        found = reader.same(node, kind, x, attributes)
        reader.pointwise[found.name] = scalar
    return found


def _finished(reader: Reader, x: Value, scalar: Scalar) -> Value | None:
    """The activation that an operation completes, if what it is applied to is part of one."""
    names = {each for each in scalar.inputs if isinstance(each, str)}
    ops = [reader.ops[name] for name in names & set(reader.pointwise)]
    if len(names) == 1 and not any(op.kind == "add" or op.kind.startswith("tf.") for op in ops):
        return None
    known = activation(reader, scalar)
    if known is None:
        return None
    base, kind, attributes = known
    name = reader.emit(scalar.node, kind, (base,), reader.shape(base), attributes)
    reader.pointwise[name] = scalar
    return replace(x, name=name)


def _relu6(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    return _applied(reader, node, "clip", inputs[0], {"low": 0.0, "high": 6.0})


def _elementwise(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """Another function of one number, which may be part of an activation that is known."""
    values = [each for each in inputs if isinstance(each, Value)]
    if any(isinstance(each, Noise | Tiled) for each in inputs):
        return _dropped(reader, node, inputs)
    first = values[0]
    if not all(each.axes == first.axes and each.shape == first.shape for each in values):
        return None
    if not all(reader.is_number(each) for each in inputs if isinstance(each, Constant)):
        return None
    if not all(each.lead == first.lead for each in values):
        return None
    names = tuple(each.name if isinstance(each, Value) else each for each in inputs)
    scalar = Scalar(node, names)
    known = activation(reader, scalar)
    if known is not None:
        base, kind, attributes = known
        name = reader.emit(node, kind, (base,), reader.shape(base), attributes)
    elif len(values) > 1 and (whole := base_of(reader, scalar)) is not None:
        # A function of one number that nobody knows, however many operations it has.
        base, operations = whole
        attributes = {"operations": operations}
        name = reader.emit(node, f"tf.{node.type}", (base,), reader.shape(base), attributes)
    else:
        given = tuple(dict.fromkeys(each.name for each in values))
        is_product = node.type == "Mul" and len(given) == len(inputs)
        kind = "multiply" if is_product else f"tf.{node.type}"
        name = reader.emit(node, kind, given, reader.shape(first.name), _constants(inputs))
    reader.pointwise[name] = scalar
    return replace(first, name=name)


def _constants(inputs: list[Any]) -> dict[str, Any]:
    return {
        f"input_{n}": each.array.reshape(()).item()
        for n, each in enumerate(inputs)
        if isinstance(each, Constant)
    }


def _dropped(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """Dropout that is always active: elements chosen at random are 0, the others scaled."""
    if node.type != "SelectV2":
        return None
    noise, x, zero = inputs
    if not isinstance(noise, Noise) or noise.rate is None or not isinstance(x, Value):
        return None
    if not isinstance(zero, Constant) or zero.array.any():
        return None
    op = reader.ops.get(x.name)
    if (
        op is None
        or op.kind != "mul"
        or not math.isclose(op.attributes["factor"] * (1 - noise.rate), 1, rel_tol=1e-5)
    ):
        return None
    attributes = {"rate": shortest(noise.rate), "active": True}
    name = reader.emit(node, "dropout", op.inputs, op.shape, attributes)
    return replace(x, name=name)


def _clipped(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, low, high = inputs
    if not isinstance(x, Value) or not all(
        isinstance(each, Constant) and reader.is_number(each) for each in (low, high)
    ):
        return None
    return _applied(reader, node, "clip", x, {"low": _number(low), "high": _number(high)})


def _clip(reader: Reader, node: Any, x: Value, low: float, high: float) -> Value:
    """The elements between two bounds, together with the other bound if that came before."""
    before = reader.ops.get(x.name)
    if before is not None and before.kind in ("relu", "clip"):
        bounds = before.attributes or {"low": 0.0, "high": math.inf}
        if {bounds["low"], low} >= {-math.inf} and {bounds["high"], high} >= {math.inf}:
            inner, outer = max(bounds["low"], low), min(bounds["high"], high)
            if -math.inf < inner <= outer < math.inf:
                x, low, high = replace(x, name=before.inputs[0]), inner, outer
    is_relu = (low, high) == (0, math.inf)
    kind, attributes = ("relu", {}) if is_relu else ("clip", {"low": low, "high": high})
    return reader.same(node, kind, x, attributes)


def _bounded(below: bool) -> Rule:
    """The larger, or the smaller, of each element and a number."""

    def rule(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
        constants = [each for each in inputs if isinstance(each, Constant)]
        values = [each for each in inputs if isinstance(each, Value)]
        if len(constants) != 1 or len(values) != 1 or not reader.is_number(constants[0]):
            return _elementwise(reader, node, inputs) if len(values) == len(inputs) else None
        names = tuple(each.name if isinstance(each, Value) else each for each in inputs)
        scalar = Scalar(node, names)
        found = _finished(reader, values[0], scalar)
        if found is None:
            bound = _number(constants[0])
            low, high = (bound, math.inf) if below else (-math.inf, bound)
            found = _clip(reader, node, values[0], low, high)
            reader.pointwise[found.name] = scalar
        return found

    return rule


def _arithmetic(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """Sums, differences, products and quotients."""
    if len(inputs) == 2 and all(isinstance(each, Value) for each in inputs):
        return _combined(reader, node, *inputs)
    if any(isinstance(each, Noise | Tiled) for each in inputs):
        return None
    first, second = inputs
    if isinstance(second, Constant):
        return _with_constant(reader, node, first, second, first=False)
    return _with_constant(reader, node, second, first, first=True)


def _combined(reader: Reader, node: Any, first: Value, second: Value) -> Tensor | None:
    if first.axes == second.axes and (whole := _softmax(reader, node, first, second)) is not None:
        return whole
    alike = (first.shape, first.axes, first.lead) == (second.shape, second.axes, second.lead)
    names = (first.name, second.name)
    if alike:
        found = _finished(reader, first, Scalar(node, names)) or _softmax(
            reader, node, first, second
        )
        if found is not None:
            return found
    kind = {"Mul": "multiply", "Add": "add", "AddV2": "add", "Sub": "add"}.get(node.type)
    if alike and kind != "add":
        return _elementwise(reader, node, [first, second])
    if kind is None or len(reader.native(first)) != len(reader.native(second)):
        return None
    attributes = {"factor": -1.0} if node.type == "Sub" else {}
    if not alike:
        return _joined(reader, node, kind, first, second, attributes)
    found = reader.same(node, kind, first, attributes, second.name)
    reader.pointwise[found.name] = Scalar(node, names)
    return found


def _joined(
    reader: Reader, node: Any, kind: str, first: Value, second: Value, attributes: Mapping[str, Any]
) -> Value:
    """Two values of the same rank combined element by element, with their axes in their places."""
    names = (reader.canonical(first), reader.canonical(second))
    shape = broadcast(*map(reader.shape, names))
    name = reader.emit(node, kind, names, shape, attributes)
    axes = CHANNELS_LAST if len(shape) == 4 else tuple(range(len(shape)))
    return Value(name, tuple(shape[axis] for axis in axes), axes)


def _sum_of_many(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    if not all(isinstance(each, Value) for each in inputs):
        return None
    first: Value = inputs[0]
    names = tuple(reader.canonical(each) for each in inputs)
    if len(names) == 1:
        return first
    name = reader.emit(node, "add", names, reader.shape(names[0]))
    rank = len(first.shape)
    return Value(name, first.shape, CHANNELS_LAST if rank == 4 else tuple(range(rank)))


def _with_constant(
    reader: Reader, node: Any, x: Value, constant: Constant, *, first: bool
) -> Tensor | None:
    """A value and a constant, which stands `first` or second."""
    kind = {"BiasAdd": "AddV2", "Add": "AddV2", "Div": "RealDiv"}.get(node.type, node.type)
    if kind == "RealDiv" and first:
        return _elementwise(reader, node, [constant, x])
    given = x
    if kind == "Sub" and first:
        x = reader.same(node, "mul", x, {"factor": -1.0})
    names = (constant, given.name) if first else (given.name, constant)
    # The bias of a lone channel, and the like, is an array of one element, and no number.
    is_array = constant.array.ndim > 0 and x.shape[-1] == 1
    is_array = is_array or _is_lone_count(reader, x, constant)
    is_scalar = reader.is_number(constant) and not is_array
    if is_scalar and (known := _finished(reader, given, Scalar(node, names))) is not None:
        return known
    if is_scalar and constant.array.ndim <= max(len(x.shape), 1):
        number = _number(constant)
        if number == (1 if kind in ("Mul", "RealDiv") else 0):
            name = reader.emit(node, "identity", (x.name,), reader.shape(x.name))
        elif kind in ("Mul", "RealDiv"):
            name = _scaled(reader, node, x, number if kind == "Mul" else 1 / number)
        else:
            other = np.float64(-number if kind == "Sub" and not first else number)
            held = {"other": np.asarray(other, np.float64)}
            shape = reader.shape(x.name)
            name = reader.emit(node, "affine", (x.name,), shape, {"product": False}, held)
        reader.pointwise[name] = Scalar(node, names)
    else:
        found = _affine(reader, node, x, constant, kind, negative=kind == "Sub" and not first)
        if found is None:
            return None
        x, name = found, found.name
    reader.chains[name] = (given.name, node, constant, first)
    normed = norm(reader, name, x.axes)
    if normed is not None:
        base, attributes, arrays = normed
        link = reader.chains[name]
        name = reader.emit(node, "batch_norm", (base,), reader.shape(base), attributes, arrays)
        reader.chains[name] = link  # there may be more of it
    return replace(x, name=name)


def _softmax(reader: Reader, node: Any, first: Value, second: Value) -> Value | None:
    """`exp(x) / Σ exp(x)` along one axis; before that, the largest x may be taken from all."""
    above, total = (reader.ops.get(each.name) for each in (first, second))
    if node.type != "RealDiv" or above is None or above.kind != "tf.Exp" or total is None:
        return None
    mean = reader.ops.get(total.inputs[0]) if total.name in reader.sums else None
    if mean is None or not mean.attributes["keepdims"]:
        return None
    summed = reader.ops.get(mean.inputs[0])
    if summed is None or (summed.kind, summed.inputs) != (above.kind, above.inputs):
        return None
    (axis, *more) = mean.attributes["axes"]
    if more:
        return None
    (base,) = above.inputs
    lowered = reader.ops.get(base)
    if lowered is not None and lowered.kind == "add" and lowered.attributes.get("factor") == -1:
        x, largest = lowered.inputs
        op = reader.ops.get(largest)
        if op is not None and op.kind == "tf.Max" and op.inputs == (x,):
            base = x  # the same for whatever is taken from all
    name = reader.emit(node, "softmax", (base,), reader.shape(base), {"axis": axis})
    return replace(first, name=name)


def _scaled(reader: Reader, node: Any, x: Value, factor: float) -> str:
    """`factor · x`; of a sum over axes that this makes a mean of, the mean."""
    op = reader.ops.get(x.name)
    if (
        op is not None
        and x.name in reader.sums
        and math.isclose(factor * op.attributes["factor"], 1, rel_tol=1e-6)
    ):
        return op.inputs[0]
    return reader.emit(node, "mul", (x.name,), reader.shape(x.name), {"factor": factor})


def _affine(
    reader: Reader, node: Any, x: Value, constant: Constant, kind: str, *, negative: bool
) -> Value | None:
    """A value with a constant array added, or multiplied by it."""
    rank = len(x.shape)
    shape = constant.array.shape
    if node.type == "BiasAdd" and _axes(node) == CHANNELS_FIRST:
        shape = (*shape, *(1 for _ in range(rank - 2)))
    if len(shape) > rank or (x.lead is not None and constant.array.size not in (1, x.shape[-1])):
        return None
    full = (*(1 for _ in range(rank - len(shape))), *shape)
    if full[0] != 1:
        raise TraceError(
            f"{reader.place}: '{node.type}' has a constant of shape {constant.array.shape}, with an"
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

    reader.by_parameter(constant)
    what = f"{kind} {negative} {x.axes} {full}"
    held = reader.array(constant, what, change, moved)
    name, given = x.name, reader.shape(x.name)
    pool = reader.ops.get(name)
    if product and pool is not None and _is_counted(pool, held):
        # A mean with counts of its own: the sum over each window, and those.
        kernel = pool.attributes["kernel_size"]
        settings = {k: v for k, v in pool.attributes.items() if k != "count_include_pad"}
        name = reader.emit(pool.name, "sum_pool", pool.inputs, pool.shape, settings)
        counts = _counts(held.astype(np.float64) / math.prod(kernel))
        reader.origins.same(counts, held)
        held = counts
    result = broadcast(given, (1, *held.shape))
    name = reader.emit(node, "affine", (name,), result, {"product": product}, {"other": held})
    return replace(x, name=name, shape=tuple(result[axis] for axis in x.axes))


def _counts(shares: Array) -> Array:
    """Factors that are one over a number of elements, but for rounding, exactly so."""
    with np.errstate(divide="ignore"):
        numbers = np.rint(1 / shares)
    # A quotient and a product, each rounded to float32: at most one unit in the last place.
    strayed = np.abs(shares * numbers - 1)
    is_count = np.isfinite(numbers).all() and strayed.max() <= np.finfo(np.float32).eps
    return 1 / numbers if is_count else shares


def _is_lone_count(reader: Reader, x: Value, constant: Constant) -> bool:
    """Whether a number (1, 1, 1, 1) may say how many elements the only window of a pool has."""
    pool = reader.ops.get(x.name)
    return pool is not None and constant.array.ndim == 4 and _is_counted(pool, np.ones((1, 1, 1)))


def _is_counted(pool: Any, held: Array) -> bool:
    """Whether an array (1, H, W) of factors may say how many elements each window of a pool has."""
    plain = pool.kind == "avg_pool" and pool.attributes["padding"] == NO_PADDING
    return plain and held.ndim == 3 and held.shape == (1, *pool.shape[2:])


# Axes ---------------------------------------------------------------------------------------------


def _concat(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    *values, axis = inputs
    if not isinstance(axis, Constant) or not all(isinstance(each, Value) for each in values):
        return None
    first = values[0] = reader.apart(values[0])
    place = int(axis.array) % len(first.shape)
    names = tuple(reader.ordered(reader.apart(each), first.axes) for each in values)
    sizes = [reader.shape(name) for name in names]
    ours = first.axes[place]
    shape = list(sizes[0])
    shape[ours] = sum(size[ours] for size in sizes)
    name = reader.emit(node, "concat", names, tuple(shape), {"axis": ours})
    return Value(name, tuple(shape[each] for each in first.axes), first.axes)


def _stack(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    """Values put together along a new axis."""
    if not all(isinstance(each, Value) for each in inputs):
        return None
    shape = list(reader.native(inputs[0]))
    place = int(node.get_attr("axis")) % (len(shape) + 1)
    if place == 0:
        return None
    shape.insert(place, 1)
    each = [reshaped(reader, node, value, tuple(shape)) for value in inputs]
    return _concat(reader, node, [*each, Constant(tf.constant(place))])


def _pad(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, padding, *value = inputs
    if not isinstance(x, Value) or x.lead is not None or len(x.shape) != 4:
        return None
    if not all(isinstance(each, Constant) for each in (padding, *value)):
        return None
    sides: list[Pair] = [(0, 0)] * 4
    for ours, (before, after) in zip(x.axes, padding.array.tolist(), strict=True):
        sides[ours] = (int(before), int(after))
    if not any(map(any, sides)):
        return x
    if any(map(any, sides[:2])):
        return None
    given = reader.shape(x.name)
    shape = tuple(size + sum(side) for size, side in zip(given, sides, strict=True))
    number = _number(value[0]) if value else 0.0
    name, around = x.name, (sides[2], sides[3])
    before = reader.ops.get(name)
    if before is not None and before.kind == "pad" and before.attributes["value"] == number:
        inner = before.attributes["padding"]
        if min(map(min, (*inner, *around))) >= 0:  # one padding around another
            (name,) = before.inputs
            (top, bottom), (left, right) = (
                (a + c, b + d) for (a, b), (c, d) in zip(inner, around, strict=True)
            )
            around = ((top, bottom), (left, right))
    attributes = {"padding": around, "value": number}
    name = reader.emit(node, "pad", (name,), shape, attributes)
    return Value(name, tuple(shape[axis] for axis in x.axes), x.axes)


def _reduced(kind: str) -> Rule:
    """A mean, sum or maximum over axes."""

    def rule(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
        x, axes = inputs
        if not isinstance(x, Value) or not isinstance(axes, Constant):
            return None
        x = reader.apart(x)
        rank = len(x.shape)
        over = sorted({int(axis) % rank for axis in axes.array.reshape(-1)})
        ours = tuple(sorted(x.axes[axis] for axis in over))
        keeps = bool(node.get_attr("keep_dims"))
        given = reader.shape(x.name)
        if not over:
            return x
        op = reader.ops.get(x.name)
        if kind == "mean" and op is not None and op.kind == "mean" and not keeps:
            both = _more_axes(reader, node, x, op, over)
            if both is not None:
                return both
        count = math.prod(given[axis] for axis in ours)
        name = x.name
        shape, order = _without(given, x.axes, over, keeps)
        if kind == "max":
            if ours != (2, 3) or rank != 4:
                attributes = {"axes": ours, "keepdims": keeps}
                name = reader.emit(node, "tf.Max", (name,), shape, attributes)
                return Value(name, tuple(shape[axis] for axis in order), order)
            window = {"kernel_size": given[2:], "stride": given[2:], "padding": NO_PADDING}
            more = {"ceil_mode": False, "dilation": (1, 1)}
            pixel = (*given[:2], 1, 1)
            name = reader.emit(node, "max_pool", (name,), pixel, {**window, **more})
            if not keeps:
                name = reader.emit(node, "flatten", (name,), shape, {"start": 1})
        else:
            name = reader.emit(node, "mean", (name,), shape, {"axes": ours, "keepdims": keeps})
        if kind == "sum":
            name = reader.emit(node, "mul", (name,), shape, {"factor": float(count)})
            reader.sums.add(name)
        return Value(name, tuple(shape[axis] for axis in order), order)

    return rule


def _more_axes(reader: Reader, node: Any, x: Value, op: Any, over: Sequence[int]) -> Value | None:
    """The mean of a mean, as one over the axes of both."""
    if op.attributes["keepdims"]:
        return None
    (before,) = op.inputs
    gone = op.attributes["axes"]
    left = [axis for axis in range(len(reader.shape(before))) if axis not in gone]
    axes = tuple(sorted((*gone, *(left[x.axes[axis]] for axis in over))))
    shape, order = _without(reader.shape(x.name), x.axes, over, False)
    attributes = {"axes": axes, "keepdims": False}
    name = reader.emit(node, "mean", (before,), shape, attributes)
    return Value(name, tuple(shape[axis] for axis in order), order)


def _without(
    given: Shape, axes: tuple[int, ...], over: Sequence[int], keeps: bool
) -> tuple[Shape, tuple[int, ...]]:
    """The shape without axes `over` of the tensor, and the order of those that are left."""
    gone = {axes[axis] for axis in over}
    if keeps:
        return tuple(1 if axis in gone else size for axis, size in enumerate(given)), axes
    left = [axis for axis in range(len(given)) if axis not in gone]
    shape = tuple(given[axis] for axis in left)
    return shape, tuple(left.index(axis) for axis in axes if axis not in gone)


def _transpose(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x, order = inputs
    if not isinstance(x, Value) or not isinstance(order, Constant) or x.lead is not None:
        return None
    moves = [int(axis) for axis in order.array]
    if moves[0] != 0:
        name = reader.ordered(x, tuple(range(len(x.shape))))
        shape = tuple(x.shape[axis] for axis in moves)
        name = reader.emit(node, "transpose", (name,), shape, {"axes": tuple(moves)})
        return Value(name, shape, tuple(range(len(shape))))
    return Value(
        x.name, tuple(x.shape[axis] for axis in moves), tuple(x.axes[axis] for axis in moves)
    )


def _along(kind: str) -> Rule:
    """An operation along the last axis."""

    def rule(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
        (x,) = inputs
        if not isinstance(x, Value):
            return None
        return reader.same(node, kind, x, {"axis": x.axes[-1]})

    return rule


def _reshape(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    x = inputs[0]
    if not isinstance(x, Value):
        return None
    if node.type == "Reshape":
        if not isinstance(inputs[1], Constant):
            return None
        shape = [int(size) for size in inputs[1].array]
        if -1 in shape:
            known = math.prod(size for size in shape if size != -1)
            shape[shape.index(-1)] = math.prod(x.shape) // max(known, 1)
    elif node.type == "Squeeze":
        native = reader.native(x)
        gone = {int(axis) % len(native) for axis in node.get_attr("squeeze_dims")}
        shape = [
            size for axis, size in enumerate(native) if size != 1 or (gone and axis not in gone)
        ]
    else:
        shape = list(reader.native(x))
        place = int(inputs[1].array)
        shape.insert(place if place >= 0 else len(shape) + 1 + place, 1)
    return reshaped(reader, node, x, tuple(shape))


def reshaped(reader: Reader, node: Any, x: Value, shape: Shape) -> Value:
    """A value as a tensor of another shape, its elements in TensorFlow's order."""
    if x.lead is not None:
        if shape == reader.native(x):
            return x
        if shape[:-1] == x.lead:
            return replace(x, lead=None)
        x = reader.apart(x)
    if shape == x.shape:
        return x
    is_map = len(x.shape) == 4
    is_rows = is_map and shape == (math.prod(x.shape[:3]), x.shape[3])
    if is_rows and shape[0] != x.shape[0]:
        return replace(x, lead=x.shape[:3])
    sizes = [(axis, size) for axis, size in enumerate(x.shape) if axis and size != 1]
    if shape[:1] == x.shape[:1] and [s for s in shape[1:] if s != 1] == [s for _, s in sizes]:
        return _with_ones(reader, node, x, shape)
    if is_map and shape == (x.shape[0], math.prod(x.shape[1:3]), x.shape[3]):
        name = reader.ordered(x, CHANNELS_LAST)  # pixels joined, each with its channels
        ours = (shape[0], shape[2], shape[1])
        name = reader.emit(node, "reshape", (name,), ours, {"shape": ours[1:]})
        return Value(name, shape, (0, 2, 1))
    name = reader.ordered(x, tuple(range(len(x.shape))))
    if len(shape) == 2 and shape[0] == x.shape[0]:
        name = reader.emit(node, "flatten", (name,), shape, {"start": 1})
    else:
        name = reader.emit(node, "reshape", (name,), shape, {"shape": shape[1:]})
    return Value(name, shape, tuple(range(len(shape))))


def _with_ones(reader: Reader, node: Any, x: Value, shape: Shape) -> Value:
    """Axes of one element put in or left out: nothing else moves."""
    before = [x.axes[axis] for axis, size in enumerate(x.shape) if axis and size != 1]
    real = [axis for axis, size in enumerate(shape) if axis and size != 1]
    usual = CHANNELS_LAST if len(shape) == 4 else tuple(range(len(shape)))
    if np.argsort(before).tolist() == np.argsort([usual[axis] for axis in real]).tolist():
        axes = usual
    else:
        ones = [axis for axis, size in enumerate(shape) if axis and size == 1]
        ordered = [0, *(real[n] for n in np.argsort(before)), *ones]
        axes = tuple(ordered.index(axis) for axis in range(len(shape)))
    ours = tuple(shape[axis] for axis in np.argsort(axes))
    is_flat = len(shape) == 2 and len(x.shape) > 2
    kind, attributes = ("flatten", {"start": 1}) if is_flat else ("reshape", {"shape": ours[1:]})
    name = reader.emit(node, kind, (x.name,), ours, attributes)
    return Value(name, shape, axes)


def _part(reader: Reader, node: Any, inputs: list[Any]) -> list[Tensor] | None:
    """Parts of a value, perhaps with axes of one element put in or left out; all of it is the value
    itself.
    """
    (x, *more) = [each for each in inputs if isinstance(each, Value)]
    if more or not all(isinstance(each, Value | Constant) for each in inputs):
        return None
    x = reader.apart(x)
    numbers = np.arange(math.prod(x.shape), dtype=np.int32).reshape(x.shape)
    given = [each.tensor if isinstance(each, Constant) else numbers for each in inputs]
    picked = [np.asarray(each) for each in run(node, given)]
    ranges = [_ranges(numbers, each) for each in picked]
    found: list[Tensor] = []
    for part, each in zip(picked, ranges, strict=True):
        if each is None:
            return None
        sliced = _sliced(reader, node, x, each)
        found.append(
            sliced if sliced.shape == part.shape else _with_ones(reader, node, sliced, part.shape)
        )
    return found


def _ranges(numbers: Array, part: Array) -> list[range] | None:
    """What a part has of each axis of `numbers`, in order; None if it is no such part of every
    image.
    """
    if part.size == 0 or part.ndim == 0 or len(part) != len(numbers):
        return None
    found: list[range] = []
    for places in np.unravel_index(part.ravel(), numbers.shape):
        each = np.unique(places)
        step = int(each[1] - each[0]) if len(each) > 1 else 1
        found.append(range(int(each[0]), int(each[-1]) + 1, step))
    whole = numbers[np.ix_(*found)] if all(len(each) for each in found) else numbers[:0]
    if len(found[0]) != len(numbers) or not np.array_equal(whole.ravel(), part.ravel()):
        return None
    sizes = [[size for size in shape[1:] if size != 1] for shape in (whole.shape, part.shape)]
    return found if sizes[0] == sizes[1] else None


def _sliced(reader: Reader, node: Any, x: Value, ranges: list[range]) -> Value:
    """A value cut down to ranges of each of its axes: rows and columns next to each other are a
    padding that takes away.
    """
    shape = list(reader.shape(x.name))
    ours = {x.axes[axis]: each for axis, each in enumerate(ranges)}
    cut = {axis: each for axis, each in ours.items() if len(each) != shape[axis]}
    name = x.name
    borders = {axis: each for axis, each in cut.items() if axis >= 2 and each.step == 1}
    if len(shape) == 4 and borders:
        (top, bottom), (left, right) = (
            (-each.start, each.stop - shape[axis])
            for axis, each in ((axis, borders.get(axis, range(shape[axis]))) for axis in (2, 3))
        )
        shape[2:] = [shape[2] + top + bottom, shape[3] + left + right]
        attributes: dict[str, Any] = {"padding": ((top, bottom), (left, right)), "value": 0.0}
        name = reader.emit(node, "pad", (name,), tuple(shape), attributes)
        cut = {axis: each for axis, each in cut.items() if axis not in borders}
    for axis, each in cut.items():
        shape[axis] = len(each)
        attributes = {"axis": axis, "start": each.start, "stop": each.stop, "step": each.step}
        name = reader.emit(node, "slice", (name,), tuple(shape), attributes)
    return Value(name, tuple(len(each) for each in ranges), x.axes)


# Others -------------------------------------------------------------------------------------------


def _handed_on(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | list[Tensor] | None:
    return list(inputs) if node.type == "IdentityN" else inputs[0]


def _cast(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    (x,) = inputs
    kind = node.get_attr("DstT")
    if kind.is_floating and node.get_attr("SrcT").is_floating:
        return x if isinstance(x, Value) else None
    return _elementwise(reader, node, inputs)


def _local_response_norm(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    (x,) = inputs
    if not isinstance(x, Value):
        return None
    name = reader.ordered(reader.apart(x), CHANNELS_LAST)
    size = 2 * int(node.get_attr("depth_radius")) + 1
    attributes = {
        "size": size,
        "alpha": _alpha(node.get_attr("alpha"), size),
        "beta": shortest(node.get_attr("beta")),
        "k": shortest(node.get_attr("bias")),
    }
    found = reader.emit(node, "local_response_norm", (name,), reader.shape(name), attributes)
    return Value(found, x.shape, CHANNELS_LAST)


def _alpha(each: float, size: int) -> float:
    """The shortest decimal that is `each`, a float32, when it is divided by `size`."""
    near = np.float32(each * size)
    tried = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    decimals = [shortest(value) for value in tried] + [size * shortest(each)]
    same = [value for value in decimals if np.float32(value / size) == np.float32(each)]
    return min(same, key=lambda value: len(repr(value)), default=float(near))


def _fused_norm(reader: Reader, node: Any, inputs: list[Any]) -> list[Tensor] | None:
    x, *constants = inputs
    if not isinstance(x, Value) or not all(isinstance(each, Constant) for each in constants):
        return None
    axes = _axes(node)
    if not axes:
        return None
    name = reader.ordered(reader.apart(x), axes)
    roles = ("weight", "bias", "running_mean", "running_var")
    arrays = {
        role: reader.array(each, "vector", np.ravel)
        for role, each in zip(roles, constants, strict=False)
    }
    train = bool(node.get_attr("is_training"))
    if train:
        arrays = {role: arrays[role] for role in roles[:2]}
    reader.by_parameter(constants[0])
    attributes = {"eps": shortest(node.get_attr("epsilon")), "train": train}
    found = reader.emit(node, "batch_norm", (name,), reader.shape(name), attributes, arrays)
    return [Value(found, x.shape, axes), *(Noise() for _ in node.outputs[1:])]


_POINTWISE: Final = (
    "Abs",
    "Erf",
    "Erfc",
    "Exp",
    "Expm1",
    "Greater",
    "GreaterEqual",
    "Inv",
    "Less",
    "LessEqual",
    "Log",
    "Log1p",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "Pow",
    "Reciprocal",
    "Rsqrt",
    "Select",
    "SelectV2",
    "Selu",
    "Sign",
    "Softsign",
    "Sqrt",
    "Square",
    "SquaredDifference",
)


def _negative(reader: Reader, node: Any, inputs: list[Any]) -> Tensor | None:
    return _applied(reader, node, "mul", inputs[0], {"factor": -1.0})


RULES: Final[Mapping[str, Callable[..., Any]]] = {
    **dict.fromkeys(_POINTWISE, _elementwise),
    **dict.fromkeys((*_ADDS, "Sub", "Mul", "RealDiv", "Div"), _arithmetic),
    "AddN": _sum_of_many,
    "AvgPool": _avg_pool,
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "BatchToSpaceND": _batch_to_space,
    "Cast": _cast,
    "CheckNumerics": _handed_on,
    "ClipByValue": _clipped,
    "ConcatV2": _concat,
    "Conv2D": _conv,
    "DepthwiseConv2dNative": _conv,
    "Einsum": _einsum,
    "Elu": lambda reader, node, inputs: _applied(reader, node, "elu", inputs[0], {"alpha": 1.0}),
    "EnsureShape": _handed_on,
    "ExpandDims": _reshape,
    "FusedBatchNormV3": _fused_norm,
    "Identity": _handed_on,
    "GatherNd": _part,
    "GatherV2": _part,
    "IdentityN": _handed_on,
    "LRN": _local_response_norm,
    "LeakyRelu": _unary("leaky_relu", slope="alpha"),
    "LogSoftmax": _along("log_softmax"),
    "MatMul": _matmul,
    "Max": _reduced("max"),
    "MaxPool": _max_pool,
    "MaxPoolV2": _max_pool,
    "Maximum": _bounded(below=True),
    "Mean": _reduced("mean"),
    "Minimum": _bounded(below=False),
    "Neg": _negative,
    "Pack": _stack,
    "Pad": _pad,
    "PadV2": _pad,
    "PreventGradient": _handed_on,
    "Relu": _unary("relu"),
    "Relu6": _relu6,
    "Reshape": _reshape,
    "Sigmoid": _unary("sigmoid"),
    "Slice": _part,
    "Snapshot": _handed_on,
    "Softmax": _along("softmax"),
    "Softplus": _unary("softplus"),
    "SpaceToBatchND": _space_to_batch,
    "Squeeze": _reshape,
    "StopGradient": _handed_on,
    "Split": _part,
    "SplitV": _part,
    "StridedSlice": _part,
    "Sum": _reduced("sum"),
    "Tanh": _unary("tanh"),
    "Transpose": _transpose,
    "Unpack": _part,
}
