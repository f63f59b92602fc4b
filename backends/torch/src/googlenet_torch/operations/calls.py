"""One operation that PyTorch calls, and what it is in the neutral terms of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch.fx import Node

from googlenet.arrays import Array

#: What a model may compute in, to be compared with float64.
WIDE: Final = (torch.float32, torch.float64)


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


def one(
    call: Call, kind: str, arrays: Mapping[str, Array] | None = None, **attributes: Any
) -> Found:
    """An operation on the value that `call` works on."""
    return [Translated(kind, (call.x,), attributes, arrays or {})]


def pair(value: Any) -> tuple[int, int]:
    """(height, width) of one number or two."""
    sizes = [value] if isinstance(value, int) else list(value)
    return (int(sizes[0]), int(sizes[-1]))


def both_sides(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """The same on both sides, for height and width."""
    height, width = pair(value)
    return ((height, height), (width, width))


def is_value(call: Call, argument: Any) -> bool:
    """Whether an argument depends on the images."""
    return isinstance(argument, Node) and argument not in call.held


def unrepeated(node: Node) -> Node:
    """The constant that `node` repeats along axes in front of the last two."""
    while node.op == "call_function" and own_name(node.target) in REPEATING:
        before: Any = node.args[0]
        if before.meta["val"].shape[-2:] != node.meta["val"].shape[-2:]:
            break
        node = before
    return node


#: Operations that repeat a tensor along its axes.
REPEATING: Final = frozenset(
    f"aten.{name}" for name in ("expand", "expand_as", "repeat", "tile", "broadcast_to")
)


def written(call: Call, argument: Any) -> float | None:
    """One number that is written in the code, or that all elements of a tensor are made of."""
    if isinstance(argument, int | float):
        return float(argument)
    if not isinstance(argument, Node) or own_name(argument.target) not in FILLING:
        return None
    array = call.held.get(argument)
    return None if array is None or np.ptp(array) != 0 else float(array.flat[0])


#: Operations that make tensors of one number.
FILLING: Final = frozenset(
    f"aten.{name}"
    for name in (
        *("zeros", "ones", "full", "zeros_like", "ones_like", "full_like"),
        *("new_zeros", "new_ones", "new_full", "scalar_tensor", "lift_fresh_copy"),
    )
)


def simple(kind: str, **names: str) -> Translator:
    """An operation with attributes that are called otherwise here."""

    def translator(call: Call) -> Found:
        return one(call, kind, **{ours: call[theirs] for ours, theirs in names.items()})

    return translator
