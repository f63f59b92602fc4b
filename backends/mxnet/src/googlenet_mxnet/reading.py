"""A record of MXNet's `autograd` as a graph: its operations in neutral terms, with their arrays."""

from __future__ import annotations

import ctypes
import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.base import MXNetError

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.errors import CaptureError, TraceError

from .model import name
from .nodes import BEFORE, Move, Node
from .operations import BROADCASTING, FILLED, PRODUCTS, translated
from .origins import Key, Origins, unused
from .owned import Owned, Watch

#: A recorded value: the name of its operation, and which of the results it is.
Entry: TypeAlias = tuple[str, int]
EPS: Final = float(np.finfo(np.float64).eps)
#: What MXNet calls a result, after the operation's name.
_RESULTS: Final = ("_output", "_out")
#: What to do about what is not recorded.
ADVICE: Final = (
    "MXNet loses track of what goes through NumPy, Python numbers, `detach` or `autograd.pause`:"
    " use MXNet's own operations instead"
)


def _entry(array: mx.nd.NDArray) -> Entry | None:
    """The recorded value that an array is; None for one that is not recorded."""
    try:
        symbol = autograd.get_symbol(array)
    except MXNetError:
        return None
    (result,) = symbol.list_outputs()
    if result == symbol.name:
        return result, 0
    ending = result.removeprefix(symbol.name)
    number = ending.removeprefix(_RESULTS[0]).removeprefix(_RESULTS[1])
    return (symbol.name, int(number or 0)) if number.isdigit() or not number else None


