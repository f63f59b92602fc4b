"""A user's own Paddle model, run and differentiated as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import paddle
from paddle import nn

from googlenet.arrays import Array
from googlenet.errors import WeightsError
from googlenet.spec import Loss, Network
from googlenet.weights.formats import read_weights_file

from . import layout
from .model import in_mode, total_loss
from .recording import record
from .static_mode import dynamic, replaced
from .watching import Model

#: Functions that drop at random.
_DROPPING: Final = (
    "dropout",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
)


def own(model: Model, network: Network, outputs: tuple[str, ...]) -> OwnModel:
    """`model`, which `trace` told to be `network`, with its outputs in the order in which it
    returns them.
    """
    return OwnModel(model, network, outputs)


def load(model: nn.Layer, path: str | os.PathLike[str]) -> None:
    """Load a `state_dict` into a user's model, without unpickling it. Raises `WeightsError` for a
    file that does not fit.
    """
    found, state = read_weights_file(path).arrays, model.state_dict()
    for name in {**state, **found}:
        if name not in found or name not in state:
            what = "has no" if name not in found else "has a"
            raise WeightsError(f"{path}: {what} '{name}', {_against(name in found)} the model has")
        given, expected = found[name].shape, tuple(state[name].shape)
        if given != expected:
            raise WeightsError(f"{path}: '{name}' is {given}, but the model's is {expected}")
    for name, array in found.items():
        state[name].set_value(array.astype(state[name].numpy().dtype))


def _against(extra: bool) -> str:
    return "which nothing in" if extra else "which"


class OwnModel:
    """See `googlenet.backend.protocols.OwnModel`."""

    def __init__(self, model: Model, network: Network, outputs: tuple[str, ...]) -> None:
        self._model, self._network, self._names = model, network, outputs
        images = np.zeros((2, *network.input_shape), np.float32)
        with dynamic():
            recording = record(model, images)
        self._last = recording.channels_last
        self._held: dict[str, paddle.Tensor] = {}
        seen: set[tuple[int, tuple[int, ...]]] = set()
        for tensor, _ in recording.tensors:
            key = (tensor.data_ptr(), tuple(tensor.shape))
            if tensor.dtype in (paddle.float32, paddle.float64) and key not in seen:
                seen.add(key)
                self._held[str(len(seen))] = tensor

    def arrays(self) -> dict[str, Array]:
        """Copies of all tensors of numbers that the model computes with."""
        return {name: tensor.numpy().copy() for name, tensor in self._held.items()}

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Set all of them."""
        for name, array in arrays.items():
            self._held[name].set_value(array)

    def outputs(self, images: Array, *, train: bool) -> list[Array]:
        """The outputs (N, K) of images (N, C, H, W)."""
        with paddle.no_grad():
            return [layout.output_from_native(each) for each in self._run(images, train)]

    def gradients(
        self, images: Array, labels: Array, *, loss: Loss, train: bool
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient with respect to each parameter."""
        trained = {name: each for name, each in self._held.items() if not each.stop_gradient}
        outputs = dict(zip(self._names, self._run(images, train), strict=True))
        total = total_loss(outputs, labels, loss, self._network)
        grads = paddle.grad(total, list(trained.values()), allow_unused=True)
        return float(total), {
            name: np.zeros(tensor.shape, np.float32) if grad is None else grad.numpy()
            for (name, tensor), grad in zip(trained.items(), grads, strict=True)
        }

    def evaluation(self) -> Callable[[Array], list[Array]]:
        """The model as its user calls it, in evaluation mode from now on."""
        model = self._model
        if isinstance(model, nn.Layer):
            model.eval()

        def call(images: Array) -> list[Array]:
            with paddle.no_grad():
                found = _several(model(self._native(images)))
            return [layout.output_from_native(each) for each in found]

        return call

    def _native(self, images: Array) -> paddle.Tensor:
        given = images.transpose(0, 2, 3, 1) if self._last else images
        return paddle.to_tensor(np.ascontiguousarray(given))

    def _run(self, images: Array, train: bool) -> list[paddle.Tensor]:
        x, model = self._native(images), self._model
        with ExitStack() as stack:
            stack.enter_context(dynamic())
            if isinstance(model, nn.Layer):
                stack.enter_context(in_mode(model, train))
            stack.enter_context(_still())
            return _several(model(x))


def _several(found: Any) -> list[paddle.Tensor]:
    """What a model returned, as vectors (N, K)."""
    several = found if isinstance(found, tuple | list) else [found]
    return [each.flatten(1) for each in several]


@contextmanager
def _still() -> Iterator[None]:
    """Nothing is dropped, whoever asks for it."""

    def same(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, *args, **more: x

    with ExitStack() as stack:
        for function in _DROPPING:
            if hasattr(nn.functional, function):
                stack.enter_context(replaced(nn.functional, function, same))
        yield
