"""Each of Paddle's operations in neutral terms.

Paddle may hold maps as (N, H, W, C); a translation says in which axes its numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from googlenet.arrays import Array

from .constants import Constants, plain, sources

#: How the axes of a map are: as Paddle holds it, (N, C, H, W), (N, H, W, C) to be read as the
#: former; or whichever of these its input has, for what works element by element.
Layout: TypeAlias = Literal["native", "first", "last", "any"]
Padding: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Piece:
    """One neutral operation, of the value before it; `shape` is that of its result, if it is not
    that of the whole.
    """

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Translated:
    """What an operation is: `pieces` one after another, the first of them of `inputs`."""

    inputs: tuple[Any, ...]
    pieces: tuple[Piece, ...]
    layout: Layout = "any"


class Node:
    """An operation of a program, beside the `constants` of the latter."""

    def __init__(self, op: Any, constants: Constants) -> None:
        self.op = op
        self.name = plain(op)
        self.constants = constants
        self.results: list[Any] = op.results()
        self.sources = sources(op)
        self._attributes: dict[str, Any] = op.attrs()
        names = op.get_input_names() if op.name() not in _NAMELESS else ()
        self._operands: dict[str, Any] = dict(zip(names, self.sources, strict=False))

    @property
    def own_name(self) -> str:
        """Paddle's name of the operation."""
        return str(self.op.name()).rstrip("_")

    def value(self, role: str) -> Any:
        """An operand, None if it is left out."""
        return self._operands.get(role)

    def array(self, role: str) -> Array | None:
        """An operand that is constant."""
        value = self._operands.get(role)
        return None if value is None else self.constants.array(value)

    def attribute(self, role: str) -> Any:
        """A setting, which Paddle has as an attribute or as a constant operand."""
        if role in self._attributes:
            return self._attributes[role]
        array = self.array(role)
        if array is None:
            return None
        return array.tolist() if array.ndim else array.item()

    def number(self, role: str) -> float:
        """A setting that is a number: the shortest decimal of it, which Paddle holds as float32.

        Raises `KeyError` if it depends on the images.
        """
        found = self.attribute(role)
        if isinstance(found, list) and len(found) == 1:
            (found,) = found
        if not isinstance(found, int | float):
            raise KeyError(role)
        return shortest(found)

    def numbers(self, role: str) -> tuple[int, ...]:
        """A setting that is a list of whole numbers. Raises `KeyError` as `number` does."""
        found = self.attribute(role)
        if found is None:
            raise KeyError(role)
        return tuple(map(int, found if isinstance(found, list | tuple) else [found]))

    def given(self, role: str) -> tuple[int, ...]:
        """The shape of an operand."""
        return self.constants.shape(self._operands[role])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return self.constants.shape(self.results[0])

    @property
    def settings(self) -> dict[str, Any]:
        """The attributes that say what it computes."""
        return {key: each for key, each in self._attributes.items() if key not in _UNSAID}


#: Operations of the program itself, whose operands have no names.
_NAMELESS: Final = frozenset(
    ("builtin.combine", "builtin.split", "builtin.slice", "pd_op.if", "pd_op.while")
)
#: What Paddle notes beside an operation.
_UNSAID: Final = frozenset(
    ("op_callstack", "op_role", "stop_gradient", "chunk_id", "struct_name", "place", "persistable")
)


def shortest(value: float) -> float:
    """The shortest decimal that is the same float32."""
    return float(str(np.float32(value)))


def translated(node: Node) -> Translated | None:
    """What an operation is; None for one that no graph knows."""
    known = _KNOWN.get(node.name)
    try:
        return None if known is None else known(node)
    except KeyError:  # a setting that is computed from the images
        return None


def _one(node: Node, kind: str, **attributes: Any) -> Translated:
    """An operation of one input."""
    return Translated((node.value("x"),), (Piece(kind, attributes),))


def _simple(kind: str, **names: str) -> Callable[[Node], Translated]:
    """An operation with numbers that are called otherwise here."""

    def found(node: Node) -> Translated:
        attributes = {ours: node.number(theirs) for ours, theirs in names.items()}
        return Translated((node.value("x"),), (Piece(kind, attributes),))

    return found


# Windows ------------------------------------------------------------------------------------------


def _layout(node: Node) -> Layout:
    return "last" if node.attribute("data_format") == "NHWC" else "first"


def _extent(node: Node, role: str) -> tuple[int, int]:
    """Height and width of an input."""
    shape = node.given(role)
    return (shape[1], shape[2]) if _layout(node) == "last" else (shape[2], shape[3])


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return (values[0], values[-1])


