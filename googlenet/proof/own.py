"""A user's own model as a backend of the one network that it is: what is proved of it holds for the
user's code.

The layers inside it cannot be read from outside, and are those of the backend's native model with
the same weights; outputs, gradients, statistics and training steps are the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np

from ..arrays import Array, Params
from ..backend.protocols import MatchesLayout, OwnModel, RunsOwn
from ..errors import TraceError
from ..spec.layers import Network
from ..spec.loss import Loss
from ..spec.params import param_specs
from ..spec.recipe import Recipe
from ..spec.rewrite import with_dropout_rate
from ..weights.samples import random_images
from .written import with_functions

#: The digits of an element's number, which are weights for a while: all are powers of two times
#: whole numbers that every framework's float32 holds, none is 0, and none is large.
BASE: Final = 1024
_UNIT: Final = 2.0**-16


@dataclass(eq=False)
class _Model:
    """All the numbers of the user's model, one after the other, and a native model beside it."""

    numbers: Array
    native: Any
    network: Network


def own_backend(
    backend: RunsOwn,
    model: OwnModel,
    network: Network,
    outputs: tuple[str, ...],
    weights: Callable[[], Params],
) -> RunsOwn:
    """`backend`, but each model of `network` that it builds is the user's `model` with other
    weights, whose `outputs` are given in the order in which it returns them. `weights` tells what
    the weights by path are in the user's model at the time, as `trace` does.

    Any other network is native. Raises `TraceError` if a weight is none of the model's arrays.
    """
    found = _Own(backend, model, network, outputs, weights)
    names = ("build", "params_of", "forward", "gradients", "trainer")
    theirs = with_functions(backend, **{each: getattr(found, each) for each in names})
    for name in ("start_parallel", "compiled", "compiled_forms"):  # of native models
        vars(theirs).pop(name, None)
    return cast(RunsOwn, theirs)


