"""PyTorch's operations, as `torch.export` calls them, in the neutral terms of a graph.

A translator is given an operation's arguments by the names of its schema, and returns what it is,
or None if it is nothing that the graph knows: then it keeps its own name, `aten.pad`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch.fx import Node

from googlenet.arrays import Array


@dataclass(frozen=True, eq=False)
class Translated:
    """What an operation is: its kind, its inputs in order, its attributes, its arrays by role; and
    the shape of its result, None if it is that of the whole.
    """

    kind: str
    inputs: tuple[Node, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """One operation that is called: its arguments by name, with the defaults; the arrays of all
    values that are constants, by node; and the shape and type of its result.
    """

    bound: Mapping[str, Any]
    held: Mapping[Node, Array]
    shape: tuple[int, ...]
    dtype: torch.dtype

    def __getitem__(self, name: str) -> Any:
        return self.bound[name]

    def get(self, *names: str) -> Any:
        """The first of these arguments that the operation has, if any."""
        return next((self.bound[name] for name in names if name in self.bound), None)

    @property
    def x(self) -> Node:
        """The value that it works on."""
        found: Node = self.get("input", "self")
        return found

    @property
    def rank(self) -> int:
        """How many axes the value has that it works on."""
        return len(self.x.meta["val"].shape)

    def arrays(self, **arguments: Any) -> dict[str, Array] | None:
        """The arrays of those arguments that are not None; None if one depends on the images."""
        given = {role: node for role, node in arguments.items() if node is not None}
        if any(node not in self.held for node in given.values()):
            return None
        return {role: self.held[node] for role, node in given.items()}

    def constant(self, argument: Any) -> Array | None:
        """A number or a constant tensor as an array; None for anything else."""
        if isinstance(argument, Node):
            return self.held.get(argument)
        if isinstance(argument, int | float):
            return np.asarray(torch.tensor(float(argument), dtype=self.dtype).numpy())
        return None


#: One or several operations, each of which takes the result of the one before.
Found: TypeAlias = "list[Translated] | None"
Translator: TypeAlias = Callable[[Call], Found]


def own_name(target: Any) -> str:
    """`aten.relu` for aten.relu_.default: PyTorch's own name, which is none of the graph's. An
    operation in place computes the same.
    """
    if not isinstance(target, torch._ops.OpOverload):
        return f"torch.{getattr(target, '__name__', target)}"
    namespace, _, rest = str(target).partition(".")
    return f"{namespace}.{rest.partition('.')[0].rstrip('_')}"


def translated(node: Node, held: Mapping[Node, Array]) -> Found:
    """What an operation is in the graph's terms; None if that does not know it, or where an input
    of it would be lost.
    """
    target: Any = node.target
    name = own_name(target).removeprefix("aten.")
    if name not in KNOWN or not isinstance(target, torch._ops.OpOverload):
        return None
    arguments: Any = target._schema.arguments
    bound: dict[str, Any] = {
        each.name: each.default_value for each in arguments if each.has_default_value()
    }
    bound.update(zip((each.name for each in arguments), node.args, strict=False))
    value: Any = node.meta["val"]
    if isinstance(value, tuple | list):  # the first of several, and nobody uses the others
        value = value[0]
    call = Call({**bound, **node.kwargs}, held, tuple(map(int, value.shape)), value.dtype)
    found = KNOWN[name](call)
    if found is None:
        return None
    inputs = {each for step in found for each in step.inputs}
    arrays = [array for step in found for array in step.arrays.values()]
    if any(each in held for each in inputs):
        return None
    for each in node.all_input_nodes:
        kept = (
            each in inputs
            or unexpanded(each) in inputs
            or any(array is held.get(each) for array in arrays)
        )
        if not kept and name not in ALIKE and not (name in ARITHMETIC and each in held):
            return None
    return found


#: Operations whose constant may come back changed: negated, inverted, multiplied, transposed.
ARITHMETIC: Final = frozenset(
    {"add", "sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide"}
) | {"matmul", "mm", "addmm", "einsum"}
#: Operations that take a second tensor only for its shape or type.
ALIKE: Final = frozenset({"to", "type_as", "view_as", "reshape_as", "expand_as"})


def _one(
    call: Call, kind: str, arrays: Mapping[str, Array] | None = None, **attributes: Any
) -> Found:
    """An operation on the value that `call` works on."""
    return [Translated(kind, (call.x,), attributes, arrays or {})]


def _pair(value: Any) -> tuple[int, int]:
    pair = [value] if isinstance(value, int) else list(value)
    return (int(pair[0]), int(pair[-1]))


def _padding(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    height, width = _pair(value)
    return ((height, height), (width, width))


# Layers -------------------------------------------------------------------------------------------


def _conv(call: Call) -> Found:
    arrays = call.arrays(weight=call["weight"], bias=call["bias"])
    if arrays is None or call.rank != 4:
        return None
    stride, dilation, padding = _pair(call["stride"]), _pair(call["dilation"]), call["padding"]
    if isinstance(padding, str):  # "same" pads more behind than before, "valid" nothing
        sides = [
            dilation[axis] * (arrays["weight"].shape[2 + axis] - 1) if padding == "same" else 0
            for axis in range(2)
        ]
        explicit = tuple((side // 2, side - side // 2) for side in sides)
    else:
        explicit = _padding(padding)
    groups = int(call["groups"])
    return _one(
        call, "conv", arrays, stride=stride, padding=explicit, dilation=dilation, groups=groups
    )


def _linear(call: Call) -> Found:
    arrays = call.arrays(weight=call["weight"], bias=call["bias"])
    return None if arrays is None else _one(call, "dense", arrays)


def _addmm(call: Call) -> Found:
    """bias + x @ weight."""
    x, weight, bias = call["mat1"], call.held.get(call["mat2"]), call.held.get(call["self"])
    if weight is None or bias is None or not _is_value(call, x):
        return None
    if bias.shape != (call.shape[1],) or (call["alpha"], call["beta"]) != (1, 1):
        return None
    return [Translated("dense", (x,), {}, {"weight": weight.T, "bias": bias})]


def _matmul(call: Call) -> Found:
    """x @ weight, as some write a dense layer without a bias."""
    x, weight = call["self"], call.held.get(call.get("other", "mat2"))
    if weight is None or weight.ndim != 2 or not _is_value(call, x):
        return None
    return [Translated("dense", (x,), {}, {"weight": weight.T})]


def _batch_norm(call: Call) -> Found:
    roles = ("weight", "bias", "running_mean", "running_var")
    arrays = call.arrays(**{role: call[role] for role in roles})
    if arrays is None:
        return None
    return _one(call, "batch_norm", arrays, eps=float(call["eps"]), train=bool(call["training"]))


def _window(call: Call) -> dict[str, Any]:
    kernel = _pair(call["kernel_size"])
    return {
        "kernel_size": kernel,
        "stride": _pair(call["stride"]) if call["stride"] else kernel,
        "padding": _padding(call["padding"]),
        "ceil_mode": bool(call["ceil_mode"]),
    }


def _max_pool(call: Call) -> Found:
    if call.rank != 4:
        return None
    return _one(call, "max_pool", **_window(call), dilation=_pair(call["dilation"]))


def _avg_pool(call: Call) -> Found:
    divisor = call["divisor_override"]
    if call.rank != 4 or divisor not in (None, 1):
        return None
    if divisor == 1:
        return _one(call, "sum_pool", **_window(call))
    counted = bool(call["count_include_pad"])
    return _one(call, "avg_pool", **_window(call), count_include_pad=counted)


def _adaptive_avg_pool(call: Call) -> Found:
    if call.rank != 4:
        return None
    return _one(call, "adaptive_avg_pool", output_size=_pair(call["output_size"]))


def _mean(call: Call) -> Found:
    axes = call.get("dim")
    axes = range(call.rank) if not axes else axes if isinstance(axes, list | tuple) else [axes]
    keeps = bool(call.get("keepdim"))
    return _one(call, "mean", axes=tuple(map(int, axes)), keepdims=keeps)


def _total(call: Call) -> Found:
    """A sum is so many times the mean."""
    found = _mean(call)
    assert found is not None
    (mean,) = found
    sizes = call.x.meta["val"].shape
    count = math.prod(int(sizes[axis]) for axis in mean.attributes["axes"])
    return [mean, Translated("mul", (call.x,), {"factor": float(count)})]


def _largest(call: Call) -> Found:
    """The maximum over all pixels of a map."""
    axes = {int(axis) % call.rank for axis in call["dim"]}
    if call.rank != 4 or axes != {2, 3}:
        return None
    shape = (*map(int, call.x.meta["val"].shape[:2]), 1, 1)
    pool = Translated("adaptive_max_pool", (call.x,), {"output_size": (1, 1)}, shape=shape)
    return [pool, Translated("reshape", (call.x,), {"shape": call.shape[1:]})]


def _adaptive_max_pool(call: Call) -> Found:
    if call.rank != 4:
        return None
    return _one(call, "adaptive_max_pool", output_size=_pair(call["output_size"]))


def _einsum(call: Call) -> Found:
    """A dense layer without a bias, as some write one."""
    if len(call["tensors"]) != 2 or "." in call["equation"]:
        return None
    x, weight = call["tensors"]
    taken, _, result = call["equation"].replace(" ", "").partition("->")
    rows, columns = taken.split(",")
    if not _is_value(call, x):
        x, weight, rows, columns = weight, x, columns, rows
    array = call.held.get(weight)
    if array is None or not _is_value(call, x) or len({*rows, *columns}) != 3:
        return None
    if len(rows) != 2 or len(columns) != 2 or len(result) != 2 or result[0] != rows[0]:
        return None
    if columns == result[1] + rows[1]:
        return [Translated("dense", (x,), {}, {"weight": array})]
    if columns == rows[1] + result[1]:
        return [Translated("dense", (x,), {}, {"weight": array.T})]
    return None


# Moves --------------------------------------------------------------------------------------------


def _reshape(call: Call) -> Found:
    return _one(call, "reshape", shape=call.shape[1:])


def _flatten(call: Call) -> Found:
    start, end = (int(call[name]) % max(call.rank, 1) for name in ("start_dim", "end_dim"))
    return _one(call, "flatten", start=start) if end == call.rank - 1 else _reshape(call)


def _permute(call: Call) -> Found:
    return _one(call, "transpose", axes=tuple(int(axis) for axis in call["dims"]))


def _swap(call: Call) -> Found:
    axes = list(range(call.rank))
    first, second = (int(call.get(*names)) for names in (("dim0", "axis0"), ("dim1", "axis1")))
    axes[first], axes[second] = axes[second], axes[first]
    return _one(call, "transpose", axes=tuple(axes))


def _move_axis(call: Call) -> Found:
    source, target = (
        [int(axis) % call.rank for axis in ([found] if isinstance(found, int) else found)]
        for found in (call["source"], call["destination"])
    )
    axes = [axis for axis in range(call.rank) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        axes.insert(place, axis)
    return _one(call, "transpose", axes=tuple(axes))


def _pad(call: Call) -> Found:
    sides = [int(side) for side in call["pad"]]
    constant = (call.get("mode") or "constant") == "constant"
    if not constant or len(sides) not in (2, 4) or call.rank != 4:
        return None
    left, right, top, bottom = [*sides, 0, 0][:4]
    value = float(call.get("value") or 0)
    return _one(call, "pad", padding=((top, bottom), (left, right)), value=value)


def _cast(call: Call) -> Found:
    """Between float32 and float64, where only rounding differs; nothing else is a cast here."""
    wide = (torch.float32, torch.float64)
    return _one(call, "identity") if {call.dtype, call.x.meta["val"].dtype} <= set(wide) else None


def _part(x: Node, axis: int, start: int, stop: int, step: int = 1) -> list[Translated]:
    """Some of a value's elements along one axis; nothing where they are all of them."""
    sizes = [int(size) for size in x.meta["val"].shape]
    if (start, stop, step) == (0, sizes[axis], 1):
        return [Translated("identity", (x,), shape=tuple(sizes))]
    shape = (*sizes[:axis], len(range(start, stop, step)), *sizes[axis + 1 :])
    attributes = {"axis": axis, "start": start, "stop": stop, "step": step}
    return [Translated("slice", (x,), attributes, shape=shape)]


