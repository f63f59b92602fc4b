"""Where the arrays of a user's Paddle model are from: which of them are trained, and which of those
are parts or rearrangements of the same parameter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import paddle

from googlenet.arrays import Array
from googlenet.backend.graph import Op, Origin
from googlenet.backend.origins import STATISTICS, separated

from .constants import Constants, plain, sources
from .recording import Recording
from .static_mode import is_weight

#: Operations that only move the elements of a tensor about, or take some of them.
REARRANGING: Final = frozenset(
    (
        *("reshape", "flatten", "squeeze", "unsqueeze", "transpose", "flip", "roll", "rot90"),
        *("slice", "strided_slice", "crop", "gather", "gather_nd", "index_select", "index_sample"),
        *("concat", "stack", "split", "split_with_num", "unbind", "unstack", "combine"),
        *("expand", "expand_as", "tile", "broadcast_tensors", "repeat_interleave"),
        *("assign", "share_data", "cast", "view_shape", "view_slice", "as_strided"),
        *("builtin.combine", "builtin.split", "builtin.slice"),
    )
)
#: Numbers of elements are computed digit by digit; every type of Paddle's holds these exactly.
_BASE: Final = 256


class Origins:
    """Where each array of a recorded program is from, and which elements of the user's parameters
    it has: each element has a number of its own.
    """

    def __init__(self, recording: Recording, constants: Constants) -> None:
        self._constants = constants
        self._tensors = {value.id: tensor for tensor, value in recording.tensors}
        self._origins: dict[Any, Origin] = {
            value.id: "weight" if is_weight(tensor) else "constant"
            for tensor, value in recording.tensors
        }
        self._starts, self._count = _numbered(self._tensors)
        #: The numbers of the elements of values that are rearranged parameters.
        self._moved: dict[Any, Array] = {}

    def of(self, arrays: Mapping[str, Array], given: Iterable[Any]) -> dict[str, Origin]:
        """Where the arrays of an operation are from, by role; `given` are its operands."""
        found: dict[str, Origin] = {}
        for role, array in arrays.items():
            if role in STATISTICS:
                continue
            source = self._constants.source(array)
            if source is not None:
                found[role] = self._origin(source)
            else:
                trained = any(each is not None and self._constants.trained(each) for each in given)
                found[role] = "computed" if trained else "constant"
        return found

    def trained(self, arrays: Mapping[str, Array], given: Iterable[Any]) -> dict[str, int]:
        """The sizes of the parameters that an operation with these arrays and operands takes, by
        the numbers of their first elements.
        """
        made = {role: self._constants.source(array) for role, array in arrays.items()}
        waiting = [each for each in (*made.values(), *given) if each is not None]
        # Paddle says of statistics that they are parameters, too.
        seen = {each.id for role, each in made.items() if each is not None and role in STATISTICS}
        found: dict[str, int] = {}
        while waiting:
            value = waiting.pop()
            if value.id in seen or not self._constants.trained(value):
                continue
            seen.add(value.id)
            if value.id in self._starts:
                found[str(self._starts[value.id])] = math.prod(self._tensors[value.id].shape)
            else:
                waiting += [each for each in sources(value.get_defining_op()) if each is not None]
        return found

    def _origin(self, value: Any) -> Origin:
        if value.id not in self._origins:
            self._origins[value.id] = self._made(value)
        return self._origins[value.id]

    def _made(self, value: Any) -> Origin:
        """What an operation on constants gives; whether elements are there twice shows later."""
        if not self._constants.trained(value):
            return "constant"
        op = value.get_defining_op()
        given = [each for each in sources(op) if each is not None]
        # Axes, shapes and the like are whole numbers.
        data = [each for each in given if not each.is_dense_tensor_type() or _is_floating(each)]
        moves = plain(op) in REARRANGING and _is_floating(value)
        return "weight" if moves and {*map(self._origin, data)} == {"weight"} else "computed"

    def separated(self, ops: Sequence[Op]) -> tuple[Op, ...]:
        """`ops` with one object for all weights of the same elements in the same order; one that
        has an element several times is tied.
        """
        self._number(ops)
        return separated(map(self._told, ops), self._span, self._elements)

    def _told(self, op: Op) -> Op:
        twice: dict[str, Origin] = {
            role: "tied"
            for role, array in op.arrays.items()
            if op.origins.get(role) == "weight"
            and not self._is_whole(array)
            and len(np.unique(self._elements(array))) < array.size
        }
        return replace(op, origins={**op.origins, **twice})

    def _number(self, ops: Sequence[Op]) -> None:
        """The elements of all values that are made of parameters, as Paddle makes them."""
        wanted: dict[Any, Any] = {}
        for op in ops:
            for role, array in op.arrays.items():
                source = self._constants.source(array)
                if source is not None and op.origins.get(role) == "weight":
                    wanted[source.id] = source
        moved = [value for key, value in wanted.items() if key not in self._tensors]
        factor = 1
        while moved and factor < self._count:
            digits = {
                key: self._as_type(key, self._of_tensor(key) // factor % _BASE)
                for key in self._starts
            }
            for value, found in zip(moved, self._constants.fetched(moved, digits), strict=True):
                more = np.rint(found.astype(np.float64)).astype(np.int64) * factor
                self._moved[value.id] = self._moved.get(value.id, 0) + more
            factor *= _BASE

    def _as_type(self, key: Any, numbers: Array) -> Array:
        typed: Array = paddle.to_tensor(numbers).astype(self._tensors[key].dtype).numpy()
        return typed

    def _of_tensor(self, key: Any) -> Array:
        """The numbers of a parameter's elements, which it may share with another."""
        tensor = self._tensors[key]
        numbers = np.full(tuple(tensor.shape), self._starts[key], np.int64)
        for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.strides, strict=True)):
            steps = (np.arange(size) * stride).reshape((size, *[1] * (numbers.ndim - axis - 1)))
            numbers += steps
        return numbers

    def _is_whole(self, array: Array) -> bool:
        """Whether a weight is a whole parameter."""
        return self._constants.source(array).id in self._starts

    def _span(self, array: Array) -> tuple[int, int]:
        """The first and last number of a weight's elements."""
        source = self._constants.source(array)
        if source.id in self._starts:
            start = self._starts[source.id]
            return start, start + _extent(self._tensors[source.id]) - 1
        elements = self._elements(array)
        return int(elements.min()), int(elements.max())

    def _elements(self, array: Array) -> Array:
        source = self._constants.source(array)
        is_whole = source.id in self._starts
        numbers = self._of_tensor(source.id) if is_whole else self._moved[source.id]
        return self._constants.moved_as(array, numbers)


def _numbered(tensors: Mapping[Any, paddle.Tensor]) -> tuple[dict[Any, int], int]:
    """The number of the first element of each parameter, and how many numbers there are; where two
    share memory, they share numbers.
    """
    weights = {key: each for key, each in tensors.items() if is_weight(each)}
    starts: dict[Any, int] = {}
    count, begin, end, first = 0, -1, -1, 0  # a stretch of memory, and its first number
    for key in sorted(weights, key=lambda key: weights[key].data_ptr()):
        tensor = weights[key]
        at, size = tensor.data_ptr(), tensor.element_size()
        if at >= end:
            begin, first = at, count
        starts[key] = first + (at - begin) // size
        count = max(count, starts[key] + _extent(tensor))
        end = max(end, at + _extent(tensor) * size)
    return starts, count


def _extent(tensor: paddle.Tensor) -> int:
    """How many elements of memory a tensor reaches over."""
    steps = zip(tensor.shape, tensor.strides, strict=True)
    return 1 + sum(int((size - 1) * stride) for size, stride in steps)


def _is_floating(value: Any) -> bool:
    name = str(value.dtype) if value.is_dense_tensor_type() else "FLOAT"
    return "FLOAT" in name.upper()
