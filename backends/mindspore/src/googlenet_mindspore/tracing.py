"""What a user's MindSpore model computes: the operations of its graph, in neutral terms."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, TypeAlias

import mindspore as ms
import numpy as np
from mindspore import mint, nn, ops
from mindspore.ops.primitive import _run_op

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.errors import TraceError

from .mindir import Node, Program, Value, Weight, Whole, captured, explained, path_of, place_of
from .model import name

Pads: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"

#: The cells that are nothing in evaluation mode, and in training mode a dropout.
_DROPOUTS: Final = (nn.Dropout, mint.nn.Dropout)


def trace(model: nn.Cell, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model` in evaluation mode on `images` (N, C, H, W), N at least 2, and its
    outputs on them, the logits first.

    `model` keeps its weights and its mode. Raises `TraceError` if it cannot be run on the images,
    if graph mode does not understand its code, or if it does not return tensors.
    """
    if not isinstance(model, nn.Cell):
        raise TraceError(f"{name}: expected an nn.Cell, got {type(model).__name__}")
    x = _like(model, images)
    with _untouched(model):
        model.set_train(False)
        outputs = _run(model, x, images.shape)
        _show_dropout(model)
        evaluated = _captured(model, x)
        trained = None
        if _asks_for_mode(model):
            model.set_train(True)
            trained = _captured_or_none(model, x)
    return _Reader(model, images.shape, evaluated, trained).graph(), outputs


def _run(model: nn.Cell, x: ms.Tensor, shape: tuple[int, ...]) -> list[Array]:
    """The outputs of `model`, in the user's own mode of execution."""
    try:
        outputs = _tensors(Whole(model)(x))
        return [each.asnumpy().astype(np.float64) for each in outputs]
    except TraceError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise TraceError(
            f"{name}: the model cannot be run on images {shape} ({explained(error)})"
        ) from error


def _captured(model: nn.Cell, x: ms.Tensor) -> Program:
    try:
        return captured(model, x)
    except TraceError:
        raise
    except Exception as error:  # graph mode has no error of its own
        raise TraceError(
            f"{name}: graph mode, which tells what a model computes, does not understand its code"
            f" ({explained(error)})"
        ) from error


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
    own = [kind for kind in kinds if issubclass(kind, nn.Cell) and not _is_native(kind)]
    return any(".training" in _source(kind) for kind in own)


