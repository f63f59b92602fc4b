"""What Paddle does not record as it computes it, while it records any user's code.

Paddle 3.3 crashes at operators of tensors that no layer has registered, takes operations in place
for others, refuses views, and some layers in double precision.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
import paddle
from paddle.base import core, data_feeder
from paddle.jit.dy2static.program_translator import StaticFunction
from paddle.nn import functional

#: Paddle as it is: its types leave out what programs are made of.
_paddle: Final[Any] = paddle
_Tensor: Final[Any] = core.eager.Tensor
_Value: Final[Any] = _paddle.pir.Value
_Parameter: Final[Any] = _paddle.base.framework.EagerParamBase

#: Python's operators, which Paddle's tensors have of their own.
_ARITHMETIC: Final = tuple(
    f"__{side}{operator}__"
    for operator in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
    for side in ("", "r")
)
_COMPARISONS: Final = tuple(f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge"))
#: Methods of a tensor that are its own, and that values of a program do not have.
_METHODS: Final = (
    *("__getitem__", "__neg__", "__abs__", "__float__", "__int__", "__bool__", "__index__"),
    *("item", "clone", "contiguous", "detach", "astype", "tolist"),
    *("view", "view_as", "flatten"),
)
#: Those which are recorded of a weight, so that what is made of it is known to be.
_WEIGHED: Final = frozenset(_ARITHMETIC) | {
    *("__getitem__", "__neg__", "__abs__", "clone", "contiguous", "detach", "astype"),
    *("view", "view_as", "flatten"),
}
#: Functions that take tensors in a list, for a number, or at all, where Paddle knows values only.
_LISTING: Final = ("flatten", "concat", "stack", "hstack", "vstack", "add_n", "scale", "clip")
#: Lets operations in place write into views, where Paddle would refuse them.
_UNCHECKED: Final = "stride_in_no_check_dy2st_diff"

#: By its id, what took the place of a value that was computed in place.
_newer: dict[Any, Any] = {}


@contextmanager
def dynamic() -> Iterator[None]:
    """Paddle computes at once, also after the user's `paddle.enable_static()`."""
    before = paddle.in_dynamic_mode()
    paddle.disable_static()
    try:
        yield
    finally:
        if not before:
            paddle.enable_static()


@contextmanager
def suited() -> Iterator[None]:
    """While a program is recorded: operators, operations in place and views are recorded as they
    are computed, and what has run once is not checked again.
    """
    before = os.environ.get(_UNCHECKED)
    with ExitStack() as stack:
        for each in (*_ARITHMETIC, *_COMPARISONS, *_METHODS):
            if hasattr(_Tensor, each):
                stack.enter_context(replaced(_Tensor, each, partial(_eager, method=each)))
        for each in (*_ARITHMETIC, *_COMPARISONS, "__neg__"):
            stack.enter_context(replaced(_Value, each, _recorded))
        for owner in (_Value, functional, paddle):
            for each in dir(owner):
                if (
                    each.endswith("_")
                    and not each.startswith("_")
                    and callable(getattr(owner, each))
                ):
                    stack.enter_context(replaced(owner, each, _in_place))
        stack.enter_context(replaced(_Value, "__setitem__", _in_place))
        stack.enter_context(replaced(_Value, "__getitem__", _listing))
        stack.enter_context(_before_arrays())
        for owner in (_Value, paddle):
            for each in _LISTING:
                if hasattr(owner, each):
                    stack.enter_context(replaced(owner, each, _listing))
            stack.enter_context(replaced(owner, "narrow", lambda original: _narrowed))
        for each in ("view", "view_as"):
            stack.enter_context(replaced(_Value, each, partial(_viewed, method=each)))
        for each in ("check_type", "check_dtype"):
            stack.enter_context(replaced(data_feeder, each, lambda original: _nothing))
        stack.enter_context(_paddle.pir.core.static_op_arg_cast_guard(_taken))
        os.environ[_UNCHECKED] = "1"
        try:
            yield
        finally:
            _newer.clear()
            os.environ.pop(_UNCHECKED)
            if before is not None:
                os.environ[_UNCHECKED] = before


