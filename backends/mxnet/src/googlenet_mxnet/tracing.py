"""What a user's MXNet model computes: the operations that `autograd` records, in neutral terms."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.base import MXNetError
from mxnet.ndarray import register

from googlenet.arrays import Array
from googlenet.backend.dropouts import with_dropout
from googlenet.backend.graph import Graph
from googlenet.errors import CaptureError, TraceError

from .model import name, numpy_semantics
from .owned import Owned, Watch
from .reading import ADVICE, Reader
from .values import noticed

#: Taken before a trace puts its own in its place.
_is_training: Final = autograd.is_training


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
        runner = Runner(model, images, owned, watch)
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
            graph = with_dropout(graph, runner.training_graph(images))
    return graph, outputs


class Runner:
    """Runs a model, and records it."""

    def __init__(self, model: Any, images: Array, owned: Owned, watch: Watch) -> None:
        self._model, self._images, self._owned, self._watch = model, images, owned, watch
        #: Whether the model takes arrays of `mx.np`, as `outputs` finds out.
        self.is_numpy = bool(mx.util.is_np_array())
        #: Whether the model asks if it is in training mode, as some do for a dropout.
        self.asks_for_the_mode = False
        #: The lines of the user's that read the numbers of arrays.
        self.read: list[str] = []

    def outputs(self) -> list[Array]:
        """The outputs in a pass that is not recorded, with arrays of the kind that the model takes:
        that of the thread first.
        """
        ambient = self.is_numpy
        errors: list[tuple[str, Exception]] = []
        for is_numpy in (ambient, not ambient):
            self.is_numpy = is_numpy
            try:
                with autograd.pause(train_mode=False):
                    found = self.call(self._images)
                    return [each.asnumpy().astype(np.float64) for each in found]
            except TraceError:
                raise
            except Exception as error:  # of the user's code, or of MXNet, which has many
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
            f" at {place} ({type(cause).__name__}: {first_line(cause)})"
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
        x = self.native(images)
        x.attach_grad()
        try:
            with (
                self._asked(),
                _seen(seen, active, self._watch),
                noticed(self.read),
                autograd.record(train_mode=train),
            ):
                outputs = self.call(images, x)
        except TraceError:
            raise
        except Exception as error:  # as above; it ends as an error of ours
            raise CaptureError(
                f"{name}: the model runs, but MXNet cannot record it, at {self._watch.place}"
                f" ({type(error).__name__}: {first_line(error)})"
            ) from error
        return Reader(x, outputs, [*seen, x], active, self._owned, self._watch).graph()

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

    def call(self, images: Array, x: mx.nd.NDArray | None = None) -> list[mx.nd.NDArray]:
        """The arrays that the model returns for `images`, which are `x` if it is there."""
        self._watch.begin()
        is_ambient = self.is_numpy == bool(mx.util.is_np_array())
        with nullcontext() if is_ambient else semantics(self.is_numpy):
            return _arrays(self._model(self.native(images) if x is None else x))

    def native(self, images: Array) -> mx.nd.NDArray:
        """`images` where the model's arrays are, and of their type."""
        device, dtype = self._watch.device, images.dtype
        for _, array in self._owned.data():
            if np.dtype(array.dtype).kind == "f":
                dtype = array.dtype
                break
        if not self.is_numpy:
            return mx.nd.array(images, dtype=dtype, ctx=device)
        with numpy_semantics():
            return mx.np.array(images, dtype=dtype, ctx=device)


@contextmanager
def semantics(is_numpy: bool) -> Iterator[None]:
    """MXNet's NumPy semantics, or the classic ones, in this thread for a while."""
    # NumPy's arrays are never without NumPy's shapes: these are turned on first, and off last.
    kinds = (mx.util.np_shape, mx.util.np_array)
    first, second = kinds if is_numpy else kinds[::-1]
    with first(is_numpy), second(is_numpy):
        yield


def _is_about_arrays(error: Exception) -> bool:
    """Whether an error says that arrays are of the wrong kind of MXNet's two."""
    said = str(error)
    return isinstance(error, TypeError | AttributeError | AssertionError | ValueError) and (
        "ndarray" in said or "NDArray" in said
    )


def first_line(error: Exception) -> str:
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
def _seen(seen: list[mx.nd.NDArray], active: list[mx.nd.NDArray], watch: Watch) -> Iterator[None]:
    """Keeps all arrays that go into operations or come out, since a record names constants, but
    does not hold them, and those that come out in training mode.

    What is computed in place, which MXNet refuses to record, is computed as if it were not.
    """
    invoke = register._imperative_invoke

    def invoked(handle: Any, inputs: Any, keys: Any, values: Any, out: Any, *rest: Any) -> Any:
        watch.note(sys._getframe(1))
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
                f" it is random, or computed in a way that MXNet does not record; {ADVICE}"
            )
    else:
        if (len(first.ops), first.outputs) == (len(second.ops), second.outputs):
            return
        one = (first.ops or second.ops)[-1]
    raise CaptureError(
        f"{name}: the model computes something else for other images, in {one.place}: which"
        " operations it uses depends on them, or on chance"
    )
