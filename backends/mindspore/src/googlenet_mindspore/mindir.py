"""A model's graph as MindSpore exports it, MindIR, in plain terms: what is left of it when tuples,
reads of weights and orders of side effects are gone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.train import mind_ir_pb2

from googlenet.temporary import temporary_folder

from .call_lines import call_lines, noted

#: The sizes of a tensor, or those of each of several.
Sizes: TypeAlias = "tuple[int, ...] | tuple[tuple[int, ...], ...]"


class BranchingError(Exception):
    """What the model does in the cell at `path` depends on the values of tensors."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: the name of its primitive as `kind`, its arguments (a `Value`, a `Weight`, a
    constant, or tuples of these), the primitive's attributes, the shape of its result (of each, if
    there are several), and its scope: `Default/model-Net/conv-Conv2d/Conv2D-op0`.
    """

    name: str
    kind: str
    args: tuple[Any, ...]
    attributes: Mapping[str, Any]
    shape: Sizes
    scope: str

    @property
    def is_several(self) -> bool:
        """Whether it returns a tuple of tensors."""
        return any(isinstance(size, tuple) for size in self.shape)


@dataclass(frozen=True)
class Value:
    """What `node` returns, or the `item` of it; the images if there is none."""

    node: Node | None
    item: int | None = None


@dataclass(frozen=True)
class Weight:
    """The parameter with this name."""

    name: str


@dataclass(frozen=True, eq=False)
class Program:
    """The operations in the order of execution, and what is returned; constants are NumPy arrays,
    numbers, strings, None and tuples of these.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Any, ...]
    #: The user's line that calls an operation, by its scope.
    lines: Mapping[str, tuple[str, int]] = field(default_factory=dict)


