"""The operations of a program, read one after another as neutral ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final

import mindspore as ms
import numpy as np
from mindspore import mint, nn, ops
from mindspore.nn.layer.normalization import _BatchNorm
from mindspore.ops.primitive import _run_op

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.errors import CaptureError, TraceError

from .dropouts import Dropouts
from .functions import Functional
from .mindir import Node, Program, Value, Weight, explained, leaves, path_of, place_of
from .model import name
from .operations.calls import Call, Piece, Tensor, tensors_of
from .operations.elementwise import dropout_of, rate_of
from .operations.layers import shortest
from .operations.parts import SEVERAL
from .operations.table import KNOWN
from .origins import Origins, trained, unused
from .places import Places, is_native

#: The cells that are nothing in evaluation mode, and in training mode a dropout.
DROPOUTS: Final = (nn.Dropout, nn.Dropout2d, mint.nn.Dropout)


def written(model: nn.Cell, path: str) -> str:
    """Where a cell is as the user writes it: net.net[1], or conv[1] beside a function."""
    first, _, rest = path.partition(".")
    if not isinstance(model, Functional) or first not in model.written:
        return place_of(path)
    return model.written[first] + place_of(rest).removeprefix("net")


class Reader:
    """Reads the operations of a program in their order."""

    def __init__(
        self,
        model: nn.Cell,
        shape: tuple[int, ...],
        evaluated: Program,
        training: Program | None,
    ) -> None:
        self._model, self._shape = model, shape
        self._program = evaluated
        self._dropouts = Dropouts(evaluated, training)
        self._cells = dict(model.cells_and_names())
        self._weights = weights(self._cells.values())
        self._places = Places(evaluated, self._cells)
        self._origins, self._trained = Origins(), trained(self._cells.values())
        self._ops: list[Op] = []
        self._made: dict[str, Call] = {}
        #: Constants that were computed from others, by the operation.
        self._constants: dict[Node, Any] = {}
        self._derived: dict[Any, Any] = {}
        self._kept: list[Any] = []  # what `_derived` knows by its identity

    def graph(self) -> Graph:
        """All operations that the outputs need."""
        for node in self._program.nodes:
            self._read(node)
        outputs = [self._resolved(each) for each in self._program.outputs]
        for number, each in enumerate(outputs):
            if not isinstance(each, Tensor):
                raise TraceError(f"{name}: output {number} does not depend on the images")
        last = [
            self._dropped(each, self._dropouts.before(None, number), "net")
            for number, each in enumerate(outputs)
        ]
        names = tuple(each.name for each in last)
        needed = set(names)
        for op in reversed(self._ops):
            if op.name in needed:
                needed.update(op.inputs)
        kept = tuple(op for op in self._ops if op.name in needed)
        for op in kept:
            if not op.inputs:
                raise TraceError(
                    f"{op.place}: '{op.kind.removeprefix('ms.')}' draws random numbers, so the"
                    " model gives something different each time"
                )
        ops = self._origins.separated([self._origins.of(op) for op in kept])
        rest = (written(self._model, path) for path in unused(self._program, self._cells))
        classes = {
            written(self._model, path): type(cell).__name__
            for path, cell in self._cells.items()
            if not is_native(type(cell))
        }
        return Graph(_IMAGES, self._shape, ops, names, tuple(rest), classes)

    # Values

    def _resolved(self, given: Any) -> Any:
        """An argument as a tensor or a constant."""
        match given:
            case Value(None, _):
                return Tensor(_IMAGES, self._shape)
            case Value(Node() as node, item):
                if node in self._constants:
                    found = self._constants[node]
                    return found if item is None else found[item]
                shape: Any = node.shape if item is None else node.shape[item]
                return Tensor(_named(node, item), shape)
            case Weight(weight):
                return self._array(weight)
            case tuple():
                return tuple(map(self._resolved, given))
            case _:
                return given

    def _array(self, weight: str) -> Array:
        """A copy of a parameter, one object for one parameter."""
        if weight not in self._derived:
            found = self._weights.get(weight)
            if found is None:
                raise CaptureError(
                    f"{name}: the parameter '{weight}' belongs to no cell of the model; make it an"
                    " attribute of the cell that uses it"
                )
            self._derived[weight] = found.asnumpy().copy()
            is_weight = weight in self._trained
            self._origins.hold(self._derived[weight], "weight" if is_weight else "constant")
        array: Array = self._derived[weight]
        return array

    def _once(self, operation: Any, function: Callable[..., Any], *given: Any) -> Any:
        """What `function` makes of constants, once: what is shared stays shared."""
        key = (operation, *map(_identity, given))
        if key not in self._derived:
            self._kept.append(given)
            self._derived[key] = function(*given)
        return self._derived[key]

    def _move(self, operation: Any, function: Callable[[Array], Array], given: Array) -> Array:
        """A constant with its elements moved about."""
        found: Array = self._once(operation, function, given)
        if found is not given:
            self._origins.move(found, given, function)
        return found

    def _derive(self, operation: Any, function: Callable[[Array], Array], given: Array) -> Array:
        """A constant with its elements changed, each by itself."""
        found: Array = self._once(operation, function, given)
        self._origins.change(found, given)
        return found

    def _computed(self, node: Node, args: tuple[Any, ...]) -> Any:
        """An operation on constants, computed by MindSpore itself."""

        def compute(*given: Any) -> Any:
            if node.kind in ("TransposeExtView", "SwapAxes"):  # a view, which is no tensor alone
                return np.swapaxes(*given)
            primitive = ops.Primitive(node.kind)
            for each, value in node.attributes.items():
                primitive.add_prim_attr(each, value)
            return _arrays(_run_op(primitive, node.kind, tuple(map(_native, given))))

        operation = (node.kind, repr(sorted(node.attributes.items())))
        try:
            found = self._once(operation, compute, *args)
        except Exception as error:  # MindSpore's kernels raise whatever they like
            raise TraceError(
                f"{self._place(node)}: '{node.kind}' of constants cannot be computed"
                f" ({explained(error)})"
            ) from error
        self._origins.make(found, node.kind, args, compute)
        return found

    # Operations

    def _read(self, node: Node) -> None:
        place = self._place(node)
        if node.kind == "Cast" and node.args[1] in _HALF:
            raise TraceError(
                f"{place}: 'Cast' makes {_HALF[node.args[1]]} of what it is given, with which"
                " nothing can be proved; compute in float32"
            )
        args = () if node.kind in _RANDOM else tuple(map(self._resolved, node.args))
        if node.kind not in _RANDOM and not any(True for _ in tensors_of(args)):
            self._constants[node] = self._computed(node, args)
            return
        positions, around = count(), written(self._model, self._places.around(node))
        args = _mapped(
            args,
            lambda each: self._dropped(each, self._dropouts.before(node, next(positions)), around),
        )
        shapes: Any = enumerate(node.shape) if node.is_several else [(None, node.shape)]
        for item, shape in shapes:
            call = Call(
                node,
                args,
                shape,
                self._made,
                self._move,
                self._derive,
                self._origins.is_written,
                self._origins.may_repeat,
                item,
            )
            self._made[_named(node, item)] = call
            self._emit(call, _named(node, item), item, place)

    def _emit(self, call: Call, name: str, item: int | None, place: str) -> None:
        known = KNOWN.get(call.kind) if not item or call.kind in SEVERAL else None
        found = None if known is None else known(call)
        pieces = [found] if isinstance(found, Piece) else found
        if pieces is None:
            arguments = {"arguments": _shown(call)}
            if item is not None:
                arguments["item"] = str(item)
            pieces = [Piece(f"ms.{call.kind}", dict(arguments))]
        if pieces and pieces[-1].kind in ("dropout", "spatial_dropout"):
            pieces = [self._dropout(call, pieces[-1])]
        if call.kind == "BatchNorm":
            pieces = [self._norm(call, each) for each in pieces]
        inputs = tuple(tensors_of(call.args))
        for number, piece in enumerate(pieces, 1):
            is_last = number == len(pieces)
            named = name if is_last else f"{name}.{number}"
            shape = call.shape if is_last or piece.shape is None else piece.shape
            inputs = (*(inputs if piece.inputs is None else piece.inputs), *piece.also)
            arrays = {role: each for role, each in piece.arrays.items() if each is not None}
            before = tuple(each.name for each in inputs)
            where = place if piece.at is None else self._place(piece.at)
            op = Op(named, piece.kind, before, shape, piece.attributes, arrays, where)
            line = self._program.lines.get((piece.at or call.node).scope)
            trained = self._origins.trained([*leaves(call.args), *arrays.values()])
            self._ops.append(replace(op, called=line, trained=trained))
            inputs = (Tensor(named, shape),)

    def _dropout(self, call: Call, piece: Piece) -> Piece:
        """Whether a dropout is there in evaluation, or only since its cell was asked for it."""
        cell = self._cells.get(path_of(call.node.scope))
        return replace(
            piece, attributes={**piece.attributes, "active": not isinstance(cell, DROPOUTS)}
        )

    def _norm(self, call: Call, piece: Piece) -> Piece:
        """A batch norm with the momentum of its cell, which only says it to the operation that it
        has for training.
        """
        cell = self._cells.get(self._places.path(call.node))
        if piece.kind != "batch_norm" or not isinstance(cell, _BatchNorm):
            return piece
        momentum = shortest(cell.momentum)
        return replace(piece, attributes={**piece.attributes, "momentum": momentum})

    def _dropped(self, given: Any, dropouts: Sequence[Node], place: str) -> Any:
        """A tensor after dropouts that only training has."""
        for node in dropouts:
            if not isinstance(given, Tensor):
                return given
            named = f"{given.name}.{node.name}"
            if all(op.name != named for op in self._ops):
                attributes = {"rate": rate_of(node), "active": False}
                self._ops.append(
                    Op(named, dropout_of(node), (given.name,), given.shape, attributes, {}, place)
                )
            given = Tensor(named, given.shape)
        return given

    def _place(self, node: Node) -> str:
        """Where an operation is in the user's code: `net.net[1].p3_2`."""
        return written(self._model, self._places.path(node))


