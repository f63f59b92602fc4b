"""Training a native block with MXNet's own optimiser, in one process or in several."""

from __future__ import annotations

import atexit
import itertools
import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import HybridBlock, nn

from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels
from googlenet.errors import BackendError
from googlenet.spec import Loss, Recipe

from . import layout
from .model import device_of, network_of, numpy_semantics, parameter_of, total_loss

_store: Any = None  # the key-value store, once joined
_keys = itertools.count()


def start_parallel() -> tuple[int, int]:
    """Join the workers that the scheduler of the `DMLC_` variables gathers; returns this process's
    rank, and how many there are.

    Raises `BackendError` if the variables are not set, or `PORT` is.
    """
    global _store
    if _store is None:
        needed = ("DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER")
        missing = [name for name in needed if not os.environ.get(name)]
        if os.environ.get("DMLC_ROLE") != "worker" or missing:
            raise BackendError(
                f"mxnet: no launcher started this process: expected {', '.join(needed)} and"
                " DMLC_ROLE=worker in the environment; run `python -c 'import mxnet'` once with"
                " DMLC_ROLE=scheduler and once with DMLC_ROLE=server, then start the workers"
            )
        if os.environ.get("PORT"):
            raise BackendError(
                f"mxnet: PORT is {os.environ['PORT']} in the environment, which the store would use"
                " as its own port; unset it in all processes"
            )
        _store = mx.kvstore.create("dist_sync")
        atexit.register(_leave)
    return _store.rank, _store.num_workers


def _leave() -> None:
    """Leave the store before the interpreter is taken apart: its threads must not outlive it, or
    the process aborts ("terminate called without an active exception").
    """
    global _store
    _store = None


