"""What each of MindSpore's operations is in neutral terms, also where users or MindSpore put one
together from several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np

from googlenet.arrays import Array

from .mindir import Node

Pads: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value that depends on the images: its name in the graph, and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """An operation with its arguments, each a `Tensor`, an array or another constant, or a tuple
    of these, for the `item` of its results. `made` has the calls that gave tensors so far, by the
    tensor's name. `move` and `derive` make a constant of one: what they are called, a function, and
    the constant; what `move` does only moves elements about, and `derive` changes each by itself.
    """

    node: Node
    args: tuple[Any, ...]
    shape: tuple[int, ...]
    made: Mapping[str, Call]
    move: Callable[[Any, Callable[[Array], Array], Array], Array]
    derive: Callable[[Any, Callable[[Array], Array], Array], Array]
    item: int | None = None

    @property
    def kind(self) -> str:
        """The name of the primitive."""
        return self.node.kind

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the primitive."""
        return self.node.attributes

    def arg(self, place: int) -> Any:
        """One of the arguments, None if it is not given."""
        return self.args[place] if place < len(self.args) else None

    def before(self, arg: Any) -> Call | None:
        """The call that gave `arg`, if one did."""
        return self.made.get(arg.name) if isinstance(arg, Tensor) else None


@dataclass(frozen=True, eq=False)
class Piece:
    """A neutral operation that, alone or after others, is one of MindSpore's; its input is the
    piece before it, the first one's the tensors that the call takes, unless `inputs` says others;
    `also` are further ones. `at` is the operation where it is in the user's code, if not its last.
    """

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    inputs: tuple[Tensor, ...] | None = None
    shape: tuple[int, ...] | None = None
    also: tuple[Tensor, ...] = ()
    at: Node | None = None


#: What an operation is in neutral terms; None if it is none of them.
Translated: TypeAlias = "list[Piece] | Piece | None"


def tensors_of(args: Any) -> Iterator[Tensor]:
    """The tensors among arguments, in order."""
    for each in args:
        if isinstance(each, tuple):
            yield from tensors_of(each)
        elif isinstance(each, Tensor):
            yield each


def number_of(value: Any) -> float:
    """The shortest decimal that is the same float32."""
    return float(str(np.float32(value)))