_IMAGES: Final = "images"
#: Types that are narrower than float32, by their numbers in a graph.
_HALF: Final = {42: "float16", 45: "bfloat16"}
_RANDOM: Final = ("StandardNormal", "UniformReal", "UniformInt", "Generator", "Bernoulli")


def _named(node: Node, item: int | None) -> str:
    return node.name if item is None else f"{node.name}.{item}"


def weights(cells: Iterable[nn.Cell]) -> dict[str, ms.Parameter]:
    """Every parameter by its name, also those that cells hold in lists, which are not their own."""
    found: dict[str, ms.Parameter] = {}
    for cell in cells:
        for each in _parameters(list(vars(cell).values())):
            found.setdefault(each.name, each)
        for each in cell.get_parameters(expand=False):
            found[each.name] = each
    return found


def _parameters(held: Any) -> Iterator[ms.Parameter]:
    match held:
        case ms.Parameter():
            yield held
        case list() | tuple():
            for each in held:
                yield from _parameters(each)
        case dict():
            yield from _parameters(list(held.values()))


def _mapped(args: tuple[Any, ...], function: Callable[[Any], Any]) -> tuple[Any, ...]:
    """`args` with each of its leaves replaced, in order."""
    return tuple(
        _mapped(each, function) if isinstance(each, tuple) else function(each) for each in args
    )


def _identity(given: Any) -> Any:
    if isinstance(given, tuple):
        return tuple(map(_identity, given))
    return ("array", id(given)) if isinstance(given, np.ndarray) else repr(given)


def _native(given: Any) -> Any:
    if isinstance(given, tuple):
        return tuple(map(_native, given))
    return ms.Tensor(given) if isinstance(given, np.ndarray) else given


def _arrays(found: Any) -> Any:
    if isinstance(found, tuple | list):
        return tuple(map(_arrays, found))
    return found.asnumpy() if isinstance(found, ms.Tensor) else found


def _shown(call: Call) -> str:
    """The constants of an operation that nobody knows."""
    numbers = [each for each in call.args if isinstance(each, int | float | str | tuple)]
    plain = [each for each in numbers if not any(True for _ in tensors_of((each,)))]
    named = {key: each for key, each in call.attributes.items() if key not in _INTERNAL}
    return repr((*plain, named))


_INTERNAL: Final = (
    "input_names",
    "output_names",
    "instance_name",
    "primitive_target",
    "primitive_function",
    "is_load",
    "side_effect_mem",
    "side_effect_hidden",
    "side_effect_propagate",
    "random_cache",
    "IsDynamicShape",
    "target_unspecified",
)
