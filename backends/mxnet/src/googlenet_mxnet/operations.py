"""MXNet's operations in neutral terms: what each of those that `autograd` records computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from googlenet.arrays import Array

from .nodes import BEFORE, Node, Part, Parts
from .selecting import SELECTING, SEVERAL


def parts(node: Node) -> Parts:
    """What an operation is in neutral terms; one with MXNet's own name if nothing else."""
    known = KNOWN.get(node.op)
    is_first = not node.result or node.op in SEVERAL
    found = known(node) if known is not None and is_first else None
    if found is not None:
        return found
    arrays = {str(n): each for n, each in enumerate(node.inputs) if not isinstance(each, Node)}
    attributes = {"arguments": dict(node.attributes), "result": node.result}
    return (Part(public(node.op), attributes, arrays),)


def public(op: str) -> str:
    """What users call an operation: mx.np.exp for _npi_exp."""
    for private, shown in (("_npi_", "np."), ("_np_", "np."), ("_npx_", "npx.")):
        if op.startswith(private):
            return f"mx.{shown}{op.removeprefix(private)}"
    return f"mx.contrib.{op[9:]}" if op.startswith("_contrib_") else f"mx.{op}"


def _pair(value: Any) -> tuple[int, int]:
    pair = [value] if isinstance(value, int) else list(value)
    return (int(pair[0]), int(pair[-1]))


def _window(node: Node) -> dict[str, Any]:
    height, width = _pair(node.get("pad", 0) or 0)
    return {
        "stride": _pair(node.get("stride", 1) or 1),
        "padding": ((height, height), (width, width)),
    }


def _is_map(node: Node) -> bool:
    """Whether the input is a map, in the usual layout."""
    return len(node.given) == 4 and node.get("layout", "NCHW") == "NCHW"


def _held(node: Node, *roles: str) -> dict[str, Array] | None:
    """The inputs after the first, by their roles; None if one is not constant."""
    found = dict(zip(roles, node.inputs[1:], strict=False))
    arrays = {role: each for role, each in found.items() if not isinstance(each, Node)}
    return arrays if len(arrays) == len(found) else None


# Layers with arrays -------------------------------------------------------------------------------


def _convolution(node: Node) -> Parts | None:
    held = _held(node, "weight", "bias")
    if held is None or not _is_map(node) or isinstance(node.inputs[0], np.ndarray):
        return None
    attributes = {
        **_window(node),
        "dilation": _pair(node.get("dilate", 1) or 1),
        "groups": int(node.get("num_group", 1)),
    }
    return (Part("conv", attributes, held),)


def _fully_connected(node: Node) -> Parts | None:
    held = _held(node, "weight", "bias")
    if held is None:
        return None
    dense = Part("dense", {}, held)
    if not node.get("flatten", True) or len(node.given) == 2:
        return (dense,)
    shape = (node.given[0], math.prod(node.given[1:]))
    return (Part("flatten", {"start": 1}, shape=shape), dense)


def _product_of_matrices(node: Node) -> Parts | None:
    held = _held(node, "weight")
    if held is None or held["weight"].ndim != 2 or node.get("transpose_a", False):
        return None
    if node.get("axes", 1) != 1 or node.get("alpha", 1) != 1:
        return None
    is_ours = node.get("transpose_b", False)
    return (Part("dense", {}, held, transposed=None if is_ours else "weight"),)


def _batch_norm(node: Node) -> Parts | None:
    held = _held(node, "weight", "bias", "running_mean", "running_var")
    if held is None:
        return None
    if node.get("fix_gamma", True):
        del held["weight"]
    train = node.active and not node.get("use_global_stats", False)
    norm = Part("batch_norm", {"eps": float(node.get("eps", 1e-3)), "train": train}, held)
    axis, axes = int(node.get("axis", 1)) % len(node.given), len(node.given)
    if axis == 1:
        return (norm,)
    if (axis, axes) != (3, 4):
        return None
    n, height, width, channels = node.given
    first = Part("transpose", {"axes": (0, 3, 1, 2)}, shape=(n, channels, height, width))
    inside = Part(norm.kind, norm.attributes, norm.arrays, first.shape)
    return (first, inside, Part("transpose", {"axes": (0, 2, 3, 1)}))


def _norm_and_relu(node: Node) -> Parts | None:
    found = _batch_norm(node)
    return None if found is None else (*found, Part("relu"))


def _local_response_norm(node: Node) -> Parts | None:
    attributes = {
        "size": int(node["nsize"]),
        "alpha": float(node.get("alpha", 1e-4)),
        "beta": float(node.get("beta", 0.75)),
        "k": float(node.get("knorm", 2)),
    }
    return (Part("local_response_norm", attributes),)


