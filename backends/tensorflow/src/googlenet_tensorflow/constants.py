"""Tensors of a recorded graph that do not depend on the images."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf

from googlenet.arrays import Array

#: What only hands on what it is given.
_HANDED_ON: Final = ("Identity", "Cast", "Snapshot", "StopGradient", "EnsureShape")


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that does not depend on the images; and how it was computed: it is result `number`
    of `node` for `inputs`.
    """

    tensor: Any
    node: Any = None
    inputs: tuple[Constant, ...] = ()
    number: int = 0

    @property
    def array(self) -> Array:
        """Its elements."""
        found: Array = np.asarray(self.tensor)
        return found

    @property
    def leaf(self) -> Constant:
        """What it is a copy of, perhaps in another shape."""
        kinds = (*_HANDED_ON, "Reshape", "Squeeze", "ExpandDims")
        if self.node is not None and self.node.type in kinds and self.inputs:
            return self.inputs[0].leaf
        return self


def run(node: Any, inputs: Sequence[Any]) -> list[Any]:
    """The operation of a node computed on other inputs: in eager mode, or in the graph that is open
    if they are tensors of it.
    """
    arguments: dict[str, Any] = {}
    waiting = list(inputs)
    inferred: set[str] = set()
    for each in node.op_def.input_arg:
        if each.number_attr:
            count = int(node.get_attr(each.number_attr))
        elif each.type_list_attr:
            count = len(node.get_attr(each.type_list_attr))
        else:
            count = 0
        if count:
            arguments[each.name], waiting = waiting[:count], waiting[count:]
        else:
            arguments[each.name] = waiting.pop(0)
        inferred.update((each.number_attr, each.type_attr, each.type_list_attr))
    for each in node.op_def.attr:
        if each.name not in inferred:
            arguments[each.name] = node.get_attr(each.name)
    operation = getattr(tf.raw_ops, node.type)
    # Some arguments have other names in Python, in the same order: `axis` for `squeeze_dims`.
    said = [each for each in inspect.signature(operation).parameters if each != "name"]
    renamed = [each for each in said if each not in arguments]
    ours = [each for each in arguments if each not in said]
    names = dict(zip(ours, renamed, strict=False))
    found = operation(**{names.get(key, key): value for key, value in arguments.items()})
    return list(found) if isinstance(found, list | tuple) else [found]