class Reader:
    """Reads a record: its nodes, with the arrays that they take.

    `_nodes` are MXNet's own, each after its inputs; `_values` has for each result its node, and
    nothing for one that is constant.
    """

    def __init__(
        self,
        x: mx.nd.NDArray,
        outputs: Sequence[mx.nd.NDArray],
        seen: Sequence[mx.nd.NDArray],
        active: Sequence[mx.nd.NDArray],
        owned: Owned,
        watch: Watch,
    ) -> None:
        self._x, self._changes, self._owned = x, watch.changes, owned
        self._lines = watch.lines
        symbols = []
        for number, output in enumerate(outputs):
            if _entry(output) is None:
                raise CaptureError(
                    f"{name}: output {number} does not depend on the images in a way that MXNet"
                    f" records; {ADVICE}"
                )
            symbols.append(autograd.get_symbol(output))
        self._symbol = mx.sym.Group(symbols)
        found = json.loads(self._symbol.tojson())
        self._nodes: list[dict[str, Any]] = found["nodes"]
        self._heads: list[list[int]] = found["heads"]
        self._found: dict[Entry, mx.nd.NDArray] = {}
        self._paths: dict[Entry, str] = {}
        kept = {id(array): array for array in seen}
        for path, array in owned.data():
            kept[id(array)] = array
            entry = _entry(array) if path else None
            if entry is not None:
                self._paths.setdefault(entry, path)
        for array in kept.values():
            entry = _entry(array)
            if entry is not None:
                self._found.setdefault(entry, array)
        self._active = {_entry(array) for array in active} - {None}
        frozen = frozenset(entry[0] for array in owned.frozen() if (entry := _entry(array)))
        self._origins = Origins(
            self._symbol, self._nodes, lambda leaf: self._found.get((leaf, 0)), _address, frozen
        )
        #: For each node its constants, and for each operation the names of the arrays in those.
        self._given: dict[int, list[tuple[Key, Array]]] = {}
        self._taken: dict[str, frozenset[str]] = {}
        self._inferred: Mapping[str, tuple[int, ...]] | None = None
        self._values: dict[tuple[int, int], Node] = {}
        self._identities: dict[Key, int] = {}
        self._known: dict[tuple[Any, ...], int] = {}
        self._arrays: dict[Any, Array] = {}
        self._ops: list[Op] = []
        self._names: dict[int, str] = {}
        #: For each product with numbers the value before them all, and their product.
        self._factors: dict[str, tuple[str, float]] = {}
        #: For each name of a value that is only another's numbers in another shape, that one.
        self._roots: dict[str, str] = {}

    def graph(self) -> Graph:
        """All operations that the outputs need, in the order in which they were computed."""
        (start, _) = _entry(self._x) or ("", 0)
        for index, node in enumerate(self._nodes):
            if node["op"] == "null" and node["name"] == start:
                self._values[index, 0] = Node("input", {}, (), tuple(self._x.shape))
            elif node["op"] not in ("null", *FILLED):
                self._read(index, node)
        self._names = {id(node): "input" for node in self._values.values() if node.op == "input"}
        inside = [key for key, node in self._values.items() if node.op != "input"]
        for key in sorted(inside, key=lambda key: (_number(self._nodes[key[0]]["name"]), key[1])):
            self._emit(self._values[key])
        outputs = []
        for number, (index, result, *_) in enumerate(self._heads):
            if (index, result) not in self._values:
                raise CaptureError(
                    f"{name}: output {number} does not depend on the images in a way that MXNet"
                    f" records; {ADVICE}"
                )
            outputs.append(self._names[id(self._values[index, result])])
        ops = self._needed(outputs)
        leaves = frozenset().union(*(self._taken[op.name] for op in ops))
        used = {
            id(array) for _, array in self._owned.data() if (_entry(array) or ("", 0))[0] in leaves
        }
        return Graph(
            "input",
            tuple(self._x.shape),
            self._origins.separated(ops),
            tuple(outputs),
            unused(self._owned, used),
            self._owned.classes(),
        )

    def _read(self, index: int, node: Mapping[str, Any]) -> None:
        """Makes the nodes of all results of an operation that does not take constants only."""
        taken = [(each[0], each[1]) for each in node["inputs"]]
        if not any(each in self._values for each in taken):
            return
        inputs = tuple(
            self._values[each] if each in self._values else self._array(each) for each in taken
        )
        constants = [
            (each, value)
            for each, value in zip(taken, inputs, strict=True)
            if not isinstance(value, Node)
        ]
        origins = tuple(
            self._origins.of(each) if each not in self._values else None for each in taken
        )
        if node["op"] in PRODUCTS:
            inputs = _narrow(inputs)
        used = {result for other in self._nodes for i, result, *_ in other["inputs"] if i == index}
        used |= {result for i, result, *_ in self._heads if i == index}
        for result in sorted(used):
            entry = (node["name"], result)
            array = self._found.get(entry)
            self._values[index, result] = Node(
                node["op"],
                node.get("attrs") or {},
                inputs,
                self._shape(entry),
                None if array is None else array.dtype,
                (node["name"], 0) in self._active,
                self._place(node),
                self._lines.get(_number(node["name"])),
                result,
                origins,
            )
            self._given[id(self._values[index, result])] = constants

    def _place(self, node: Mapping[str, Any]) -> str:
        for index, result, *_ in node["inputs"]:
            path = self._paths.get((self._nodes[index]["name"], result))
            if path is not None:
                return path
        last = bisect_left(self._changes, (_number(node["name"]), ""))
        return self._changes[last - 1][1] if last else "net"

    def _shape(self, entry: Entry) -> tuple[int, ...]:
        if entry in self._found:
            return tuple(self._found[entry].shape)
        if self._inferred is None:
            known = {
                found: array.shape
                for (found, _), array in self._found.items()
                if found in self._symbol.list_inputs()
            }
            inside = self._symbol.get_internals()
            with mx.util.np_shape(True):
                _, shapes, _ = inside.infer_shape(**known)
            self._inferred = dict(zip(inside.list_outputs(), shapes, strict=True))
        node, result = entry
        for ending in (f"_output{result}", *_RESULTS):
            if f"{node}{ending}" in self._inferred:
                return tuple(self._inferred[f"{node}{ending}"])
        raise TraceError(f"{name}: '{node}' has no shape that MXNet knows")

    # Constants ------------------------------------------------------------------------------------

    def _array(self, key: tuple[int, int]) -> Array:
        """A constant; one object for one array, however many operations take it."""
        node = self._nodes[key[0]]
        identity = self._identity(key)
        if identity not in self._arrays:
            array = self._found.get((node["name"], key[1]))
            if array is None:
                raise CaptureError(
                    f"{name}: {self._place(node)} takes a constant array that MXNet does not expose"
                    f" ('{node['name']}')"
                )
            self._arrays[identity] = array.asnumpy()
        return self._arrays[identity]

    def _identity(self, key: Key) -> int:
        """A number that constants have in common which are the same: in the same memory, or made in
        the same way of such ones.
        """
        if key not in self._identities:
            node = self._nodes[key[0]]
            array = self._found.get((node["name"], key[1]))
            found: tuple[Any, ...] = (node["name"], key[1])
            if node["op"] not in ("null", *FILLED):
                made = [self._identity((index, result)) for index, result, *_ in node["inputs"]]
                found = (node["op"], str(node.get("attrs")), key[1], *made)
            elif node["op"] == "null" and array is not None:
                found = (_address(array), array.shape)
            self._identities[key] = self._known.setdefault(found, len(self._known))
        return self._identities[key]

    # Operations -----------------------------------------------------------------------------------

    def _emit(self, node: Node) -> None:
        """Writes the parts of an operation; the last one has its name."""
        found = translated(node)
        taken = [self._names[id(each)] if isinstance(each, Node) else "" for each in node.inputs]
        before = ""
        for part in found:
            if part.takes is not None:
                inputs = [before if index == BEFORE else taken[index] for index in part.takes]
            else:
                inputs = [before] if before else [each for each in taken if each]
            made = str(len(self._ops))
            kind, attributes = part.kind, part.attributes
            if kind == "mul":
                inputs, factor = self._scaled(made, inputs[0], float(attributes["factor"]))
                attributes = {"factor": factor}
                if math.isclose(factor, 1, rel_tol=4 * EPS):
                    kind, attributes = "identity", {}
            if kind in ("reshape", "flatten", "identity"):
                inputs = [self._rooted(made, inputs[0], kind)]
            arrays = dict(part.arrays)
            if part.moved is not None:
                arrays[part.moved.role] = self._moved(arrays[part.moved.role], part.moved)
            shape = part.shape or node.shape
            given = self._given[id(node)]
            arrays, origins = self._origins.named(arrays, given, moved=part.moved)
            self._taken[made] = frozenset().union(*(self._origins.leaves(key) for key, _ in given))
            given_in = (node.place, origins, node.called, self._trained(self._taken[made]))
            op = Op(made, kind, tuple(inputs), shape, attributes, arrays, *given_in)
            self._ops.append(op)
            before = made
        self._names[id(node)] = before

    def _trained(self, leaves: Iterable[str]) -> dict[str, int]:
        """The sizes of those of the user's arrays that are trained, by where they are."""
        arrays = [self._found[leaf, 0] for leaf in leaves if self._origins.is_weight(leaf)]
        return {str(_address(array)): int(array.size) for array in arrays}

    def _rooted(self, made: str, before: str, kind: str) -> str:
        """What an operation that moves no number takes: what the ones before it took."""
        if kind == "identity":
            if before in self._roots:
                self._roots[made] = self._roots[before]
            return before
        self._roots[made] = self._roots.get(before, before)
        return self._roots[made]

    def _scaled(self, made: str, before: str, factor: float) -> tuple[list[str], float]:
        """What a product with a number takes, and its factor, with those of the products before it:
        a sum over all pixels that is divided by their number is a mean.
        """
        before, earlier = self._factors.get(before, (before, 1.0))
        self._factors[made] = before, earlier * factor
        return [before], earlier * factor

    def _moved(self, array: Array, move: Move) -> Array:
        key = (move.how, id(array))
        if key not in self._arrays:
            self._arrays[key] = move.make(array)
        return self._arrays[key]

    def _needed(self, outputs: Sequence[str]) -> tuple[Op, ...]:
        needed = set(outputs)
        for op in reversed(self._ops):
            if op.name in needed:
                needed.update(op.inputs)
        return tuple(op for op in self._ops if op.name in needed)


def _narrow(inputs: tuple[Node | Array, ...]) -> tuple[Node | Array, ...]:
    """The factors of a product, one of which may have been broadcast to the other's shape: that is
    as it was before then.
    """
    for index, each in enumerate(inputs):
        if isinstance(each, Node) and each.op in BROADCASTING and not each.constants:
            narrow = each.inputs[0]
            if isinstance(narrow, Node) and len(narrow.shape) == len(each.shape):
                return (*inputs[:index], narrow, *inputs[index + 1 :])
    return inputs


def _number(node: str) -> int:
    """When an operation was recorded: node_12."""
    return int(node.rpartition("_")[2])


def _address(array: mx.nd.NDArray) -> int | None:
    """Where an array's numbers are."""
    address = ctypes.c_void_p()
    array.wait_to_read()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(address)))
    return address.value
