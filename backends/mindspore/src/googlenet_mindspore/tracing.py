"""What a user's MindSpore model computes: the operations of its graph, in neutral terms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Final

import mindspore as ms
import numpy as np
from mindspore import mint, nn, ops
from mindspore.ops.primitive import _run_op

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.errors import CaptureError, TraceError

from .functions import Functional, as_cell
from .mindir import (
    BranchingError,
    Node,
    Program,
    Value,
    Weight,
    Whole,
    captured,
    explained,
    leaves,
    path_of,
    place_of,
)
from .model import name
from .operations.calls import Call, Piece, Tensor, tensors_of
from .operations.elementwise import RATES, dropout_of, rate_of
from .operations.parts import SEVERAL
from .operations.table import KNOWN
from .origins import Origins, trained, unused
from .places import Places, is_native
from .refusals import branching, refused

#: The cells that are nothing in evaluation mode, and in training mode a dropout.
_DROPOUTS: Final = (nn.Dropout, nn.Dropout2d, mint.nn.Dropout)


def trace(model: Any, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model`, a cell or a function of the images, in evaluation mode on `images` (N,
    C, H, W), N at least 2, and its outputs on them, the logits first.

    `model` keeps its weights and its mode. Raises `TraceError` if it cannot be run on the images,
    or if it does not return tensors, and `CaptureError` if graph mode does not understand its code.
    """
    if isinstance(model, nn.Cell):
        return _traced(model, images)
    if not inspect.isroutine(model) and not isinstance(model, partial):
        raise TraceError(
            f"{name}: expected an nn.Cell or a function of the images, got {type(model).__name__}"
        )
    with as_cell(model) as cell:
        return _traced(cell, images)


def _traced(model: nn.Cell, images: Array) -> tuple[Graph, list[Array]]:
    x = _like(model, images)
    with _untouched(model):
        model.set_train(False)
        outputs = _run(model, x, images.shape)
        _show_dropout(model)
        evaluated = _captured(model, x)
        training = None
        if _asks_for_mode(model):
            model.set_train(True)
            training = _captured_or_none(model, x)
    return _Reader(model, images.shape, evaluated, training).graph(), outputs


def _run(model: nn.Cell, x: ms.Tensor, shape: tuple[int, ...]) -> list[Array]:
    """The outputs of `model`, in the user's own mode of execution."""
    try:
        outputs = _tensors(Whole(model)(x))
        return [each.asnumpy().astype(np.float64) for each in outputs]
    except TraceError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise TraceError(
            f"{name}: the model cannot be run on images of shape {shape} ({explained(error)})"
        ) from error


def _captured(model: nn.Cell, x: ms.Tensor) -> Program:
    try:
        return captured(model, x)
    except BranchingError as error:
        cells = dict(model.cells_and_names())
        line = branching([cells[error.path]] if error.path in cells else []) or branching(
            cells.values()
        )
        raise CaptureError(
            f"{name}: the model runs, but its path depends on the values of the images, so no"
            " single graph says what it computes; write it without the if or the loop, for example"
            f" with ops.where: {line or 'in ' + _written(model, error.path)}"
        ) from error
    except Exception as error:  # graph mode has no error of its own
        unlisted = _unlisted(model)
        if unlisted:
            raise CaptureError(
                f"{unlisted}: MindSpore does not count cells in a plain list, or their weights, as"
                " part of the model; make the list an nn.CellList"
            ) from error
        line = refused(model, error)
        raise CaptureError(
            f"{name}: the model runs, but graph mode, which tells what it computes, does not"
            f" understand its code ({explained(error)}){': ' if line else ''}{line}"
        ) from error


def _unlisted(model: nn.Cell) -> str:
    """Where cells are held in a list that is none of MindSpore's; nothing if there is none."""
    for path, cell in model.cells_and_names():
        counted = {id(each) for each in cell.cells()}  # as nn.SequentialCell does, which has a list
        for attribute, held in vars(cell).items():
            if isinstance(held, list | tuple) and any(
                isinstance(each, nn.Cell) and id(each) not in counted for each in held
            ):
                return f"{_written(model, path)}.{attribute}"
    return ""