# Pools --------------------------------------------------------------------------------------------


def _pooling(node: Node) -> Parts | None:
    kind = node.get("pool_type", "max")
    if not _is_map(node) or kind not in ("max", "avg", "sum"):
        return None
    height, width = node.given[2:]
    if node.get("global_pool", False):
        if kind == "avg":
            return (Part("adaptive_avg_pool", {"output_size": (1, 1)}),)
        window = {"kernel_size": (height, width), "stride": (1, 1), "padding": ((0, 0), (0, 0))}
        ceil_mode = False
    else:
        window = {"kernel_size": _pair(node["kernel"]), **_window(node)}
        ceil_mode = node.get("pooling_convention", "valid") == "full"
    attributes: dict[str, Any] = {**window, "ceil_mode": ceil_mode}
    if ceil_mode and not _begin_inside(node, attributes):
        return None
    if kind == "max":
        attributes["dilation"] = (1, 1)
    if kind == "avg":
        attributes["count_include_pad"] = bool(node.get("count_include_pad", True))
    return (Part(f"{kind}_pool", attributes),)


def _begin_inside(node: Node, window: Mapping[str, Any]) -> bool:
    """Whether no window begins beyond the map and the padding before it; with `full`, MXNet keeps
    such ones, as no other framework does.
    """
    return all(
        (count - 1) * stride < size + before
        for count, stride, size, (before, _) in zip(
            node.shape[2:], window["stride"], node.given[2:], window["padding"], strict=True
        )
    )


def _adaptive_avg_pool(node: Node) -> Parts | None:
    return (Part("adaptive_avg_pool", {"output_size": _pair(node.get("output_size", 1) or 1)}),)


def _axes(node: Node) -> tuple[int, ...]:
    """The axes that are reduced, from 0."""
    count, given = len(node.given), node.get("axis", ())
    axes = {axis % count for axis in ([given] if isinstance(given, int) else given)}
    if not axes or node.get("exclude", False):
        axes = set(range(count)) - axes
    return tuple(sorted(axes))


def _mean(node: Node) -> Parts | None:
    if node.get("weighted", False):
        return None
    keepdims = bool(node.get("keepdims", False))
    return (Part("mean", {"axes": _axes(node), "keepdims": keepdims}),)


def _sum_over_axes(node: Node) -> Parts | None:
    found = _mean(node)
    count = math.prod(node.given[axis] for axis in _axes(node))
    return None if found is None else (*found, Part("mul", {"factor": float(count)}))


def _max_over_axes(node: Node) -> Parts | None:
    """Over height and width it is a pool with one window."""
    if len(node.given) != 4 or _axes(node) != (2, 3):
        return None
    window = {"kernel_size": node.given[2:], "stride": (1, 1), "padding": ((0, 0), (0, 0))}
    attributes = {**window, "ceil_mode": False, "dilation": (1, 1)}
    pool = Part("max_pool", attributes, shape=(*node.given[:2], 1, 1))
    return (pool, Part("reshape", {"shape": node.shape[1:]}))


# Activations --------------------------------------------------------------------------------------


def _activation(node: Node) -> Parts | None:
    kinds = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softrelu": "softplus"}
    kind = kinds.get(node["act_type"])
    return None if kind is None else (Part(kind),)


def _leaky_relu(node: Node) -> Parts | None:
    slope = float(node.get("slope", 0.25))
    match node.get("act_type", "leaky"):
        case "leaky":
            return (Part("leaky_relu", {"slope": slope}),)
        case "elu":
            return (Part("elu", {"alpha": slope}),)
        case "gelu":
            return (Part("gelu", {"approximate": "none"}),)
        case "prelu" if len(node.constants) == 1 and np.ptp(node.constants[0]) == 0:
            return (Part("leaky_relu", {"slope": float(node.constants[0].flat[0])}),)
        case _:
            return None


def _clip(node: Node) -> Parts | None:
    return _bounded(float(node.get("a_min", -math.inf)), float(node.get("a_max", math.inf)))


def _bounded(low: float, high: float) -> Parts:
    is_relu = (low, high) == (0, math.inf)
    return (Part("relu") if is_relu else Part("clip", {"low": low, "high": high}),)


def _bound(node: Node, *, low: bool) -> Parts | None:
    """The larger, or the smaller, of each element and a number."""
    if "scalar" in node.attributes:
        number = float(node["scalar"])
    elif len(node.constants) == 1 and np.ptp(node.constants[0]) == 0:
        number = float(node.constants[0].flat[0])
    else:
        return None
    return _bounded(number, math.inf) if low else _bounded(-math.inf, number)


