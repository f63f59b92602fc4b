"""Whether a convolution or pool of an ONNX graph has the windows that one of the spec has, at one
size of the input: what they read, and by what a mean divides.

Exporters write one and the same in many ways: SAME or numbers, padding apart, rounding up or
padding more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ...arrays import Array
from ...spec.layers import AvgPool, Conv, MaxPool, Shape
from ..formats.onnx import Node

#: Padding added by an operation of its own: before and behind, for each axis.
Pads = tuple[tuple[int, int], tuple[int, int]]
NO_PADS: Final[Pads] = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Axis:
    """The windows along one axis: their length, step, how far before the input the first begins,
    how far behind it there is padding, and how many there are.
    """

    kernel: int
    stride: int
    before: int
    behind: int
    count: int

    def divisors(self, size: int, *, padding: bool) -> Array:
        """How many elements each window has along an input of `size`, with the padding or not."""
        start = np.arange(self.count) * self.stride - self.before
        stop = np.minimum(start + self.kernel, size + (self.behind if padding else 0))
        found: Array = stop - np.maximum(start, -self.before if padding else 0)
        return found


def of_spec(layer: Conv | MaxPool | AvgPool, out_shape: Shape) -> tuple[Axis, Axis]:
    """The windows of a layer whose padding is explicit."""
    assert not isinstance(layer.padding, str)
    height, width = (
        Axis(layer.kernel_size[each], layer.stride[each], *layer.padding[each], out_shape[1 + each])
        for each in range(2)
    )
    return height, width


def of_node(
    node: Node, kernel: tuple[int, ...], in_shape: Shape, apart: Pads
) -> tuple[Axis, Axis] | None:
    """The windows of a node over maps of `in_shape` (C, H, W), with the padding `apart` before it;
    None if it has any that no layer of the spec has.
    """
    strides = node.numbers("strides", (1, 1))
    pads = node.numbers("pads", (0, 0, 0, 0))
    mode, rounds_up = (
        str(node.attributes.get("auto_pad", "NOTSET")),
        bool(node.number("ceil_mode", 0)),
    )
    if len(kernel) != 2 or len(strides) != 2 or len(pads) != 4 or min(*kernel, *strides) < 1:
        return None
    if any(each != 1 for each in node.numbers("dilations", (1, 1))):
        return None
    found: list[Axis] = []
    for axis in range(2):
        size = in_shape[1 + axis] + sum(apart[axis])
        before, behind = pads[axis], pads[2 + axis]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            count = -(-size // strides[axis])
            total = max((count - 1) * strides[axis] + kernel[axis] - size, 0)
            before = total // 2 if mode == "SAME_UPPER" else total - total // 2
            behind = total - before
        else:
            if mode == "VALID":
                before = behind = 0
            room = size + before + behind - kernel[axis]
            count = (-(-room // strides[axis]) if rounds_up else room // strides[axis]) + 1
            if rounds_up and (count - 1) * strides[axis] >= size + before:
                count -= 1  # it would begin beyond the input
        before, behind = before + apart[axis][0], behind + apart[axis][1]
        found.append(Axis(kernel[axis], strides[axis], before, behind, count))
    return found[0], found[1]


def alike(ours: tuple[Axis, Axis], theirs: tuple[Axis, Axis] | None) -> bool:
    """Whether both read the same windows: those that begin at the same places and are as many."""
    return theirs is not None and all(
        (a.kernel, a.stride, a.before, a.count) == (b.kernel, b.stride, b.before, b.count)
        for a, b in zip(ours, theirs, strict=True)
    )


def divide_alike(
    layer: AvgPool, ours: tuple[Axis, Axis], theirs: tuple[Axis, Axis], counts: bool, size: Shape
) -> bool:
    """Whether two average pools over maps of `size` (C, H, W) divide by the same; `counts` is
    whether the other one counts padding.
    """
    first, second = (
        np.outer(*(axis.divisors(size[1 + i], padding=flag) for i, axis in enumerate(axes)))
        for axes, flag in ((ours, layer.count_include_pad), (theirs, counts))
    )
    return bool((first == second).all())
