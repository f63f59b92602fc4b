"""Training a native cell with MindSpore's own optimiser, in one process or in several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import mindspore as ms
import numpy as np
from mindspore import communication, nn, ops

from googlenet.arrays import Array, Params, uniform
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels
from googlenet.errors import BackendError
from googlenet.spec import ParamSpec, Recipe, num_classes, walk

from . import layout
from .model import in_mode, network_of, targets


def start_parallel() -> tuple[int, int]:
    """Join the processes that `msrun` started, on MindSpore's own collectives for the device;
    returns this process's rank, and how many there are.

    Raises `BackendError` if `msrun` did not start this process.
    """
    if not os.environ.get("MS_ROLE"):
        raise BackendError(
            "mindspore: MS_ROLE is not set, so this process does not know of any others; start it"
            " with msrun --worker_num PROCESSES --local_worker_num PROCESSES --join True SCRIPT"
        )
    if not communication.GlobalComm.INITED:
        communication.init()
    return communication.get_rank(), communication.get_group_size()


def trainer(model: nn.Cell, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says; with `parallel`, together with the
    processes that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


class Trainer:
    """Trains `model` in place by `nn.Momentum`; see `googlenet.backend.protocols.Trainer`.

    A step is one compiled graph for each size of batch, in graph mode: what `set_data` sets, as
    `load_param_into_net` does, a graph of `ms.jit` never sees (MindSpore 2.8.0). Dropout takes
    masks drawn outside of it from the step's seed: MindSpore's random operations take a seed when
    they are compiled, and those that take one with their input do not run on a CPU (MindSpore
    2.8.0). With `parallel` gradients are averaged by `nn.DistributedGradReducer`.
    """

    def __init__(self, model: nn.Cell, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model
        self.rank, self.processes = start_parallel() if parallel else (0, 1)
        self._network, self._loss = network_of(model), recipe.loss
        weights = self._loss.output_weights(self._network)  # raises if the recipe does not fit
        named = model.parameters_dict()
        self._trained = {
            path: (spec, named[layout.native_path(spec)])
            for path, spec in shared.trainable(self._network).items()
        }
        parameters = [parameter for _, parameter in self._trained.values()]
        # Weight decay given for a group applies to all of it; otherwise batch norm's arrays would
        # have none.
        self._optimizer = nn.Momentum(
            [{"params": parameters, "weight_decay": float(recipe.weight_decay)}],
            learning_rate=float(recipe.learning_rate),
            momentum=float(recipe.momentum),
        )
        mean = (
            nn.DistributedGradReducer(parameters, mean=True, degree=self.processes)
            if self.processes > 1
            else None
        )
        cells = dict(model.cells_and_names())
        self._dropouts = {
            site.path: (cells[site.path], site.in_shape)
            for site in walk(self._network)
            if isinstance(cells[site.path], nn.Dropout) and cells[site.path].p
        }
        self._new_step = partial(_Step, model, weights, self._optimizer, mean)
        self._steps: dict[int, tuple[_Step, dict[str, ms.Parameter]]] = {}

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
        against = targets(labels, num_classes(self._network), self._loss.label_smoothing)
        if len(images) not in self._steps:
            self._steps[len(images)] = self._new_step(), self._masks(len(images))
        advance, masks = self._steps[len(images)]
        for path, mask in masks.items():
            rate = self._dropouts[path][0].p
            keep = uniform(seed, path)(mask.size).reshape(mask.shape) >= rate
            mask.set_data(ms.Tensor(keep / (1 - rate), ms.float32))
        self._optimizer.learning_rate.set_data(ms.Tensor(learning_rate, ms.float32))
        with in_mode(self.model, True, execution=ms.GRAPH_MODE), self._masked(masks):
            total, logits = advance(x, against, ms.Tensor(share, ms.float32))
        return total.item(), layout.output_from_native(logits)

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        with in_mode(self.model, False, execution=ms.GRAPH_MODE):
            outputs = shared.by_name(self._network, self.model(self._images(images)))
            return layout.output_from_native(outputs["logits"])

    def velocity(self) -> Params:
        """MindSpore's moments, which are v of the recipe; 0 before the first step."""
        return {path: layout.from_native(spec, moment) for path, spec, moment in self._moments()}

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`."""
        for path, spec, moment in self._moments():
            if path in velocity:
                moment.set_data(layout.to_native(spec, velocity[path]))

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        if self.processes == 1:
            return values
        # MindSpore's collectives on the CPU only take float32: three of them hold a float64, and
        # the sum is taken here.
        parts = np.zeros((3, len(values)), np.float32)
        for row in range(3):
            parts[row] = values - parts.sum(0, np.float64)
        gathered: Array = ops.AllGather()(ms.Tensor(parts[None])).asnumpy()
        total: Array = gathered.sum(1, np.float64).sum(0)
        return total

    def _images(self, images: Array, *, train: bool = False) -> ms.Tensor:
        return layout.images_to_native(check_images(self._network, images, train=train))

    def _masks(self, count: int) -> dict[str, ms.Parameter]:
        """Dropout's masks for `count` images, by path."""
        return {
            path: ms.Parameter(
                ms.Tensor(np.zeros((count, *shape)), ms.float32),
                name=f"mask.{path}",
                requires_grad=False,
            )
            for path, (_, shape) in self._dropouts.items()
        }

    @contextmanager
    def _masked(self, masks: dict[str, ms.Parameter]) -> Iterator[None]:
        """Dropout multiplies by these for a while: they are looked up when a step is compiled."""
        before = {path: self._dropouts[path][0].dropout for path in masks}
        for path, mask in masks.items():
            self._dropouts[path][0].dropout = _multiplier(mask)
        try:
            yield
        finally:
            for path, primitive in before.items():
                self._dropouts[path][0].dropout = primitive

    def _moments(self) -> Iterator[tuple[str, ParamSpec, ms.Parameter]]:
        for (path, (spec, _)), moment in zip(
            self._trained.items(), self._optimizer.moments, strict=True
        ):
            yield path, spec, moment


class _Step(nn.Cell):
    """Forward, loss, backward and update in one: (images, targets, share) → (loss, logits).

    `weights` are those of the outputs' losses, by name, and `mean` averages the gradients over
    processes. No parameter gets another name here, so there is no prefix.
    """

    def __init__(
        self,
        model: nn.Cell,
        weights: dict[str, float],
        optimizer: nn.Optimizer,
        mean: nn.Cell | None,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.model, self.optimizer, self.mean = model, optimizer, mean
        against, names = nn.SoftmaxCrossEntropyWithLogits(reduction="mean"), tuple(weights)

        def total_loss(
            x: ms.Tensor, targets: ms.Tensor, share: ms.Tensor
        ) -> tuple[ms.Tensor, ms.Tensor, ms.Tensor]:
            def cross_entropy(logits: ms.Tensor) -> ms.Tensor:
                return against(logits, targets)

            every = model(x)
            if not isinstance(every, tuple):
                every = (every,)
            # Graph mode has no zip of tensors, which `shared.by_name` uses.
            outputs = {name: every[position] for position, name in enumerate(names)}
            total = shared.weighted_sum(weights, outputs, cross_entropy)
            return total * share, total, outputs["logits"]

        self.differentiate = ms.value_and_grad(total_loss, None, optimizer.parameters, has_aux=True)

    def construct(
        self, x: ms.Tensor, targets: ms.Tensor, share: ms.Tensor
    ) -> tuple[ms.Tensor, ms.Tensor]:
        (_, total, logits), grads = self.differentiate(x, targets, share)
        if self.mean is not None:
            grads = self.mean(grads)
        answer: tuple[ms.Tensor, ms.Tensor] = ops.depend((total, logits), self.optimizer(grads))
        return answer


def _multiplier(mask: ms.Parameter) -> Callable[[ms.Tensor], tuple[ms.Tensor, ms.Tensor]]:
    """Replaces the operation of `nn.Dropout`, which returns its result and its mask."""

    def multiply(x: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
        return x * mask, mask

    return multiply
