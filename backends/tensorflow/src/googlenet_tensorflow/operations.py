"""What TensorFlow's operations are in neutral terms, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from . import arithmetic, axes, dense, elementwise, shapes, windows
from .constants import Constant
from .forms import axes_of, shortest
from .writing import CHANNELS_LAST, Noise, Rule, Tensor, Value, Writer


def _handed_on(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | list[Tensor] | None:
    return list(inputs) if node.type == "IdentityN" else inputs[0]


def _cast(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    (x,) = inputs
    kind = node.get_attr("DstT")
    if kind.is_floating and node.get_attr("SrcT").is_floating:
        return x if isinstance(x, Value) else None
    return elementwise.elementwise(writer, node, inputs)


def _local_response_norm(writer: Writer, node: Any, inputs: list[Any]) -> Tensor | None:
    (x,) = inputs
    if not isinstance(x, Value):
        return None
    name = writer.ordered(writer.apart(x), CHANNELS_LAST)
    size = 2 * int(node.get_attr("depth_radius")) + 1
    attributes = {
        "size": size,
        "alpha": _alpha(node.get_attr("alpha"), size),
        "beta": shortest(node.get_attr("beta")),
        "k": shortest(node.get_attr("bias")),
    }
    found = writer.emit(node, "local_response_norm", (name,), writer.shape(name), attributes)
    return Value(found, x.shape, CHANNELS_LAST)


def _alpha(each: float, size: int) -> float:
    """The shortest decimal that is `each`, a float32, when it is divided by `size`."""
    near = np.float32(each * size)
    tried = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    decimals = [shortest(value) for value in tried] + [size * shortest(each)]
    same = [value for value in decimals if np.float32(value / size) == np.float32(each)]
    return min(same, key=lambda value: len(repr(value)), default=float(near))


def _fused_norm(writer: Writer, node: Any, inputs: list[Any]) -> list[Tensor] | None:
    x, *constants = inputs
    if not isinstance(x, Value) or not all(isinstance(each, Constant) for each in constants):
        return None
    axes = axes_of(node)
    if not axes:
        return None
    name = writer.ordered(writer.apart(x), axes)
    roles = ("weight", "bias", "running_mean", "running_var")
    arrays = {
        role: writer.array(each, "vector", np.ravel)
        for role, each in zip(roles, constants, strict=False)
    }
    train = bool(node.get_attr("is_training"))
    if train:
        arrays = {role: arrays[role] for role in roles[:2]}
    writer.by_parameter(constants[0])
    attributes = {"eps": shortest(node.get_attr("epsilon")), "train": train}
    found = writer.emit(node, "batch_norm", (name,), writer.shape(name), attributes, arrays)
    return [Value(found, x.shape, axes), *(Noise() for _ in node.outputs[1:])]


#: How each operation is read, by its name.
RULES: Final[Mapping[str, Rule]] = {
    **arithmetic.RULES,
    **axes.RULES,
    **dense.RULES,
    **elementwise.RULES,
    **shapes.RULES,
    **windows.RULES,
    "Cast": _cast,
    "CheckNumerics": _handed_on,
    "EnsureShape": _handed_on,
    "FusedBatchNormV3": _fused_norm,
    "Identity": _handed_on,
    "IdentityN": _handed_on,
    "LRN": _local_response_norm,
    "PreventGradient": _handed_on,
    "Snapshot": _handed_on,
    "StopGradient": _handed_on,
}