def _scalar(value: Any) -> float | None:
    """A number, or a tensor of one; None for anything else."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.reshape(()))
    return None


def _pair(value: Any) -> tuple[int, int]:
    pair = [value] if isinstance(value, int) else list(value)
    return (int(pair[0]), int(pair[-1]))


def _symmetric(value: Any) -> Pads:
    height, width = _pair(value)
    return ((height, height), (width, width))


def _explicit(
    mode: str, sides: Sequence[int], size: Sequence[int], kernel: Any, stride: Any, dilation: Any
) -> Pads:
    """The padding of a window: `sides` are (top, bottom, left, right), for modes that state it."""
    if mode.lower() == "valid":
        return ((0, 0), (0, 0))
    if mode.lower() != "same":
        top, bottom, left, right = map(int, sides)
        return ((top, bottom), (left, right))
    found = []
    for axis in range(2):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        windows = -(-size[axis] // stride[axis])
        total = max((windows - 1) * stride[axis] + reach - size[axis], 0)
        found.append((total // 2, total - total // 2))
    return (found[0], found[1])


def _is_map(given: Any) -> bool:
    return isinstance(given, Tensor) and len(given.shape) == 4


def _is_array(given: Any, *axes: int) -> bool:
    return isinstance(given, np.ndarray) and given.ndim in axes


# Convolutions and dense layers


def _conv2d(call: Call) -> Translated:
    x, weight = call.args[:2]
    found = call.attributes
    if not _is_map(x) or not _is_array(weight, 4) or found.get("format", "NCHW") != "NCHW":
        return None
    stride, dilation = _pair(found["stride"][2:]), _pair(found["dilation"][2:])
    sides = found["pad"] if len(found["pad"]) == 4 else found["pad_list"]
    padding = _explicit(found["pad_mode"], sides, x.shape[2:], weight.shape[2:], stride, dilation)
    return _conv(weight, None, stride, padding, dilation, found["group"])


def _conv(
    weight: Array, bias: Any, stride: Any, padding: Pads, dilation: Any, groups: int
) -> Piece:
    attributes = {
        "stride": _pair(stride),
        "padding": padding,
        "dilation": _pair(dilation),
        "groups": int(groups),
    }
    return Piece("conv", attributes, {"weight": weight, "bias": bias})


def _conv2d_ext(call: Call) -> Translated:
    x, weight, bias, stride, padding, dilation, groups = call.args
    if not _is_map(x) or not _is_array(weight, 4) or isinstance(bias, Tensor):
        return None
    if isinstance(padding, str):
        padding = _explicit(
            padding, (), x.shape[2:], weight.shape[2:], _pair(stride), _pair(dilation)
        )
    else:
        padding = _symmetric(padding)
    return _conv(weight, bias, stride, padding, dilation, groups)


def _convolution(call: Call) -> Translated:
    *given, transposed, _, groups = call.args
    if transposed:
        return None
    return _conv2d_ext(replace(call, args=(*given, groups)))


def _bias_add(call: Call) -> Translated:
    x, bias = call.args[:2]
    if not _is_array(bias, 1) or not isinstance(x, Tensor) or call.arg(2) not in (0, None):
        return None
    shape = (1, len(bias), *[1] * (len(x.shape) - 2))
    other = call.move(("reshape", shape), lambda each: each.reshape(shape), bias)
    return Piece("affine", {"product": False}, {"other": other})


def _transposed(call: Call, array: Array) -> Array:
    return call.move("transposed", lambda each: np.ascontiguousarray(each.T), array)


def _mat_mul(call: Call) -> Translated:
    """A matrix product with a constant matrix behind."""
    x, weight = call.args[:2]
    if not isinstance(x, Tensor) or not _is_array(weight, 2) or call.arg(2):
        return None
    if not call.arg(3):
        weight = _transposed(call, weight)
    return Piece("dense", {}, {"weight": weight})


def _dense(call: Call) -> Translated:
    x, weight, bias = call.args[:3]
    if not isinstance(x, Tensor) or not _is_array(weight, 2) or isinstance(bias, Tensor):
        return None
    return Piece("dense", {}, {"weight": weight, "bias": bias})


def _addmm(call: Call) -> Translated:
    bias, x, weight, beta, alpha = call.args[:5]
    if not _is_array(bias, 1) or (_scalar(beta), _scalar(alpha)) != (1, 1):
        return None
    found = _mat_mul(replace(call, args=(x, weight)))
    return (
        replace(found, arrays={**found.arrays, "bias": bias}) if isinstance(found, Piece) else None
    )


# Normalisation


def _batch_norm(train: int, eps: int) -> Callable[[Call], Translated]:
    """Batch norm whose flag and epsilon are the arguments at these places."""

    def translated(call: Call) -> Translated:
        arrays = dict(
            zip(("weight", "bias", "running_mean", "running_var"), call.args[1:5], strict=True)
        )
        if not isinstance(call.args[0], Tensor) or any(tensors_of(tuple(arrays.values()))):
            return None
        attributes = {"eps": number_of(call.args[eps]), "train": bool(call.args[train])}
        return Piece("batch_norm", attributes, arrays)

    return translated


def _local_response_norm(call: Call) -> Translated:
    found = call.attributes
    if found.get("norm_region", "ACROSS_CHANNELS") != "ACROSS_CHANNELS":
        return None
    size = 2 * int(found["depth_radius"]) + 1
    attributes = {
        "size": size,
        "alpha": _alpha(found["alpha"], size),  # MindSpore's is that of one channel of the sum
        "beta": number_of(found["beta"]),
        "k": number_of(found["bias"]),
    }
    return Piece("local_response_norm", attributes)


def _alpha(share: float, size: int) -> float:
    """The shortest decimal of which `share` is the part of each of `size` channels, in float32."""
    for digits in range(1, 10):
        alpha = float(f"{share * size:.{digits}g}")
        if np.float32(alpha / size) == np.float32(share):
            break
    return alpha


# Pools


def _count(size: int, kernel: int, stride: int, pads: tuple[int, int], ceil_mode: bool) -> int:
    """How many windows an axis has: one that would begin in the padding behind is left out."""
    room = size + sum(pads) - kernel
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - (ceil_mode and (count - 1) * stride >= size + pads[0])


def _rounding(
    size: Sequence[int], out: Sequence[int], reach: Sequence[int], stride: Any, padding: Pads
) -> bool | None:
    """Whether windows round up, told from how many there are; None if neither fits."""
    for ceil_mode in (False, True):
        counts = [
            _count(size[axis], reach[axis], stride[axis], padding[axis], ceil_mode)
            for axis in range(2)
        ]
        if counts == list(out):
            return ceil_mode
    return None


def _max_pool(
    call: Call, kernel: Any, stride: Any, padding: Pads, dilation: Any = (1, 1)
) -> Translated:
    """A max pool on a map, or on one with an axis of one in its middle."""
    kernel, stride, dilation = _pair(kernel), _pair(stride), _pair(dilation)
    size, out = call.args[0].shape[-2:], call.shape[-2:]
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in range(2)]
    ceil_mode = _rounding(size, out, reach, stride, padding)
    if ceil_mode is None:  # −∞ around costs nothing
        ceil_mode, sides = False, []
        for axis in range(2):
            end = (out[axis] - 1) * stride[axis] + reach[axis] - size[axis] - padding[axis][0]
            sides.append((padding[axis][0], max(end, 0)))
        padding = (sides[0], sides[1])
    attributes = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "dilation": dilation,
    }
    return _flat(call, Piece("max_pool", attributes))


def _avg_pool(
    call: Call, kernel: Any, stride: Any, padding: Pads, included: bool, divisor: Any = None
) -> Translated:
    kernel, stride = _pair(kernel), _pair(stride)
    x, uncut = call.args[0], _uncut(call, call.args[0])
    for given in (uncut, x):
        if given is None:
            continue
        ceil_mode = _rounding(given.shape[-2:], call.shape[-2:], kernel, stride, padding)
        if ceil_mode is None or (
            given is uncut and (ceil_mode or not _ends(call, x, kernel, stride, padding))
        ):
            continue
        attributes = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "ceil_mode": ceil_mode,
        }
        if divisor in (None, 0):
            piece = Piece("avg_pool", {**attributes, "count_include_pad": included})
        elif divisor == 1:
            piece = Piece("sum_pool", attributes)
        else:
            return None
        return _flat(call, replace(piece, inputs=(given,)))
    return None


def _ends(call: Call, x: Tensor, kernel: Any, stride: Any, padding: Pads) -> bool:
    """Whether the last windows end where `x` does, so that what was cut off before does not
    matter.
    """
    return all(
        (call.shape[-2 + axis] - 1) * stride[axis] + kernel[axis] - padding[axis][0]
        <= x.shape[-2 + axis]
        for axis in range(2)
    )


def _uncut(call: Call, x: Tensor) -> Tensor | None:
    """The map from which rows below and columns to the right were cut off to give `x`."""
    before = call.before(x)
    if before is not None and before.kind in _RESHAPES and _is_map(before.args[0]):
        x = before.args[0]
        before = call.before(x)
    if before is None or before.kind != "StridedSlice" or not _is_map(before.args[0]):
        return None
    begin, _, strides = before.args[1:4]
    if any(begin) or any(each != 1 for each in strides) or len(before.shape) != 4:
        return None
    uncut: Tensor = before.args[0]
    return uncut if uncut.shape[:2] == before.shape[:2] else None


def _flat(call: Call, piece: Piece) -> Translated:
    """A pool of maps that have an axis of one in their middle, as a pool without that axis."""
    x = call.args[0] if piece.inputs is None else piece.inputs[0]
    if len(call.shape) == 4:
        return piece
    if len(call.shape) != 5 or call.shape[2] != 1:
        return None
    out = (*call.shape[:2], *call.shape[3:])
    pieces = [replace(piece, shape=out, inputs=None), _reshape(call.shape)]
    if len(x.shape) == 4:
        return [replace(pieces[0], inputs=(x,)), pieces[1]]
    flat = (*x.shape[:2], *x.shape[3:])
    return [replace(_reshape(flat), inputs=(x,)), *pieces]


def _reshape(shape: tuple[int, ...]) -> Piece:
    return Piece("reshape", {"shape": shape[1:]}, shape=shape)


def _max_pool_2d(call: Call) -> Translated:
    found = call.attributes
    if not _is_map(call.args[0]) or found.get("format", "NCHW") != "NCHW":
        return None
    kernel, stride = found["kernel_size"][2:], found["strides"][2:]
    padding = _explicit(found["pad_mode"], (), call.args[0].shape[2:], kernel, stride, (1, 1))
    return _max_pool(call, kernel, stride, padding)


def _max_pool_v2(call: Call) -> Translated:
    found = call.attributes
    if not _is_map(call.args[0]):
        return None
    kernel, stride, pads, dilation = (
        _pair(found[each][-2:]) for each in ("kernel_size", "strides", "pads", "dilation")
    )
    return _max_pool(call, kernel, stride, _symmetric(pads), dilation)


def _max_pool_with_mask(call: Call) -> Translated:
    if not _is_map(call.args[0]):
        return None
    kernel, stride, padding, dilation = call.args[1:5]
    return _max_pool(call, kernel, stride or kernel, _symmetric(padding), dilation)


def _max_pool_3d(call: Call) -> Translated:
    found = call.attributes
    kernel, stride = found["kernel_size"][-3:], found["strides"][-3:]
    sides = _sides_3d(call, kernel, stride)
    return None if sides is None else _max_pool(call, kernel[1:], stride[1:], sides)


def _max_pool_3d_argmax(call: Call) -> Translated:
    found = call.attributes
    kernel, stride, pads, dilation = (
        found[each] for each in ("ksize", "strides", "pads", "dilation")
    )
    if not _is_flat(call, kernel, pads[0]):
        return None
    return _max_pool(call, kernel[1:], stride[1:], _symmetric(pads[1:]), dilation[1:])


def _avg_pool_3d(call: Call) -> Translated:
    found = call.attributes
    kernel, stride = found["kernel_size"][-3:], found["strides"][-3:]
    sides = _sides_3d(call, kernel, stride)
    if sides is None:
        return None
    included = bool(found["count_include_pad"])
    return _avg_pool(call, kernel[1:], stride[1:], sides, included, found["divisor_override"])


def _is_flat(call: Call, kernel: Sequence[int], front: int) -> bool:
    """Whether a pool of volumes (N, C, 1, H, W) is one of maps: it does nothing along the 1."""
    x = call.args[0]
    return isinstance(x, Tensor) and x.shape[2:3] == (1,) and kernel[0] == 1 and front == 0


def _sides_3d(call: Call, kernel: Sequence[int], stride: Sequence[int]) -> Pads | None:
    found = call.attributes
    sides = found["pad_list"]
    if not _is_flat(call, kernel, sides[0]):
        return None
    mode, size = found["pad_mode"], call.args[0].shape[3:]
    return _explicit(mode, sides[2:], size, kernel[1:], stride[1:], (1, 1))


def _avg_pool_2d(call: Call) -> Translated:
    """`ops.AvgPool`: what is around a map never counts."""
    x, kernel, stride, mode = call.args[:4]
    if not _is_map(x) or call.arg(4) not in (0, None) or mode not in _PAD_MODES:
        return None
    kernel, stride = kernel[-2:], stride[-2:]
    padding = _explicit(_PAD_MODES[mode], (), x.shape[2:], kernel, stride, (1, 1))
    return _avg_pool(call, kernel, stride, padding, padding == _NO_PADDING)


_NO_PADDING: Final = ((0, 0), (0, 0))
_PAD_MODES: Final = {1: "same", 2: "valid"}


def _avg_pool_ext(call: Call) -> Translated:
    x, kernel, stride, padding, _, included, divisor = call.args
    if not _is_map(x):
        return None
    return _avg_pool(call, kernel, stride or kernel, _symmetric(padding), bool(included), divisor)


def _adaptive_avg_pool(call: Call) -> Translated:
    if not _is_map(call.args[0]):
        return None
    return Piece("adaptive_avg_pool", {"output_size": _pair(call.shape[2:])})


def _adaptive_max_pool(call: Call) -> Translated:
    """The maxima, which come before where they are."""
    if not _is_map(call.args[0]):
        return None
    return Piece("adaptive_max_pool", {"output_size": _pair(call.shape[2:])})


def _mean(call: Call) -> Translated:
    x, axes, keepdims = call.args[:3]
    if not isinstance(x, Tensor):
        return None
    axes = (axes,) if isinstance(axes, int) else axes or tuple(range(len(x.shape)))
    axes, keepdims = tuple(axis % len(x.shape) for axis in axes), bool(keepdims)
    before = call.before(x)
    if before is not None and before.kind in ("ReduceMean", "MeanExt"):  # one axis after another
        inner = _mean(before)
        if isinstance(inner, Piece) and inner.attributes["keepdims"] is keepdims:
            first: tuple[int, ...] = inner.attributes["axes"]
            given = before.args[0] if inner.inputs is None else inner.inputs[0]
            left = [axis for axis in range(len(given.shape)) if keepdims or axis not in first]
            every = sorted({*first, *(left[axis] for axis in axes)})
            return Piece("mean", {"axes": tuple(every), "keepdims": keepdims}, inputs=(given,))
    return Piece("mean", {"axes": axes, "keepdims": keepdims})


# Shapes


def _flatten(call: Call) -> Translated:
    if call.args[1:] in ((), (1, -1)):
        return Piece("flatten", {"start": 1})
    return _reshape(call.shape)


def _reshaped(call: Call) -> Translated:
    """A reshape; the last of those that `nn.Dense` puts around a matrix product is that product."""
    added, bias = call.before(call.args[0]), None
    before = added
    if added is not None and added.kind == "BiasAdd":
        before, bias = added.before(added.args[0]), added.args[1]
    first = None if before is None else before.before(before.args[0])
    if before is None or before.kind != "MatMul" or first is None or first.kind != "Reshape":
        return _reshape(call.shape)
    x, product = first.args[0], _mat_mul(before)
    if not isinstance(product, Piece) or len(x.shape) < 3:
        return _reshape(call.shape)
    if bias is not None and not isinstance(bias, np.ndarray):
        return _reshape(call.shape)
    if x.shape[-1] != first.shape[-1] or x.shape[:-1] != call.shape[:-1]:
        return _reshape(call.shape)
    arrays = product.arrays if bias is None else {**product.arrays, "bias": bias}
    return replace(product, arrays=arrays, inputs=(x,), at=before.node)


_RESHAPES: Final = ("Reshape", "ExpandDims", "Squeeze", "View", "ExpandDimsView")


def _transpose(call: Call) -> Translated:
    axes = [axis % len(call.shape) for axis in call.args[1]]
    return Piece("transpose", {"axes": tuple(axes)})


def _swap_axes(call: Call) -> Translated:
    axes = list(range(len(call.shape)))
    first, second = call.args[1:3]
    axes[first], axes[second] = axes[second], axes[first]
    return Piece("transpose", {"axes": tuple(axes)})


def _slice(call: Call) -> Translated:
    x = call.args[0]
    begin, _, strides = call.args[1:4]
    if isinstance(x, Tensor) and x.shape == call.shape and not any(begin) and set(strides) <= {1}:
        return Piece("identity")
    return None


def _pad(sides: Sequence[tuple[int, int]], value: float) -> Translated:
    """Paddings of all axes: a pad of maps if it is only along the last two."""
    if len(sides) != 4 or any(map(any, sides[:2])):
        return None
    (top, bottom), (left, right) = sides[2:]
    return Piece("pad", {"padding": ((top, bottom), (left, right)), "value": value})


def _from_last(call: Call, flat: Any) -> list[tuple[int, int]]:
    """(left, right, top, bottom, ...) for each axis from the first on."""
    flat = [int(each) for each in np.ravel(flat)]
    pairs = list(zip(flat[::2], flat[1::2], strict=True))[::-1]
    return [(0, 0)] * (len(call.shape) - len(pairs)) + pairs


def _pad_v3(call: Call) -> Translated:
    found, value = call.attributes, call.arg(2)
    if found.get("mode", "constant") != "constant" or not found.get("paddings_contiguous", True):
        return None
    number = 0.0 if value is None else _scalar(value)
    if isinstance(call.args[1], Tensor) or number is None:
        return None
    return _pad(_from_last(call, call.args[1]), number)


def _concat(call: Call) -> Translated:
    values, axis = call.args[:2] if len(call.args) > 1 else (call.args[0], None)
    axis = call.attributes.get("axis", 0) if axis is None else axis
    if not all(isinstance(each, Tensor) for each in values):
        return None
    if len(values) == 1:
        return Piece("identity")
    return Piece("concat", {"axis": int(axis) % len(call.shape)})


# Arithmetic


def _sum(sign: float) -> Callable[[Call], Translated]:
    """`x + y`, or `x - y` for a sign of −1; `alpha` is a factor of the second one."""

    def translated(call: Call) -> Translated:
        x, y = call.args[:2]
        alpha = _scalar(call.arg(2)) if len(call.args) > 2 else 1.0
        if alpha is None:
            return None
        factor = sign * number_of(alpha)
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return Piece("add", {"factor": factor})
        if isinstance(x, Tensor):
            return _affine(call, False, y, factor)
        scaled = [] if factor == 1 else [Piece("mul", {"factor": factor}, shape=y.shape)]
        added = _affine(call, False, x, 1.0)
        return None if added is None else [*scaled, added]

    return translated


def _affine(call: Call, product: bool, other: Any, factor: float) -> Piece | None:
    """The sum or product with a constant, itself times `factor`."""
    if isinstance(other, bool | int | float):
        other = np.asarray(other, np.float64)
    if not isinstance(other, np.ndarray):
        return None
    shape = (1,) * (len(call.shape) - other.ndim) + other.shape
    array = call.move(("reshape", shape), lambda each: each.reshape(shape), other)
    if factor != 1:
        array = call.derive(("times", factor), lambda each: each.astype(np.float64) * factor, array)
    return Piece("affine", {"product": product}, {"other": array})


def _add_n(call: Call) -> Translated:
    values = call.args[0] if isinstance(call.args[0], tuple) else call.args
    if len(values) < 2 or not all(isinstance(each, Tensor) for each in values):
        return None
    first, second, *others = values
    sums = [Piece("add", {"factor": 1.0}, inputs=(first, second), shape=call.shape)]
    for each in others:
        sums.append(Piece("add", {"factor": 1.0}, also=(each,), shape=call.shape))
    return sums


def _product(call: Call) -> Translated:
    x, y = call.args[:2]
    found = _whole_product(call)
    if found is not None:
        return found
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return _multiply(call, x, y)
    other = y if isinstance(x, Tensor) else x
    number = _scalar(other)
    if number is not None:
        return Piece("identity") if number == 1 else Piece("mul", {"factor": number_of(number)})
    return _affine(call, True, other, 1.0)


def _multiply(call: Call, x: Tensor, y: Tensor) -> Piece:
    """The product of two values, each as it is before it was spread out to the other's shape."""
    factors = []
    for given in (x, y):
        before = call.before(given)
        narrow = before is not None and before.kind in _SPREADING and before.args[0]
        factors.append(narrow if isinstance(narrow, Tensor) else given)
    shapes = [each.shape for each in factors]
    fits = len(shapes[0]) == len(shapes[1]) and np.broadcast_shapes(*shapes) == call.shape
    return Piece("multiply", inputs=tuple(factors) if fits else (x, y))


