"""Training a native module with PyTorch's own optimiser, in one process or in several."""

from __future__ import annotations

import os

import torch
from torch import distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from googlenet.arrays import Array, Params
from googlenet.backend.checks import check_images, check_labels
from googlenet.errors import BackendError
from googlenet.spec.params import param_specs
from googlenet.training import Recipe

from . import layout


def start_parallel() -> tuple[int, int]:
    """Join the processes that `torchrun` started, with gloo on the CPU and nccl with CUDA: this
    process's rank, and how many they are.

    Raises `BackendError` if `torchrun` did not start this process.
    """
    if not distributed.is_initialized():
        if missing := [
            name
            for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
            if name not in os.environ
        ]:
            raise BackendError(
                f"torch: no {', '.join(missing)} in the environment, so this process knows of no"
                " others; start it with torchrun --nproc-per-node 2 -m googlenet train …"
            )
        if torch.cuda.is_available():
            torch.cuda.set_device(
                int(os.environ.get("LOCAL_RANK", "0"))
            )  # so that "cuda" is a GPU of its own
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        )
    return distributed.get_rank(), distributed.get_world_size()


class Trainer:
    """Trains `model` in place by `torch.optim.SGD`; see `googlenet.backend.Trainer`.

    The weights go channels last, in which PyTorch's convolutions are faster on a CPU. With
    `parallel` gradients are averaged by `DistributedDataParallel`.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, *, parallel: bool) -> None:
        self.model = model.to(memory_format=torch.channels_last)
        self.rank, self.processes = (
            (distributed.get_rank(), distributed.get_world_size()) if parallel else (0, 1)
        )
        self._loss = recipe.loss
        self._weights = self._loss.output_weights(model.network)
        self._run = DistributedDataParallel(model) if parallel else model
        named = dict(model.named_parameters())
        self._trained = {
            path: (spec, named[path])
            for path, spec in param_specs(model.network).items()
            if spec.trainable
        }
        self._device = next(iter(named.values())).device
        self._optimizer = torch.optim.SGD(
            [parameter for _, parameter in self._trained.values()],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )

    def step(
        self, images: Array, labels: Array, *, learning_rate: float, seed: int, share: float = 1.0
    ) -> tuple[float, Array]:
        """One step on images (N, C, H, W) with labels (N,): the loss before it, and the logits (N,
        K) of its training pass.
        """
        # before the forward pass, so that no gradients are held through it
        self._optimizer.zero_grad()
        x, targets = (
            self._images(images),
            torch.from_numpy(check_labels(self.model.network, labels, len(images))).to(
                self._device
            ),
        )
        self.model.train()
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # for dropout
            outputs = self._by_name(self._run(x))
        total = sum(
            weight
            * functional.cross_entropy(
                outputs[output], targets, label_smoothing=self._loss.label_smoothing
            )
            for output, weight in self._weights.items()
        )
        (total * share if share != 1 else total).backward()
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()
        return total.item(), layout.output_from_native(outputs["logits"])

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""
        self.model.eval()
        with torch.inference_mode():
            return layout.output_from_native(
                self._by_name(self.model(self._images(images)))["logits"]
            )

    def velocity(self) -> Params:
        """PyTorch's momentum buffers, which are v of the recipe; none before the first step and
        without momentum.
        """
        buffers = {
            path: (spec, self._optimizer.state.get(tensor, {}).get("momentum_buffer"))
            for path, (spec, tensor) in self._trained.items()
        }
        return {
            path: layout.from_native(spec, buffer)
            for path, (spec, buffer) in buffers.items()
            if buffer is not None
        }

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Go on with what `velocity` gave after a step at `learning_rate`."""
        for path, array in velocity.items():
            spec, tensor = self._trained[path]
            buffer = torch.empty_like(tensor).copy_(layout.to_native(spec, array))
            self._optimizer.state[tensor]["momentum_buffer"] = buffer

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""
        if self.processes == 1:
            return values
        tensor = torch.from_numpy(values.copy()).to(self._device)
        distributed.all_reduce(tensor)
        return tensor.cpu().numpy()

    def _images(self, images: Array) -> torch.Tensor:
        x = layout.images_to_native(check_images(self.model.network, images), self._device)
        return x.contiguous(memory_format=torch.channels_last)

    def _by_name(self, outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        return dict(
            zip(
                self.model.network.outputs,
                outputs if isinstance(outputs, tuple) else (outputs,),
                strict=True,
            )
        )
