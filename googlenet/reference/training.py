"""Training of the reference: stochastic gradient descent written out, and in float64 the arbiter of
trajectories.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array, Params
from ..errors import BackendError
from ..spec.recipe import Recipe, float32
from . import layout
from .model import forward, params_of, run_gradients
from .network import Model, Pass, in_silence


class Trainer:
    """Trains `model` in place; see `googlenet.backend.protocols.Trainer`."""

    processes = 1
    rank = 0

    def __init__(self, model: Model, recipe: Recipe) -> None:
        self.model = model
        self.recipe = recipe
        recipe.loss.output_weights(model.network)  # raises if the recipe does not fit
        self._trainable = {path: spec for path, spec in model.specs.items() if spec.trainable}
        self._velocity = {path: np.zeros_like(model.params[path]) for path in self._trainable}

    def step(
        self, images: Array, labels: Array, *, learning_rate: float, seed: int, share: float = 1.0
    ) -> tuple[float, Array]:
        """One step on images (N, C, H, W) with labels (N,): the loss in nats before it, and the
        logits (N, K) of its training pass.

        Raises `ShapeError` or `DataError` for images or labels that do not fit.
        """
        self.model.dropout_seed = seed
        return self.advance(images, labels, Pass(train=True), learning_rate=learning_rate)

    @in_silence
    def advance(
        self, images: Array, labels: Array, run: Pass, *, learning_rate: float
    ) -> tuple[float, Array]:
        """`step` with a `Pass` of the caller's choice."""
        settings = [
            float32(value)
            for value in (self.recipe.momentum, self.recipe.weight_decay, learning_rate)
        ]
        momentum, decay, rate = np.asarray(settings, self.model.dtype)
        loss, grads = run_gradients(self.model, images, labels, run, loss=self.recipe.loss)
        for path, spec in self._trainable.items():
            weight = self.model.params[path]
            grad = layout.to_native(spec, grads[path]).astype(self.model.dtype, copy=False)
            velocity = momentum * self._velocity[path] + (grad + decay * weight)
            self._velocity[path] = velocity
            self.model.params[path] = weight - rate * velocity
        return loss, run.outputs["logits"]

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        return forward(self.model, images)["logits"]

    def velocity(self) -> Params:
        """v of the recipe by path, canonical layout, in the model's dtype."""
        return {
            path: layout.from_native(spec, self._velocity[path])
            for path, spec in self._trainable.items()
        }

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`."""
        for path, spec in self._trainable.items():
            self._velocity[path] = layout.to_native(spec, velocity[path]).astype(self.model.dtype)

    def params(self) -> Params:
        """The weights by path, canonical layout, in the model's dtype."""
        return params_of(self.model)

    def snapshot(self) -> tuple[Params, Params]:
        """All that a step changes, to `rewind` to. A step replaces arrays and does not change them,
        so nothing is copied.
        """
        return dict(self.model.params), dict(self._velocity)

    def rewind(self, snapshot: tuple[Params, Params]) -> None:
        """Go back to where `snapshot` was taken."""
        self.model.params, self._velocity = dict(snapshot[0]), dict(snapshot[1])

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        return values


def trainer(model: Model, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says. Raises `BackendError` for `parallel`: the
    reference runs in one process.
    """
    if parallel:
        raise BackendError(
            "framework 'numpy': can only train in one process; leave out `parallel=True`"
        )
    return Trainer(model, recipe)