def trainer(model: HybridBlock, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says; with `parallel`, together with the
    processes that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


class Trainer:
    """Trains `model` in place by `gluon.Trainer` with "sgd"; see
    `googlenet.backend.protocols.Trainer`.

    Forward pass and loss are one graph, which Gluon compiles with static memory; the model itself
    stays as it is. With `parallel` gradients are averaged by the key-value store "dist_sync". The
    seed of a step becomes that of MXNet's generator on the device.
    """

    @numpy_semantics()
    def __init__(self, model: HybridBlock, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model
        self.rank, self.processes = start_parallel() if parallel else (0, 1)
        self._network = network_of(model)
        recipe.loss.output_weights(self._network)  # raises if the recipe does not fit
        # All outputs, because Gluon warns about parameters that nothing uses.
        self._outputs = _Graph(model, lambda model, x: model(x))
        self._objective = _Graph(model, partial(_loss_and_logits, recipe.loss))
        self._trained = {
            path: (spec, parameter_of(model, spec))
            for path, spec in shared.trainable(self._network).items()
        }
        self._random, self._device = _has_dropout(model), device_of(model)
        parameters = [parameter for _, parameter in self._trained.values()]
        settings = {
            "learning_rate": recipe.learning_rate,
            "momentum": recipe.momentum,
            "wd": recipe.weight_decay,
        }
        # The store is not left to `gluon.Trainer`: a second trainer in a process would use the same
        # keys, and wait forever.
        self._trainer = gluon.Trainer(parameters, "sgd", settings, kvstore=None)
        grads = [parameter.grad(self._device).as_nd_ndarray() for parameter in parameters]
        self._keys = _new_keys(grads) if parallel else []

    @numpy_semantics()
    def step(
        self,
        images: Array,
        labels: Array,
        *,
        learning_rate: float,
        seed: int,
        share: float = 1.0,
    ) -> tuple[float, Array]:
        """One step on images (N, C, H, W) with labels (N,): the loss before it, and the logits
        (N, K) of its training pass.
        """
        x = self._images(images, train=True)
        labels = check_labels(self._network, labels, len(images))
        targets = mx.np.array(labels, dtype=labels.dtype, ctx=self._device)
        self._set_rate(learning_rate)
        if self._random:
            mx.random.seed(seed, self._device)
        with autograd.record():
            total, logits = self._objective(x, targets)
        autograd.backward([total], [mx.np.full((), share, dtype=total.dtype, ctx=self._device)])
        for key, (_, parameter) in zip(self._keys, self._trained.values(), strict=False):
            _store.pushpull(key, parameter.grad(self._device), priority=-key)
        self._trainer.step(self.processes)  # divides the gradients, which the store adds up
        return total.item(), layout.output_from_native(logits)

    @numpy_semantics()
    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        with autograd.pause():
            outputs = shared.by_name(self._network, self._outputs(self._images(images)))
        return layout.output_from_native(outputs["logits"])

    def velocity(self) -> Params:
        """MXNet's momentum buffers, which are −learning_rate · v of the recipe; none before the
        first step and without momentum.
        """
        states = self._states()
        return {
            path: layout.from_native(spec, states[index])
            for index, (path, (spec, _)) in enumerate(self._trained.items())
            if states.get(index) is not None
        }

    @numpy_semantics()
    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`."""
        (updater,) = self._trainer._updaters
        for index, (path, (spec, _)) in enumerate(self._trained.items()):
            if path in velocity:
                buffer = layout.to_native(spec, velocity[path]).as_in_ctx(self._device)
                updater.states[index] = buffer.as_nd_ndarray()
                updater.states_synced[index] = True
        self._trainer.set_learning_rate(learning_rate)

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        if self.processes == 1:
            return values
        total: Array = _gather(np.asarray(values, np.float64)).sum(0)
        return total

    def _images(self, images: Array, *, train: bool = False) -> mx.np.ndarray:
        return layout.images_to_native(
            check_images(self._network, images, train=train), self._device
        )

    def _set_rate(self, learning_rate: float) -> None:
        """MXNet's buffers hold the rate too: they change with it."""
        before = self._trainer.learning_rate
        if learning_rate == before:
            return
        for state in self._states().values():
            if state is not None:
                state *= learning_rate / before
        self._trainer.set_learning_rate(learning_rate)

    def _states(self) -> dict[int, mx.nd.NDArray | None]:
        (updater,) = self._trainer._updaters
        states: dict[int, mx.nd.NDArray | None] = updater.states
        return states


class _Graph(HybridBlock):
    """`function(model, *arrays)` as one graph with static memory; the model's own mode stays."""

    def __init__(self, model: HybridBlock, function: Callable[..., Any]) -> None:
        super().__init__(prefix="")
        # Before it has children, which this would change too.
        self.hybridize(static_alloc=True, static_shape=True)
        self.model, self.function = model, function

    def hybrid_forward(self, F: mx.nd, *arrays: mx.np.ndarray) -> Any:
        return self.function(self.model, *arrays)


def _loss_and_logits(
    loss: Loss, model: HybridBlock, x: mx.np.ndarray, labels: mx.np.ndarray
) -> tuple[mx.np.ndarray, mx.np.ndarray]:
    """The loss, a scalar of float64, and the logits (N, K) of images (N, C, H, W)."""
    network = network_of(model)
    outputs = shared.by_name(network, model(x))
    return total_loss(outputs, labels, loss, network), outputs["logits"]


def _has_dropout(model: HybridBlock) -> bool:
    found: list[bool] = []
    model.apply(lambda block: found.append(isinstance(block, nn.Dropout) and block._rate > 0))
    return any(found)


def _new_keys(arrays: list[mx.nd.NDArray]) -> list[int]:
    """Keys of the store for arrays of these shapes: the same in every process, since each makes all
    its keys in the same order.
    """
    keys = [next(_keys) for _ in arrays]
    _store.init(keys, arrays)
    return keys


@cache
def _rows_key(shape: tuple[int, ...]) -> int:
    (key,) = _new_keys([mx.nd.zeros(shape, ctx=mx.cpu())])
    return key


def _gather(array: Array) -> Array:
    """`array` (k,) of this process and all others: (processes, k), bit for bit."""
    # As bytes, each in a float32: the store rounds float64 to float32. Only zeros are added to a
    # row.
    rows = np.zeros((_store.num_workers, array.nbytes), np.float32)
    rows[_store.rank] = np.frombuffer(array.tobytes(), np.uint8)
    shared_rows = mx.nd.array(rows, ctx=mx.cpu())
    _store.pushpull(_rows_key(rows.shape), shared_rows)
    gathered: Array = shared_rows.asnumpy().astype(np.uint8).view(array.dtype)
    return gathered
