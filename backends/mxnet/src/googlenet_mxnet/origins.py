"""Where the arrays of a user's MXNet model are from: which of them are trained, and which of those
are parts or rearrangements of the same parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import mxnet as mx
import numpy as np

from googlenet.arrays import Array
from googlenet.backend.graph import Op, Origin
from googlenet.backend.origins import STATISTICS, separated

from .nodes import Move
from .operations import BROADCASTING, FILLED, RESHAPING
from .owned import Owned

#: Operations that only move the elements of an array about, or take some of them.
REARRANGING: Final = frozenset(
    (
        *(*RESHAPING, "_npi_reshape", "squeeze", "_np_squeeze", "expand_dims", "Flatten"),
        *("transpose", "_np_transpose", "SwapAxis", "_npi_swapaxes", "_np_moveaxis"),
        *("slice", "_npi_slice", "slice_axis", "SliceChannel", "_split_v2", "_npi_hsplit"),
        *("reverse", "_npi_flip", "_np_roll", "_npi_rot90", *BROADCASTING),
        *("Concat", "_npi_concatenate", "stack", "_npi_stack", "_npi_hstack", "_npi_vstack"),
        *("_copy", "_copyto", "_np_copy", "_npi_copyto", "repeat", "_np_repeat", "tile"),
        *("_npi_tile", "_npi_squeeze", "_npx_reshape", "_npi_dstack", "_npi_column_stack"),
    )
)
#: What MXNet calls an array that `attach_grad` was called for, as Gluon does for parameters.
_ATTACHED: Final = "var"

#: A result of a recorded operation: the index of its node, and which of the results it is.
Key: TypeAlias = tuple[int, int]


class Origins:
    """Where each constant of a record is from, by the node of the record that it is.

    `addresses` gives for an array of the user's its place in memory, `frozen` are the names of
    those that belong to Gluon's own layers and are not trained now, though they could be.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        nodes: Sequence[Mapping[str, Any]],
        array: Callable[[str], mx.nd.NDArray | None],
        address: Callable[[mx.nd.NDArray], int | None],
        frozen: frozenset[str],
    ) -> None:
        self._nodes, self._array, self._address, self._frozen = nodes, array, address, frozen
        self._inside = symbol.get_internals()
        self._names = self._inside.list_outputs()
        self._origins: dict[Key, Origin] = {}
        self._leaves: dict[Key, frozenset[str]] = {}
        #: The places in memory of the elements of weights, by key, then by the array's identity.
        self._places: dict[Key, Array] = {}
        self._elements: dict[int, Array] = {}
        self._copies: dict[tuple[int, str], Array] = {}

    def of(self, key: Key) -> Origin:
        """Where a constant is from."""
        if key not in self._origins:
            self._origins[key] = self._found(key)
        return self._origins[key]

    def _found(self, key: Key) -> Origin:
        node = self._nodes[key[0]]
        if node["op"] == "null":
            return "weight" if self.is_weight(node["name"]) else "constant"
        if node["op"] in FILLED:
            return "constant"
        given = {self.of((each[0], each[1])) for each in node["inputs"]}
        if given <= {"constant"}:
            return "constant"
        if given != {"weight"} or not self._is_rearranged(key):
            return "computed"
        places = self.places(key)
        if places is None:
            return "computed"
        return "weight" if len(np.unique(places)) == places.size else "tied"

    def is_weight(self, leaf: str) -> bool:
        """Whether one of the user's arrays is trained."""
        return leaf.startswith(_ATTACHED) or leaf in self._frozen

    def _is_rearranged(self, key: Key) -> bool:
        node = self._nodes[key[0]]
        if node["op"] == "null":
            return True
        return node["op"] in REARRANGING and all(
            self._is_rearranged((each[0], each[1])) for each in node["inputs"]
        )

    def leaves(self, key: Key) -> frozenset[str]:
        """The names of the user's arrays that a constant is made of."""
        if key not in self._leaves:
            node = self._nodes[key[0]]
            inputs = () if node["op"] in FILLED else node["inputs"]
            found = [self.leaves((each[0], each[1])) for each in inputs]
            own = [node["name"]] if node["op"] == "null" else []
            self._leaves[key] = frozenset(own).union(*found)
        return self._leaves[key]

    def places(self, key: Key) -> Array | None:
        """Where in memory each element of a weight is: what the operations that move elements make
        of those of the user's arrays.
        """
        if key not in self._places:
            found = {name: self._leaf_places(name) for name in self.leaves(key)}
            if any(each is None for each in found.values()):
                return None
            node = self._nodes[key[0]]
            if node["op"] == "null":
                (places,) = found.values()
            else:
                places = self._moved(
                    key, {n: each for n, each in found.items() if each is not None}
                )
            assert places is not None
            self._places[key] = places
        return self._places[key]

    def _leaf_places(self, name: str) -> Array | None:
        array = self._array(name)
        start = None if array is None else self._address(array)
        if array is None or start is None:
            return None
        size = np.dtype(array.dtype).itemsize
        # As float64, which holds every address, and which all of MXNet's operations take.
        return (start + size * np.arange(array.size, dtype=np.float64)).reshape(array.shape)

    def _moved(self, key: Key, found: Mapping[str, Array]) -> Array:
        name = self._nodes[key[0]]["name"]
        endings = (f"_output{key[1]}", "_output", "_out")
        output = next(f"{name}{each}" for each in endings if f"{name}{each}" in self._names)
        with mx.util.np_shape(True):
            arguments = {n: mx.nd.array(each, dtype="float64") for n, each in found.items()}
            (result,) = self._inside[output].eval(ctx=mx.cpu(), **arguments)
            moved: Array = result.asnumpy()
        return moved

    # Operations -----------------------------------------------------------------------------------

    def named(
        self,
        arrays: Mapping[str, Array],
        given: Sequence[tuple[Key, Array]],
        *,
        moved: Move | None = None,
    ) -> tuple[dict[str, Array], dict[str, Origin]]:
        """The `arrays` of an operation by role, one object for what is the same, and where they are
        from; `given` are the constants that MXNet's operation took.
        """
        found: dict[str, Array] = {}
        origins: dict[str, Origin] = {}
        for role, array in arrays.items():
            found[role] = array
            if role in STATISTICS:
                continue
            same = [each for each in given if np.shares_memory(each[1], array)]
            if not same and len(given) == 1:  # it came back changed, such as negated
                same = list(given)
            if not same:
                origins[role] = "computed" if given else "constant"
                continue
            key, source = same[0]
            origins[role] = self.of(key)
            move = moved if moved is not None and moved.role == role else None
            if origins[role] == "tied" and move is not None:  # such as repeated for each image
                origins[role] = self._taken(key, move)
            if origins[role] != "weight":
                continue
            places = self.places(key)
            turned = places if places is None or move is None else move.make(places)
            if turned is None or turned.size != array.size:
                origins[role] = "computed"
                continue
            if array is not source:
                copy = self._copies.setdefault((id(source), role), array)
                if copy.shape == array.shape and (copy == array).all():
                    found[role] = array = copy
            self._elements.setdefault(id(array), turned.reshape(array.shape))
        return found, origins

    def _taken(self, key: Key, move: Move) -> Origin:
        """Where what is taken of an array with an element several times is from."""
        places = self.places(key)
        found = None if places is None else move.make(places)
        return "tied" if found is None or len(np.unique(found)) < found.size else "weight"

    def separated(self, ops: Sequence[Op]) -> tuple[Op, ...]:
        """`ops` with one object for all weights of the same elements in the same order."""
        return separated(ops, self._span, lambda array: self._elements[id(array)])

    def _span(self, array: Array) -> tuple[int, int]:
        places = self._elements[id(array)]
        return int(places.min()), int(places.max())


def unused(owned: Owned, used: set[int]) -> tuple[str, ...]:
    """The paths of the outermost blocks with parameters, none of which is one of the arrays of the
    identities `used`.
    """
    found: list[str] = []
    for path, parameters in owned.layers():
        inside = any(path.startswith((f"{outer}.", f"{outer}[")) for outer in found)
        arrays = [array for each in parameters for array in each._data or ()]
        if parameters and not inside and not any(id(array) in used for array in arrays):
            found.append(path)
    return tuple(found)