def _softmax(node: Node) -> Parts | None:
    if node.get("temperature", 1) != 1 or node.get("use_length", False):
        return None
    return (Part(_kind(node), {"axis": int(node.get("axis", -1)) % len(node.given)}),)


def _kind(node: Node) -> str:
    return "log_softmax" if "log" in node.op else "softmax"


def _softmax_activation(node: Node) -> Parts | None:
    is_along_channels = node.get("mode", "instance") == "channel" or len(node.given) == 2
    return (Part("softmax", {"axis": 1}),) if is_along_channels else None


def _dropout(node: Node) -> Parts | None:
    axes = node.get("axes", ())
    if axes and tuple(sorted(axes)) != tuple(range(2, len(node.given))):
        return None
    active = node.active or node.get("mode", "training") == "always"
    kind = "spatial_dropout" if axes else "dropout"
    return (Part(kind, {"rate": float(node.get("p", 0.5)), "active": active}),)


# Arithmetic ---------------------------------------------------------------------------------------


def _sum(node: Node) -> Parts | None:
    if node.constants:
        return _affine(node, product=False)
    first, second = node.inputs
    if first is second:
        return (Part("mul", {"factor": 2.0}, takes=(0,)),)
    return (Part("add", {"factor": 1.0}),)


def _difference(node: Node) -> Parts | None:
    if not node.constants:
        return (Part("add", {"factor": -1.0}),)
    if not isinstance(node.inputs[0], Node):  # c - x
        found = _affine(node, product=False)
        return found and (Part("mul", {"factor": -1.0}), *found)
    return _affine(node, product=False, change=np.negative)


def _product(node: Node) -> Parts | None:
    if node.constants:
        return _affine(node, product=True)
    for index, (x, gate) in enumerate((node.inputs, node.inputs[::-1])):
        if isinstance(gate, Node) and gate.inputs and origin(gate.inputs[0]) is origin(x):
            is_positive = gate.op in _GREATER and float(gate["scalar"]) == 0
            kind = "relu" if is_positive else "silu" if gate.op in _SIGMOID else None
            if kind is not None:
                return (Part(kind, takes=(index,)),)
    return (Part("multiply", takes=(0, 1)),)


def _einsum(node: Node) -> Parts | None:
    """A dense layer without a bias, or a product with one number for each map, as some write it."""
    taken, _, result = str(node["subscripts"]).replace(" ", "").partition("->")
    first, *others = taken.split(",")
    if len(node.inputs) != 2 or len(others) != 1 or len(set(result)) != len(result):
        return None
    x = node.inputs[0]
    rows, columns = (first, others[0]) if isinstance(x, Node) else (others[0], first)
    at = 0 if isinstance(x, Node) else 1
    if node.constants:
        if (len(rows), len(columns), len({*rows, *columns})) != (2, 2, 3) or result[:1] != rows[:1]:
            return None
        (weight,) = node.constants
        if columns == result[1] + rows[1]:
            return (Part("dense", {}, {"weight": weight}),)
        is_turned = columns == rows[1] + result[1]
        dense = Part("dense", {}, {"weight": weight}, transposed="weight")
        return (dense,) if is_turned else None
    if len(rows) < len(columns):
        rows, columns, at = columns, rows, 1
    if result != rows or columns != "".join(each for each in rows if each in columns):
        return None
    sizes = dict(zip(rows, node.inputs[at].shape, strict=True))
    shape = tuple(sizes[each] if each in columns else 1 for each in rows)
    spread = Part("reshape", {"shape": shape[1:]}, shape=shape, takes=(1 - at,))
    return (spread, Part("multiply", takes=(at, BEFORE)))


def _quotient(node: Node) -> Parts | None:
    if not node.constants or not isinstance(node.inputs[0], Node):
        return None
    return _affine(node, product=True, change=np.reciprocal)


def _choice(node: Node) -> Parts | None:
    """Where an element is positive, itself, and elsewhere 0 or a part of it."""
    condition, *rest = node.inputs
    if not isinstance(condition, Node) or condition.op not in _GREATER or not rest:
        return None
    x = origin(rest[0])
    if float(condition["scalar"]) != 0 or not isinstance(x, Node):
        return None
    if origin(condition.inputs[0]) is not x:
        return None
    if len(rest) == 1:
        return (Part("relu", takes=(1,)),) if float(node["scalar"]) == 0 else None
    other = rest[1]
    if not isinstance(other, Node):
        return None if other.any() else (Part("relu", takes=(1,)),)
    is_part = other.op in _TIMES and origin(other.inputs[0]) is x
    slope = {"slope": float(other["scalar"])} if is_part else {}
    return (Part("leaky_relu", slope, takes=(1,)),) if slope else None


