"""Training a native model with Optax's optimiser, in one process or in several."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels
from googlenet.errors import BackendError
from googlenet.spec import Recipe

from . import layout
from .model import assign, device_of, in_mode, network_of, total_loss, values_of, variables_of

Values = dict[str, jax.Array]

#: What tells a process of the others, where no cluster does that JAX knows.
_VARIABLES: Final = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_START_EACH: Final = (
    "start each process with JAX_COORDINATOR_ADDRESS=HOST:PORT JAX_NUM_PROCESSES=PROCESSES"
    " JAX_PROCESS_ID=RANK, or all of them with mpirun or srun"
)


def start_parallel() -> tuple[int, int]:
    """Join the processes that the environment tells of, JAX's variables or those of a cluster that
    `jax.distributed` knows, with gloo on the CPU; returns this process's rank, and how many there
    are.

    Raises `BackendError` if there are none, or they cannot be joined.
    """
    if not jax.distributed.is_initialized():
        given = [os.environ.get(name) for name in _VARIABLES]
        missing = [name for name, value in zip(_VARIABLES, given, strict=True) if not value]
        if missing and len(missing) < len(_VARIABLES):
            are = "is" if len(missing) == 1 else "are"
            raise BackendError(f"jax: {', '.join(missing)} {are} not set; {_START_EACH}")
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            address, *numbers = given
            processes, rank = (int(each) if each else None for each in numbers)
            jax.distributed.initialize(address, processes, rank)
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise BackendError(
                f"jax: cannot join the processes of the environment ({reason}); {_START_EACH}"
            ) from error
    return jax.process_index(), jax.process_count()


def leave_parallel(code: int) -> NoReturn:
    """End this process with the exit code `code`, after success together with the others: whoever
    is left when the first process ends is ended by JAX.
    """
    if code == 0:
        jax.distributed.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def trainer(model: nnx.Module, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says; with `parallel`, together with the
    processes that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


class Trainer:
    """Trains `model` in place by `optax.sgd`; see `googlenet.backend.protocols.Trainer`.

    A step is one `jax.jit`, compiled once for batches of each size. With `parallel` it is three,
    of which the second averages the gradients.
    """

    def __init__(self, model: nnx.Module, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model
        self.rank, self.processes = start_parallel() if parallel else (0, 1)
        self._network, self._loss = network_of(model), recipe.loss
        self._loss.output_weights(self._network)  # raises if the recipe does not fit
        self._momentum, self._decay = recipe.momentum, recipe.weight_decay
        self._specs = shared.trainable(self._network)
        self._device = device_of(model)
        graph, state = nnx.split(model)
        # Shapes and types only: the step sets every weight, and must not keep those of today.
        blank = jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype), state)
        self._made: Callable[[], nnx.Module] = lambda: nnx.merge(graph, blank, copy=True)
        self._optimizer_state: Any = self._optimizer(recipe.learning_rate).init(values_of(model))
        self._step = jax.jit(self._advance)
        if self.processes > 1:
            self._differentiate_alone = jax.jit(self._differentiate)
            self._move_alone = jax.jit(self._move)
            self._average = _averaging(self._device)
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
        rate, targets = np.float32(learning_rate), labels.astype(np.int32)
        weight = np.float32(share)
        if self.processes > 1:
            grads, statistics, loss, logits = self._differentiate_alone(
                weights, statistics, x, targets, key, weight
            )
            weights, self._optimizer_state = self._move_alone(
                weights, self._average(grads), self._optimizer_state, rate
            )
        else:
            weights, statistics, self._optimizer_state, loss, logits = self._step(
                weights, statistics, self._optimizer_state, x, targets, rate, key, weight
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
        if self.processes == 1:
            return values
        # JAX has no float64 unless its users want it everywhere: the bits travel.
        words = np.ascontiguousarray(values, np.float64).view(np.uint32)
        every = np.asarray(multihost_utils.process_allgather(words))
        total: Array = np.ascontiguousarray(every).view(np.float64).sum(0)
        return total

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
        share: jax.Array,
    ) -> tuple[Values, Values, Any, jax.Array, jax.Array]:
        """The step: images (N, H, W, C), labels (N,), two scalars and a seed (2,) → the weights,
        the statistics, the optimiser's state, the loss, and the logits (N, K).
        """

        grads, statistics, loss, logits = self._differentiate(
            weights, statistics, images, labels, seed, share
        )
        weights, state = self._move(weights, grads, state, learning_rate)
        return weights, statistics, state, loss, logits

    def _differentiate(
        self,
        weights: Values,
        statistics: Values,
        images: jax.Array,
        labels: jax.Array,
        seed: jax.Array,
        share: jax.Array,
    ) -> tuple[Values, Values, jax.Array, jax.Array]:
        """The gradients of the loss times `share`, the new statistics, the loss, and the logits."""

        def run(weights: Values) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Values]]:
            native = self._native(weights, statistics, train=True)
            _seed(native, seed)
            outputs = shared.by_name(self._network, native(images))
            variables = variables_of(native)
            moved = {path: variables[path][...] for path in statistics}
            loss = total_loss(outputs, labels, self._loss, self._network)
            return loss * share, (loss, outputs["logits"], moved)

        grads, (loss, logits, moved) = jax.grad(run, has_aux=True)(weights)
        return grads, moved, loss, logits

    def _move(
        self, weights: Values, grads: Values, state: Any, learning_rate: jax.Array
    ) -> tuple[Values, Any]:
        """The weights and the optimiser's state after these gradients."""
        updates, state = self._optimizer(learning_rate).update(grads, state, weights)
        return cast(Values, optax.apply_updates(weights, updates)), state

    def _evaluate(self, weights: Values, statistics: Values, images: jax.Array) -> jax.Array:
        native = self._native(weights, statistics, train=False)
        logits: jax.Array = shared.by_name(self._network, cast(Any, native)(images))["logits"]
        return logits


def _seed(model: nnx.Module, seed: jax.Array) -> None:
    """Dropout's masks come from `seed` (2,), other ones in each layer."""
    key = jax.random.wrap_key_data(seed, impl="threefry2x32")
    dropouts = [each for _, each in nnx.iter_modules(model) if isinstance(each, nnx.Dropout)]
    for index, layer in enumerate(dropouts):
        layer.rngs.key.set_value(jax.random.fold_in(key, index))
        layer.rngs.count.set_value(jnp.zeros((), jnp.uint32))


def _averaging(device: jax.Device) -> Any:
    """A function that averages a dictionary of arrays on `device` over all processes."""
    # Of each process the device with the same place among its own.
    place = jax.local_devices(backend=device.platform).index(device)
    chosen = [
        jax.local_devices(process_index=index, backend=device.platform)[place]
        for index in range(jax.process_count())
    ]
    mesh = Mesh(np.array(chosen), ("processes",))
    each, everywhere = PartitionSpec("processes"), PartitionSpec()

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=each, out_specs=everywhere)
    def mean(values: Values) -> Values:
        return {path: lax.pmean(value[0], "processes") for path, value in values.items()}

    def average(values: Values) -> Values:
        together = {
            path: jax.make_array_from_single_device_arrays(
                (len(chosen), *value.shape), NamedSharding(mesh, each), [value[None]]
            )
            for path, value in values.items()
        }
        return {path: value.addressable_data(0) for path, value in mean(together).items()}

    return average