class _Own:
    def __init__(
        self,
        backend: Any,
        model: OwnModel,
        network: Network,
        outputs: tuple[str, ...],
        weights: Callable[[], Params],
    ) -> None:
        self._backend, self._model, self._outputs = backend, model, outputs
        self._layers = with_dropout_rate(network, 0.0).layers
        self._start = model.arrays()
        self._check_type()
        self._check_training(network)
        self._places = self._placed(param_specs(network), weights)

    def _placed(self, paths: Iterable[str], weights: Callable[[], Params]) -> dict[str, Array]:
        """Where each element of a weight is among all numbers of the model, by path: for a while
        each number of the model is the digits of its place.
        """
        count = sum(array.size for array in self._start.values())
        places = {path: np.zeros((), np.int64) for path in paths}
        factor = 1
        while factor == 1 or factor < count:
            digits = (np.arange(count) // factor % BASE + 1) * _UNIT
            self._assign(digits.astype(np.float32))
            told = weights()
            for path, place in places.items():
                found = told[path].astype(np.float64) / _UNIT - 1
                if (found != np.rint(found)).any() or (found < 0).any() or (found >= BASE).any():
                    self._model.assign(self._start)
                    raise TraceError(
                        f"{path}: is none of the model's own parameters; it is computed from"
                        " others, or its layer is not registered, as one in a plain list or dict"
                    )
                places[path] = place + found.astype(np.int64) * factor
            factor *= BASE
        self._model.assign(self._start)
        self._check_frozen(places)
        return places

    def _check_frozen(self, places: Mapping[str, Array]) -> None:
        """Raises `TraceError` for a weight without a gradient."""
        start = 0
        frozen: list[tuple[str, range]] = []
        for name, array in self._start.items():
            if name not in self._trained:
                frozen.append((name, range(start, start + array.size)))
            start += array.size
        for path, place in places.items():
            if path.rpartition(".")[2] not in ("weight", "bias"):
                continue
            if any(place.size and int(place.min()) in each for _, each in frozen):
                raise TraceError(
                    f"{path}: is frozen, so that it has no gradient that could be compared; make it"
                    " trainable first"
                )

    def _check_type(self) -> None:
        """Raises `TraceError` for a model that does not compute in float32."""
        for name, array in self._start.items():
            if array.dtype != np.float32:
                raise TraceError(
                    f"the model computes in {array.dtype} ({name}), and what is written computes in"
                    " float32; convert the model to float32 first"
                )

    def _check_training(self, network: Network) -> None:
        """Raises `TraceError` if the model returns something else in training mode, draws something
        at random there, or has frozen weights.
        """
        images = random_images(network, batch=2)
        first, second = (self._model.outputs(images, train=True) for _ in range(2))
        labels = np.zeros(len(images), np.int64)
        if len(first) == len(self._outputs):
            _, grads = self._model.gradients(images, labels, loss=Loss(), train=False)
        self._model.assign(self._start)
        if len(first) != len(self._outputs):
            raise TraceError(
                f"the model returns {len(self._outputs)} outputs in evaluation mode, and"
                f" {len(first)} in training mode; return all auxiliary outputs in both"
            )
        self._trained = frozenset(grads)
        if any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
            raise TraceError(
                "the model draws random numbers in training mode that cannot be switched off, so"
                " that its gradients are not those of one function"
            )

    def _assign(self, numbers: Array) -> None:
        arrays, start = {}, 0
        for name, array in self._start.items():
            part = numbers[start : start + array.size]
            arrays[name] = np.array(part.reshape(array.shape))
            start += array.size
        self._model.assign(arrays)

    def _joined(self, arrays: Mapping[str, Array]) -> Array:
        """Arrays one after the other, with zeros for those that are not there."""
        empty = (
            arrays.get(name, np.zeros(array.shape, np.float32))
            for name, array in self._start.items()
        )
        return np.concatenate([each.reshape(-1).astype(np.float32) for each in empty])

    def _by_path(self, numbers: Array) -> Params:
        return {path: numbers[place] for path, place in self._places.items()}

    # As a backend ---------------------------------------------------------------------------------

    def build(self, network: Network, params: Params, *, device: str | None = None) -> Any:
        native = self._backend.build(network, params, device=device)
        if with_dropout_rate(network, 0.0).layers != self._layers:
            return native
        if isinstance(self._model, MatchesLayout):
            self._model.match(native)
        numbers = self._joined(self._start)
        for path, place in self._places.items():
            numbers[place] = params[path]
        return _Model(numbers, native, network)

    def params_of(self, model: Any) -> Params:
        if not isinstance(model, _Model):
            return cast(Params, self._backend.params_of(model))
        return self._by_path(model.numbers)

    def forward(
        self, model: Any, images: Array, *, train: bool = False, taps: Iterable[str] = ()
    ) -> dict[str, Array]:
        inside = {}
        if not isinstance(model, _Model):
            found = self._backend.forward(model, images, train=train, taps=taps)
            return cast("dict[str, Array]", found)
        if taps := tuple(taps):
            inside = self._backend.forward(model.native, images, train=train, taps=taps)
        self._assign(model.numbers)
        given = self._model.outputs(images, train=train)
        if train:
            model.numbers = self._joined(self._model.arrays())
        own = dict(zip(self._outputs, given, strict=True))
        return {**inside, **{name: own[name] for name in model.network.outputs}}

    def gradients(
        self,
        model: Any,
        images: Array,
        labels: Array,
        *,
        loss: Loss = Loss(),
        train: bool = True,
    ) -> tuple[float, Params]:
        if not isinstance(model, _Model):
            found = self._backend.gradients(model, images, labels, loss=loss, train=train)
            return cast("tuple[float, Params]", found)
        self._assign(model.numbers)
        total, grads = self._model.gradients(images, labels, loss=loss, train=train)
        if train:
            model.numbers = self._joined(self._model.arrays())
        by_path = self._by_path(self._joined(grads))
        specs = param_specs(model.network)
        return total, {path: by_path[path] for path, spec in specs.items() if spec.trainable}

    def trainer(self, model: Any, recipe: Recipe, *, parallel: bool = False) -> Any:
        if not isinstance(model, _Model):
            return self._backend.trainer(model, recipe, parallel=parallel)
        return _Trainer(self, model, recipe)


class _Trainer:
    """Trains the user's model by gradients of its framework: the update is the recipe's own rule,
    v ← momentum · v + gradient + decay · w and w ← w − rate · v, in float32.
    """

    processes, rank = 1, 0

    def __init__(self, backend: _Own, model: _Model, recipe: Recipe) -> None:
        self.model, self._backend, self._recipe = model, backend, recipe
        self._velocity: Params = {}

    def step(
        self,
        images: Array,
        labels: Array,
        *,
        learning_rate: float,
        seed: int,
        share: float = 1.0,
    ) -> tuple[float, Array]:
        recipe, model = self._recipe, self.model
        before = replace(model)
        logits = self._backend.forward(before, images, train=True)["logits"]
        total, grads = self._backend.gradients(model, images, labels, loss=recipe.loss)
        params = self._backend.params_of(model)
        momentum, decay, rate = (
            np.float32(each) for each in (recipe.momentum, recipe.weight_decay, learning_rate)
        )
        for path, gradient in grads.items():
            pull = gradient + decay * params[path]
            velocity = self._velocity.get(path)
            self._velocity[path] = pull if velocity is None else momentum * velocity + pull
            params[path] = params[path] - rate * self._velocity[path]
        for path, place in self._backend._places.items():
            model.numbers[place] = params[path]
        return total, logits

    def velocity(self) -> Params:
        return dict(self._velocity)

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        self._velocity = dict(velocity)