def _affine(
    node: Node, *, product: bool, change: Callable[[Array], Array] | None = None
) -> Parts | None:
    """The sum or product with the constant, of one number or an array that fits the images."""
    (other,) = node.constants
    (x,) = (each for each in node.inputs if isinstance(each, Node))
    if x.shape != node.shape or other.dtype.kind not in "fiu":
        return None
    if change is not None:
        with np.errstate(divide="ignore"):
            other = change(other.astype(np.float64))
    if other.ndim == len(x.shape) and len(other) > 1:
        if (other != other[:1]).any():
            return None
        other = other[:1]
    if product and other.size == 1 and node.is_fixed:
        return _times(float(other.flat[0]))
    return (Part("affine", {"product": product}, {"other": other}),)


def _times(factor: float) -> Parts:
    return (Part("identity") if factor == 1 else Part("mul", {"factor": factor}),)


def _plus(number: float, node: Node) -> Parts:
    if number == 0:
        return (Part("identity"),)
    other = np.full((1,) * len(node.shape), number)
    return (Part("affine", {"product": False}, {"other": other}),)


def _sum_of_several(node: Node) -> Parts | None:
    if node.constants:
        return None
    if len(node.inputs) == 1:
        return (Part("identity"),)
    later = [Part("add", {"factor": 1.0}, takes=(BEFORE, n)) for n in range(2, len(node.inputs))]
    return (Part("add", {"factor": 1.0}, takes=(0, 1)), *later)


# Shapes -------------------------------------------------------------------------------------------


def _concatenation(node: Node) -> Parts | None:
    if node.constants:
        return None
    axis = int(node.get("dim", node.get("axis", 1)))
    return (Part("concat", {"axis": axis % len(node.shape)}),)


def _concatenation_of_channels(node: Node) -> Parts | None:
    return None if node.constants else (Part("concat", {"axis": 1}),)


def _pad(node: Node) -> Parts | None:
    width = np.reshape(node["pad_width"], (-1, 2))
    if not width.any():
        return (Part("identity"),)
    if node.get("mode", "constant") != "constant" or len(width) != 4 or width[:2].any():
        return None
    # np.pad pads with 0 whatever it is told to.
    value = 0.0 if node.op == "_npi_pad" else float(node.get("constant_value", 0))
    return (Part("pad", {"padding": tuple(map(tuple, width[2:].tolist())), "value": value}),)


def _reshape(node: Node) -> Parts | None:
    return (Part("reshape", {"shape": node.shape[1:]}, takes=(0,)),)


def _transpose(node: Node) -> Parts | None:
    count = len(node.given)
    axes = node.get("axes", ()) or range(count)[::-1]
    return (Part("transpose", {"axes": tuple(axis % count for axis in axes)}),)


def _swapped(node: Node) -> Parts | None:
    axes = list(range(len(node.given)))
    first, second = int(node.get("dim1", 0)), int(node.get("dim2", 0))
    axes[first], axes[second] = axes[second], axes[first]
    return (Part("transpose", {"axes": tuple(axes)}),)


def _moved(node: Node) -> Parts | None:
    source, target = (
        [axis % len(node.given) for axis in ([found] if isinstance(found, int) else found)]
        for found in (node["source"], node["destination"])
    )
    axes = [axis for axis in range(len(node.given)) if axis not in source]
    for to, axis in sorted(zip(target, source, strict=True)):
        axes.insert(to, axis)
    return (Part("transpose", {"axes": tuple(axes)}),)


def _same_shape(node: Node) -> Parts | None:
    return (Part("identity", takes=(0,)),) if node.shape == node.given else None


def _copy(node: Node) -> Parts | None:
    is_float = node.dtype is None or np.dtype(node.dtype).kind == "f"
    is_float = is_float and "int" not in str(node.get("dtype", "float32"))
    return (Part("identity", takes=(0,)),) if is_float else None


def origin(node: Node | Array) -> Node | Array:
    """The value that operations which change nothing take in the end."""
    while isinstance(node, Node) and [part.kind for part in parts(node)] == ["identity"]:
        node = node.inputs[0]
    return node


def _simple(kind: str) -> Callable[[Node], Parts | None]:
    return lambda node: (Part(kind),)