#: Operations that repeat a value along axes of one element.
_SPREADING: Final = ("BroadcastTo", "BroadcastToView", "ExpandAs")


def _quotient(call: Call) -> Translated:
    x, y = call.args[:2]
    if call.arg(2) is not None or not isinstance(x, Tensor):  # rounded, or of a constant
        return None
    found = _whole_product(call)
    if found is not None or isinstance(y, Tensor):
        return found
    number = _scalar(y)
    if number is not None:
        return Piece("mul", {"factor": 1 / number_of(number)}) if number else None
    inverse = call.derive("inverse", lambda each: 1 / each.astype(np.float64), y)
    return _affine(call, True, inverse, 1.0)


def _simple(kind: str, **numbers: Any) -> Callable[[Call], Translated]:
    """An operation without arguments that count."""
    return lambda call: Piece(kind, dict(numbers)) if isinstance(call.args[0], Tensor) else None


def _with(kind: str, attribute: str, place: int = 1) -> Callable[[Call], Translated]:
    """An operation with one number."""

    def translated(call: Call) -> Translated:
        number = _scalar(call.arg(place))
        return None if number is None else Piece(kind, {attribute: number_of(number)})

    return translated


def _axis(kind: str) -> Callable[[Call], Translated]:
    def translated(call: Call) -> Translated:
        axes = call.arg(1)
        axes = (axes,) if isinstance(axes, int) else axes
        if not isinstance(axes, tuple) or len(axes) != 1:
            return None
        return Piece(kind, {"axis": axes[0] % len(call.shape)})

    return translated