def _select(call: Call) -> Found:
    """One element along an axis, which is left out."""
    axis = int(call["dim"]) % call.rank
    if axis == 0:
        return None
    index = int(call["index"]) % int(call.x.meta["val"].shape[axis])
    moved = Translated("reshape", (call.x,), {"shape": call.shape[1:]})
    return [*_part(call.x, axis, index, index + 1), moved]


def _slice(call: Call) -> Found:
    axis = int(call["dim"]) % call.rank
    size = int(call.x.meta["val"].shape[axis])
    start, stop, step = slice(call["start"], call["end"], call["step"]).indices(size)
    if axis == 0 and (start, stop, step) != (0, size, 1):
        return None
    return _part(call.x, axis, start, stop, step)


def _narrow(call: Call) -> Found:
    axis, start = int(call["dim"]) % call.rank, call["start"]
    if axis == 0 or not isinstance(start, int):
        return None
    start %= int(call.x.meta["val"].shape[axis])
    return _part(call.x, axis, start, start + int(call["length"]))


def piece(several: Node, index: int, shape: tuple[int, ...]) -> Found:
    """One of the parts that `chunk`, `split`, `tensor_split` or `unbind` gives: `index` counts
    them, and `shape` is its own. None for any other operation with several results.
    """
    name, target = own_name(several.target).removeprefix("aten."), several.target
    if name not in PARTING or not isinstance(target, torch._ops.OpOverload):
        return None
    given: dict[str, Any] = dict(
        zip((each.name for each in target._schema.arguments), several.args, strict=False)
    )
    given |= several.kwargs
    x: Any = several.args[0]
    sizes = [each.shape for each in several.meta["val"]]
    axis = int(given.get("dim", PARTING[name])) % len(x.meta["val"].shape)
    if axis == 0:
        return None
    if name == "unbind":
        moved = Translated("reshape", (x,), {"shape": shape[1:]}, shape=shape)
        return [*_part(x, axis, index, index + 1), moved]
    start = sum(int(size[axis]) for size in sizes[:index])
    return _part(x, axis, start, start + int(sizes[index][axis]))


