"""The values of a recorded program that do not depend on the images, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import paddle

from googlenet.arrays import Array
from googlenet.errors import TraceError

from .model import name
from .recording import Recording, said
from .static_mode import is_weight

#: Paddle as it is: its types leave out what programs are run with.
_paddle: Final[Any] = paddle
#: Operations that take a value for its shape only.
_SHAPES: Final = frozenset(("shape", "shape64", "full_like", "numel", "empty_like"))
#: Operations that give other numbers each time.
_RANDOM: Final = frozenset(
    ("gaussian", "uniform", "randint", "randperm", "bernoulli", "poisson", "multinomial", "dropout")
)


def plain(op: Any) -> str:
    """`relu` for pd_op.relu_: an operation in place computes the same."""
    return str(op.name()).removeprefix("pd_op.").rstrip("_")


def sources(op: Any) -> list[Any]:
    """The operands of an operation, None for one that is left out."""
    return [each if each.initialized() else None for each in op.operands_source()]


class Constants:
    """The constants of `recording`: the user's tensors, and what is made of them.

    Paddle computes the latter once more, and only what is asked for. The same value is the same
    object each time, as sharing is told by objects.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._arrays: dict[Any, Array] = {}
        self._shapes: dict[Any, tuple[int, ...]] = {}
        self._constant: set[Any] = set()
        #: Those that are trained, or depend on what is.
        self._trained: set[Any] = set()
        self._derived: dict[tuple[int, str], tuple[Array, Array]] = {}
        #: By the identity of an array, the value that it is of, and how it was rearranged.
        self._sources: dict[int, tuple[Any, tuple[Callable[[Array], Array], ...]]] = {}
        seen: dict[Any, Array] = {}
        for tensor, value in recording.tensors:
            key = (tensor.data_ptr(), tuple(tensor.shape))
            if key not in seen:
                seen[key] = _array(tensor)
            self._arrays[value.id] = seen[key]
            if is_weight(tensor):
                self._trained.add(value.id)
        for op in recording.program.global_block().ops:
            if op.name() == "builtin.parameter" and op.results()[0].id not in self._arrays:
                raise TraceError(
                    f"{name}: '{op.attrs()['parameter_name']}' is a weight that is made anew in"
                    " every call of the model; make its layer once, in __init__"
                )
            if self._is_constant(op):
                self._constant.update(each.id for each in op.results())
            given = {each.id for each in sources(op) if each is not None}
            if plain(op) not in _SHAPES and given & self._trained:
                self._trained.update(each.id for each in op.results())

    def _is_constant(self, op: Any) -> bool:
        if plain(op) in _SHAPES:
            return True
        if plain(op) == "data" or plain(op) in _RANDOM:
            return False
        return all(each is None or each.id in self._constant for each in sources(op))

    def holds(self, op: Any) -> bool:
        """Whether all that an operation gives is constant."""
        return all(each.id in self._constant for each in op.results())

    def is_constant(self, value: Any) -> bool:
        """Whether a value does not depend on the images."""
        return value.id in self._constant

    def array(self, value: Any) -> Array | None:
        """A constant as an array, None for a value that is none."""
        if value.id not in self._constant:
            return None
        if value.id not in self._arrays:
            self._arrays[value.id] = self._computed(value)
        found = self._arrays[value.id]
        self._sources.setdefault(id(found), (value, ()))
        return found

    def trained(self, value: Any) -> bool:
        """Whether a value is a constant in evaluation only: it is trained, or made of what is."""
        return value.id in self._constant and value.id in self._trained

    def is_trained(self, array: Array) -> bool:
        """`trained`, of an array."""
        source = self.source(array)
        return source is not None and self.trained(source)

    def is_made(self, array: Array) -> bool:
        """Whether an array is none of the user's own tensors, but what an operation made."""
        source = self.source(array)
        own = (value.id for _, value in self._recording.tensors)
        return source is not None and source.id not in own

    def derived(
        self, array: Array, how: str, make: Callable[[Array], Array], *, moves: bool = True
    ) -> Array:
        """`make(array)`, the same object for the same array and `how`; `moves` if that only moves
        elements, else it makes another of each where it is.
        """
        key = (id(array), how)
        if key not in self._derived:
            made = make(array)
            self._derived[key] = (array, made)  # which keeps the identity taken
            if id(array) in self._sources:
                value, steps = self._sources[id(array)]
                self._sources[id(made)] = (value, (*steps, make) if moves else steps)
        return self._derived[key][1]

    def source(self, array: Array) -> Any:
        """The value that an array is, or is derived from; None if it is none's."""
        return self._sources.get(id(array), (None, ()))[0]

    def moved_as(self, array: Array, numbers: Array) -> Array:
        """`numbers` of the elements of an array's source, rearranged as the array was."""
        for step in self._sources[id(array)][1]:
            numbers = step(numbers)
        return numbers

    def shape(self, value: Any) -> tuple[int, ...]:
        """The shape of a value, also where Paddle does not know it before it runs."""
        if value.id not in self._shapes:
            shape = tuple(value.shape) if value.is_dense_tensor_type() else ()
            self._shapes[value.id] = self._fetched(value).shape if -1 in shape else shape
        return self._shapes[value.id]

    def _computed(self, value: Any) -> Array:
        op = value.get_defining_op()
        match plain(op):
            case "full_int_array":
                return np.array(op.attrs()["value"], np.int64)
            case "full" if isinstance(op.attrs()["value"], int | float):
                return np.full(self.shape(value), op.attrs()["value"])
            case "reshape" | "squeeze" | "unsqueeze" | "flatten":
                base, shape = self.array(sources(op)[0]), self.shape(value)
                assert base is not None
                return self.derived(base, f"reshape {shape}", lambda each: each.reshape(shape))
            case "transpose":
                base, axes = self.array(sources(op)[0]), op.attrs()["perm"]
                assert base is not None
                return self.derived(base, f"axes {axes}", lambda each: each.transpose(axes))
        return self._fetched(value)

    def _fetched(self, value: Any) -> Array:
        """A value as Paddle computes it."""
        try:
            (found,) = self.fetched([value], {})
        except Exception as error:  # Paddle has many
            raise TraceError(
                f"{name}: a constant of the model, the result of"
                f" '{value.get_defining_op().name()}', cannot be computed ({said(error)})"
            ) from error
        return found

    def fetched(self, values: Sequence[Any], given: Mapping[Any, Array]) -> list[Array]:
        """Values as Paddle computes them, with `given` for the user's tensors of these ids."""
        recording, place = self._recording, _paddle.CPUPlace()
        scope = _paddle.static.Scope()
        for tensor, each in recording.tensors:
            held = scope.var(each.get_defining_op().attrs()["parameter_name"]).get_tensor()
            held.set(given[each.id] if each.id in given else tensor.numpy(), place)
        with _paddle.base.framework._dygraph_guard(None), _paddle.static.scope_guard(scope):
            found = _paddle.static.Executor(place).run(
                recording.program, feed={"images": recording.images}, fetch_list=list(values)
            )
        return [np.asarray(each) for each in found]


def _array(tensor: paddle.Tensor) -> Array:
    """A tensor as an array of its own; half precision as float32, which holds the same numbers."""
    if tensor.dtype in (paddle.float16, paddle.bfloat16):
        tensor = tensor.astype("float32")
    array: Array = tensor.numpy().copy()
    return array