def _padding(node: Node, extent: tuple[int, int], kernel: tuple[int, int]) -> Padding:
    """((top, bottom), (left, right)), which "SAME" computes from the map, with more behind."""
    match node.attribute("padding_algorithm"):
        case "VALID":
            return ((0, 0), (0, 0))
        case "SAME":
            strides = _pair(node.numbers("strides"))
            sides = []
            for size, width, stride in zip(extent, kernel, strides, strict=True):
                total = max((-(-size // stride) - 1) * stride + width - size, 0)
                sides.append((total // 2, total - total // 2))
            return (sides[0], sides[1])
    values = node.numbers("paddings")
    if len(values) == 4:
        return ((values[0], values[1]), (values[2], values[3]))
    height, width = _pair(values)
    return ((height, height), (width, width))


def _conv(node: Node) -> Translated | None:
    weight = node.array("filter")
    if weight is None or weight.ndim != 4:
        return None
    is_same = node.attribute("padding_algorithm") == "SAME"
    # Paddle leaves no gaps in the kernel then, whatever dilation was asked for.
    dilation = (1, 1) if is_same else _pair(node.numbers("dilations"))
    kernel = (weight.shape[2], weight.shape[3])
    attributes = {
        "stride": _pair(node.numbers("strides")),
        "padding": _padding(node, _extent(node, "input"), kernel),
        "dilation": dilation,
        "groups": int(node.number("groups")),
    }
    piece = Piece("conv", attributes, {"weight": weight})
    return Translated((node.value("input"),), (piece,), _layout(node))


def _pool(node: Node) -> Translated | None:
    if len(node.given("x")) != 4:
        return None
    x, extent, layout = (node.value("x"),), _extent(node, "x"), _layout(node)
    kernel, is_max = _pair(node.numbers("kernel_size")), node.attribute("pooling_type") == "max"
    if node.attribute("adaptive"):
        if is_max:
            return _adaptive_max(x, extent, kernel, layout)
        return Translated(x, (Piece("adaptive_avg_pool", {"output_size": kernel}),), layout)
    stride, padding = _pair(node.numbers("strides")), _padding(node, extent, kernel)
    if node.attribute("global_pooling"):
        kernel, padding = extent, ((0, 0), (0, 0))
    size = (node.shape[1], node.shape[2]) if layout == "last" else (node.shape[2], node.shape[3])
    ceil_mode = bool(node.attribute("ceil_mode"))
    if ceil_mode and size != _rounded_up(extent, kernel, stride, padding):
        # Paddle keeps a last window that begins beyond the map, which is one of more padding.
        reaching, ceil_mode = _reaching(extent, kernel, stride, padding, size), False
    else:
        reaching = padding
    window: dict[str, Any] = {"kernel_size": kernel, "stride": stride}
    window |= {"padding": reaching, "ceil_mode": ceil_mode}
    if is_max:
        return Translated(x, (Piece("max_pool", {**window, "dilation": (1, 1)}),), layout)
    if node.attribute("exclusive"):
        return Translated(x, (Piece("avg_pool", {**window, "count_include_pad": False}),), layout)
    # The divisor that Paddle takes has the padding at the top for that at the bottom too, and the
    # left for the right.
    leading = ((padding[0][0],) * 2, (padding[1][0],) * 2)
    divisor = _counts(extent, kernel, stride, padding, size, within=leading)
    counted = _counts(extent, kernel, stride, padding, size, within=reaching)
    if (divisor == counted).all():
        return Translated(x, (Piece("avg_pool", {**window, "count_include_pad": True}),), layout)
    pool = Piece("avg_pool", {**window, "count_include_pad": False})
    inside = _counts(extent, kernel, stride, padding, size, within=((0, 0), (0, 0)))
    with np.errstate(divide="ignore", invalid="ignore"):  # a window beyond the map has nothing
        other = (inside / divisor)[None, None]
    if layout == "last":
        other = other.transpose(0, 2, 3, 1)
    return Translated(x, (pool, Piece("affine", {"product": True}, {"other": other})), layout)


def _counts(
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    size: tuple[int, int],
    within: Padding,
) -> Array:
    """How many elements of each of `size` windows are in the map or the padding `within`."""
    axes = []
    for axis in range(2):
        begin = np.arange(size[axis]) * stride[axis] - padding[axis][0]
        end = np.minimum(begin + kernel[axis], extent[axis] + within[axis][1])
        axes.append(np.maximum(end - np.maximum(begin, -within[axis][0]), 0))
    counts: Array = np.outer(*axes).astype(np.float64)
    return counts


def _rounded_up(
    extent: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> tuple[int, int]:
    """How many windows there are if each must begin inside the map or the padding before it."""
    found = []
    for axis in range(2):
        before, after = padding[axis]
        room = extent[axis] + before + after - kernel[axis]
        count = -(-room // stride[axis]) + 1
        found.append(count - ((count - 1) * stride[axis] >= extent[axis] + before))
    return (found[0], found[1])


def _reaching(
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    size: tuple[int, int],
) -> Padding:
    """The padding with which exactly `size` windows fit."""
    sides = []
    for axis in range(2):
        before = padding[axis][0]
        end = (size[axis] - 1) * stride[axis] + kernel[axis] - extent[axis] - before
        sides.append((before, max(end, 0)))
    return (sides[0], sides[1])


def _whole(extent: tuple[int, int], size: tuple[int, int]) -> Piece:
    """A max pool of windows that are `size` equal parts of a map."""
    window = (extent[0] // size[0], extent[1] // size[1])
    attributes = {
        "kernel_size": window,
        "stride": window,
        "padding": ((0, 0), (0, 0)),
        "ceil_mode": False,
        "dilation": (1, 1),
    }
    return Piece("max_pool", attributes)


def _adaptive_max(
    x: tuple[Any, ...], extent: tuple[int, int], size: tuple[int, int], layout: Layout
) -> Translated | None:
    """An adaptive max pool, if its windows are all alike."""
    if extent[0] % size[0] or extent[1] % size[1]:
        return None
    return Translated(x, (_whole(extent, size),), layout)


def _indexed_pool(node: Node) -> Translated | None:
    """A max pool that also says where its maxima are."""
    if len(node.given("x")) != 4:
        return None
    x, extent, kernel = (node.value("x"),), _extent(node, "x"), _pair(node.numbers("kernel_size"))
    if node.attribute("adaptive"):
        return _adaptive_max(x, extent, kernel, "first")
    height, width = _pair(node.numbers("paddings"))
    padding = ((height, height), (width, width))
    stride, size = _pair(node.numbers("strides")), (node.shape[2], node.shape[3])
    if node.attribute("global_pooling"):
        kernel, padding = extent, ((0, 0), (0, 0))
    window = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": _reaching(extent, kernel, stride, padding, size),
        "ceil_mode": False,
        "dilation": (1, 1),
    }
    return Translated(x, (Piece("max_pool", window),), "first")


def _pad(node: Node) -> Translated | None:
    """A padding of any axes; a map's are (N, C, H, W), as Paddle knows no other here."""
    values = node.numbers("paddings")
    if len(values) != 8 or any(values[:4]):
        return None
    padding = ((values[4], values[5]), (values[6], values[7]))
    attributes = {"padding": padding, "value": node.number("pad_value")}
    return Translated((node.value("x"),), (Piece("pad", attributes),), "first")


# Layers -------------------------------------------------------------------------------------------


def _batch_norm(node: Node) -> Translated | None:
    roles = {
        "weight": "scale",
        "bias": "bias",
        "running_mean": "mean",
        "running_var": "variance",
    }
    arrays = {
        ours: array for ours, theirs in roles.items() if (array := node.array(theirs)) is not None
    }
    is_test = node.attribute("is_test") and not node.attribute("trainable_statistics")
    train = not (is_test or node.attribute("use_global_stats"))
    piece = Piece("batch_norm", {"eps": node.number("epsilon"), "train": train}, arrays)
    is_map = len(node.given("x")) == 4
    return Translated((node.value("x"),), (piece,), _layout(node) if is_map else "native")


def _matmul(node: Node) -> Translated | None:
    weight = node.array("y")
    if weight is None or weight.ndim != 2 or node.array("x") is not None:
        return None
    if node.attribute("transpose_x"):
        return None
    if not node.attribute("transpose_y"):
        weight = node.constants.derived(weight, "dense", np.transpose)
    return Translated((node.value("x"),), (Piece("dense", {}, {"weight": weight}),), "native")


def _addmm(node: Node) -> Translated | None:
    """`beta · input + alpha · x · y`."""
    bias, weight = node.array("input"), node.array("y")
    if bias is None or weight is None or node.array("x") is not None:
        return None
    alpha, beta = node.number("alpha"), node.number("beta")
    if (alpha, beta) != (1, 1):
        return None
    matrix = node.constants.derived(weight, "dense", np.transpose)
    added = _affine(node, node.value("x"), bias, product=False)
    return Translated(
        (node.value("x"),), (Piece("dense", {}, {"weight": matrix}), *added), "native"
    )


def _dropout(node: Node) -> Translated:
    """Dropout, which may scale in evaluation rather than in training."""
    rate, is_test = node.number("p"), bool(node.attribute("is_test"))
    pieces = [Piece("dropout", {"rate": rate, "active": not is_test})]
    if is_test and node.attribute("mode") == "downgrade_in_infer":
        pieces.append(Piece("mul", {"factor": shortest(1 - rate)}))
    return Translated((node.value("x"),), tuple(pieces))


def _concat(node: Node) -> Translated | None:
    values = listed(node.value("x"))
    if any(node.constants.array(each) is not None for each in values):
        return None
    (axis,) = node.numbers("axis")
    piece = Piece("concat", {"axis": axis % len(node.shape)})
    return Translated(tuple(values), (piece,))


def listed(value: Any) -> list[Any]:
    """The tensors that an operand is: several, if it is a list."""
    op = None if value is None else value.get_defining_op()
    if op is not None and op.name() == "builtin.combine":
        return list(sources(op))
    return [] if value is None else [value]


# Arithmetic ---------------------------------------------------------------------------------------


def _affine(node: Node, value: Any, other: Array, *, product: bool) -> tuple[Piece, ...]:
    """A sum or product with a constant; one of a size of 1 is a factor."""
    if other.size == 1 and product:
        return (Piece("mul", {"factor": shortest(float(other.reshape(())))}),)
    if other.size == 1 and other.reshape(()) == 0:
        return (Piece("identity"),)
    if other.ndim == len(value.shape) and len(other) > 1 and (other == other[:1]).all():
        other = other[:1]  # made in the shape of a batch
    return (Piece("affine", {"product": product}, {"other": other}),)


def _split(node: Node) -> tuple[Any, Array | None, bool]:
    """The operand of two that depends on the images, the other if it is constant, and whether
    the constant is the second.
    """
    first, second = node.array("x"), node.array("y")
    if second is not None:
        return node.value("x"), second, True
    return node.value("y"), first, False


def _sum(node: Node) -> Translated:
    value, other, _ = _split(node)
    if other is not None:
        return Translated((value,), _affine(node, value, other, product=False))
    first, second = node.value("x"), node.value("y")
    if first.is_same(second):
        return Translated((first,), (Piece("mul", {"factor": 2.0}),))
    return Translated((first, second), (Piece("add", {"factor": 1.0}),))


def _difference(node: Node) -> Translated:
    value, other, is_second = _split(node)
    if other is None:
        inputs = (node.value("x"), node.value("y"))
        return Translated(inputs, (Piece("add", {"factor": -1.0}),))
    if is_second:
        return Translated((value,), _affine(node, value, -other, product=False))
    negative = Piece("mul", {"factor": -1.0})
    return Translated((value,), (negative, *_affine(node, value, other, product=False)))


def _product(node: Node) -> Translated | None:
    value, other, _ = _split(node)
    if other is None:
        return None
    return Translated((value,), _affine(node, value, other, product=True))


def _quotient(node: Node) -> Translated | None:
    value, other, is_second = _split(node)
    if other is None or not is_second:
        return None
    inverse = 1 / other.astype(np.float64)
    if other.size == 1:
        factor = 1 / shortest(float(other.reshape(())))
        return Translated((value,), (Piece("mul", {"factor": factor}),))
    return Translated((value,), _affine(node, value, inverse, product=True))


def _scale(node: Node) -> Translated:
    """`scale · x + bias`, or `scale · (x + bias)`."""
    factor, bias = node.number("scale"), node.number("bias")
    pieces = []
    if factor != 1:
        pieces.append(Piece("mul", {"factor": factor}))
    if bias != 0:
        added = Piece("affine", {"product": False}, {"other": np.array(bias)})
        pieces.insert(len(pieces) if node.attribute("bias_after_scale") else 0, added)
    return Translated((node.value("x"),), tuple(pieces) or (Piece("identity"),))


def _clip(node: Node) -> Translated:
    return _clipped(node, node.value("x"), node.number("min"), node.number("max"))


def _clipped(node: Node, value: Any, low: float, high: float) -> Translated:
    largest = shortest(float(np.finfo(np.float32).max))
    low = -math.inf if low <= -largest else low
    high = math.inf if high >= largest else high
    if (low, high) == (0, math.inf):
        return Translated((value,), (Piece("relu"),))
    return Translated((value,), (Piece("clip", {"low": low, "high": high}),))


def _bounded(node: Node) -> Translated | None:
    """The larger or smaller of a value and a constant."""
    value, other, _ = _split(node)
    if other is None or (other != other.flat[0]).any():
        return None
    bound = shortest(float(other.flat[0]))
    low, high = (bound, math.inf) if node.name == "maximum" else (-math.inf, bound)
    return _clipped(node, value, low, high)


def _prelu(node: Node) -> Translated | None:
    slopes = node.array("alpha")
    if slopes is None or (slopes != slopes.flat[0]).any():
        return None
    return _one(node, "leaky_relu", slope=shortest(float(slopes.flat[0])))


def _gelu(node: Node) -> Translated:
    return _one(node, "gelu", approximate="tanh" if node.attribute("approximate") else "none")


def _softplus(node: Node) -> Translated | None:
    """Beyond its threshold Paddle takes x itself, which float32 cannot tell from 15 on."""
    if node.number("beta") != 1 or node.number("threshold") < 15:
        return None
    return _one(node, "softplus")


def _swish(node: Node) -> Translated | None:
    return None if (node.attribute("beta") or 1.0) != 1 else _one(node, "silu")


def _celu(node: Node) -> Translated | None:
    return _one(node, "elu", alpha=1.0) if node.number("alpha") == 1 else None


def _along(kind: str) -> Callable[[Node], Translated]:
    """An operation along one axis."""

    def found(node: Node) -> Translated:
        (axis,) = node.numbers("axis")
        return _one(node, kind, axis=axis % len(node.given("x")))

    return found


def _reduced(node: Node) -> tuple[tuple[int, ...], bool]:
    """The axes that are reduced, and whether they stay as axes of one."""
    rank = len(node.given("x"))
    axes = tuple(sorted(axis % rank for axis in node.numbers("axis"))) or tuple(range(rank))
    return axes, bool(node.attribute("keepdim"))


def _mean(node: Node) -> Translated:
    axes, keepdims = _reduced(node)
    return _one(node, "mean", axes=axes, keepdims=keepdims)


def _total(node: Node) -> Translated:
    """A sum is a mean times a number."""
    axes, keepdims = _reduced(node)
    count = math.prod(node.given("x")[axis] for axis in axes)
    mean = Piece("mean", {"axes": axes, "keepdims": keepdims})
    return Translated((node.value("x"),), (mean, Piece("mul", {"factor": float(count)})))


def _largest(node: Node) -> Translated | None:
    """The largest of a map is a max pool with a window of its size."""
    axes, keepdims = _reduced(node)
    given = node.given("x")
    if len(given) != 4 or axes != (2, 3):
        return None
    pieces = [replace(_whole((given[2], given[3]), (1, 1)), shape=(*given[:2], 1, 1))]
    if not keepdims:
        pieces.append(Piece("flatten", {"start": 1}))
    return Translated((node.value("x"),), tuple(pieces), "first")


def _cast(node: Node) -> Translated | None:
    """Between floating types, which the proof of a trace bears."""
    types = {str(node.value("x").dtype), str(node.results[0].dtype)}
    floating = {"paddle.float32", "paddle.float64", "FLOAT32", "FLOAT64"}
    is_floating = all(any(each.endswith(name) for name in floating) for each in types)
    return _one(node, "identity") if is_floating else None


_KNOWN: Final[Mapping[str, Callable[[Node], Translated | None]]] = {
    "conv2d": _conv,
    "depthwise_conv2d": _conv,
    "pool2d": _pool,
    "max_pool2d_with_index": _indexed_pool,
    "pad": _pad,
    "batch_norm": _batch_norm,
    "sync_batch_norm": _batch_norm,
    "matmul": _matmul,
    "addmm": _addmm,
    "dropout": _dropout,
    "add": _sum,
    "concat": _concat,
    "subtract": _difference,
    "multiply": _product,
    "divide": _quotient,
    "scale": _scale,
    "mean": _mean,
    "sum": _total,
    "max": _largest,
    "amax": _largest,
    "clip": _clip,
    "maximum": _bounded,
    "minimum": _bounded,
    "relu": _simple("relu"),
    "relu6": lambda node: _one(node, "clip", low=0.0, high=6.0),
    "hardtanh": lambda node: _clipped(
        node, node.value("x"), node.number("t_min"), node.number("t_max")
    ),
    "leaky_relu": _simple("leaky_relu", slope="negative_slope"),
    "prelu": _prelu,
    "elu": _simple("elu", alpha="alpha"),
    "celu": _celu,
    "gelu": _gelu,
    "sigmoid": _simple("sigmoid"),
    "silu": _simple("silu"),
    "swish": _swish,
    "tanh": _simple("tanh"),
    "softplus": _softplus,
    "softmax": _along("softmax"),
    "log_softmax": _along("log_softmax"),
    "assign": _simple("identity"),
    "share_data": _simple("identity"),
    "cast": _cast,
}
