"""Training a native model with Keras's own optimiser, in one process or in several."""

from __future__ import annotations

import os
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels
from googlenet.errors import BackendError
from googlenet.spec import Recipe

from . import layout
from .model import device_of, network_of, total_loss, variables_of, without_xla

_START_EACH = (
    'start each process with TF_CONFIG=\'{"cluster": {"worker": ["HOST0:PORT", "HOST1:PORT"]},'
    ' "task": {"type": "worker", "index": RANK}}\''
)
_strategy: tf.distribute.MultiWorkerMirroredStrategy | None = None


def start_parallel() -> tuple[int, int]:
    """Join the processes that `TF_CONFIG` in the environment lists; returns this process's rank,
    and how many there are.

    Raises `BackendError` if it is not set or cannot be used, or this process has several GPUs.
    """
    global _strategy
    if _strategy is None:
        if not os.environ.get("TF_CONFIG"):
            raise BackendError(
                "tensorflow: TF_CONFIG is not set, so this process does not know of any others;"
                f" {_START_EACH}"
            )
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (ValueError, KeyError, RuntimeError) as error:
            raise BackendError(
                "tensorflow: cannot join the processes of TF_CONFIG"
                f" ({str(error).splitlines()[0]}); {_START_EACH}"
            ) from error
        if strategy.cluster_resolver.task_type != "worker":
            raise BackendError(
                "tensorflow: TF_CONFIG gives this process the task type"
                f" {strategy.cluster_resolver.task_type!r}, not 'worker'; {_START_EACH}"
            )
        if len(strategy.extended.worker_devices) > 1:
            raise BackendError(
                "tensorflow: this process sees several GPUs; start one process for each, with"
                " CUDA_VISIBLE_DEVICES"
            )
        _strategy = strategy
    return _strategy.cluster_resolver.task_id, _strategy.num_replicas_in_sync


def trainer(model: keras.Model, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says; with `parallel`, together with the
    processes that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


class Trainer:
    """Trains `model` in place by `keras.optimizers.SGD`; see
    `googlenet.backend.protocols.Trainer`.

    A step is one `tf.function`, traced once for batches of every size. With `parallel` gradients
    are averaged by `MultiWorkerMirroredStrategy`.
    """

    def __init__(self, model: keras.Model, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model
        self.rank, self.processes = start_parallel() if parallel else (0, 1)
        self._network, self._loss, self._decay = network_of(model), recipe.loss, recipe.weight_decay
        self._loss.output_weights(self._network)  # raises if the recipe does not fit
        named = variables_of(model)
        self._trained = {
            path: (spec, named[path]) for path, spec in shared.trainable(self._network).items()
        }
        self._dropouts = [
            each for each in model.layers if isinstance(each, keras.layers.Dropout) and each.rate
        ]
        self._device = device_of(model)
        with tf.device(self._device):
            # Keras's own weight decay is not the recipe's: it is not part of the momentum.
            self._optimizer = keras.optimizers.SGD(
                recipe.learning_rate, momentum=float(recipe.momentum)
            )
            self._optimizer.build([variable for _, variable in self._trained.values()])
            self._set_rate(recipe.learning_rate)
        # With no fixed batch size, so that a smaller last batch is not traced again; as fast as
        # with a fixed size.
        images = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
        labels, scalar = tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.float32)
        seed = tf.TensorSpec([], tf.int64)
        # Nothing here branches on a tensor, and AutoGraph warns about every `match` that it meets.
        compiled = partial(tf.function, autograph=False)
        self._step = compiled(self._advance, [images, labels, scalar, seed])
        self._predict = compiled(self._evaluate, [images])
        self._rescale = compiled(self._scale_buffers, [scalar])

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
        with tf.device(self._device):
            if learning_rate != self._rate:
                self._rescale(tf.constant(learning_rate / self._rate, tf.float32))
                self._set_rate(learning_rate)
            x, targets = layout.images_to_native(images), tf.constant(labels)
            loss, logits = self._step(
                x, targets, tf.constant(share, tf.float32), tf.constant(seed, tf.int64)
            )
        return float(loss), layout.output_from_native(logits)

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        images = check_images(self._network, images)
        with tf.device(self._device):
            return layout.output_from_native(self._predict(layout.images_to_native(images)))

    def velocity(self) -> Params:
        """Keras's momentum buffers, which are −learning_rate · v of the recipe; none without
        momentum.
        """
        buffers = zip(self._trained.items(), self._optimizer.momentums, strict=False)
        return {path: layout.from_native(spec, buffer) for (path, (spec, _)), buffer in buffers}

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`."""
        buffers = zip(self._trained.items(), self._optimizer.momentums, strict=False)
        for (path, (spec, _)), buffer in buffers:
            if path in velocity:
                buffer.assign(layout.to_native(spec, velocity[path]))
        self._set_rate(learning_rate)

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        if self.processes == 1:
            return values
        return np.asarray(_sum(tf.constant(values, tf.float64)))

    def _advance(
        self, images: tf.Tensor, labels: tf.Tensor, share: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The step: images (N, H, W, C), labels (N,) and two scalars → the loss and the logits
        (N, K).
        """
        for index, layer in enumerate(self._dropouts):
            layer.seed_generator.state.assign(tf.stack([seed, index]))
        variables = [variable for _, variable in self._trained.values()]
        with tf.GradientTape() as tape, without_xla(self.model):
            outputs = shared.by_name(self._network, self.model(images, training=True))
            total = total_loss(outputs, labels, self._loss, self._network)
        zero = tf.UnconnectedGradients.ZERO
        grads = tape.gradient(total, variables, output_gradients=share, unconnected_gradients=zero)
        if self.processes > 1:
            grads = _all_reduce(tf.distribute.ReduceOp.MEAN, grads)
        if self._decay:
            pairs = zip(grads, variables, strict=True)
            grads = [grad + self._decay * variable for grad, variable in pairs]
        self._optimizer.apply(grads)
        return total, outputs["logits"]

    def _evaluate(self, images: tf.Tensor) -> tf.Tensor:
        with without_xla(self.model):
            return shared.by_name(self._network, self.model(images))["logits"]

    def _scale_buffers(self, factor: tf.Tensor) -> None:
        for buffer in self._optimizer.momentums:
            buffer.assign(buffer * factor)

    def _set_rate(self, learning_rate: float) -> None:
        self._rate = learning_rate
        self._optimizer.learning_rate.assign(learning_rate)


def _all_reduce(operation: tf.distribute.ReduceOp, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Tensors of this process, reduced over all of them."""
    assert _strategy is not None, "start_parallel comes first"

    def reduce() -> list[tf.Tensor]:
        # The strategy takes no tensor without an explicit device.
        placed = [tf.identity(tensor) for tensor in tensors]
        reduced: list[tf.Tensor] = tf.distribute.get_replica_context().all_reduce(operation, placed)
        return reduced

    reduced: list[tf.Tensor] = _strategy.run(reduce)
    return reduced


def _sum(values: tf.Tensor) -> tf.Tensor:
    # In a graph: otherwise TensorFlow warns that this is slow.
    add = tf.function(lambda: _all_reduce(tf.distribute.ReduceOp.SUM, [values])[0])
    return add()