def _elu(call: Call) -> Translated:
    alpha = _scalar(call.arg(1)) if len(call.args) > 1 else call.attributes.get("alpha", 1.0)
    return None if alpha is None else Piece("elu", {"alpha": number_of(alpha)})


def _gelu(call: Call) -> Translated:
    return Piece("gelu", {"approximate": "tanh" if call.arg(1) else "none"})


def _clip(call: Call) -> Translated:
    x, low, high = (*call.args, None, None)[:3]
    return _between(x, low, high)


def _between(x: Any, low: Any, high: Any) -> Translated:
    numbers = [
        end if bound is None else _scalar(bound)
        for bound, end in ((low, -math.inf), (high, math.inf))
    ]
    if not isinstance(x, Tensor) or None in numbers:
        return None
    if numbers == [0, math.inf]:
        return Piece("relu", inputs=(x,))
    low, high = (number_of(each) for each in numbers)
    return Piece("clip", {"low": low, "high": high}, inputs=(x,))


def _maximum(call: Call) -> Translated:
    """A bound below; or x and a share of x, which is a leaky ReLU."""
    x, y = call.args[:2]
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return _between(x, y, None) if isinstance(x, Tensor) else _between(y, x, None)
    for whole, part in ((x, y), (y, x)):
        factor, rest = _factors(call, part)
        if [each.name for each in rest] == [whole.name] and 0 <= factor <= 1:
            return Piece("leaky_relu", {"slope": number_of(factor)}, inputs=(whole,))
    return None