#: Operations whose result depends on nothing but the shape of what they take.
FILLED: Final = ("zeros_like", "ones_like", "_npi_full_like", "shape_array", "size_array")
#: Operations that only give the numbers another shape, in the same order.
RESHAPING: Final = ("Reshape", "_np_reshape", "_npx_reshape", "reshape_like", "_npx_reshape_like")
_RESHAPING: Final = (*RESHAPING, "_npi_reshape", "squeeze", "_np_squeeze", "expand_dims")
_SIGMOID: Final = ("sigmoid", "_npx_sigmoid")
_GREATER: Final = ("_greater_scalar", "_npi_greater_scalar")
_TIMES: Final = ("_mul_scalar", "_npi_multiply_scalar")
#: Products of two values, which broadcast them.
PRODUCTS: Final = ("elemwise_mul", "broadcast_mul", "_npi_multiply")
#: Operations that only repeat the numbers along axes of one element.
BROADCASTING: Final = ("broadcast_to", "_npi_broadcast_to", "broadcast_like", "broadcast_axis")

_KINDS: Final[Mapping[tuple[str, ...], Callable[[Node], Parts | None]]] = {
    ("Convolution", "Convolution_v1"): _convolution,
    ("FullyConnected",): _fully_connected,
    (
        "dot",
        "_np_dot",
        "_npi_matmul",
        "_linalg_gemm2",
        "_npi_tensordot_int_axes",
    ): _product_of_matrices,
    ("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm"): _batch_norm,
    ("_contrib_BatchNormWithReLU",): _norm_and_relu,
    ("LRN",): _local_response_norm,
    ("Pooling", "Pooling_v1"): _pooling,
    ("_contrib_AdaptiveAvgPooling2D",): _adaptive_avg_pool,
    ("mean", "_npi_mean", "_npi_average"): _mean,
    ("sum", "_np_sum"): _sum_over_axes,
    ("max", "_np_max"): _max_over_axes,
    ("relu", "_npx_relu"): _simple("relu"),
    _SIGMOID: _simple("sigmoid"),
    ("tanh", "_npi_tanh"): _simple("tanh"),
    ("Activation",): _activation,
    ("LeakyReLU",): _leaky_relu,
    ("clip", "_npi_clip"): _clip,
    (
        "_maximum_scalar",
        "_npi_maximum_scalar",
        "_maximum",
        "broadcast_maximum",
        "_npi_maximum",
    ): lambda node: _bound(node, low=True),
    (
        "_minimum_scalar",
        "_npi_minimum_scalar",
        "_minimum",
        "broadcast_minimum",
        "_npi_minimum",
    ): lambda node: _bound(node, low=False),
    ("softmax", "log_softmax"): _softmax,
    ("SoftmaxActivation",): _softmax_activation,
    ("Dropout",): _dropout,
    ("elemwise_add", "broadcast_add", "_npi_add", "_grad_add"): _sum,
    ("elemwise_sub", "broadcast_sub", "_npi_subtract"): _difference,
    PRODUCTS: _product,
    ("elemwise_div", "broadcast_div", "_npi_true_divide"): _quotient,
    ("where", "_npi_where", "_npi_where_rscalar"): _choice,
    ("add_n",): _sum_of_several,
    ("_plus_scalar", "_npi_add_scalar"): lambda node: _plus(float(node["scalar"]), node),
    ("_minus_scalar", "_npi_subtract_scalar"): lambda node: _plus(-float(node["scalar"]), node),
    ("_rminus_scalar", "_npi_rsubtract_scalar"): lambda node: (
        Part("mul", {"factor": -1.0}),
        *_plus(float(node["scalar"]), node),
    ),
    _TIMES: lambda node: _times(float(node["scalar"])),
    ("_div_scalar", "_npi_true_divide_scalar"): lambda node: _times(1 / float(node["scalar"])),
    ("negative", "_npi_negative"): lambda node: _times(-1.0),
    ("Concat", "_npi_concatenate"): _concatenation,
    ("_npi_hstack",): _concatenation_of_channels,
    ("Pad", "_npi_pad"): _pad,
    ("Flatten",): lambda node: (Part("flatten", {"start": 1}),),
    _RESHAPING: _reshape,
    ("transpose", "_np_transpose"): _transpose,
    ("SwapAxis", "_npi_swapaxes"): _swapped,
    ("_np_moveaxis",): _moved,
    ("_npi_einsum",): _einsum,
    **SELECTING,
    BROADCASTING: _same_shape,
    (
        "_copy",
        "_copyto",
        "_np_copy",
        "_npi_copyto",
        "BlockGrad",
        "make_loss",
        "MakeLoss",
        "Cast",
        "_npi_cast",
        "amp_cast",
        "_identity_with_attr_like_rhs",
    ): _copy,
}

KNOWN: Final[Mapping[str, Callable[[Node], Parts | None]]] = {
    op: translated for ops, translated in _KINDS.items() for op in ops
}
