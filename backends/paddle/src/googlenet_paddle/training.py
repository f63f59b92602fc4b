"""Training a native layer with Paddle's own optimiser, in one process or in several."""

from __future__ import annotations

import os
import warnings
from typing import cast

import paddle
from paddle import distributed, nn

from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels
from googlenet.errors import BackendError
from googlenet.spec import Recipe

from . import layout
from .model import device_of, network_of, total_loss


def start_parallel() -> tuple[int, int]:
    """Join the processes that `paddle.distributed.launch` started, on gloo or with GPUs on nccl;
    returns this process's rank, and how many there are.

    Raises `BackendError` if it did not start this process.
    """
    if not os.environ.get("PADDLE_TRAINER_ID"):
        raise BackendError(
            "paddle: PADDLE_TRAINER_ID is not set, so this process does not know of any others;"
            " start it with python -m paddle.distributed.launch --nproc_per_node PROCESSES SCRIPT"
        )
    if not distributed.is_initialized() and distributed.get_world_size() > 1:
        distributed.init_parallel_env()
    return distributed.get_rank(), distributed.get_world_size()


def trainer(model: nn.Layer, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says; with `parallel`, together with the
    processes that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


class Trainer:
    """Trains `model` by `paddle.optimizer.Momentum`; see `googlenet.backend.protocols.Trainer`.

    It runs eagerly: on a CPU `paddle.jit.to_static` is no faster, and takes more memory. With
    `parallel` gradients are averaged by `paddle.DataParallel`.
    """

    def __init__(self, model: nn.Layer, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model
        self.rank, self.processes = start_parallel() if parallel else (0, 1)
        self._network, self._loss = network_of(model), recipe.loss
        self._loss.output_weights(self._network)  # raises if the recipe does not fit
        self._run = paddle.DataParallel(model) if self.processes > 1 else model
        state = model.state_dict()
        self._trained = {
            path: (spec, state[layout.native_path(spec)])
            for path, spec in shared.trainable(self._network).items()
        }
        self._device = device_of(model)
        self._optimizer = paddle.optimizer.Momentum(
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            parameters=[parameter for _, parameter in self._trained.values()],
            weight_decay=float(recipe.weight_decay),
        )

    def step(
        self, images: Array, labels: Array, *, learning_rate: float, seed: int, share: float = 1.0
    ) -> tuple[float, Array]:
        """One step on images (N, C, H, W) with labels (N,): the loss before it, and the logits
        (N, K) of its training pass.
        """
        x = self._images(images, train=True)
        labels = check_labels(self._network, labels, len(images))
        self.model.train()
        before = paddle.get_rng_state()
        try:
            paddle.seed(seed)  # for dropout
            with warnings.catch_warnings():
                # It tracks the running statistics, as batch norm should in training.
                warnings.filterwarnings("ignore", "When training, we now always track")
                outputs = shared.by_name(self._network, self._run(x))
        finally:
            paddle.set_rng_state(before)
        total = total_loss(outputs, labels, self._loss, self._network)
        self._optimizer.clear_grad(set_to_zero=False)
        (total * share if share != 1 else total).backward()
        self._optimizer.set_lr(learning_rate)
        self._optimizer.step()
        return float(total), layout.output_from_native(outputs["logits"])

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        self.model.eval()
        with paddle.no_grad():
            outputs = shared.by_name(self._network, self.model(self._images(images)))
            return layout.output_from_native(outputs["logits"])

    def velocity(self) -> Params:
        """Paddle's velocities, which are v of the recipe; 0 before the first step."""
        return {
            path: layout.from_native(spec, self._buffer(parameter))
            for path, (spec, parameter) in self._trained.items()
        }

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`."""
        for path, array in velocity.items():
            spec, parameter = self._trained[path]
            self._buffer(parameter).set_value(layout.to_native(spec, array))

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        if self.processes == 1:
            return values
        tensor = paddle.to_tensor(values, place=self._device)
        distributed.all_reduce(tensor)
        return layout.output_from_native(tensor)

    def _images(self, images: Array, *, train: bool = False) -> paddle.Tensor:
        return layout.images_to_native(
            check_images(self._network, images, train=train), self._device
        )

    def _buffer(self, parameter: paddle.Tensor) -> paddle.Tensor:
        """The velocity of `parameter`, made if there is none yet: `state_dict` has it under a name
        that depends on what else was made.
        """
        return cast(paddle.Tensor, self._optimizer._add_accumulator("velocity", parameter))
