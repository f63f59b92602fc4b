"""What a user's MXNet model computes: the operations that `autograd` records, in neutral terms."""

from __future__ import annotations

import ctypes
import json
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Final, TypeAlias

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.base import MXNetError
from mxnet.ndarray import register

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.errors import CaptureError, TraceError

from .model import name, numpy_semantics
from .nodes import BEFORE, Node
from .operations import BROADCASTING, FILLED, PRODUCTS, parts
from .origins import Key, Origins, unused
from .owned import Owned, Watch
from .values import noticed

#: A recorded value: the name of its operation, and which of the results it is.
Entry: TypeAlias = tuple[str, int]
EPS: Final = float(np.finfo(np.float64).eps)
#: Taken before a trace puts its own in its place.
_is_training: Final = autograd.is_training
#: What MXNet calls a result, after the operation's name.
_RESULTS: Final = ("_output", "_out")


def trace(model: Any, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model`, a Gluon block or a function of arrays, in evaluation mode on `images`
    (N, C, H, W), N at least 2, and its outputs on them, the logits first.

    `model` keeps its weights, gradients and graph mode; parameters that are made at the first call
    are made, and those that were not initialised are again not. It gets an array of `mx.np` if
    NumPy semantics are on or it needs one, else of `mx.nd`. Raises `TraceError` if it cannot be
    run or does not return arrays, and `CaptureError` if it computes in a way that MXNet does not
    record.
    """
    if isinstance(model, type | mx.sym.Symbol) or not callable(model):
        raise TraceError(
            f"{name}: expected a gluon Block or a function of arrays, got {type(model).__name__}"
        )
    owned = Owned(model)
    with Watch(owned) as watch:
        runner = _Runner(model, images, owned, watch)
        outputs = runner.outputs()
        try:
            graph, again = runner.graph(images), runner.graph(-images[::-1] / 2)
            _check_same(graph, again)
        except CaptureError as error:
            if not runner.read:
                raise
            raise CaptureError(
                f"{error}; numbers of an array are read in {runner.read[0]}"
            ) from error.__cause__
        if runner.asks_for_the_mode:
            graph = _with_dropout(graph, runner.training_graph(images))
    return graph, outputs


class _Runner:
    """Runs a model, and records it."""

    def __init__(self, model: Any, images: Array, owned: Owned, watch: Watch) -> None:
        self._model, self._images, self._owned, self._watch = model, images, owned, watch
        self._is_numpy = bool(mx.util.is_np_array())
        #: Whether the model asks if it is in training mode, as some do for a dropout.
        self.asks_for_the_mode = False
        #: The lines of the user's that read the numbers of arrays.
        self.read: list[str] = []

    def outputs(self) -> list[Array]:
        """The outputs in a pass that is not recorded, with arrays of the kind that the model takes:
        that of the thread first.
        """
        ambient = self._is_numpy
        errors: list[tuple[str, Exception]] = []
        for is_numpy in (ambient, not ambient):
            self._is_numpy = is_numpy
            try:
                with autograd.pause(train_mode=False):
                    found = self._call(self._images)
                    return [each.asnumpy().astype(np.float64) for each in found]
            except TraceError:
                raise
            except Exception as error:  # the user's code may raise anything, and MXNet has many
                errors.append((self._watch.place, error))
                self._watch.undo()
        first, second = (_is_about_arrays(error) for _, error in errors)
        place, cause = errors[first and not second]
        unusual = self._watch.unusual_layout()
        if unusual is not None:
            raise TraceError(
                f"{name}: {unusual[0]} has layout {unusual[1]}, which MXNet computes on GPUs only;"
                " images are (N, C, H, W) here: build it with layout='NCHW'"
            ) from cause
        raise TraceError(
            f"{name}: the model cannot be run on images of shape {self._images.shape}: it fails"
            f" at {place} ({type(cause).__name__}: {_first(cause)})"
        ) from cause

    def training_graph(self, images: Array) -> Graph | None:
        """What a recorded pass in training mode computes; None if it fails. All arrays are
        afterwards as they were.
        """
        saved = [(array, array.asnumpy()) for _, array in self._owned.data()]
        try:
            return self.graph(images, train=True)
        except TraceError:
            return None
        finally:
            for array, before in saved:
                if not np.array_equal(array.asnumpy(), before, equal_nan=True):
                    array[:] = before

    def graph(self, images: Array, *, train: bool = False) -> Graph:
        """What a recorded pass on `images` computes."""
        seen: list[mx.nd.NDArray] = []
        active: list[mx.nd.NDArray] = []
        x = self._native(images)
        x.attach_grad()
        try:
            with (
                self._asked(),
                _seen(seen, active),
                noticed(self.read),
                autograd.record(train_mode=train),
            ):
                outputs = self._call(images, x)
        except TraceError:
            raise
        except Exception as error:
            raise CaptureError(
                f"{name}: the model runs, but MXNet cannot record it, at {self._watch.place}"
                f" ({type(error).__name__}: {_first(error)})"
            ) from error
        return _Reader(x, outputs, [*seen, x], active, self._owned, self._watch).graph()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Notices if the model asks for the mode."""
        is_training = autograd.is_training

        def asked() -> bool:
            self.asks_for_the_mode = True
            return bool(is_training())

        autograd.is_training = asked
        try:
            yield
        finally:
            autograd.is_training = is_training

    def _call(self, images: Array, x: mx.nd.NDArray | None = None) -> list[mx.nd.NDArray]:
        self._watch.begin()
        is_ambient = self._is_numpy == bool(mx.util.is_np_array())
        with nullcontext() if is_ambient else _semantics(self._is_numpy):
            return _arrays(self._model(self._native(images) if x is None else x))

    def _native(self, images: Array) -> mx.nd.NDArray:
        """`images` where the model's arrays are, and of their type."""
        device, dtype = self._watch.device, images.dtype
        for _, array in self._owned.data():
            if np.dtype(array.dtype).kind == "f":
                dtype = array.dtype
                break
        if not self._is_numpy:
            return mx.nd.array(images, dtype=dtype, ctx=device)
        with numpy_semantics():
            return mx.np.array(images, dtype=dtype, ctx=device)


@contextmanager
def _semantics(is_numpy: bool) -> Iterator[None]:
    """MXNet's NumPy semantics, or the classic ones, in this thread for a while."""
    with mx.util.np_shape(is_numpy), mx.util.np_array(is_numpy):
        yield


def _is_about_arrays(error: Exception) -> bool:
    """Whether an error says that arrays are of the wrong kind of MXNet's two."""
    said = str(error)
    return isinstance(error, TypeError | AttributeError | AssertionError | ValueError) and (
        "ndarray" in said or "NDArray" in said
    )


def _first(error: Exception) -> str:
    """What an error says, without MXNet's own traceback."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    lines = [line for line in lines if not line.startswith(("Traceback", "File ", "[bt]", "Stack"))]
    said = next((line for line in lines if line), "")
    return said.removeprefix(f"{type(error).__name__}: ")


def _arrays(outputs: Any) -> list[mx.nd.NDArray]:
    found = [outputs] if isinstance(outputs, mx.nd.NDArray) else outputs
    several = isinstance(found, tuple | list) and len(found) > 0
    if not several or not all(isinstance(each, mx.nd.NDArray) for each in found):
        what = "nothing" if outputs in (None, (), []) else type(outputs).__name__
        if several:
            what += f" of {', '.join(type(each).__name__ for each in found)}"
        raise TraceError(
            f"{name}: expected a model that returns an array, or a tuple or list of arrays with the"
            f" logits first, got {what}"
        )
    return list(found)


@contextmanager
def _seen(seen: list[mx.nd.NDArray], active: list[mx.nd.NDArray]) -> Iterator[None]:
    """Keeps all arrays that go into operations or come out, since a record names constants, but
    does not hold them, and those that come out in training mode.

    What is computed in place, which MXNet refuses to record, is computed as if it were not.
    """
    invoke = register._imperative_invoke

    def invoked(handle: Any, inputs: Any, keys: Any, values: Any, out: Any, *rest: Any) -> Any:
        seen.extend(inputs)
        try:
            result = invoke(handle, inputs, keys, values, out, *rest)
        except MXNetError:
            if not isinstance(out, mx.nd.NDArray):
                raise
            result = invoke(handle, inputs, keys, values, None, *rest)
            out.handle, result.handle = result.handle, out.handle
            seen.append(result)  # what was in its place
            result = out
        found = result if isinstance(result, list | tuple) else [result]
        seen.extend(found)
        if _is_training():
            active.extend(found)
        return result

    register._imperative_invoke = invoked
    try:
        yield
    finally:
        register._imperative_invoke = invoke


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


class _Reader:
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
        symbols = []
        for number, output in enumerate(outputs):
            if _entry(output) is None:
                raise CaptureError(
                    f"{name}: output {number} does not depend on the images in a way that MXNet"
                    f" records; {_ADVICE}"
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
                    f" records; {_ADVICE}"
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
        found = parts(node)
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
            if part.transposed is not None:
                arrays[part.transposed] = self._transposed(arrays[part.transposed])
            shape = part.shape or node.shape
            given = self._given[id(node)]
            arrays, origins = self._origins.named(arrays, given, transposed=part.transposed)
            self._taken[made] = frozenset().union(*(self._origins.leaves(key) for key, _ in given))
            op = Op(made, kind, tuple(inputs), shape, attributes, arrays, node.place, origins)
            self._ops.append(op)
            before = made
        self._names[id(node)] = before

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

    def _transposed(self, array: Array) -> Array:
        key = ("transposed", id(array))
        if key not in self._arrays:
            self._arrays[key] = array.T
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


_ADVICE: Final = (
    "MXNet loses track of what goes through NumPy, Python numbers, `detach` or `autograd.pause`:"
    " use MXNet's own operations instead"
)


def _check_same(first: Graph, second: Graph) -> None:
    """Raises `CaptureError` if a model computes something else for other images: then what looks
    like a constant depends on them, or is random.
    """
    for one, other in zip(first.ops, second.ops, strict=False):
        if (one.kind, one.inputs, one.shape) != (other.kind, other.inputs, other.shape):
            break
        held = all(
            np.array_equal(array, other.arrays[role], equal_nan=True)
            for role, array in one.arrays.items()
        )
        if not held or one.attributes != other.attributes:
            raise CaptureError(
                f"{name}: in {one.place} '{one.kind}' takes a number that differs for other images:"
                f" it is random, or computed in a way that MXNet does not record; {_ADVICE}"
            )
    else:
        if (len(first.ops), first.outputs) == (len(second.ops), second.outputs):
            return
        one = (first.ops or second.ops)[-1]
    raise CaptureError(
        f"{name}: the model computes something else for other images, in {one.place}: which"
        " operations it uses depends on them, or on chance"
    )


def _with_dropout(graph: Graph, training: Graph | None) -> Graph:
    """`graph`, of evaluation mode, with the dropout that `training` has besides; as it is if that
    is not all that training mode adds.
    """
    if training is None:
        return graph
    rest, ops = list(graph.ops), []
    #: The names in `graph` for those in `training`, without and with the dropout.
    plain, dropped = ({graph.input: graph.input} for _ in range(2))
    for op in training.ops:
        if rest and _is_in_training(rest[0], op, plain):
            made = replace(rest.pop(0), inputs=tuple(dropped[each] for each in op.inputs))
            plain[op.name] = made.name
        elif op.kind == "dropout":
            inputs, attributes = (dropped[op.inputs[0]],), {**op.attributes, "active": False}
            made = replace(op, name=f"dropout.{op.name}", inputs=inputs, attributes=attributes)
            plain[op.name] = plain[op.inputs[0]]
        else:
            return graph
        ops.append(made)
        dropped[op.name] = made.name
    if rest or tuple(plain[each] for each in training.outputs) != graph.outputs:
        return graph
    return replace(graph, ops=tuple(ops), outputs=tuple(dropped[each] for each in training.outputs))


def _is_in_training(op: Op, other: Op, names: Mapping[str, str]) -> bool:
    """Whether `other` is `op` in training mode."""
    modes = {"active": None, "train": None}
    return (
        op.kind == other.kind
        and op.inputs == tuple(names[each] for each in other.inputs)
        and {**op.attributes, **modes} == {**other.attributes, **modes}
    )
