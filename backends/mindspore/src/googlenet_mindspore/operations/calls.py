"""What an operation of MindSpore is given, and what it is told as: a call, and neutral pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np

from googlenet.arrays import Array

from ..mindir import Node

#: ((top, bottom), (left, right)).
Pads: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value that depends on the images: its name in the graph, and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """An operation with its arguments, each a `Tensor`, an array or another constant, or a tuple
    of these, for the `item` of its results. `made` has the calls that gave tensors so far, by the
    tensor's name. `move` and `derive` make a constant of one: what they are called, a function, and
    the constant; what `move` does only moves elements about, and `derive` changes each by itself.
    `is_written` is whether a constant is written in the code, and made of no parameter;
    `may_repeat` whether elements of an array may be the same one, several times.
    """

    node: Node
    args: tuple[Any, ...]
    shape: tuple[int, ...]
    made: Mapping[str, Call]
    move: Callable[[Any, Callable[[Array], Array], Array], Array]
    derive: Callable[[Any, Callable[[Array], Array], Array], Array]
    is_written: Callable[[Any], bool]
    may_repeat: Callable[[Array], bool]
    item: int | None = None

    @property
    def kind(self) -> str:
        """The name of the primitive."""
        return self.node.kind

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the primitive."""
        return self.node.attributes

    def arg(self, place: int) -> Any:
        """One of the arguments, None if it is not given."""
        return self.args[place] if place < len(self.args) else None

    def before(self, arg: Any) -> Call | None:
        """The call that gave `arg`, if one did."""
        return self.made.get(arg.name) if isinstance(arg, Tensor) else None


@dataclass(frozen=True, eq=False)
class Piece:
    """A neutral operation that, alone or after others, is one of MindSpore's; its input is the
    piece before it, the first one's the tensors that the call takes, unless `inputs` says others;
    `also` are further ones. `at` is the operation where it is in the user's code, if not its last.
    """

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    inputs: tuple[Tensor, ...] | None = None
    shape: tuple[int, ...] | None = None
    also: tuple[Tensor, ...] = ()
    at: Node | None = None


#: What an operation is in neutral terms; None if it is none of them.
Translated: TypeAlias = "list[Piece] | Piece | None"


def tensors_of(args: Any) -> Iterator[Tensor]:
    """The tensors among arguments, in order."""
    for each in args:
        if isinstance(each, tuple):
            yield from tensors_of(each)
        elif isinstance(each, Tensor):
            yield each


def number_of(value: Any) -> float:
    """The shortest decimal that is the same float32."""
    return float(str(np.float32(value)))


def filled(call: Call, value: Any) -> Any:
    """A tensor that is written in the code and all of one number as that; else `value` itself."""
    if not isinstance(value, np.ndarray) or not call.is_written(value) or np.ptp(value) != 0:
        return value
    return float(value.flat[0])


def scalar(value: Any) -> float | None:
    """A number, or a tensor of one; None for anything else."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.reshape(()))
    return None


def pair_of(value: Any) -> tuple[int, int]:
    """(height, width), of which one number stands for both."""
    pair = [value] if isinstance(value, int) else list(value)
    return (int(pair[0]), int(pair[-1]))


def is_map(given: Any) -> bool:
    """Whether an argument is a value of maps (N, C, H, W)."""
    return isinstance(given, Tensor) and len(given.shape) == 4


def is_array(given: Any, *axes: int) -> bool:
    """Whether an argument is an array of so many axes."""
    return isinstance(given, np.ndarray) and given.ndim in axes


def reshape(shape: tuple[int, ...]) -> Piece:
    """A reshape to `shape`, which has the batch."""
    return Piece("reshape", {"shape": shape[1:]}, shape=shape)


#: Operations that change nothing but the shape.
RESHAPES: Final = ("Reshape", "ExpandDims", "Squeeze", "View", "ExpandDimsView")


def is_same(given: Any, x: Tensor) -> bool:
    """Whether an argument is the value `x`."""
    return isinstance(given, Tensor) and given.name == x.name