#: Operations that give a value in parts, one after the other, with the axis unless they are told.
PARTING: Final = {
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "tensor_split", "unbind", "vsplit"), 0),
    "hsplit": 1,
    "dsplit": 2,
}


def _expand(call: Call) -> Found:
    """An axis of one element is repeated, as in a product with ones."""
    if tuple(call.x.meta["val"].shape) == call.shape:
        return _one(call, "identity")
    if call.rank != len(call.shape) or call.x.meta["val"].shape[0] != call.shape[0]:
        return None
    ones = torch.ones((1, *call.shape[1:]), dtype=call.dtype).numpy()
    return _one(call, "affine", {"other": ones}, product=True)


def unexpanded(node: Node) -> Node:
    """The value whose axes of one element `node` repeats, as a sum or product does by itself."""
    while node.op == "call_function" and own_name(node.target) in ("aten.expand", "aten.expand_as"):
        before: Any = node.args[0]
        if len(before.meta["val"].shape) != len(node.meta["val"].shape):
            break
        node = before
    return node


def _together(call: Call, first: Node, second: Node) -> tuple[Node, Node]:
    """Two values that are added or multiplied, not repeated by themselves if they need not be."""
    plain = unexpanded(first), unexpanded(second)
    shapes = [tuple(map(int, each.meta["val"].shape)) for each in plain]
    return plain if np.broadcast_shapes(*shapes) == call.shape else (first, second)


