"""Each of Paddle's operations in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from .arithmetic import (
    addition,
    affine,
    bounded,
    clip,
    clipped,
    difference,
    greater,
    product,
    quotient,
    scale,
    where,
)
from .contracting import einsum, matmul
from .nodes import Node, Piece, Translated, listed, one, shortest, simple
from .parts import cropped, selected, sliced, strided
from .windows import conv, conv_transpose, fold, indexed_pool, layout_of, pad, pool, unfold, whole


def translated(node: Node) -> Translated | None:
    """What an operation is; None for one that no graph knows."""
    known = _KNOWN.get(node.name)
    try:
        return None if known is None else known(node)
    except KeyError:  # a setting that is trained, or computed from the images
        return None


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
    # Paddle's momentum is the share of the old statistic.
    momentum = round(1 - node.number("momentum"), 12)
    settings = {"eps": node.number("epsilon"), "train": train, "momentum": momentum}
    piece = Piece("batch_norm", settings, arrays)
    is_map = len(node.given("x")) == 4
    return Translated((node.value("x"),), (piece,), layout_of(node) if is_map else "native")


def _addmm(node: Node) -> Translated | None:
    """`beta · input + alpha · x · y`."""
    bias, weight = node.array("input"), node.array("y")
    if bias is None or weight is None or node.array("x") is not None:
        return None
    alpha, beta = node.number("alpha"), node.number("beta")
    if (alpha, beta) != (1, 1):
        return None
    matrix = node.constants.derived(weight, "dense", np.transpose)
    added = affine(node, node.value("x"), bias, product=False)
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


# Activations and reductions -----------------------------------------------------------------------


def _prelu(node: Node) -> Translated | None:
    """One slope for all, unless it is trained."""
    slopes = node.array("alpha")
    if slopes is None or node.constants.trained(node.value("alpha")):
        return None
    if (slopes != slopes.flat[0]).any():
        return None
    return one(node, "leaky_relu", slope=shortest(float(slopes.flat[0])))


def _thresholded(node: Node) -> Translated | None:
    """What is greater than a threshold, and elsewhere a value."""
    is_relu = node.number("threshold") == 0 and node.number("value") == 0
    return one(node, "relu") if is_relu else None


def _gelu(node: Node) -> Translated:
    return one(node, "gelu", approximate="tanh" if node.attribute("approximate") else "none")


def _softplus(node: Node) -> Translated | None:
    """Beyond its threshold Paddle takes x itself, which float32 cannot tell from 15 on."""
    if node.number("beta") != 1 or node.number("threshold") < 15:
        return None
    return one(node, "softplus")


def _swish(node: Node) -> Translated | None:
    return None if (node.attribute("beta") or 1.0) != 1 else one(node, "silu")


def _celu(node: Node) -> Translated | None:
    return one(node, "elu", alpha=1.0) if node.number("alpha") == 1 else None


def _along(kind: str) -> Callable[[Node], Translated]:
    """An operation along one axis."""

    def found(node: Node) -> Translated:
        (axis,) = node.numbers("axis")
        return one(node, kind, axis=axis % len(node.given("x")))

    return found


def _reduced(node: Node) -> tuple[tuple[int, ...], bool]:
    """The axes that are reduced, and whether they stay as axes of one."""
    rank = len(node.given("x"))
    axes = tuple(sorted(axis % rank for axis in node.numbers("axis"))) or tuple(range(rank))
    return axes, bool(node.attribute("keepdim"))


def _mean(node: Node) -> Translated:
    axes, keepdims = _reduced(node)
    return one(node, "mean", axes=axes, keepdims=keepdims)


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
    pieces = [replace(whole((given[2], given[3]), (1, 1)), shape=(*given[:2], 1, 1))]
    if not keepdims:
        pieces.append(Piece("flatten", {"start": 1}))
    return Translated((node.value("x"),), tuple(pieces), "first")


def _cast(node: Node) -> Translated | None:
    """Between floating types, which the proof of a trace bears, or of what holds or not, as 1 and
    0.
    """
    types = (str(node.value("x").dtype), str(node.results[0].dtype))
    floating = ("FLOAT32", "FLOAT64")
    given, result = types
    is_told = given.upper().endswith((*floating, "BOOL")) and result.upper().endswith(floating)
    return one(node, "identity") if is_told else None


_KNOWN: Final[Mapping[str, Callable[[Node], Translated | None]]] = {
    "conv2d": conv,
    "conv2d_transpose": conv_transpose,
    "depthwise_conv2d": conv,
    "pool2d": pool,
    "unfold": unfold,
    "fold": fold,
    "max_pool2d_with_index": indexed_pool,
    "pad": pad,
    "batch_norm": _batch_norm,
    "sync_batch_norm": _batch_norm,
    "matmul": matmul,
    "bmm": matmul,
    "addmm": _addmm,
    "einsum": einsum,
    "dropout": _dropout,
    "add": addition,
    "concat": _concat,
    "subtract": difference,
    "multiply": product,
    "divide": quotient,
    "scale": scale,
    "mean": _mean,
    "sum": _total,
    "max": _largest,
    "amax": _largest,
    "clip": clip,
    "maximum": bounded,
    "minimum": bounded,
    "relu": simple("relu"),
    "relu6": lambda node: one(node, "clip", low=0.0, high=6.0),
    "hardtanh": lambda node: clipped(
        node, node.value("x"), node.number("t_min"), node.number("t_max")
    ),
    "leaky_relu": simple("leaky_relu", slope="negative_slope"),
    "prelu": _prelu,
    "elu": simple("elu", alpha="alpha"),
    "celu": _celu,
    "gelu": _gelu,
    "sigmoid": simple("sigmoid"),
    "silu": simple("silu"),
    "swish": _swish,
    "tanh": simple("tanh"),
    "abs": simple("abs"),
    "greater_than": greater,
    "where": where,
    "thresholded_relu": _thresholded,
    "softplus": _softplus,
    "softmax": _along("softmax"),
    "log_softmax": _along("log_softmax"),
    "assign": simple("identity"),
    "share_data": simple("identity"),
    "cast": _cast,
    "slice": sliced,
    "strided_slice": strided,
    "crop": cropped,
    "index_select": selected,
    "gather": selected,
}