def _written(model: nn.Cell, path: str) -> str:
    """Where a cell is as the user writes it: net.net[1], or conv[1] beside a function."""
    first, _, rest = path.partition(".")
    if not isinstance(model, Functional) or first not in model.written:
        return place_of(path)
    return model.written[first] + place_of(rest).removeprefix("net")


def _captured_or_none(model: nn.Cell, x: ms.Tensor) -> Program | None:
    """Training mode only tells of dropout; where it cannot be captured, evaluation still can."""
    try:
        return captured(model, x)
    except Exception:
        return None


def _like(model: nn.Cell, images: Array) -> ms.Tensor:
    """`images` in the type of the model's weights."""
    for weight in model.get_parameters():
        return ms.Tensor(images, weight.dtype)
    return ms.Tensor(images)


def _tensors(outputs: Any) -> list[ms.Tensor]:
    found = [outputs] if isinstance(outputs, ms.Tensor) else outputs
    if not isinstance(found, tuple | list) or not all(isinstance(t, ms.Tensor) for t in found):
        raise TraceError(
            f"{name}: expected a model that returns a tensor, or a tuple of tensors with the logits"
            f" first, got {type(outputs).__name__}"
        )
    return list(found)


# Modes --------------------------------------------------------------------------------------------


@contextmanager
def _untouched(model: nn.Cell) -> Iterator[None]:
    """Every cell is afterwards as it was: its mode, and what MindSpore notes in it when it compiles
    it. Meanwhile none has a scope from an earlier compilation.
    """
    cells = [cell for _, cell in model.cells_and_names()]
    before = [(cell, dict(vars(cell)), dict(vars(cell).get(_FLAGS, {}))) for cell in cells]
    try:
        for cell in cells:
            vars(cell)[_SCOPE] = None
        yield
    finally:
        for cell, attributes, flags in before:
            vars(cell).clear()
            vars(cell).update(attributes)
            if _FLAGS in attributes:
                attributes[_FLAGS].clear()
                attributes[_FLAGS].update(flags)


#: What a cell says to the compiler, its mode for one; and the path by which it was reached.
_FLAGS: Final = "_func_graph_flags"
_SCOPE: Final = "_scope"


def _show_dropout(model: nn.Cell) -> None:
    """Sets the cells that are nothing but a dropout to training mode: they stay in the graph."""
    for _, cell in model.cells_and_names():
        if isinstance(cell, _DROPOUTS):
            cell.set_train(True)


def _asks_for_mode(model: nn.Cell) -> bool:
    """Whether the code of a user's cell reads its mode, as for `ops.dropout`."""
    kinds = {kind for _, cell in model.cells_and_names() for kind in type(cell).__mro__}
    own = [kind for kind in kinds if issubclass(kind, nn.Cell) and not is_native(kind)]
    return any(".training" in _source(kind) for kind in own)


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ".training"  # nobody knows


# Reading ------------------------------------------------------------------------------------------