def _concat(call: Call) -> Found:
    inputs = tuple(call["tensors"])
    return [Translated("concat", inputs, {"axis": int(call["dim"])})]


# Arithmetic ---------------------------------------------------------------------------------------


def _is_value(call: Call, argument: Any) -> bool:
    return isinstance(argument, Node) and argument not in call.held


def _with_constant(x: Node, other: Array, *, product: bool = False, sign: float = 1) -> Found:
    """A constant that is added to x, or to −x, or multiplied."""
    steps = [Translated("mul", (x,), {"factor": sign})] if sign != 1 else []
    return [*steps, Translated("affine", (x,), {"product": product}, {"other": other})]


def _sum(call: Call) -> Found:
    return _added(call, call["self"], call["other"], float(call.get("alpha") or 1))


def _difference(call: Call) -> Found:
    return _added(call, call["self"], call["other"], -float(call.get("alpha") or 1))


def _reversed_difference(call: Call) -> Found:
    if call["alpha"] != 1:
        return None
    return _added(call, call["other"], call["self"], -1.0)


def _added(call: Call, first: Any, second: Any, factor: float) -> Found:
    """`first + factor · second`."""
    if _is_value(call, first) and _is_value(call, second):
        return [Translated("add", _together(call, first, second), {"factor": factor})]
    constant = call.constant(second if _is_value(call, first) else first)
    if constant is None:
        return None
    if _is_value(call, first):
        other = constant if factor == 1 else constant * constant.dtype.type(factor)
        return _with_constant(first, other)
    return _with_constant(second, constant, sign=factor)