class Whole(nn.Cell):
    """Holds the user's model, so that what MindSpore keeps of a compiled cell is not kept in it,
    nor taken from an earlier compilation in another mode.
    """

    def __init__(self, model: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.model = model

    def construct(self, x: ms.Tensor) -> Any:
        """What the model gives."""
        return self.model(x)


def captured(model: nn.Cell, x: ms.Tensor) -> Program:
    """What `model` computes of `x`, in the mode in which its cells are. Raises `BranchingError` and
    whatever graph mode raises where it does not understand the code.
    """
    kept = mind_ir_pb2.ModelProto()

    def keep(proto: Any) -> None:
        kept.CopyFrom(proto)
        del proto.graph.parameter[:]  # the weights need not be written

    with temporary_folder("mindir") as made, _settings(folder := str(made)), noted(folder):
        file = os.path.join(folder, "model")
        ms.export(Whole(model), x, file_name=file, file_format="MINDIR", custom_func=keep)
        lines = call_lines(folder)
    return replace(_Parser(kept).program(), lines=lines)


@contextmanager
def _settings(folder: str) -> Iterator[None]:
    """MindSpore's notes about a failure go to `folder` and not to where the user is, and its level
    of syntax, which `export` changes, is what it was.
    """
    level, notes = ms.get_context("jit_syntax_level"), os.environ.get(_NOTES)
    os.environ[_NOTES] = folder
    try:
        yield
    finally:
        ms.set_context(jit_syntax_level=level)
        if notes is None:
            del os.environ[_NOTES]
        else:
            os.environ[_NOTES] = notes


#: Where MindSpore writes `analyze_fail.ir`.
_NOTES: Final = "MS_OM_PATH"
#: Operations that only say in which order others must happen, or that copy.
_TRANSPARENT: Final = ("Load", "Depend", "Identity", "StopGradient", "TensorMove", "Contiguous")
_TUPLES: Final = ("MakeTuple", "make_list", "MakeList")
_ITEMS: Final = ("TupleGetItem", "list_getitem", "ListGetItem")


class _Parser:
    def __init__(self, proto: Any) -> None:
        self._graph = proto.graph
        self._primitives = {each.name: each for each in proto.primitives}
        #: What each name in the file stands for.
        self._held: dict[str, Any] = {each.name: Value(None) for each in proto.graph.input}
        for each in proto.graph.parameter:
            self._held[each.name] = Weight(each.name[each.name.find(":") + 1 :])

    def program(self) -> Program:
        """All operations."""
        nodes: list[Node] = []
        for proto in self._graph.node:
            if proto.op_type == "Constant":
                (attribute,) = proto.attribute
                self._held[proto.output[0]] = constant(attribute)
                continue
            primitive = self._primitives.get(proto.op_type.removeprefix("REF::"))
            if primitive is None or primitive.op_type in ("Switch", "SwitchLayer", "Partial"):
                raise BranchingError(path_of(proto.domain))
            args = [self._held.get(each) for each in proto.input]
            kind = primitive.op_type
            if kind == "UpdateState":
                found: Any = Monad()
            elif kind in _TRANSPARENT:
                found = args[0]
            elif kind in _TUPLES:
                found = tuple(args)
            elif kind in _ITEMS:
                found = _item(args[0], args[1])
            else:
                kept = tuple(each for each in args if not isinstance(each, Monad))
                attributes = {each.name: constant(each) for each in primitive.attribute}
                (shape,) = [each for each in proto.attribute if each.name == "shape"]
                node = Node(proto.output[0], kind, kept, attributes, _sizes(shape), proto.domain)
                nodes.append(node)
                found = Value(node)
            self._held[proto.output[0]] = found
        outputs = [self._held[each.name] for each in self._graph.output]
        if len(outputs) == 1 and isinstance(outputs[0], tuple):
            outputs = list(outputs[0])
        return Program(tuple(nodes), tuple(outputs))


def path_of(scope: str) -> str:
    """The cell that an operation is in: Default/model-Net/net-SequentialCell/1-Inception/Concat-op0
    is net.1.
    """
    parts = [each.rpartition("-")[0] for each in scope.split("/")[1:-1]]
    return ".".join(parts[1:] if parts[:1] == ["model"] else parts)


def place_of(path: str) -> str:
    """A cell's path as the user writes it: net.net[1]."""
    parts = path.split(".") if path else []
    return "net" + "".join(f"[{each}]" if each.isdigit() else f".{each}" for each in parts)


def leaves(args: Any) -> Iterator[Any]:
    """The arguments within tuples of arguments, in order."""
    for each in args:
        if isinstance(each, tuple):
            yield from leaves(each)
        else:
            yield each


class Monad:
    """An order of side effects, which is no value."""


def _item(held: Any, index: Any) -> Any:
    if isinstance(held, Value) and held.node is not None:
        return Value(held.node, index)
    return held[index]


def _sizes(attribute: Any) -> Sizes:
    """The shape that MindIR gives a result."""
    if attribute.values:
        return tuple(map(_size, attribute.values))
    return _size(attribute)


def _size(attribute: Any) -> tuple[int, ...]:
    """The shape of one tensor."""
    return tuple(int(size) for tensor in attribute.tensors for size in tensor.dims)


def constant(attribute: Any) -> Any:
    """The value of an attribute: MindIR has a number of a tuple as a list of one."""
    kind = mind_ir_pb2.AttributeProto.AttributeType.Name(attribute.type)
    if kind in ("TUPLE", "LIST"):
        return tuple(constant(each) for each in attribute.values)
    if kind in ("TENSOR", "TENSORS"):
        arrays = [_array(each) for each in attribute.tensors or [attribute.t]]
        return arrays[0] if len(arrays) == 1 else tuple(arrays)
    if kind in ("UMONAD", "IOMONAD"):
        return Monad()
    read = _NUMBERS.get(kind)
    if read is not None:
        return read(attribute)
    if kind == "STRING":
        text: bytes = attribute.strings[0] if attribute.strings else attribute.s
        return text.decode()
    return None


def _integer(attribute: Any) -> int:
    return int(attribute.ints[0] if attribute.ints else attribute.i)


def _single(attribute: Any) -> float:
    return float(attribute.floats[0] if attribute.floats else attribute.f)


def _double(attribute: Any) -> float:
    return float(attribute.doubles[0] if attribute.doubles else attribute.d)


_NUMBERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **{f"{sign}INT{bits}": _integer for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "BOOL": lambda attribute: bool(_integer(attribute)),
    "FLOAT": _single,
    "FLOAT16": _single,
    "DOUBLE": _double,
}


def _array(tensor: Any) -> Any:
    """A constant tensor; None for a type that NumPy has not."""
    kind = mind_ir_pb2.TensorProto.DataType.Name(tensor.data_type)
    found = {"FLOAT": "float32", "DOUBLE": "float64"}.get(kind, kind.lower())
    if not hasattr(np, found) and found != "bool":
        return None
    return np.frombuffer(tensor.raw_data, np.dtype(found)).reshape(tuple(tensor.dims)).copy()


# Errors -------------------------------------------------------------------------------------------

_ADVICE: Final = re.compile(r"\s*You can use os\.environ\[.*")


def explained(error: BaseException) -> str:
    """What an error says, in a line."""
    text = str(error).strip()
    first = _ADVICE.sub("", next(iter(text.splitlines()), "")).rstrip(".")
    return f"{type(error).__name__}: {first}"