def _minimum(call: Call) -> Translated:
    x, y = call.args[:2]
    return _between(x, None, y) if isinstance(x, Tensor) else _between(y, None, x)


# What users and MindSpore put together from several operations


Factors: TypeAlias = "tuple[float, list[Tensor]]"


def _factors(call: Call, x: Any) -> Factors:
    """An argument as a number times tensors."""
    number = _scalar(x)
    if number is not None:
        return number, []
    before = call.before(x)
    found = None if before is None else _factors_of(before)
    return found or (1.0, [x])


def _factors_of(call: Call) -> Factors | None:
    """What a product or quotient gives, as a number times tensors; None if it is no such thing."""
    if call.kind == "Neg":
        factor, rest = _factors(call, call.args[0])
        return -factor, rest
    if call.kind not in (*_PRODUCTS, *_QUOTIENTS):
        return None
    first, second = call.args[:2]
    if any(isinstance(each, np.ndarray) and each.size > 1 for each in (first, second)):
        return None
    factor, rest = _factors(call, first)
    if call.kind in _PRODUCTS:
        other, more = _factors(call, second)
        return factor * other, rest + more
    divisor = _scalar(second)
    return (factor / divisor, rest) if divisor and call.arg(2) is None else None


_PRODUCTS: Final = ("Mul", "Muls")
_QUOTIENTS: Final = ("Div", "RealDiv", "Divs")


