"""A user's own PyTorch model, run and differentiated as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from googlenet.arrays import Array
from googlenet.errors import WeightsError
from googlenet.spec import Loss, Network

from . import layout
from .kept import kept
from .model import device_of, in_mode, total_loss

#: Functions that drop at random, by their names in `torch.nn.functional` and in `torch`.
DROPPING: Final = frozenset(
    f"{name}{ending}"
    for name in (
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"),
        "feature_alpha_dropout",
    )
    for ending in ("", "_")
)


class Still(TorchFunctionMode):
    """Nothing is dropped, whoever asks for it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DROPPING:
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)


def own(model: nn.Module, network: Network, outputs: tuple[str, ...]) -> OwnModel:
    """`model`, which `trace` told to be `network`, with its outputs in the order in which it
    returns them.
    """
    return OwnModel(model, network, outputs)


def open_heads(model: nn.Module, images: Array) -> bool:
    """Whether `model` returns auxiliary outputs in training mode only, as torchvision's
    `Inception3` does; it then returns them in evaluation mode, too: modules with others inside,
    whose own code decides that, stay in training mode, and layers do not. False, and nothing is
    changed, for a model that cannot be run.
    """
    original = getattr(model, "_orig_mod", None)
    model = original if isinstance(original, nn.Module) else model  # what was compiled
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return False
    with kept(model) as state:
        try:
            few = _count(model, images)
            with in_mode(model, True):
                many = _count(model, images)
        except Exception:  # the user's code may raise anything, and will when it is traced
            return False
        finally:
            state.restore()
    if many <= few:
        return False
    outer = [each for each in model.modules() if any(True for _ in each.children())]
    right = model.train

    def train(mode: bool = True) -> nn.Module:
        right(mode)
        for each in outer:
            each.training = True
        return model

    mode = model.training
    object.__setattr__(model, "train", train)  # `eval` calls it, too
    with kept(model):
        opened = _count(model, images) == many
    if not opened:
        object.__delattr__(model, "train")
    model.train(mode)
    return opened


def has_opened_heads(model: nn.Module) -> bool:
    """Whether `open_heads` has changed `model`."""
    return getattr(vars(model).get("train"), "__module__", None) == __name__


def _count(model: nn.Module, images: Array) -> int:
    """How many outputs `model` has in its mode."""
    with torch.no_grad(), Still():
        found = model(layout.images_to_native(images, device_of(model)))
    return len(found) if isinstance(found, tuple | list) else 1


def load(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a `state_dict` into a user's model. Raises `WeightsError` for a file that does not fit,
    or that holds more than tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch and pickle have many
        raise WeightsError(
            f"{path}: expected a state_dict, a file of torch.save with tensors only, got something"
            " else, or a damaged file"
        ) from error
    try:
        model.load_state_dict(state)
    except Exception as error:  # what is in the file may be anything
        said = " ".join(str(error).split())
        raise WeightsError(f"{path}: does not fit the model ({said[:300]})") from error


class OwnModel:
    """See `googlenet.backend.protocols.OwnModel`."""

    def __init__(self, model: nn.Module, network: Network, outputs: tuple[str, ...]) -> None:
        self._model, self._network, self._names = model, network, outputs
        named = dict(model.named_parameters()) | dict(model.named_buffers())
        self._held = {
            name: tensor for name, tensor in named.items() if tensor.dtype.is_floating_point
        }

    def arrays(self) -> dict[str, Array]:
        """Copies of all parameters and buffers of numbers."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self._held.items()}

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Set all of them."""
        with torch.no_grad():
            for name, array in arrays.items():
                self._held[name].copy_(torch.from_numpy(array))

    def outputs(self, images: Array, *, train: bool) -> list[Array]:
        """The outputs (N, K) of images (N, C, H, W)."""
        with torch.no_grad():
            return [layout.output_from_native(each) for each in self._run(images, train)]

    def gradients(
        self, images: Array, labels: Array, *, loss: Loss, train: bool
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient with respect to each parameter."""
        trained = {
            name: tensor
            for name, tensor in self._held.items()
            if isinstance(tensor, nn.Parameter) and tensor.requires_grad
        }
        outputs = dict(zip(self._names, self._run(images, train), strict=True))
        total = total_loss(outputs, labels, loss, self._network)
        grads = torch.autograd.grad(
            total, list(trained.values()), allow_unused=True, materialize_grads=True
        )
        return total.item(), {
            name: grad.cpu().numpy() for name, grad in zip(trained, grads, strict=True)
        }

    def evaluation(self) -> Callable[[Array], list[Array]]:
        """The model as its user calls it, in evaluation mode from now on."""
        model, device = self._model.eval(), device_of(self._model)

        def call(images: Array) -> list[Array]:
            with torch.no_grad():
                found = _several(model(layout.images_to_native(images, device)))
            return [layout.output_from_native(each) for each in found]

        return call

    def match(self, native: nn.Module) -> None:
        """Put the weights of `native` into the order of this model's: a convolution computes in
        channels last if its weight is held so.
        """
        own = all(each.is_contiguous() for each in self._held.values())
        order = torch.contiguous_format if own else torch.channels_last
        for parameter in native.parameters():
            if parameter.ndim == 4:
                # Not by `to`, which leaves a 1 × 1 weight the strides of either order.
                laid = torch.empty_like(parameter.data, memory_format=order)
                parameter.data = laid.copy_(parameter.data)

    def _run(self, images: Array, train: bool) -> list[torch.Tensor]:
        x = layout.images_to_native(images, device_of(self._model))
        with in_mode(self._model, train), Still():
            found = self._model(x)
        return _several(found)


def _several(found: Any) -> list[torch.Tensor]:
    """What a model returned, as vectors (N, K)."""
    several = found if isinstance(found, tuple | list) else [found]
    return [each.flatten(1) for each in several]