@contextmanager
def _before_arrays() -> Iterator[None]:
    """An array of NumPy's leaves an operator to the value beside it."""
    _Value.__array_ufunc__ = None
    try:
        yield
    finally:
        del _Value.__array_ufunc__


@contextmanager
def unrecorded() -> Iterator[None]:
    """What the user decorated by `to_static` is called as it was written."""
    with replaced(
        StaticFunction, "__call__", lambda original: StaticFunction._call_dygraph_function
    ):
        yield


def newest(found: Any) -> Any:
    """Values of a program, as they are after all operations in place."""
    if isinstance(found, list | tuple):
        return [newest(each) for each in found]
    while isinstance(found, _Value) and found.id in _newer:
        found = _newer[found.id]
    return found


@contextmanager
def replaced(owner: Any, attribute: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """`owner`'s attribute, wrapped for a while."""
    original = getattr(owner, attribute)
    held = attribute in vars(owner)
    setattr(owner, attribute, wrap(original))
    try:
        yield
    finally:
        if held:
            setattr(owner, attribute, original)
        else:
            delattr(owner, attribute)


def is_weight(tensor: Any) -> bool:
    """Whether a tensor of the user's is trained: a parameter, also one that is frozen for now, or
    another that gradients are computed for.
    """
    if not isinstance(tensor, _Tensor) or not tensor.is_floating_point():
        return False
    return isinstance(tensor, _Parameter) or not tensor.stop_gradient


def _taken(each: Any) -> Any:
    """What an operation takes: tensors as values, and values as they are now."""
    return newest(_paddle.pir.core._convert_into_value(each))


def _eager(original: Callable[..., Any], method: str) -> Callable[..., Any]:
    """A tensor's method: with a value of the program it is recorded, else it is computed."""

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        if paddle.in_dynamic_mode():
            return original(self, *args, **kwargs)
        weighed = method in _WEIGHED and any(map(is_weight, (self, *args)))
        if weighed or any(isinstance(each, _Value) for each in args):
            return getattr(_taken(self), method)(*args, **kwargs)
        with _paddle.base.dygraph.guard(), paddle.no_grad():
            return original(self, *args, **kwargs)

    return called


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    """An operator of a value: Paddle takes other values and numbers for the second, no tensors, and
    crashes at NumPy's arrays.
    """

    def called(self: Any, *args: Any) -> Any:
        if paddle.in_dynamic_mode():
            return original(self, *args)
        return original(_taken(self), *(_taken(_told(each)) for each in args))

    return called


def _told(each: Any) -> Any:
    """An array of NumPy's as a tensor, one of its numbers as Python's."""
    if isinstance(each, np.generic):
        return each.item()
    if not isinstance(each, np.ndarray):
        return each
    with _paddle.base.dygraph.guard():
        return paddle.to_tensor(each)


def _in_place(original: Callable[..., Any]) -> Callable[..., Any]:
    """An operation in place: its result is what its first value is from now on."""

    def called(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        if args and isinstance(args[0], _Value) and isinstance(found, _Value):
            before = newest(args[0])
            if not before.is_same(newest(found)):
                _newer[before.id] = found
        return found

    return called


def _viewed(original: Callable[..., Any], method: str) -> Callable[..., Any]:
    """Another view of a value is one in another shape."""

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        shape = (*args, *kwargs.values())[0]
        if method == "view_as":
            return paddle.reshape(self, shape.shape)
        return paddle.reshape(self, shape) if isinstance(shape, list | tuple) else self.cast(shape)

    return called


def _listing(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes tensors in a list, or for a number."""

    def taken(each: Any) -> Any:
        if isinstance(each, list | tuple):
            return type(each)(map(taken, each))
        return _taken(each) if isinstance(each, _Tensor) else each

    def called(*args: Any, **kwargs: Any) -> Any:
        if paddle.in_dynamic_mode():
            return original(*args, **kwargs)
        return original(*map(taken, args), **{key: taken(each) for key, each in kwargs.items()})

    return called


def _narrowed(input: Any, dim: int, start: int, length: int) -> Any:
    """A view of a part of a value is a slice of it."""
    return paddle.slice(input, [dim], [start], [start + length if start + length else 2**31 - 1])


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Checks nothing."""
