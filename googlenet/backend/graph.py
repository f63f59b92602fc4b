"""What a user's model computes, as its framework tells it: operations in the order of execution.

A backend that `Traces` captures one with its framework's own tool. It names what it knows by the
kinds below, in canonical axes: maps are (N, C, H, W), vectors (N, C). A kind is used only where the
operation means exactly that. Any other keeps the framework's own name behind a prefix, `aten.pad`
or `tf.Einsum`, so that it is never taken for a kind, and is foreign from there on.

In canonical axes, flattening a channels-last map of more than one pixel is `transpose` with axes
(0, 2, 3, 1), then `flatten`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..arrays import Array
from ..spec.layers import Shape

#: The kinds of operations that `lift` knows, with their attributes, and arrays in brackets; those
#: with a question mark may be missing. Padding is ((top, bottom), (left, right)), all other pairs
#: are (height, width). Axes count the batch as 0, and may be negative.
KINDS: Final = {
    "conv": "stride, padding, dilation, groups [weight (O, I / groups, kh, kw), bias? (O,)]",
    "dense": "[weight (O, I), bias? (O,)], along the last axis",
    "batch_norm": "eps, train [weight?, bias?, running_mean?, running_var?, each (C,)]",
    "local_response_norm": "size, alpha, beta, k",
    "max_pool": "kernel_size, stride, padding, ceil_mode, dilation",
    "avg_pool": "kernel_size, stride, padding, ceil_mode, count_include_pad",
    "sum_pool": "kernel_size, stride, padding, ceil_mode",
    "adaptive_avg_pool": "output_size",
    "mean": "axes, keepdims",
    "relu": "",
    "dropout": "rate, active",
    "concat": "axis",
    "add": "factor?, of the second of two",
    "mul": "factor",
    "affine": "product, whether [other] is multiplied and not added; it broadcasts",
    "pad": "padding, negative where it takes away; value",
    "flatten": "start, the first axis that is joined",
    "reshape": "shape, without the batch",
    "transpose": "axes, of the whole, the batch first",
    "leaky_relu": "slope",
    "elu": "alpha",
    "clip": "low, high",
    "gelu": "approximate, 'none' or 'tanh'",
    "softmax": "axis",
    "log_softmax": "axis",
    "sigmoid": "",
    "silu": "",
    "tanh": "",
    "softplus": "",
    "identity": "",
}


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: its `kind`, the names of its `inputs`, `attributes`, `arrays` by role, and the
    `shape` of its result, the batch first.

    `place` is where it is in the user's code, as far as the framework knows: the path of a layer
    object, `net[3].p3_2`. Arrays that are shared are the same object.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: Shape
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    place: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """The operations between the images (N, C, H, W) called `input` and the values `outputs`, the
    logits first, in an order in which each comes after its inputs.
    """

    input: str
    input_shape: Shape
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
