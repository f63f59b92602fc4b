"""How a tensor of a user's code is laid out in memory, apart from the value that it holds.

Flattening, reshaping and transposing compute nothing. A `View` keeps what they did until a layer
needs to know: a dense layer then takes the map itself, with its weights rearranged, and what works
element by element does not care.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array
from ..spec.layers import Shape


@dataclass(frozen=True)
class View:
    """`value`, whose shape without the batch is `base`, its axes in the order `axes`, and reshaped
    to `shape`; `place` is where in the user's code that was done.
    """

    value: str
    base: Shape
    axes: tuple[int, ...]
    shape: Shape
    place: str = ""

    @property
    def sizes(self) -> Shape:
        """The shape once the axes are in their order."""
        return tuple(self.base[axis] for axis in self.axes)

    @property
    def is_in_order(self) -> bool:
        """Whether no element is moved: axes of one element may stand anywhere."""
        long = [axis for axis in self.axes if self.base[axis] != 1]
        return long == sorted(long)

    @property
    def is_plain(self) -> bool:
        """Whether it is the value itself."""
        return self.is_in_order and self.shape == self.base

    @property
    def is_squeezed(self) -> bool:
        """Whether it is the value itself but for axes of one element."""
        return self.is_in_order and _long(self.shape) == _long(self.base)

    def reshaped(self, shape: Shape, place: str) -> View:
        """This one in another shape."""
        return replace(self, shape=shape, place=place)

    def transposed(self, axes: tuple[int, ...], place: str) -> View | None:
        """This one with its axes, counted without the batch, in another order; None where they are
        not the value's own.
        """
        shape = tuple(self.shape[axis] for axis in axes)
        long = [axis for axis in axes if self.shape[axis] != 1]
        if long == sorted(long):
            return self.reshaped(shape, place)
        groups = self.all_groups()
        if groups is None:
            return None
        order = tuple(own for axis in axes for own in groups[axis])
        return replace(self, axes=order, shape=shape, place=place)

    def with_channels_last(self) -> View | None:
        """The same with the value's first axis as the last one, which the last of the shape must
        be; None where it is not.
        """
        axes = (*(axis for axis in self.axes if axis != 0), 0)
        moved = replace(self, axes=axes)
        long = [[axis for axis in each.axes if self.base[axis] != 1] for each in (self, moved)]
        return moved if long[0] == long[1] and self.shape[-1:] == self.base[:1] else None

    def of(self, value: str, base: Shape | None = None, shape: Shape | None = None) -> View:
        """The same of another value."""
        return replace(self, value=value, base=base or self.base, shape=shape or self.shape)

    def is_like(self, other: View) -> bool:
        """Whether the two show their values in the same way."""
        return (self.base, self.axes, self.shape) == (other.base, other.axes, other.shape)

    def groups(self) -> tuple[tuple[int, ...], ...] | None:
        """For each axis of the shape the axes of the value that are joined in it; None if one of
        those is split.
        """
        if self.shape == self.sizes:
            return tuple((axis,) for axis in self.axes)
        found: list[tuple[int, ...]] = []
        rest = list(self.axes)
        for size in self.shape:
            group: list[int] = []
            while rest and math.prod(self.base[axis] for axis in group) < size:
                group.append(rest.pop(0))
            if math.prod(self.base[axis] for axis in group) != size:
                return None
            found.append(tuple(group))
        return tuple(found)

    def all_groups(self) -> tuple[tuple[int, ...], ...] | None:
        """`groups` with every axis of the value in one of them, also those of one element."""
        groups = self.groups()
        if not groups:
            return None
        rest = self.axes[sum(map(len, groups)) :]
        return (*groups[:-1], groups[-1] + rest)

    def restored(self, array: Array) -> Array:
        """An array whose last axes are the view's shape, with those of the value in their place."""
        lead = array.shape[: array.ndim - len(self.shape)]
        order = [len(lead) + int(axis) for axis in np.argsort(self.axes)]
        return array.reshape(*lead, *self.sizes).transpose(*range(len(lead)), *order)

    def constant(self, other: Array) -> Array | None:
        """A constant that is added to the view or multiplied with it, as it is with the value: with
        as many axes, each its size or 1. None for one that is larger than the view.
        """
        axes = len(self.shape)
        extra = other.ndim - axes
        if extra > 0 and other.shape[:extra] != (1,) * extra:
            return None
        full = other.reshape((1,) * max(-extra, 0) + other.shape[max(extra, 0) :])
        if any(size not in (1, own) for size, own in zip(full.shape, self.shape, strict=True)):
            return None
        if full.size == 1:
            return full.reshape((1,) * len(self.base))
        groups = self.all_groups()
        if groups is not None:
            sizes = [
                self.base[own] if full.shape[axis] != 1 else 1
                for axis, group in enumerate(groups)
                for own in group
            ]
            return full.reshape(sizes).transpose(np.argsort(self.axes))
        return self.restored(np.broadcast_to(full, self.shape))


def plain(value: str, shape: Shape) -> View:
    """A value as it is."""
    return View(value, shape, tuple(range(len(shape))), shape)


def _long(shape: Shape) -> list[int]:
    return [size for size in shape if size != 1]
