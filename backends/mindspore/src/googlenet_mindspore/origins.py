"""Where the arrays of a user's MindSpore model are from: which of them are trained, and which of
those are parts or rearrangements of the same parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from mindspore import nn

from googlenet.arrays import Array
from googlenet.backend.graph import Op, Origin
from googlenet.backend.origins import STATISTICS, separated

from .mindir import Program, Value, Weight, leaves
from .places import is_native

#: Operations that only move the elements of a tensor about, or take some of them.
REARRANGING: Final = (
    *("Reshape", "View", "Flatten", "FlattenExt", "ExpandDims", "ExpandDimsView", "Squeeze"),
    *("Transpose", "TransposeView", "TransposeExtView", "SwapAxes", "T", "Permute"),
    *("StridedSlice", "Slice", "SliceExt", "Narrow", "SelectExtView", "Gather", "GatherD"),
    *("IndexSelect", "Split", "SplitTensor", "SplitWithSize", "Chunk", "ChunkView", "Unstack"),
    *("Concat", "Stack", "StackExt", "ReverseV2", "Roll", "Tile", "BroadcastTo", "BroadcastToView"),
    *("Repeat", "RepeatInterleave", "RepeatInterleaveInt", "ExpandAs"),
)


class Origins:
    """Where each array is from, by its identity: whoever asks keeps the arrays. One that nobody
    told of is written in the code.
    """

    def __init__(self) -> None:
        self._origins: dict[int, Origin] = {}
        #: Every element of a weight has a number of its own. Those of a parameter are counted from
        #: here on, ...
        self._starts: dict[int, int] = {}
        #: ... those of what is made of one are these.
        self._moved: dict[int, Any] = {}
        self._count = 0
        #: The parameters that each array is made of: their sizes, by their first elements' numbers.
        self._trained: dict[int, dict[str, int]] = {}

    def hold(self, array: Array, origin: Origin) -> None:
        """A parameter of the model's."""
        self._origins[id(array)] = origin
        if origin == "weight":
            self._starts[id(array)] = self._count
            self._trained[id(array)] = {str(self._count): array.size}
            self._count += array.size

    def move(self, array: Array, source: Array, function: Callable[[Any], Any]) -> None:
        """`array` is `source`, its elements moved about by `function`."""
        if id(array) in self._origins:
            return
        self._origins[id(array)] = self._of(source)
        self._trained[id(array)] = self.trained([source])
        if self._of(source) == "weight":
            self._moved[id(array)] = function(self._elements(source))
        elif id(source) in self._moved:
            elements = self._moved[id(array)] = function(self._moved[id(source)])
            if len(np.unique(elements)) == elements.size:  # as one of what was repeated
                self._origins[id(array)] = "weight"

    def change(self, array: Array, source: Array) -> None:
        """`array` is `source`, each element changed by itself and to any number that there is."""
        self.move(array, source, lambda elements: elements)

    def _elements(self, weight: Array) -> Any:
        """The numbers of the elements of a weight."""
        if id(weight) in self._moved:
            return self._moved[id(weight)]
        start = self._starts[id(weight)]
        return np.arange(start, start + weight.size).reshape(weight.shape)

    def _span(self, weight: Array) -> tuple[int, int]:
        """The smallest of these numbers, and the largest."""
        if id(weight) in self._moved:
            return self._moved[id(weight)].min(), self._moved[id(weight)].max()
        start = self._starts[id(weight)]
        return start, start + weight.size - 1

    def make(self, found: Any, kind: str, given: Any, function: Callable[..., Any]) -> None:
        """What the operation `kind`, which is `function`, made of the arguments `given`."""
        sources = [each for each in leaves(given) if isinstance(each, np.ndarray)]
        if kind in REARRANGING:  # places of elements are no numbers of theirs
            sources = [each for each in sources if each.dtype.kind not in "iub"]
        origins = {self._of(each) for each in sources}
        if origins <= {"constant"}:
            return
        arrays = [each for each in leaves((found,)) if isinstance(each, np.ndarray)]
        if any(id(each) in self._origins for each in arrays):
            return
        if kind == "Cast" and origins == {"weight"} and arrays[0].dtype.kind == "f":
            self.change(arrays[0], sources[0])
            return
        self._origins |= {id(each): "computed" for each in arrays}
        self._trained |= {id(each): self.trained(sources) for each in arrays}
        if kind not in REARRANGING or origins != {"weight"}:
            return
        try:
            moved = function(*self._numbered(given))
        except Exception:  # MindSpore has no kernel for whole numbers: it stays computed
            return
        for array, elements in zip(arrays, leaves((moved,)), strict=True):
            alone = len(np.unique(elements)) == elements.size
            self._origins[id(array)] = "weight" if alone else "tied"
            self._moved[id(array)] = elements

    def _numbered(self, given: Any) -> Any:
        """Arguments with the numbers of their elements for the weights."""
        if isinstance(given, tuple):
            return tuple(map(self._numbered, given))
        is_weight = isinstance(given, np.ndarray) and self._of(given) == "weight"
        return self._elements(given) if is_weight else given

    def _of(self, array: Array) -> Origin:
        return self._origins.get(id(array), "constant")

    def trained(self, arrays: Iterable[Any]) -> dict[str, int]:
        """The sizes of the parameters that these are made of."""
        found: dict[str, int] = {}
        for each in arrays:
            found |= self._trained.get(id(each), {})
        return found

    def is_written(self, given: Any) -> bool:
        """Whether a constant is written in the code, and made of no parameter."""
        return not isinstance(given, np.ndarray) or self._of(given) == "constant"

    def may_repeat(self, given: Array) -> bool:
        """Whether elements of an array may be the same one, several times: not if all are a
        weight's own.
        """
        return self._of(given) != "weight"

    def of(self, op: Op) -> Op:
        """`op` with the origins of its arrays."""
        origins = {
            role: self._of(array) for role, array in op.arrays.items() if role not in STATISTICS
        }
        return replace(op, origins=origins)

    def separated(self, ops: Sequence[Op]) -> tuple[Op, ...]:
        """`ops` with one object for all weights of the same elements in the same order."""
        return separated(ops, self._span, self._elements)


