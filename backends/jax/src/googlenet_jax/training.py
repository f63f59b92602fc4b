"""Training a native model with Optax's optimiser, in one process or in several."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels
from googlenet.spec import Recipe

from . import layout
from .model import assign, device_of, in_mode, network_of, total_loss, values_of, variables_of

Values = dict[str, jax.Array]


def trainer(model: nnx.Module, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says; with `parallel`, together with the
    processes that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


class Trainer:
    """Trains `model` in place by `optax.sgd`; see `googlenet.backend.protocols.Trainer`.

    A step is one `jax.jit`, compiled once for batches of each size.
    """

    def __init__(self, model: nnx.Module, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model
        self.rank, self.processes = (0, 1)
        self._network, self._loss = network_of(model), recipe.loss
        self._loss.output_weights(self._network)  # raises if the recipe does not fit
        self._momentum, self._decay = recipe.momentum, recipe.weight_decay
        self._specs = shared.trainable(self._network)
        self._device = device_of(model)
        graph, state = nnx.split(model)
        # Shapes and types only: the step sets every weight, and must not keep those of today.
        blank = jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype), state)
        self._made = lambda: nnx.merge(graph, blank, copy=True)
        self._optimizer_state: Any = self._optimizer(recipe.learning_rate).init(values_of(model))
        self._step = jax.jit(self._advance)
        self._predict = jax.jit(self._evaluate)

    def _optimizer(self, learning_rate: float | jax.Array) -> optax.GradientTransformation:
        return optax.chain(
            optax.add_decayed_weights(self._decay) if self._decay else optax.identity(),
            optax.sgd(learning_rate, momentum=self._momentum or None),
        )

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
        images = check_images(self._network, images, train=True)
        labels = check_labels(self._network, labels, len(images))
        x = layout.images_to_native(images, self._device)
        key = np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], np.uint32)
        weights, statistics = self._values()
        rate = np.float32(learning_rate)
        weights, statistics, self._optimizer_state, loss, logits = self._step(
            weights, statistics, self._optimizer_state, x, labels.astype(np.int32), rate, key
        )
        assign(self.model, weights | statistics)
        return float(loss), layout.output_from_native(logits)

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        x = layout.images_to_native(check_images(self._network, images), self._device)
        return layout.output_from_native(self._predict(*self._values(), x))

    def velocity(self) -> Params:
        """Optax's trace, which is v of the recipe; none without momentum."""
        trace = self._trace()
        return {
            path: layout.from_native(spec, trace[path])
            for path, spec in self._specs.items()
            if path in trace
        }

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`."""
        trace = self._trace()
        for path, array in velocity.items():
            if path in trace:
                native = layout.to_native(self._specs[path], array)
                trace[path] = jax.device_put(native, self._device)

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        return values

    def _trace(self) -> Values:
        """The optimiser's own dictionary of v by path."""
        states = jax.tree.leaves(
            self._optimizer_state, is_leaf=lambda each: isinstance(each, optax.TraceState)
        )
        found = [each.trace for each in states if isinstance(each, optax.TraceState)]
        return found[0] if found else {}

    def _values(self) -> tuple[Values, Values]:
        """The model's weights and its statistics, by path."""
        values = {path: each[...] for path, each in variables_of(self.model).items()}
        weights = {path: values.pop(path) for path in self._specs}
        return weights, values

    def _native(self, weights: Values, statistics: Values, *, train: bool) -> nnx.Module:
        """The model with these arrays."""
        native = self._made()
        in_mode(native, train)
        assign(native, weights | statistics)
        return native

    def _advance(
        self,
        weights: Values,
        statistics: Values,
        state: Any,
        images: jax.Array,
        labels: jax.Array,
        learning_rate: jax.Array,
        seed: jax.Array,
    ) -> tuple[Values, Values, Any, jax.Array, jax.Array]:
        """The step: images (N, H, W, C), labels (N,), a scalar and a seed (2,) → the weights, the
        statistics, the optimiser's state, the loss, and the logits (N, K).
        """

        def run(weights: Values) -> tuple[jax.Array, tuple[jax.Array, Values]]:
            native = self._native(weights, statistics, train=True)
            _seed(native, seed)
            outputs = shared.by_name(self._network, native(images))
            variables = variables_of(native)
            moved = {path: variables[path][...] for path in statistics}
            loss = total_loss(outputs, labels, self._loss, self._network)
            return loss, (outputs["logits"], moved)

        (loss, (logits, statistics)), grads = jax.value_and_grad(run, has_aux=True)(weights)
        updates, state = self._optimizer(learning_rate).update(grads, state, weights)
        return optax.apply_updates(weights, updates), statistics, state, loss, logits

    def _evaluate(self, weights: Values, statistics: Values, images: jax.Array) -> jax.Array:
        native = self._native(weights, statistics, train=False)
        return shared.by_name(self._network, native(images))["logits"]


def _seed(model: nnx.Module, seed: jax.Array) -> None:
    """Dropout's masks come from `seed` (2,), other ones in each layer."""
    key = jax.random.wrap_key_data(seed, impl="threefry2x32")
    dropouts = [each for _, each in nnx.iter_modules(model) if isinstance(each, nnx.Dropout)]
    for index, layer in enumerate(dropouts):
        layer.rngs.key.set_value(jax.random.fold_in(key, index))
        layer.rngs.count.set_value(jnp.zeros((), jnp.uint32))