def _whole_product(call: Call) -> Translated:
    """A product or quotient that is one layer altogether."""
    if call.kind in _QUOTIENTS:
        power = call.before(call.args[1])
        if power is not None and isinstance(call.args[0], Tensor):
            return _normed(call.args[0], power, -1)
    factor, tensors = _factors_of(call) or (1.0, [])
    if len(tensors) != 2:
        return None
    for x, other in (tensors, tensors[::-1]):
        before = call.before(other)
        if before is None:
            continue
        if factor == 1 and before.kind == "Sigmoid" and _is_same(before.args[0], x):
            return Piece("silu", inputs=(x,), at=before.node)
        erf = _erf(before, x) if math.isclose(factor, 0.5) else None
        if erf is not None:
            return Piece("gelu", {"approximate": "none"}, inputs=(x,), at=erf.node)
        found = _normed(x, before, 1) if factor == 1 else None
        if found is not None:
            return found
    return None


def _is_same(given: Any, x: Tensor) -> bool:
    return isinstance(given, Tensor) and given.name == x.name


def _plus(call: Call) -> tuple[float, Any] | None:
    """What is a number plus something."""
    if call.kind not in ("Add", "AddExt", "Adds") or _scalar(call.arg(2)) not in (None, 1):
        return None
    for number, rest in (call.args[:2], call.args[1::-1]):
        found = _scalar(number)
        if found is not None and isinstance(rest, Tensor):
            return found, rest
    return None