class _Reader:
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
        self._dropouts = _Dropouts(evaluated, training)
        self._cells = dict(model.cells_and_names())
        self._weights = _weights(self._cells.values())
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
        rest = (_written(self._model, path) for path in unused(self._program, self._cells))
        return Graph(_IMAGES, self._shape, ops, names, tuple(rest))

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
        args = () if node.kind in _RANDOM else tuple(map(self._resolved, node.args))
        if node.kind not in _RANDOM and not any(True for _ in tensors_of(args)):
            self._constants[node] = self._computed(node, args)
            return
        positions, around = count(), _written(self._model, self._places.around(node))
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
        inputs = tuple(tensors_of(call.args))
        for number, piece in enumerate(pieces, 1):
            is_last = number == len(pieces)
            named = name if is_last else f"{name}.{number}"
            shape = call.shape if is_last or piece.shape is None else piece.shape
            inputs = (*(inputs if piece.inputs is None else piece.inputs), *piece.also)
            arrays = {role: each for role, each in piece.arrays.items() if each is not None}
            before = tuple(each.name for each in inputs)
            where = place if piece.at is None else self._place(piece.at)
            self._ops.append(Op(named, piece.kind, before, shape, piece.attributes, arrays, where))
            inputs = (Tensor(named, shape),)

    def _dropout(self, call: Call, piece: Piece) -> Piece:
        """Whether a dropout is there in evaluation, or only since its cell was asked for it."""
        cell = self._cells.get(path_of(call.node.scope))
        return replace(
            piece, attributes={**piece.attributes, "active": not isinstance(cell, _DROPOUTS)}
        )

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
        return _written(self._model, self._places.path(node))


_IMAGES: Final = "images"
_RANDOM: Final = ("StandardNormal", "UniformReal", "UniformInt", "Generator", "Bernoulli")


def _named(node: Node, item: int | None) -> str:
    return node.name if item is None else f"{node.name}.{item}"


def _weights(cells: Iterable[nn.Cell]) -> dict[str, ms.Parameter]:
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


# Dropout ------------------------------------------------------------------------------------------


class _Dropouts:
    """The dropouts that a model has in training mode only, by what takes their results.

    An operation of the two programs is the same if it is of the same kind, on the same weights and
    values; a dropout is nothing here, and numbers do not count, as a cell may scale otherwise in
    training.
    """

    def __init__(self, evaluated: Program, trained: Program | None) -> None:
        self._keys = _Keys()
        self._found: dict[Any, list[list[Node]]] = {}
        self._evaluated = evaluated
        if trained is not None:
            for node in trained.nodes:
                if node.kind not in RATES:
                    self._add(self._keys.of(node), node.args)
            self._add(None, trained.outputs)

    def _add(self, key: Any, args: tuple[Any, ...]) -> None:
        chains = [_behind(each) for each in leaves(args)]
        if any(chains):
            self._found.setdefault(key, chains)

    def before(self, node: Node | None, position: int) -> list[Node]:
        """The dropouts of training between the argument at `position` of `node` (or an output) and
        what it takes in evaluation.
        """
        chains = self._found.get(None if node is None else self._keys.of(node), [])
        given = self._evaluated.outputs if node is None else node.args
        found = list(leaves(given))
        if len(chains) != len(found) or position >= len(chains):
            return []
        shown = [(each.kind, rate_of(each), each.scope) for each in _behind(found[position])]
        return [
            each
            for each in reversed(chains[position])
            if (each.kind, rate_of(each), each.scope) not in shown
        ]


class _Keys:
    """What an operation does, in a form that can be compared between programs."""

    def __init__(self) -> None:
        self._known: dict[Node, int] = {}
        self._numbers: dict[Any, int] = {}

    def of(self, node: Node) -> int:
        """A number for each way to compute something."""
        if node not in self._known:
            key = (node.kind, tuple(self._part(each) for each in leaves(node.args)))
            self._known[node] = self._numbers.setdefault(key, len(self._numbers))
        return self._known[node]

    def _part(self, given: Any) -> Any:
        given = _before_dropout(given)
        match given:
            case Value(None, _):
                return "images"
            case Value(Node() as node, item):
                return (self.of(node), item)
            case Weight(weight):
                return weight
            case _:
                return "a constant"


def _is_dropout(given: Any) -> bool:
    return isinstance(given, Value) and given.node is not None and given.node.kind in RATES


def _before_dropout(given: Any) -> Any:
    while _is_dropout(given):
        given = given.node.args[0]
    return given


def _behind(given: Any) -> list[Node]:
    """The dropouts that gave a value, the last one first."""
    found: list[Node] = []
    while _is_dropout(given):
        found.append(given.node)
        given = given.node.args[0]
    return found
