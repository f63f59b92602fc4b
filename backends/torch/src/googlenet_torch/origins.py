"""Where the arrays of a user's PyTorch model are from: which of them are trained, and which of
those are parts or rearrangements of the same parameter.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn.modules.batchnorm import _BatchNorm

from googlenet.arrays import Array
from googlenet.backend.graph import Op, Origin
from googlenet.backend.origins import STATISTICS, separated

from .operations import own_name, unrepeated

#: Operations that only move the elements of a tensor about, or take some of them.
REARRANGING: Final = frozenset(
    f"aten.{name}"
    for name in (
        *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "select", "slice"),
        *("transpose", "swapaxes", "swapdims", "t", "permute", "movedim", "moveaxis", "numpy_T"),
        *("flip", "rot90", "roll", "cat", "concat", "concatenate", "stack", "narrow", "expand"),
        *("split", "split_with_sizes", "chunk", "unbind", "index_select", "tensor_split"),
        *("contiguous", "clone", "detach", "alias", "view_as", "reshape_as", "expand_as"),
    )
) | {"torch.getitem"}


class Origins:
    """Where each constant of an exported program is from, by its node."""

    def __init__(self) -> None:
        self._origins: dict[Node, Origin] = {}
        #: The weights that each constant is made of: how many elements, by the first one's number.
        self._weights: dict[Node, dict[str, int]] = {}
        #: The numbers of the elements of weights, all of which have numbers of their own.
        self._elements: dict[Node, Any] = {}
        self._starts: dict[int, int] = {}
        self._count = 0
        self._nodes: dict[int, Node] = {}  # of the arrays in operations, by their identities
        self._made: dict[tuple[int, str], Array] = {}
        #: What weights that are normalised are made of, by the first elements.
        self._normalised: dict[int, tuple[int, ...]] = {}

    def hold(self, node: Node, origin: Origin, array: Array) -> None:
        """A tensor of the model's; one object for what is shared."""
        self._origins[node] = origin
        if origin == "weight":
            start = self._starts.setdefault(id(array), self._count)
            self._count = max(self._count, start + array.size)
            self._elements[node] = torch.arange(start, start + array.size).reshape(array.shape)
            self._weights[node] = {str(start): array.size}

    def make(self, node: Node) -> None:
        """What an operation on constants gives."""
        self._weights[node] = self._weights_in(node)
        given = {self._origins.get(each, "constant") for each in node.all_input_nodes}
        if given <= {"constant"}:
            self._origins[node] = "constant"
            return
        self._origins[node] = "computed"
        if own_name(node.target) == "aten._weight_norm":
            self._normalise(node)
            return
        if given != {"weight"} or own_name(node.target) not in REARRANGING:
            return
        if any(each not in self._elements for each in node.all_input_nodes):
            return
        arguments: Any = map_arg((node.args, node.kwargs), lambda each: self._elements[each])
        function: Any = node.target
        found = function(*arguments[0], **arguments[1])
        parts = [found] if isinstance(found, torch.Tensor) else list(found)
        alone = all(len(part.unique()) == part.numel() for part in parts)
        self._origins[node] = "weight" if alone else "tied"
        if alone:
            self._elements[node] = found

    def _weights_in(self, node: Node) -> dict[str, int]:
        """The weights that go into an operation, or into the one a part of whose result it is."""
        found: dict[str, int] = {}
        for each in node.all_input_nodes:
            found |= self._weights.get(each, {})
        if node.target is operator.getitem and isinstance(node.args[0], Node):
            found |= self._weights_in(node.args[0])
        return found

    def _normalise(self, node: Node) -> None:
        """A weight g · v / |v| is any numbers w with v = w and g = |w|, if no other weight has the
        same v, or g.
        """
        direction, size = node.args[:2]
        if direction not in self._elements or size not in self._elements:
            return
        assert isinstance(direction, Node)
        assert isinstance(size, Node)
        parts = [self._elements[each] for each in (direction, size)]
        own = tuple(int(part.min()) for part in parts)
        if all(self._normalised.setdefault(number, own) == own for number in own):
            self._origins[node] = "free"
            self._elements[node] = parts[0]

    def of(self, op: Op, node: Node, held: Mapping[Node, Array]) -> Op:
        """`op`, which `node` is, with the origins of its arrays."""
        constants = [each for each in node.all_input_nodes if each in held]
        whole = [*constants, *map(unrepeated, constants)]
        arrays = dict(op.arrays)
        origins: dict[str, Origin] = {}
        for role, array in op.arrays.items():
            if role in STATISTICS:
                continue
            same = [each for each in whole if np.shares_memory(held[each], array)]
            source = next(iter(same), None)
            if source is None and len(constants) == 1:  # it came back changed, such as negated
                (source,) = constants
            if source is not None and held[source] is not array:
                made = self._made.setdefault((id(held[source]), role), array)
                if made.shape == array.shape and (made == array).all():
                    arrays[role] = array = made
            if source is None:
                origins[role] = "computed" if constants else "constant"
                continue
            origins[role] = self._origins.get(source, "constant")
            self._nodes[id(array)] = source
        trained = self._weights_in(node)
        return replace(op, arrays=arrays, origins=origins, trained=trained)

    def separated(self, ops: Sequence[Op]) -> tuple[Op, ...]:
        """`ops` with one object for all weights of the same elements in the same order."""
        return separated(ops, self._span, self._numbers)

    def _span(self, array: Array) -> tuple[int, int]:
        numbers = self._numbers(array)
        return int(numbers.min()), int(numbers.max())

    def _numbers(self, array: Array) -> Array:
        numbers: Array = self._elements[self._nodes[id(array)]].numpy()
        return numbers


def origin(target: str, tensor: torch.Tensor, weights: Collection[str]) -> Origin:
    """Where a tensor of the model's is from; one in a buffer is not trained."""
    return "weight" if target in weights or tensor.requires_grad else "constant"


def unscaled(model: nn.Module) -> set[str]:
    """The paths of the weights of batch norms that only their biases train; one that is frozen as
    a whole may be so for a while.
    """
    return {
        f"{path}.weight" if path else "weight"
        for path, each in model.named_modules()
        if isinstance(each, _BatchNorm)
        and each.weight is not None
        and each.bias is not None
        and each.bias.requires_grad > each.weight.requires_grad
    }


def unused(model: nn.Module, paths: Sequence[str]) -> list[str]:
    """The paths of the outermost modules with parameters, none of which is one of those at `paths`,
    or one that they share.
    """
    tensors = dict(model.named_parameters(remove_duplicate=False))
    used = {id(tensors[path]) for path in paths if path in tensors}
    found: list[str] = []
    for path, module in model.named_modules():
        own = list(module.parameters())
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if path and own and not inside and not any(id(each) in used for each in own):
            found.append(path)
    return found