def _is_native(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "mindspore"


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ".training"  # nobody knows


# Reading ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Tensor:
    """A value that depends on the images: its name in the graph, and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Call:
    """An operation with its arguments, each a `_Tensor`, an array or another constant, or a tuple
    of these. `made` has the calls that gave tensors so far, by the tensor's name.
    """

    node: Node
    args: tuple[Any, ...]
    shape: tuple[int, ...]
    made: Mapping[str, _Call]
    derive: Callable[..., Array]

    @property
    def kind(self) -> str:
        return self.node.kind

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self.node.attributes

    def arg(self, place: int) -> Any:
        """One of the arguments, None if it is not given."""
        return self.args[place] if place < len(self.args) else None

    def before(self, arg: Any) -> _Call | None:
        """The call that gave `arg`, if one did."""
        return self.made.get(arg.name) if isinstance(arg, _Tensor) else None


@dataclass(frozen=True, eq=False)
class _Piece:
    """A neutral operation that, alone or after others, is one of MindSpore's; its input is the
    piece before it, the first one's the tensors that the call takes, unless `inputs` says others;
    `also` are further ones.
    """

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    inputs: tuple[_Tensor, ...] | None = None
    shape: tuple[int, ...] | None = None
    also: tuple[_Tensor, ...] = ()


#: What an operation is in neutral terms; None if it is none of them.
Translated: TypeAlias = "list[_Piece] | _Piece | None"


class _Reader:
    """Reads the operations of a program in their order."""

    def __init__(
        self,
        model: nn.Cell,
        shape: tuple[int, ...],
        evaluated: Program,
        trained: Program | None,
    ) -> None:
        self._shape = shape
        self._program = evaluated
        self._dropouts = _Dropouts(evaluated, trained)
        self._cells = dict(model.cells_and_names())
        self._weights = _weights(self._cells.values())
        self._ops: list[Op] = []
        self._made: dict[str, _Call] = {}
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
            if not isinstance(each, _Tensor):
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
                    f"{op.place}: '{op.kind.removeprefix('ms.')}' draws at random, so the model"
                    " gives something other each time"
                )
        return Graph(_IMAGES, self._shape, kept, names)

    # Values

    def _resolved(self, given: Any) -> Any:
        """An argument as a tensor or a constant."""
        match given:
            case Value(None, _):
                return _Tensor(_IMAGES, self._shape)
            case Value(node, item):
                if node in self._constants:
                    found = self._constants[node]
                    return found if item is None else found[item]
                shape: Any = node.shape if item is None else node.shape[item]
                return _Tensor(_named(node, item), shape)
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
                raise TraceError(
                    f"{name}: the parameter '{weight}' belongs to no cell of the model; make it an"
                    " attribute of the cell that uses it"
                )
            self._derived[weight] = found.asnumpy().copy()
        array: Array = self._derived[weight]
        return array

    def _derive(self, operation: Any, function: Callable[..., Any], *given: Any) -> Any:
        """What `function` makes of constants, once: what is shared stays shared."""
        key = (operation, *map(_identity, given))
        if key not in self._derived:
            self._kept.append(given)
            self._derived[key] = function(*given)
        return self._derived[key]

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
            return self._derive(operation, compute, *args)
        except Exception as error:
            raise TraceError(
                f"{self._place(node)}: '{node.kind}' of constants cannot be computed"
                f" ({explained(error)})"
            ) from error

    # Operations

    def _read(self, node: Node) -> None:
        place = self._place(node)
        args = () if node.kind in _RANDOM else tuple(map(self._resolved, node.args))
        if node.kind not in _RANDOM and not any(True for _ in _tensors_of(args)):
            self._constants[node] = self._computed(node, args)
            return
        positions = count()
        args = _mapped(
            args,
            lambda each: self._dropped(each, self._dropouts.before(node, next(positions)), place),
        )
        shapes: Any = enumerate(node.shape) if node.is_several else [(None, node.shape)]
        for item, shape in shapes:
            call = _Call(node, args, shape, self._made, self._derive)
            self._made[_named(node, item)] = call
            self._emit(call, _named(node, item), item, place)

    def _emit(self, call: _Call, name: str, item: int | None, place: str) -> None:
        known = _KNOWN.get(call.kind) if not item else None
        found = None if known is None else known(call)
        pieces = [found] if isinstance(found, _Piece) else found
        if pieces is None:
            arguments = {"arguments": _shown(call)}
            if item is not None:
                arguments["item"] = str(item)
            pieces = [_Piece(f"ms.{call.kind}", dict(arguments))]
        if pieces and pieces[-1].kind == "dropout":
            pieces = [self._dropout(call, pieces[-1])]
        inputs = tuple(_tensors_of(call.args))
        for number, piece in enumerate(pieces, 1):
            is_last = number == len(pieces)
            named = name if is_last else f"{name}.{number}"
            shape = call.shape if is_last or piece.shape is None else piece.shape
            inputs = (*(inputs if piece.inputs is None else piece.inputs), *piece.also)
            arrays = {role: each for role, each in piece.arrays.items() if each is not None}
            before = tuple(each.name for each in inputs)
            self._ops.append(Op(named, piece.kind, before, shape, piece.attributes, arrays, place))
            inputs = (_Tensor(named, shape),)

    def _dropout(self, call: _Call, piece: _Piece) -> _Piece:
        """Whether a dropout is there in evaluation, or only since its cell was asked for it."""
        cell = self._cells.get(path_of(call.node.scope))
        return replace(
            piece, attributes={**piece.attributes, "active": not isinstance(cell, _DROPOUTS)}
        )

    def _dropped(self, given: Any, dropouts: Sequence[Node], place: str) -> Any:
        """A tensor after dropouts that only training has."""
        for node in dropouts:
            if not isinstance(given, _Tensor):
                return given
            named = f"{given.name}.{node.name}"
            if all(op.name != named for op in self._ops):
                attributes = {"rate": _rate(node), "active": False}
                where = self._place(node)
                self._ops.append(
                    Op(named, "dropout", (given.name,), given.shape, attributes, {}, where)
                )
            given = _Tensor(named, given.shape)
        return given

    def _place(self, node: Node) -> str:
        """Where an operation is in the user's code: `net.net[1].p3_2`."""
        return place_of(path_of(node.scope))


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


def _tensors_of(args: Any) -> Iterator[_Tensor]:
    """The tensors among arguments, in order."""
    for each in args:
        if isinstance(each, tuple):
            yield from _tensors_of(each)
        elif isinstance(each, _Tensor):
            yield each


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


def _shown(call: _Call) -> str:
    """The constants of an operation that nobody knows."""
    numbers = [each for each in call.args if isinstance(each, int | float | str | tuple)]
    plain = [each for each in numbers if not any(True for _ in _tensors_of((each,)))]
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
                if node.kind not in _RATES:
                    self._add(self._keys.of(node), node.args)
            self._add(None, trained.outputs)

    def _add(self, key: Any, args: tuple[Any, ...]) -> None:
        chains = [_behind(each) for each in _leaves(args)]
        if any(chains):
            self._found.setdefault(key, chains)

    def before(self, node: Node | None, position: int) -> list[Node]:
        """The dropouts of training between the argument at `position` of `node` (or an output) and
        what it takes in evaluation.
        """
        chains = self._found.get(None if node is None else self._keys.of(node), [])
        given = self._evaluated.outputs if node is None else node.args
        leaves = list(_leaves(given))
        if len(chains) != len(leaves) or position >= len(chains):
            return []
        shown = [(each.kind, _rate(each), each.scope) for each in _behind(leaves[position])]
        return [
            each
            for each in reversed(chains[position])
            if (each.kind, _rate(each), each.scope) not in shown
        ]


class _Keys:
    """What an operation does, in a form that can be compared between programs."""

    def __init__(self) -> None:
        self._known: dict[Node, int] = {}
        self._numbers: dict[Any, int] = {}

    def of(self, node: Node) -> int:
        """A number for each way to compute something."""
        if node not in self._known:
            key = (node.kind, tuple(self._part(each) for each in _leaves(node.args)))
            self._known[node] = self._numbers.setdefault(key, len(self._numbers))
        return self._known[node]

    def _part(self, given: Any) -> Any:
        given = _before_dropout(given)
        match given:
            case Value(None, _):
                return "images"
            case Value(node, item):
                return (self.of(node), item)
            case Weight(weight):
                return weight
            case _:
                return "a constant"


def _leaves(args: Any) -> Iterator[Any]:
    for each in args:
        if isinstance(each, tuple):
            yield from _leaves(each)
        else:
            yield each


def _is_dropout(given: Any) -> bool:
    return isinstance(given, Value) and given.node is not None and given.node.kind in _RATES


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


def _kept(node: Node) -> float:
    keep = node.attributes.get("keep_prob", node.args[1] if len(node.args) > 1 else 1.0)
    return 1 - _number(keep)


#: The operations that drop out elements, and their rates.
_RATES: Final[Mapping[str, Callable[[Node], float]]] = {
    "Dropout": _kept,
    "DropoutExt": lambda node: _number(node.args[1]),
    "FuncDropoutExt": lambda node: _number(node.args[1]),
}


def _rate(node: Node) -> float:
    return _number(_RATES[node.kind](node))


# Translation --------------------------------------------------------------------------------------


def _number(value: Any) -> float:
    """The shortest decimal that is the same float32."""
    return float(str(np.float32(value)))


def _scalar(value: Any) -> float | None:
    """A number, or a tensor of one; None for anything else."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.reshape(()))
    return None


def _pair(value: Any) -> tuple[int, int]:
    pair = [value] if isinstance(value, int) else list(value)
    return (int(pair[0]), int(pair[-1]))


def _symmetric(value: Any) -> Pads:
    height, width = _pair(value)
    return ((height, height), (width, width))


def _explicit(
    mode: str, sides: Sequence[int], size: Sequence[int], kernel: Any, stride: Any, dilation: Any
) -> Pads:
    """The padding of a window: `sides` are (top, bottom, left, right), for modes that state it."""
    if mode.lower() == "valid":
        return ((0, 0), (0, 0))
    if mode.lower() != "same":
        top, bottom, left, right = map(int, sides)
        return ((top, bottom), (left, right))
    found = []
    for axis in range(2):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        windows = -(-size[axis] // stride[axis])
        total = max((windows - 1) * stride[axis] + reach - size[axis], 0)
        found.append((total // 2, total - total // 2))
    return (found[0], found[1])


def _is_map(given: Any) -> bool:
    return isinstance(given, _Tensor) and len(given.shape) == 4


def _is_array(given: Any, *axes: int) -> bool:
    return isinstance(given, np.ndarray) and given.ndim in axes


# Convolutions and dense layers


def _conv2d(call: _Call) -> Translated:
    x, weight = call.args[:2]
    found = call.attributes
    if not _is_map(x) or not _is_array(weight, 4) or found.get("format", "NCHW") != "NCHW":
        return None
    stride, dilation = _pair(found["stride"][2:]), _pair(found["dilation"][2:])
    sides = found["pad"] if len(found["pad"]) == 4 else found["pad_list"]
    padding = _explicit(found["pad_mode"], sides, x.shape[2:], weight.shape[2:], stride, dilation)
    return _conv(weight, None, stride, padding, dilation, found["group"])


def _conv(
    weight: Array, bias: Any, stride: Any, padding: Pads, dilation: Any, groups: int
) -> _Piece:
    attributes = {
        "stride": _pair(stride),
        "padding": padding,
        "dilation": _pair(dilation),
        "groups": int(groups),
    }
    return _Piece("conv", attributes, {"weight": weight, "bias": bias})


def _conv2d_ext(call: _Call) -> Translated:
    x, weight, bias, stride, padding, dilation, groups = call.args
    if not _is_map(x) or not _is_array(weight, 4) or isinstance(bias, _Tensor):
        return None
    if isinstance(padding, str):
        padding = _explicit(
            padding, (), x.shape[2:], weight.shape[2:], _pair(stride), _pair(dilation)
        )
    else:
        padding = _symmetric(padding)
    return _conv(weight, bias, stride, padding, dilation, groups)


def _convolution(call: _Call) -> Translated:
    *given, transposed, _, groups = call.args
    if transposed:
        return None
    return _conv2d_ext(replace(call, args=(*given, groups)))


def _bias_add(call: _Call) -> Translated:
    x, bias = call.args[:2]
    if not _is_array(bias, 1) or not isinstance(x, _Tensor) or call.arg(2) not in (0, None):
        return None
    shape = (1, len(bias), *[1] * (len(x.shape) - 2))
    other = call.derive(("reshape", shape), lambda each: each.reshape(shape), bias)
    return _Piece("affine", {"product": False}, {"other": other})


def _transposed(call: _Call, array: Array) -> Array:
    return call.derive("transposed", lambda each: np.ascontiguousarray(each.T), array)


def _mat_mul(call: _Call) -> Translated:
    """A matrix product with a constant matrix behind."""
    x, weight = call.args[:2]
    if not isinstance(x, _Tensor) or not _is_array(weight, 2) or call.arg(2):
        return None
    if not call.arg(3):
        weight = _transposed(call, weight)
    return _Piece("dense", {}, {"weight": weight})


def _dense(call: _Call) -> Translated:
    x, weight, bias = call.args[:3]
    if not isinstance(x, _Tensor) or not _is_array(weight, 2) or isinstance(bias, _Tensor):
        return None
    return _Piece("dense", {}, {"weight": weight, "bias": bias})


def _addmm(call: _Call) -> Translated:
    bias, x, weight, beta, alpha = call.args[:5]
    if not _is_array(bias, 1) or (_scalar(beta), _scalar(alpha)) != (1, 1):
        return None
    found = _mat_mul(replace(call, args=(x, weight)))
    return (
        replace(found, arrays={**found.arrays, "bias": bias}) if isinstance(found, _Piece) else None
    )


# Normalisation


def _batch_norm(train: int, eps: int) -> Callable[[_Call], Translated]:
    """Batch norm whose flag and epsilon are the arguments at these places."""

    def translated(call: _Call) -> Translated:
        arrays = dict(
            zip(("weight", "bias", "running_mean", "running_var"), call.args[1:5], strict=True)
        )
        if not isinstance(call.args[0], _Tensor) or any(_tensors_of(tuple(arrays.values()))):
            return None
        attributes = {"eps": _number(call.args[eps]), "train": bool(call.args[train])}
        return _Piece("batch_norm", attributes, arrays)

    return translated


def _local_response_norm(call: _Call) -> Translated:
    found = call.attributes
    if found.get("norm_region", "ACROSS_CHANNELS") != "ACROSS_CHANNELS":
        return None
    size = 2 * int(found["depth_radius"]) + 1
    attributes = {
        "size": size,
        "alpha": _number(found["alpha"]) * size,  # MindSpore's counts for each channel of the sum
        "beta": _number(found["beta"]),
        "k": _number(found["bias"]),
    }
    return _Piece("local_response_norm", attributes)


# Pools


def _count(size: int, kernel: int, stride: int, pads: tuple[int, int], ceil_mode: bool) -> int:
    """How many windows an axis has: one that would begin in the padding behind is left out."""
    room = size + sum(pads) - kernel
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - (ceil_mode and (count - 1) * stride >= size + pads[0])


def _rounding(
    size: Sequence[int], out: Sequence[int], reach: Sequence[int], stride: Any, padding: Pads
) -> bool | None:
    """Whether windows round up, told from how many there are; None if neither fits."""
    for ceil_mode in (False, True):
        counts = [
            _count(size[axis], reach[axis], stride[axis], padding[axis], ceil_mode)
            for axis in range(2)
        ]
        if counts == list(out):
            return ceil_mode
    return None


def _max_pool(
    call: _Call, kernel: Any, stride: Any, padding: Pads, dilation: Any = (1, 1)
) -> Translated:
    """A max pool on a map, or on one with an axis of one in its middle."""
    kernel, stride, dilation = _pair(kernel), _pair(stride), _pair(dilation)
    size, out = call.args[0].shape[-2:], call.shape[-2:]
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in range(2)]
    ceil_mode = _rounding(size, out, reach, stride, padding)
    if ceil_mode is None:  # −∞ around costs nothing
        ceil_mode, sides = False, []
        for axis in range(2):
            end = (out[axis] - 1) * stride[axis] + reach[axis] - size[axis] - padding[axis][0]
            sides.append((padding[axis][0], max(end, 0)))
        padding = (sides[0], sides[1])
    attributes = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "dilation": dilation,
    }
    return _flat(call, _Piece("max_pool", attributes))


def _avg_pool(
    call: _Call, kernel: Any, stride: Any, padding: Pads, included: bool, divisor: Any = None
) -> Translated:
    kernel, stride = _pair(kernel), _pair(stride)
    x, uncut = call.args[0], _uncut(call, call.args[0])
    for given in (uncut, x):
        if given is None:
            continue
        ceil_mode = _rounding(given.shape[-2:], call.shape[-2:], kernel, stride, padding)
        if ceil_mode is None or (
            given is uncut and (ceil_mode or not _ends(call, x, kernel, stride, padding))
        ):
            continue
        attributes = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "ceil_mode": ceil_mode,
        }
        if divisor in (None, 0):
            piece = _Piece("avg_pool", {**attributes, "count_include_pad": included})
        elif divisor == 1:
            piece = _Piece("sum_pool", attributes)
        else:
            return None
        return _flat(call, replace(piece, inputs=(given,)))
    return None


def _ends(call: _Call, x: _Tensor, kernel: Any, stride: Any, padding: Pads) -> bool:
    """Whether the last windows end where `x` does, so that what was cut off before does not
    matter.
    """
    return all(
        (call.shape[-2 + axis] - 1) * stride[axis] + kernel[axis] - padding[axis][0]
        <= x.shape[-2 + axis]
        for axis in range(2)
    )


def _uncut(call: _Call, x: _Tensor) -> _Tensor | None:
    """The map from which rows below and columns to the right were cut off to give `x`."""
    before = call.before(x)
    if before is not None and before.kind in _RESHAPES and _is_map(before.args[0]):
        x = before.args[0]
        before = call.before(x)
    if before is None or before.kind != "StridedSlice" or not _is_map(before.args[0]):
        return None
    begin, _, strides = before.args[1:4]
    if any(begin) or any(each != 1 for each in strides) or len(before.shape) != 4:
        return None
    uncut: _Tensor = before.args[0]
    return uncut if uncut.shape[:2] == before.shape[:2] else None


def _flat(call: _Call, piece: _Piece) -> Translated:
    """A pool of maps that have an axis of one in their middle, as a pool without that axis."""
    x = call.args[0] if piece.inputs is None else piece.inputs[0]
    if len(call.shape) == 4:
        return piece
    if len(call.shape) != 5 or call.shape[2] != 1:
        return None
    out = (*call.shape[:2], *call.shape[3:])
    pieces = [replace(piece, shape=out, inputs=None), _reshape(call.shape)]
    if len(x.shape) == 4:
        return [replace(pieces[0], inputs=(x,)), pieces[1]]
    flat = (*x.shape[:2], *x.shape[3:])
    return [replace(_reshape(flat), inputs=(x,)), *pieces]


def _reshape(shape: tuple[int, ...]) -> _Piece:
    return _Piece("reshape", {"shape": shape[1:]}, shape=shape)


def _max_pool_2d(call: _Call) -> Translated:
    found = call.attributes
    if not _is_map(call.args[0]) or found.get("format", "NCHW") != "NCHW":
        return None
    kernel, stride = found["kernel_size"][2:], found["strides"][2:]
    padding = _explicit(found["pad_mode"], (), call.args[0].shape[2:], kernel, stride, (1, 1))
    return _max_pool(call, kernel, stride, padding)


def _max_pool_v2(call: _Call) -> Translated:
    found = call.attributes
    if not _is_map(call.args[0]):
        return None
    kernel, stride, pads, dilation = (
        _pair(found[each][-2:]) for each in ("kernel_size", "strides", "pads", "dilation")
    )
    return _max_pool(call, kernel, stride, _symmetric(pads), dilation)


def _max_pool_with_mask(call: _Call) -> Translated:
    if not _is_map(call.args[0]):
        return None
    kernel, stride, padding, dilation = call.args[1:5]
    return _max_pool(call, kernel, stride or kernel, _symmetric(padding), dilation)


def _max_pool_3d(call: _Call) -> Translated:
    found = call.attributes
    kernel, stride = found["kernel_size"][-3:], found["strides"][-3:]
    sides = _sides_3d(call, kernel, stride)
    return None if sides is None else _max_pool(call, kernel[1:], stride[1:], sides)


def _max_pool_3d_argmax(call: _Call) -> Translated:
    found = call.attributes
    kernel, stride, pads, dilation = (
        found[each] for each in ("ksize", "strides", "pads", "dilation")
    )
    if not _is_flat(call, kernel, pads[0]):
        return None
    return _max_pool(call, kernel[1:], stride[1:], _symmetric(pads[1:]), dilation[1:])


def _avg_pool_3d(call: _Call) -> Translated:
    found = call.attributes
    kernel, stride = found["kernel_size"][-3:], found["strides"][-3:]
    sides = _sides_3d(call, kernel, stride)
    if sides is None:
        return None
    included = bool(found["count_include_pad"])
    return _avg_pool(call, kernel[1:], stride[1:], sides, included, found["divisor_override"])


def _is_flat(call: _Call, kernel: Sequence[int], front: int) -> bool:
    """Whether a pool of volumes (N, C, 1, H, W) is one of maps: it does nothing along the 1."""
    x = call.args[0]
    return isinstance(x, _Tensor) and x.shape[2:3] == (1,) and kernel[0] == 1 and front == 0


def _sides_3d(call: _Call, kernel: Sequence[int], stride: Sequence[int]) -> Pads | None:
    found = call.attributes
    sides = found["pad_list"]
    if not _is_flat(call, kernel, sides[0]):
        return None
    mode, size = found["pad_mode"], call.args[0].shape[3:]
    return _explicit(mode, sides[2:], size, kernel[1:], stride[1:], (1, 1))


def _avg_pool_2d(call: _Call) -> Translated:
    """`ops.AvgPool`: what is around a map never counts."""
    x, kernel, stride, mode = call.args[:4]
    if not _is_map(x) or call.arg(4) not in (0, None) or mode not in _PAD_MODES:
        return None
    kernel, stride = kernel[-2:], stride[-2:]
    padding = _explicit(_PAD_MODES[mode], (), x.shape[2:], kernel, stride, (1, 1))
    return _avg_pool(call, kernel, stride, padding, padding == _NO_PADDING)


_NO_PADDING: Final = ((0, 0), (0, 0))
_PAD_MODES: Final = {1: "same", 2: "valid"}


def _avg_pool_ext(call: _Call) -> Translated:
    x, kernel, stride, padding, _, included, divisor = call.args
    if not _is_map(x):
        return None
    return _avg_pool(call, kernel, stride or kernel, _symmetric(padding), bool(included), divisor)


def _adaptive_avg_pool(call: _Call) -> Translated:
    if not _is_map(call.args[0]):
        return None
    return _Piece("adaptive_avg_pool", {"output_size": _pair(call.shape[2:])})


def _mean(call: _Call) -> Translated:
    x, axes, keepdims = call.args[:3]
    if not isinstance(x, _Tensor):
        return None
    axes = (axes,) if isinstance(axes, int) else axes or tuple(range(len(x.shape)))
    axes, keepdims = tuple(axis % len(x.shape) for axis in axes), bool(keepdims)
    before = call.before(x)
    if before is not None and before.kind in ("ReduceMean", "MeanExt"):  # one axis after another
        inner = _mean(before)
        if isinstance(inner, _Piece) and inner.attributes["keepdims"] is keepdims:
            first: tuple[int, ...] = inner.attributes["axes"]
            given = before.args[0] if inner.inputs is None else inner.inputs[0]
            left = [axis for axis in range(len(given.shape)) if keepdims or axis not in first]
            every = sorted({*first, *(left[axis] for axis in axes)})
            return _Piece("mean", {"axes": tuple(every), "keepdims": keepdims}, inputs=(given,))
    return _Piece("mean", {"axes": axes, "keepdims": keepdims})


# Shapes


def _flatten(call: _Call) -> Translated:
    if call.args[1:] in ((), (1, -1)):
        return _Piece("flatten", {"start": 1})
    return _reshape(call.shape)


def _reshaped(call: _Call) -> Translated:
    """A reshape; the last of those that `nn.Dense` puts around a matrix product is that product."""
    before = call.before(call.args[0])
    bias = None
    if before is not None and before.kind == "BiasAdd":
        bias, before = before.args[1], before.before(before.args[0])
    first = None if before is None else before.before(before.args[0])
    if before is not None and first is not None and first.kind == "Reshape":
        x, made = first.args[0], _mat_mul(before) if before.kind == "MatMul" else None
        rows = isinstance(x, _Tensor) and x.shape[-1:] == first.shape[1:]
        if (
            rows
            and isinstance(made, _Piece)
            and call.shape[:-1] == x.shape[:-1]
            and len(x.shape) > 2
        ):
            return replace(made, arrays={**made.arrays, "bias": bias}, inputs=(x,))
    return _reshape(call.shape)


_RESHAPES: Final = ("Reshape", "ExpandDims", "Squeeze", "View", "ExpandDimsView")


def _transpose(call: _Call) -> Translated:
    axes = [axis % len(call.shape) for axis in call.args[1]]
    return _Piece("transpose", {"axes": tuple(axes)})


def _swap_axes(call: _Call) -> Translated:
    axes = list(range(len(call.shape)))
    first, second = call.args[1:3]
    axes[first], axes[second] = axes[second], axes[first]
    return _Piece("transpose", {"axes": tuple(axes)})


def _slice(call: _Call) -> Translated:
    x = call.args[0]
    begin, _, strides = call.args[1:4]
    if isinstance(x, _Tensor) and x.shape == call.shape and not any(begin) and set(strides) <= {1}:
        return _Piece("identity")
    return None


def _pad(sides: Sequence[tuple[int, int]], value: float) -> Translated:
    """Paddings of all axes: a pad of maps if it is only along the last two."""
    if len(sides) != 4 or any(map(any, sides[:2])):
        return None
    (top, bottom), (left, right) = sides[2:]
    return _Piece("pad", {"padding": ((top, bottom), (left, right)), "value": value})


def _from_last(call: _Call, flat: Any) -> list[tuple[int, int]]:
    """(left, right, top, bottom, ...) for each axis from the first on."""
    flat = [int(each) for each in np.ravel(flat)]
    pairs = list(zip(flat[::2], flat[1::2], strict=True))[::-1]
    return [(0, 0)] * (len(call.shape) - len(pairs)) + pairs


def _pad_v3(call: _Call) -> Translated:
    found, value = call.attributes, call.arg(2)
    if found.get("mode", "constant") != "constant" or not found.get("paddings_contiguous", True):
        return None
    number = 0.0 if value is None else _scalar(value)
    if isinstance(call.args[1], _Tensor) or number is None:
        return None
    return _pad(_from_last(call, call.args[1]), number)


def _concat(call: _Call) -> Translated:
    values, axis = call.args[:2] if len(call.args) > 1 else (call.args[0], None)
    axis = call.attributes.get("axis", 0) if axis is None else axis
    if not all(isinstance(each, _Tensor) for each in values):
        return None
    if len(values) == 1:
        return _Piece("identity")
    return _Piece("concat", {"axis": int(axis) % len(call.shape)})


# Arithmetic


def _sum(sign: float) -> Callable[[_Call], Translated]:
    """`x + y`, or `x - y` for a sign of −1; `alpha` is a factor of the second one."""

    def translated(call: _Call) -> Translated:
        x, y = call.args[:2]
        alpha = _scalar(call.arg(2)) if len(call.args) > 2 else 1.0
        if alpha is None:
            return None
        factor = sign * _number(alpha)
        if isinstance(x, _Tensor) and isinstance(y, _Tensor):
            return _Piece("add", {"factor": factor})
        if isinstance(x, _Tensor):
            return _affine(call, False, y, factor)
        scaled = [] if factor == 1 else [_Piece("mul", {"factor": factor}, shape=y.shape)]
        added = _affine(call, False, x, 1.0)
        return None if added is None else [*scaled, added]

    return translated


def _affine(call: _Call, product: bool, other: Any, factor: float) -> _Piece | None:
    """The sum or product with a constant, itself times `factor`."""
    if isinstance(other, bool | int | float):
        other = np.asarray(other, np.float64)
    if not isinstance(other, np.ndarray):
        return None
    shape = (1,) * (len(call.shape) - other.ndim) + other.shape

    def made(each: Array) -> Array:
        each = each.reshape(shape)
        return each if factor == 1 else each.astype(np.float64) * factor

    array = call.derive(("affine", shape, factor), made, other)
    return _Piece("affine", {"product": product}, {"other": array})


def _add_n(call: _Call) -> Translated:
    values = call.args[0] if isinstance(call.args[0], tuple) else call.args
    if len(values) < 2 or not all(isinstance(each, _Tensor) for each in values):
        return None
    first, second, *others = values
    sums = [_Piece("add", {"factor": 1.0}, inputs=(first, second), shape=call.shape)]
    for each in others:
        sums.append(_Piece("add", {"factor": 1.0}, also=(each,), shape=call.shape))
    return sums


def _product(call: _Call) -> Translated:
    x, y = call.args[:2]
    found = _whole_product(call)
    if found is not None:
        return found
    if isinstance(x, _Tensor) and isinstance(y, _Tensor):
        return None
    other = y if isinstance(x, _Tensor) else x
    number = _scalar(other)
    if number is not None:
        return _Piece("mul", {"factor": _number(number)})
    return _affine(call, True, other, 1.0)


def _quotient(call: _Call) -> Translated:
    x, y = call.args[:2]
    if call.arg(2) is not None or not isinstance(x, _Tensor):  # rounded, or of a constant
        return None
    found = _whole_product(call)
    if found is not None or isinstance(y, _Tensor):
        return found
    number = _scalar(y)
    if number is not None:
        return _Piece("mul", {"factor": 1 / _number(number)}) if number else None
    inverse = call.derive("inverse", lambda each: 1 / each.astype(np.float64), y)
    return _affine(call, True, inverse, 1.0)


def _simple(kind: str, **numbers: float) -> Callable[[_Call], Translated]:
    """An operation without arguments that count."""
    return lambda call: _Piece(kind, dict(numbers)) if isinstance(call.args[0], _Tensor) else None


def _with(kind: str, attribute: str, place: int = 1) -> Callable[[_Call], Translated]:
    """An operation with one number."""

    def translated(call: _Call) -> Translated:
        number = _scalar(call.arg(place))
        return None if number is None else _Piece(kind, {attribute: _number(number)})

    return translated


def _axis(kind: str) -> Callable[[_Call], Translated]:
    def translated(call: _Call) -> Translated:
        axes = call.arg(1)
        axes = (axes,) if isinstance(axes, int) else axes
        if not isinstance(axes, tuple) or len(axes) != 1:
            return None
        return _Piece(kind, {"axis": axes[0] % len(call.shape)})

    return translated


def _elu(call: _Call) -> Translated:
    alpha = _scalar(call.arg(1)) if len(call.args) > 1 else call.attributes.get("alpha", 1.0)
    return None if alpha is None else _Piece("elu", {"alpha": _number(alpha)})


def _gelu(call: _Call) -> Translated:
    return _Piece("gelu", {"approximate": "tanh" if call.arg(1) else "none"})


def _clip(call: _Call) -> Translated:
    x, low, high = (*call.args, None, None)[:3]
    return _between(x, low, high)


def _between(x: Any, low: Any, high: Any) -> Translated:
    numbers = [
        end if bound is None else _scalar(bound)
        for bound, end in ((low, -math.inf), (high, math.inf))
    ]
    if not isinstance(x, _Tensor) or None in numbers:
        return None
    if numbers == [0, math.inf]:
        return _Piece("relu", inputs=(x,))
    low, high = (_number(each) for each in numbers)
    return _Piece("clip", {"low": low, "high": high}, inputs=(x,))


def _maximum(call: _Call) -> Translated:
    """A bound below; or x and a share of x, which is a leaky ReLU."""
    x, y = call.args[:2]
    if not isinstance(x, _Tensor) or not isinstance(y, _Tensor):
        return _between(x, y, None) if isinstance(x, _Tensor) else _between(y, x, None)
    for whole, part in ((x, y), (y, x)):
        factor, rest = _factors(call, part)
        if [each.name for each in rest] == [whole.name] and 0 <= factor <= 1:
            return _Piece("leaky_relu", {"slope": _number(factor)}, inputs=(whole,))
    return None


def _minimum(call: _Call) -> Translated:
    x, y = call.args[:2]
    return _between(x, None, y) if isinstance(x, _Tensor) else _between(y, None, x)


# What users and MindSpore put together from several operations


Factors: TypeAlias = "tuple[float, list[_Tensor]]"


def _factors(call: _Call, x: Any) -> Factors:
    """An argument as a number times tensors."""
    number = _scalar(x)
    if number is not None:
        return number, []
    before = call.before(x)
    found = None if before is None else _factors_of(before)
    return found or (1.0, [x])


def _factors_of(call: _Call) -> Factors | None:
    """What a product or quotient gives, as a number times tensors; None if it is no such thing."""
    if call.kind == "Neg":
        factor, rest = _factors(call, call.args[0])
        return -factor, rest
    if call.kind not in (*_PRODUCTS, *_QUOTIENTS):
        return None
    first, second = call.args[:2]
    if any(isinstance(each, np.ndarray) and each.size > 1 for each in (first, second)):
        return None
    factor, rest = _factors(call, first)
    if call.kind in _PRODUCTS:
        other, more = _factors(call, second)
        return factor * other, rest + more
    divisor = _scalar(second)
    return (factor / divisor, rest) if divisor and call.arg(2) is None else None


_PRODUCTS: Final = ("Mul", "Muls")
_QUOTIENTS: Final = ("Div", "RealDiv", "Divs")


def _whole_product(call: _Call) -> Translated:
    """A product or quotient that is one layer altogether."""
    if call.kind in _QUOTIENTS:
        power = call.before(call.args[1])
        if power is not None and isinstance(call.args[0], _Tensor):
            return _normed(call.args[0], power, -1)
    factor, tensors = _factors_of(call) or (1.0, [])
    if len(tensors) != 2:
        return None
    for x, other in (tensors, tensors[::-1]):
        before = call.before(other)
        if before is None:
            continue
        if factor == 1 and before.kind == "Sigmoid" and _is_same(before.args[0], x):
            return _Piece("silu", inputs=(x,))
        if math.isclose(factor, 0.5) and _is_normal_distribution(before, x):
            return _Piece("gelu", {"approximate": "none"}, inputs=(x,))
        found = _normed(x, before, 1) if factor == 1 else None
        if found is not None:
            return found
    return None


def _is_same(given: Any, x: _Tensor) -> bool:
    return isinstance(given, _Tensor) and given.name == x.name


def _plus(call: _Call) -> tuple[float, Any] | None:
    """What is a number plus something."""
    if call.kind not in ("Add", "AddExt", "Adds") or _scalar(call.arg(2)) not in (None, 1):
        return None
    for number, rest in (call.args[:2], call.args[1::-1]):
        found = _scalar(number)
        if found is not None and isinstance(rest, _Tensor):
            return found, rest
    return None


def _is_normal_distribution(call: _Call, x: _Tensor) -> bool:
    """Whether it is 1 + erf(x / √2)."""
    plus = _plus(call)
    erf = None if plus is None else call.before(plus[1])
    if plus is None or plus[0] != 1 or erf is None or erf.kind != "Erf":
        return False
    factor, rest = _factors(erf, erf.args[0])
    return math.isclose(factor, math.sqrt(0.5), rel_tol=1e-6) and [each.name for each in rest] == [
        x.name
    ]


def _normed(x: _Tensor, power: _Call, sign: int) -> Translated:
    """Local response normalisation, x · (k + alpha / size · Σ x²)^−beta: the sum over channels as a
    1×1 convolution whose weights are a band.
    """
    exponent = _scalar(power.arg(1))
    plus = None
    if power.kind == "Pow" and exponent is not None:
        base = power.before(power.args[0])
        plus = None if base is None else _plus(base)
    if plus is None or exponent is None or sign * exponent >= 0:
        return None
    k, total = plus
    factor, rest = _factors(power, total)
    conv = power.before(rest[0]) if len(rest) == 1 else None
    if conv is None or conv.kind not in ("Conv2D", "Conv2DExt"):
        return None
    layer = _KNOWN[conv.kind](conv)
    square = conv.before(conv.args[0])
    if not isinstance(layer, _Piece) or square is None or not _is_square(square, x):
        return None
    band = _band(layer)
    if band is None:
        return None
    size, share = band
    attributes = {
        "size": size,
        "alpha": _number(factor * share * size),
        "beta": _number(-sign * exponent),
        "k": _number(k),
    }
    return _Piece("local_response_norm", attributes, inputs=(x,))


def _is_square(call: _Call, x: _Tensor) -> bool:
    first, second = call.args[0], call.arg(1)
    if not _is_same(first, x):
        return False
    if call.kind in _PRODUCTS:
        return _is_same(second, x)
    return call.kind == "Square" or (call.kind.startswith("Pow") and _scalar(second) == 2)


def _band(layer: _Piece) -> tuple[int, float] | None:
    """How many channels a 1×1 convolution sums up, and the weight of each."""
    weight = layer.arrays["weight"]
    channels = len(weight)
    plain = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    if layer.attributes != plain or weight.shape != (channels, channels, 1, 1):
        return None
    if layer.arrays.get("bias") is not None:
        return None
    matrix = weight[:, :, 0, 0]
    share, reach = float(matrix[0, 0]), int(np.count_nonzero(matrix[0])) - 1
    distance = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    is_band = np.array_equal(matrix, np.where(distance <= reach, matrix[0, 0], 0))
    return (2 * reach + 1, share) if is_band and share else None


def _select(call: _Call) -> Translated:
    """MindSpore's softplus, which is x where x is large."""
    condition, x, other = call.args[:3]
    greater, (factor, rest) = call.before(condition), _factors(call, other)
    softplus = call.before(rest[0]) if len(rest) == 1 else None
    if greater is None or softplus is None or not isinstance(x, _Tensor):
        return None
    if greater.kind != "Greater" or softplus.kind != "Softplus" or factor != 1:
        return None
    threshold = _scalar(greater.args[1])
    if not _is_same(greater.args[0], x) or not _is_same(softplus.args[0], x):
        return None
    if threshold is None or threshold < 15:
        return None
    return _Piece("softplus", inputs=(x,))


def _softplus_ext(call: _Call) -> Translated:
    beta, threshold = (_scalar(call.arg(place)) for place in (1, 2))
    return _Piece("softplus") if beta == 1 and threshold is not None and threshold >= 15 else None


def _dropout(call: _Call) -> Translated:
    return _Piece("dropout", {"rate": _rate(call.node)}, inputs=(call.args[0],))


_KNOWN: Final[Mapping[str, Callable[[_Call], Translated]]] = {
    "Conv2D": _conv2d,
    "Conv2DExt": _conv2d_ext,
    "Conv2DPadding": _conv2d_ext,
    "Convolution": _convolution,
    "BiasAdd": _bias_add,
    "MatMul": _mat_mul,
    "MatMulExt": _mat_mul,
    "Dense": _dense,
    "Addmm": _addmm,
    "BatchNorm": _batch_norm(train=5, eps=6),
    "BatchNormExt": _batch_norm(train=5, eps=7),
    "LRN": _local_response_norm,
    "MaxPool": _max_pool_2d,
    "MaxPoolWithArgmax": _max_pool_2d,
    "MaxPoolWithArgmaxV2": _max_pool_v2,
    "MaxPoolWithMask": _max_pool_with_mask,
    "MaxPoolWithIndices": _max_pool_with_mask,
    "MaxPool3D": _max_pool_3d,
    "MaxPool3DWithArgmax": _max_pool_3d_argmax,
    "AvgPool": _avg_pool_2d,
    "AvgPool2D": _avg_pool_ext,
    "AvgPool3D": _avg_pool_3d,
    "AdaptiveAvgPool2D": _adaptive_avg_pool,
    "AdaptiveAvgPool2DExt": _adaptive_avg_pool,
    "ReduceMean": _mean,
    "MeanExt": _mean,
    "Flatten": _flatten,
    "FlattenExt": _flatten,
    "Reshape": _reshaped,
    "View": _reshaped,
    "ExpandDims": _reshaped,
    "ExpandDimsView": _reshaped,
    "Squeeze": _reshaped,
    "Transpose": _transpose,
    "TransposeView": _transpose,
    "TransposeExtView": _swap_axes,
    "StridedSlice": _slice,
    "Pad": lambda call: _pad(call.attributes["paddings"], 0.0),
    "PadV3": _pad_v3,
    "ConstantPadND": _pad_v3,
    "Concat": _concat,
    "Add": _sum(1.0),
    "AddExt": _sum(1.0),
    "AddN": _add_n,
    "Sub": _sum(-1.0),
    "SubExt": _sum(-1.0),
    "Neg": lambda call: _Piece("mul", {"factor": -1.0}),
    "Mul": _product,
    "Muls": _product,
    "Div": _quotient,
    "RealDiv": _quotient,
    "Divs": _quotient,
    "ReLU": _simple("relu"),
    "ReLU6": _simple("clip", low=0.0, high=6.0),
    "Hardtanh": _clip,
    "ClampScalar": _clip,
    "ClampTensor": _clip,
    "Maximum": _maximum,
    "Minimum": _minimum,
    "LeakyReLUExt": _with("leaky_relu", "slope"),
    "Elu": _elu,
    "EluExt": _elu,
    "GeLU": _simple("gelu", approximate="tanh"),
    "GeluExt": _gelu,
    "Softmax": _axis("softmax"),
    "LogSoftmax": _axis("log_softmax"),
    "LogSoftmaxExt": _axis("log_softmax"),
    "Sigmoid": _simple("sigmoid"),
    "SiLU": _simple("silu"),
    "Tanh": _simple("tanh"),
    "Softplus": _simple("softplus"),
    "SoftplusExt": _softplus_ext,
    "Select": _select,
    "Dropout": _dropout,
    "DropoutExt": _dropout,
    "FuncDropoutExt": _dropout,
}