def _erf(call: Call, x: Tensor) -> Call | None:
    """The error function in 1 + erf(x / √2), if it is that."""
    plus = _plus(call)
    erf = None if plus is None else call.before(plus[1])
    if plus is None or plus[0] != 1 or erf is None or erf.kind != "Erf":
        return None
    factor, rest = _factors(erf, erf.args[0])
    is_share = math.isclose(factor, math.sqrt(0.5), rel_tol=1e-6)
    return erf if is_share and [each.name for each in rest] == [x.name] else None


def _normed(x: Tensor, power: Call, sign: int) -> Translated:
    """Local response normalisation, x · (k + alpha / size · Σ x²)^−beta: the sum over channels as a
    1×1 convolution whose weights are a band.
    """
    exponent = _scalar(power.arg(1))
    plus = None
    if power.kind == "Pow" and exponent is not None:
        base = power.before(power.args[0])
        plus = None if base is None else _plus(base)
    if plus is None or exponent is None or sign * exponent >= 0:
        return None
    k, total = plus
    factor, rest = _factors(power, total)
    conv = power.before(rest[0]) if len(rest) == 1 else None
    if conv is None or conv.kind not in ("Conv2D", "Conv2DExt"):
        return None
    layer = KNOWN[conv.kind](conv)
    square = conv.before(conv.args[0])
    if not isinstance(layer, Piece) or square is None or not _is_square(square, x):
        return None
    band = _band(layer)
    if band is None:
        return None
    size, share = band
    attributes = {
        "size": size,
        "alpha": _alpha(factor * share, size),
        "beta": number_of(-sign * exponent),
        "k": number_of(k),
    }
    return Piece("local_response_norm", attributes, inputs=(x,), at=conv.node)


def _is_square(call: Call, x: Tensor) -> bool:
    first, second = call.args[0], call.arg(1)
    if not _is_same(first, x):
        return False
    if call.kind in _PRODUCTS:
        return _is_same(second, x)
    return call.kind == "Square" or (call.kind.startswith("Pow") and _scalar(second) == 2)


def _band(layer: Piece) -> tuple[int, float] | None:
    """How many channels a 1×1 convolution sums up, and the weight of each."""
    weight = layer.arrays["weight"]
    channels = len(weight)
    plain = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    if layer.attributes != plain or weight.shape != (channels, channels, 1, 1):
        return None
    if layer.arrays.get("bias") is not None:
        return None
    matrix = weight[:, :, 0, 0]
    share, reach = float(matrix[0, 0]), int(np.count_nonzero(matrix[0])) - 1
    distance = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    is_band = np.array_equal(matrix, np.where(distance <= reach, matrix[0, 0], 0))
    return (2 * reach + 1, share) if is_band and share else None


def _select(call: Call) -> Translated:
    """MindSpore's softplus, which is x where x is large."""
    condition, x, other = call.args[:3]
    greater, (factor, rest) = call.before(condition), _factors(call, other)
    softplus = call.before(rest[0]) if len(rest) == 1 else None
    if greater is None or softplus is None or not isinstance(x, Tensor):
        return None
    if greater.kind != "Greater" or softplus.kind != "Softplus" or factor != 1:
        return None
    threshold = _scalar(greater.args[1])
    if not _is_same(greater.args[0], x) or not _is_same(softplus.args[0], x):
        return None
    if threshold is None or threshold < 15:
        return None
    return Piece("softplus", inputs=(x,))


