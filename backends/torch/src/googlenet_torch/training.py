"""Training a native module with PyTorch's own optimiser, in one process or in several."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.checks import check_images, check_labels
from googlenet.errors import BackendError
from googlenet.spec import Recipe

from . import layout
from .model import device_of, network_of, total_loss


def start_parallel() -> tuple[int, int]:
    """Join the processes that `torchrun` started, with gloo on the CPU and nccl with CUDA; returns
    this process's rank, and how many there are.

    Raises `BackendError` if `torchrun` did not start this process.
    """
    if not distributed.is_initialized():
        needed = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
        if missing := [name for name in needed if name not in os.environ]:
            are = "is" if len(missing) == 1 else "are"
            raise BackendError(
                f"torch: {', '.join(missing)} {are} not set, so this process does not know of any"
                " others;"
                " start it with torchrun --nproc-per-node 2 -m googlenet train …"
            )
        cuda = torch.cuda.is_available()
        if cuda:  # so that "cuda" means this process's own GPU
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def leave_parallel(code: int) -> NoReturn:
    """End this process at once with the exit code `code`. Threads of PyTorch's may else need the
    interpreter while it exits, and abort ("terminate called without an active exception").
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def trainer(model: nn.Module, recipe: Recipe, *, parallel: bool = False) -> Trainer:
    """A trainer for `model`, in place, as `recipe` says; with `parallel`, together with the
    processes that `start_parallel` joined.
    """
    return Trainer(model, recipe, parallel=parallel)


class Trainer:
    """Trains `model` in place by `torch.optim.SGD`; see `googlenet.backend.protocols.Trainer`.

    Images go in the order in which `build` laid the weights (`layout.memory_format`). With
    `parallel` gradients are averaged by `DistributedDataParallel`.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model
        self._device = device_of(model)
        self._format = layout.memory_format(self._device)
        self.rank, self.processes = start_parallel() if parallel else (0, 1)
        self._network, self._loss = network_of(model), recipe.loss
        self._loss.output_weights(self._network)  # raises if the recipe does not fit
        self._run = DistributedDataParallel(model) if parallel else model
        named = dict(model.named_parameters())
        self._trained = {
            path: (spec, named[path]) for path, spec in shared.trainable(self._network).items()
        }
        self._optimizer = torch.optim.SGD(
            [parameter for _, parameter in self._trained.values()],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
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
        # Before the forward pass, so that no gradients are kept during it.
        self._optimizer.zero_grad()
        x = self._images(images, train=True)
        labels = check_labels(self._network, labels, len(images))
        self.model.train()
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # for dropout
            outputs = shared.by_name(self._network, self._run(x))
        total = total_loss(outputs, labels, self._loss, self._network)
        torch.autograd.backward(total * share if share != 1 else total)
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()
        return total.item(), layout.output_from_native(outputs["logits"])

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        self.model.eval()
        with torch.inference_mode():
            outputs = shared.by_name(self._network, self.model(self._images(images)))
            return layout.output_from_native(outputs["logits"])

    def velocity(self) -> Params:
        """PyTorch's momentum buffers, which are v of the recipe; none before the first step and
        without momentum.
        """
        states = self._optimizer.state
        buffers = {
            path: (spec, states[tensor].get("momentum_buffer") if tensor in states else None)
            for path, (spec, tensor) in self._trained.items()
        }
        return {
            path: layout.from_native(spec, buffer)
            for path, (spec, buffer) in buffers.items()
            if buffer is not None
        }

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`."""
        for path, array in velocity.items():
            spec, tensor = self._trained[path]
            buffer = torch.empty_like(tensor).copy_(layout.to_native(spec, array))
            self._optimizer.state[tensor]["momentum_buffer"] = buffer

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        if self.processes == 1:
            return values
        # Held until the next one: a thread of gloo's drops its reference some time after this
        # returns. If it were the last one to a tensor that Python knows, the thread would need the
        # interpreter, and abort if that is just ending.
        self._summed = torch.tensor(values, device=self._device)
        distributed.all_reduce(self._summed)
        return layout.output_from_native(self._summed)

    def _images(self, images: Array, *, train: bool = False) -> torch.Tensor:
        x = layout.images_to_native(check_images(self._network, images, train=train), self._device)
        return x.contiguous(memory_format=self._format)
