"""A user's own MXNet model, run and differentiated as it is."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import Block, nn
from mxnet.ndarray import register

from googlenet.arrays import Array
from googlenet.errors import WeightsError
from googlenet.spec import Loss, Network

from . import layout
from .model import numpy_semantics, total_loss
from .owned import Owned, Watch
from .tracing import Runner, first_line, semantics


def own(model: Any, network: Network, outputs: tuple[str, ...]) -> OwnModel:
    """`model`, which `trace` told to be `network`, with its outputs in the order in which it
    returns them. Parameters that were never initialised are from now on.
    """
    return OwnModel(model, network, outputs)


def load(model: Any, path: str | os.PathLike[str]) -> None:
    """Load a file of `save_parameters` into a user's model. Raises `WeightsError` for a file that
    does not fit, or a model that is a function.
    """
    if not isinstance(model, Block):
        raise WeightsError(
            f"{path}: only a gluon Block loads a file, and the model is a {type(model).__name__}"
        )
    try:
        model.load_parameters(os.fspath(path))
    except Exception as error:  # MXNet has many, for files and for parameters
        raise WeightsError(
            f"{path}: cannot be loaded into the model by load_parameters"
            f" ({first_line(error)[:300]})"
        ) from error


class OwnModel:
    """See `googlenet.backend.protocols.OwnModel`."""

    def __init__(self, model: Any, network: Network, outputs: tuple[str, ...]) -> None:
        self._model, self._network, self._names = model, network, outputs
        self._owned = Owned(model)
        images = np.zeros((2, *network.input_shape), np.float32)
        with Watch(self._owned) as watch:
            runner = Runner(model, images, self._owned, watch)
            runner.outputs()
            watch.keep()
            self._is_numpy, self._device = runner.is_numpy, watch.device
        distinct = {
            id(array): array
            for _, array in self._owned.data()
            if np.dtype(array.dtype).kind == "f" and array.ctx == self._device
        }
        self._held = {str(number): array for number, array in enumerate(distinct.values())}

    def arrays(self) -> dict[str, Array]:
        """Copies of all parameters and other arrays of numbers."""
        return {name: array.asnumpy().astype(np.float32) for name, array in self._held.items()}

    @numpy_semantics()
    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Set all of them."""
        for name, array in arrays.items():
            held = self._held[name].as_nd_ndarray()
            # Not from NumPy: what oneDNN has rearranged for itself takes numbers of arrays only.
            mx.nd.array(array, dtype=held.dtype, ctx=held.ctx).copyto(held)

    @numpy_semantics()
    def outputs(self, images: Array, *, train: bool) -> list[Array]:
        """The outputs (N, K) of images (N, C, H, W)."""
        mode = autograd.record(train_mode=True) if train else autograd.pause(train_mode=False)
        x, outputs = self._run(images, mode)
        if train:
            # MXNet updates batch norm's running statistics in the backward pass; asked for the
            # images' gradient, it leaves those of parameters alone.
            autograd.grad(outputs, [x])
        return [layout.output_from_native(each) for each in outputs]

    @numpy_semantics()
    def gradients(
        self, images: Array, labels: Array, *, loss: Loss, train: bool
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient with respect to each array that has a gradient."""
        trained = {name: array for name, array in self._held.items() if array.grad is not None}
        targets = mx.np.array(labels, dtype="int64", ctx=self._device)
        mode = autograd.record(train_mode=train)
        _, found = self._run(images, mode)
        with autograd.record(train_mode=train):
            outputs = dict(zip(self._names, found, strict=True))
            total = total_loss(outputs, targets, loss, self._network)
            # MXNet refuses arrays that the loss does not depend on: so it does on all. A gradient
            # of -0 added to another leaves all bits of that.
            nothing = [(each.as_np_ndarray() * -0.0).sum() for each in trained.values()]
            reaching = sum((each.astype("float64") for each in nothing), total)
        grads = autograd.grad(reaching, list(trained.values()), train_mode=train)
        return total.item(), {
            name: grad.asnumpy() for name, grad in zip(trained, grads, strict=True)
        }

    def evaluation(self) -> Callable[[Array], list[Array]]:
        """The model as its user calls it, in evaluation mode."""
        arrays = mx.np if self._is_numpy else mx.nd

        def call(images: Array) -> list[Array]:
            with semantics(self._is_numpy), autograd.pause(train_mode=False):
                found = self._model(arrays.array(images, dtype="float32", ctx=self._device))
                several = found if isinstance(found, tuple | list) else [found]
                return [each.asnumpy().reshape(len(images), -1) for each in several]

        return call

    def _run(
        self, images: Array, mode: AbstractContextManager[Any]
    ) -> tuple[mx.nd.NDArray, list[mx.np.ndarray]]:
        """The images as they go in, and the outputs."""
        with Watch(self._owned) as watch, _still(self._owned), mode:
            runner = Runner(self._model, images, self._owned, watch)
            runner.is_numpy = self._is_numpy
            x = runner.native(images)
            x.attach_grad()
            found = runner.call(images, x)
            return x, [each.as_np_ndarray().reshape(len(images), -1) for each in found]


@contextmanager
def _still(owned: Owned) -> Iterator[None]:
    """Nothing is dropped for a while, whoever asks for it, with graph mode off as `Watch` has it.

    Max pools are in training mode, as in `model`: recorded in evaluation mode, oneDNN does not keep
    which element won, and the gradient is noise.
    """
    for _, block in owned.blocks.values():
        if isinstance(block, nn.SymbolBlock):  # it calls no operation, it has a graph of them
            inputs, outputs = block._cached_graph  # `Watch` puts it back
            block._cached_graph = inputs, _undropped(outputs)
    invoke = register._imperative_invoke

    def invoked(handle: Any, inputs: Any, keys: Any, values: Any, *rest: Any) -> Any:
        if handle == _operator("Dropout"):
            keys, values = ["p"], [0.0]
        if handle == _operator("Pooling") and autograd.is_recording():
            with autograd.train_mode():
                return invoke(handle, inputs, keys, values, *rest)
        return invoke(handle, inputs, keys, values, *rest)

    register._imperative_invoke = invoked
    try:
        yield
    finally:
        register._imperative_invoke = invoke


@cache
def _operator(name: str) -> int | None:
    """What MXNet knows an operation by."""
    handle = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.NNGetOpHandle(name.encode(), ctypes.byref(handle)))
    return handle.value


def _undropped(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """A graph whose dropouts drop nothing."""
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["op"] == "Dropout":
            node["attrs"] = {"p": "0"}
    found = mx.sym.load_json(json.dumps(graph))
    return found.as_np_ndarray() if isinstance(symbol, mx.sym.np._Symbol) else found