def _softplus_ext(call: Call) -> Translated:
    beta, threshold = (_scalar(call.arg(place)) for place in (1, 2))
    return Piece("softplus") if beta == 1 and threshold is not None and threshold >= 15 else None


def _kept(node: Node) -> float:
    keep = node.attributes.get("keep_prob", node.args[1] if len(node.args) > 1 else 1.0)
    return 1 - number_of(keep)


#: The operations that drop out elements, and their rates.
RATES: Final[Mapping[str, Callable[[Node], float]]] = {
    "Dropout": _kept,
    "DropoutExt": lambda node: number_of(node.args[1]),
    "FuncDropoutExt": lambda node: number_of(node.args[1]),
}


def rate_of(node: Node) -> float:
    """The rate of a dropout."""
    return number_of(RATES[node.kind](node))


def _dropout(call: Call) -> Translated:
    return Piece("dropout", {"rate": rate_of(call.node)}, inputs=(call.args[0],))


KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    "Conv2D": _conv2d,
    "Conv2DExt": _conv2d_ext,
    "Conv2DPadding": _conv2d_ext,
    "Convolution": _convolution,
    "BiasAdd": _bias_add,
    "MatMul": _mat_mul,
    "MatMulExt": _mat_mul,
    "Dense": _dense,
    "Addmm": _addmm,
    "BatchNorm": _batch_norm(train=5, eps=6),
    "BatchNormExt": _batch_norm(train=5, eps=7),
    "LRN": _local_response_norm,
    "MaxPool": _max_pool_2d,
    "MaxPoolWithArgmax": _max_pool_2d,
    "MaxPoolWithArgmaxV2": _max_pool_v2,
    "MaxPoolWithMask": _max_pool_with_mask,
    "MaxPoolWithIndices": _max_pool_with_mask,
    "MaxPool3D": _max_pool_3d,
    "MaxPool3DWithArgmax": _max_pool_3d_argmax,
    "AvgPool": _avg_pool_2d,
    "AvgPool2D": _avg_pool_ext,
    "AvgPool3D": _avg_pool_3d,
    "AdaptiveAvgPool2D": _adaptive_avg_pool,
    "AdaptiveAvgPool2DExt": _adaptive_avg_pool,
    "AdaptiveMaxPool2D": _adaptive_max_pool,
    "ReduceMean": _mean,
    "MeanExt": _mean,
    "Flatten": _flatten,
    "FlattenExt": _flatten,
    "Reshape": _reshaped,
    "View": _reshaped,
    "ExpandDims": _reshaped,
    "ExpandDimsView": _reshaped,
    "Squeeze": _reshaped,
    "Transpose": _transpose,
    "TransposeView": _transpose,
    "TransposeExtView": _swap_axes,
    "StridedSlice": _slice,
    "Pad": lambda call: _pad(call.attributes["paddings"], 0.0),
    "PadV3": _pad_v3,
    "ConstantPadND": _pad_v3,
    "Concat": _concat,
    "Add": _sum(1.0),
    "AddExt": _sum(1.0),
    "AddN": _add_n,
    "Sub": _sum(-1.0),
    "SubExt": _sum(-1.0),
    "Neg": lambda call: Piece("mul", {"factor": -1.0}),
    "Mul": _product,
    "Muls": _product,
    "Div": _quotient,
    "RealDiv": _quotient,
    "Divs": _quotient,
    "ReLU": _simple("relu"),
    "ReLU6": _simple("clip", low=0.0, high=6.0),
    "Hardtanh": _clip,
    "ClampScalar": _clip,
    "ClampTensor": _clip,
    "Maximum": _maximum,
    "Minimum": _minimum,
    "LeakyReLUExt": _with("leaky_relu", "slope"),
    # Not "Elu": on a CPU its exponential is 30 roundings off, which no proof allows (2.8.0).
    "EluExt": _elu,
    "GeLU": _simple("gelu", approximate="tanh"),
    "GeluExt": _gelu,
    "Softmax": _axis("softmax"),
    "LogSoftmax": _axis("log_softmax"),
    "LogSoftmaxExt": _axis("log_softmax"),
    "Sigmoid": _simple("sigmoid"),
    "SiLU": _simple("silu"),
    "Tanh": _simple("tanh"),
    "Softplus": _simple("softplus"),
    "SoftplusExt": _softplus_ext,
    "Select": _select,
    "Dropout": _dropout,
    "DropoutExt": _dropout,
    "FuncDropoutExt": _dropout,
}