def _product(call: Call) -> Found:
    first, second = call["self"], call["other"]
    if _is_value(call, first) and _is_value(call, second):
        return [Translated("multiply", _together(call, first, second))]
    if not _is_value(call, first):
        first, second = second, first
    if isinstance(second, int | float):
        return [Translated("mul", (first,), {"factor": float(second)})]
    constant = call.constant(second)
    return None if constant is None else _with_constant(first, constant, product=True)


def _quotient(call: Call) -> Found:
    first, second = call["self"], call["other"]
    constant = call.constant(second)
    if call.get("rounding_mode") or constant is None or not constant.all():
        return None
    if isinstance(second, int | float):
        return [Translated("mul", (first,), {"factor": 1 / float(second)})]
    return _with_constant(first, 1 / constant.astype(np.float64), product=True)


# Elementwise --------------------------------------------------------------------------------------


def _clamp(call: Call) -> Found:
    low, high = (call.get(name, f"{name}_val") for name in ("min", "max"))
    if isinstance(low, Node) or isinstance(high, Node):
        return None
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    return (
        _one(call, "relu")
        if (low, high) == (0, math.inf)
        else _one(call, "clip", low=low, high=high)
    )


def _relu6(call: Call) -> Found:
    return _one(call, "clip", low=0.0, high=6.0)


def _threshold(call: Call) -> Found:
    return _one(call, "relu") if call["threshold"] == call["value"] == 0 else None


def _elu(call: Call) -> Found:
    if call["scale"] != 1 or call["input_scale"] != 1:
        return None
    return _one(call, "elu", alpha=float(call["alpha"]))


def _softplus(call: Call) -> Found:
    """Beyond the threshold it is the identity, which is the same to float32 from 20 on."""
    return _one(call, "softplus") if call["beta"] == 1 and call["threshold"] >= 20 else None


def _negative(call: Call) -> Found:
    return _one(call, "mul", factor=-1.0)


def _simple(kind: str, **names: str) -> Translator:
    """An operation with attributes that are called otherwise here."""

    def translator(call: Call) -> Found:
        return _one(call, kind, **{ours: call[theirs] for ours, theirs in names.items()})

    return translator


_SIMPLE: Final = {name: _simple(name) for name in ("relu", "sigmoid", "silu", "tanh")}
_MOVES: Final = {
    **dict.fromkeys(("view", "reshape", "squeeze", "unsqueeze", "unflatten"), _reshape),
    **dict.fromkeys(("view_as", "reshape_as"), _reshape),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _swap),
    **dict.fromkeys(("movedim", "moveaxis"), _move_axis),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concat),
    **dict.fromkeys(("contiguous", "clone", "detach", "alias"), _simple("identity")),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _cast),
}

KNOWN: Final[Mapping[str, Translator]] = {
    **_SIMPLE,
    **_MOVES,
    "conv2d": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "addmm": _addmm,
    "einsum": _einsum,
    "batch_norm": _batch_norm,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive_avg_pool,
    "adaptive_max_pool2d": _adaptive_max_pool,
    "mean": _mean,
    "sum": _total,
    "amax": _largest,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "hardtanh": _clamp,
    "relu6": _relu6,
    "threshold": _threshold,
    "leaky_relu": _simple("leaky_relu", slope="negative_slope"),
    "elu": _elu,
    "gelu": _simple("gelu", approximate="approximate"),
    "softplus": _softplus,
    "softmax": _simple("softmax", axis="dim"),
    "log_softmax": _simple("log_softmax", axis="dim"),
    "dropout": _simple("dropout", rate="p", active="train"),
    "feature_dropout": _simple("spatial_dropout", rate="p", active="train"),
    "alpha_dropout": _simple("alpha_dropout", rate="p", active="train"),
    "feature_alpha_dropout": _simple("alpha_dropout", rate="p", active="train"),
    "nan_to_num": _simple("nan_to_num"),
    "add": _sum,
    "sub": _difference,
    "subtract": _difference,
    "rsub": _reversed_difference,
    "mul": _product,
    "multiply": _product,
    "div": _quotient,
    "divide": _quotient,
    "true_divide": _quotient,
    "neg": _negative,
    "negative": _negative,
    "flatten": _flatten,
    "permute": _permute,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "select": _select,
    "slice": _slice,
    "narrow": _narrow,
    "expand": _expand,
    "expand_as": _expand,
}