def trained(cells: Iterable[nn.Cell]) -> set[str]:
    """The names of the parameters that are weights: those that training changes, and those of
    MindSpore's own layers, which somebody may have frozen for a while; all, if all are frozen.
    """
    every: set[str] = set()
    found: set[str] = set()
    frozen: set[str] = set()
    cells = list(cells)
    # `affine=False` is stored as frozen gamma and beta: if nothing else is frozen, it is that.
    without = all(
        each.requires_grad
        for cell in cells
        if is_native(type(cell)) and not hasattr(cell, "gamma")
        for each in cell.get_parameters(expand=False)
    )
    for cell in cells:
        statistics = [id(getattr(cell, each, None)) for each in ("moving_mean", "moving_variance")]
        for each in cell.get_parameters(expand=False):
            if id(each) in statistics:
                continue
            every.add(each.name)
            if each.requires_grad:
                found.add(each.name)
            elif is_native(type(cell)) and not (without or _is_unscaled(cell, each)):
                frozen.add(each.name)
    return found | frozen if found else every


def _is_unscaled(cell: nn.Cell, parameter: Any) -> bool:
    """Whether a parameter is the factor of a batch norm that only its offset trains."""
    return parameter is getattr(cell, "gamma", None) and cell.beta.requires_grad


def unused(program: Program, cells: Mapping[str, nn.Cell]) -> list[str]:
    """The paths of the outermost of `cells` (by path) with parameters, none of which an output of
    `program` depends on.
    """
    used: set[str] = set()
    seen: set[Any] = set()
    waiting = list(leaves(program.outputs))
    while waiting:
        match waiting.pop():
            case Weight(name):
                used.add(name)
            case Value(node, _) if node is not None and node not in seen:
                seen.add(node)
                waiting += leaves(node.args)
    found: list[str] = []
    for path, cell in cells.items():
        names = {each.name for each in cell.get_parameters()}
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if path and names and not inside and not names & used:
            found.append(path)
    return found
