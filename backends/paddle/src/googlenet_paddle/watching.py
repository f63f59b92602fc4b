"""Sees every call of a layer while a user's model is run and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import paddle
from paddle import nn

from googlenet.arrays import Array

from .static_mode import replaced, unrecorded

#: A user's model: a layer, or a function of a tensor.
Model: TypeAlias = Callable[[paddle.Tensor], Any]
#: The functions of Paddle's that drop, but for `dropout`, which is recorded as such, and the layers
#: that call them.
_FUNCTIONS: Final[Mapping[str, Callable[[float], nn.Layer]]] = {
    "dropout2d": nn.Dropout2D,
    "dropout3d": nn.Dropout3D,
    "alpha_dropout": nn.AlphaDropout,
    "feature_alpha_dropout": nn.FeatureAlphaDropout,
}
#: Layers that do nothing in evaluation mode, of which Paddle then records nothing.
SILENT: Final = (nn.Dropout, nn.Dropout2D, nn.Dropout3D, nn.AlphaDropout, nn.FeatureAlphaDropout)


def is_native(kind: type) -> bool:
    """Whether a class is Paddle's own."""
    return kind.__module__.partition(".")[0] == "paddle"


class Watch:
    """Sees every call of a layer while a model is run, and leaves the layers as they were.

    A layer of the model is in evaluation mode; so is any that a plain function calls. With
    `training` those of the user's own classes are in training mode, which their code may ask for.
    Weights and running statistics are set back, and attributes that the recording left.
    """

    def __init__(self, model: Model, *, training: bool = False) -> None:
        self._training = training
        self._root = model if isinstance(model, nn.Layer) else None
        self._mode = model.training if isinstance(model, nn.Layer) else True
        self._modes: dict[nn.Layer, bool] = {}
        self._kept: list[tuple[paddle.Tensor, Array]] = []
        self._buffers: dict[nn.Layer, dict[str, Any]] = {}
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._stack = ExitStack()
        self._block: Any = None
        self._grown = False
        self.layers: dict[Any, list[nn.Layer]] = {}
        self.silent: dict[Any, nn.Layer] = {}

    def __enter__(self) -> Watch:
        if self._root is not None:
            for layer in self._root.sublayers(include_self=True):
                self._meet(layer, layer.training)
        self._stack.enter_context(unrecorded())
        self._stack.enter_context(replaced(nn.Layer, "__call__", self._wrapped))
        for function, make in _FUNCTIONS.items() if self._training else ():
            dropped = partial(self._dropping, make)
            self._stack.enter_context(replaced(nn.functional, function, dropped))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        for live, before in self._attributes:
            _restore(live, before)
        for tensor, array in self._kept:
            if not np.array_equal(tensor.numpy(), array, equal_nan=True):
                tensor.set_value(array)
        for layer, training in self._modes.items():
            layer.training = training

    def _meet(self, layer: nn.Layer, mode: bool) -> None:
        """Put a layer into evaluation mode, and remember what it holds."""
        self._modes[layer] = mode
        layer.training = self._training and not is_native(type(layer))
        self._keep(layer)

    def _keep(self, layer: nn.Layer) -> None:
        self._buffers[layer] = dict(layer._buffers)
        held = (*layer._parameters.values(), *layer._buffers.values())
        for tensor in held:
            if isinstance(tensor, paddle.Tensor) and tensor._is_initialized():
                self._kept.append((tensor, tensor.numpy().copy()))

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def called(layer: nn.Layer, *args: Any, **kwargs: Any) -> Any:
            if layer not in self._modes:
                self._met(layer)
            block = self._block
            if block is None:
                return original(layer, *args, **kwargs)
            before = block.back().id() if len(block.ops) else None
            found = original(layer, *args, **kwargs)
            if isinstance(layer, SILENT) and args and found is args[0]:
                found = paddle.assign(found)
                self.silent[block.back().id()] = layer
            for op in reversed(block.ops):
                if op.id() == before:
                    break
                self.layers.setdefault(op.id(), []).append(layer)
            return found

        return called

    def _dropping(
        self, make: Callable[[float], nn.Layer], original: Callable[..., Any]
    ) -> Callable[..., Any]:
        """A function that drops in training, of which Paddle records how it draws numbers."""

        def called(x: Any, p: float = 0.5, training: bool = True, *args: Any, **more: Any) -> Any:
            if not training or self._block is None:
                return original(x, p, training, *args, **more)
            found = paddle.assign(x)
            self.silent[self._block.back().id()] = make(p)
            return found

        return called

    def _met(self, layer: nn.Layer) -> None:
        """A layer that was not there before, or is in no layer that Paddle knows of: what
        `model.eval()` does not reach stays as it is.
        """
        if self._root is None:
            self._meet(layer, layer.training)
        elif any(layer is each for each in self._root.sublayers(include_self=True)):
            self._meet(layer, self._mode)
            self._grown = True
        else:
            self._modes[layer] = layer.training
            self._keep(layer)

    def has_grown(self) -> bool:
        """Whether the model has built layers since it was last asked."""
        grown, self._grown = self._grown, False
        return grown

    def takes_channels_last(self) -> bool:
        """Whether a layer says that its channels are last."""
        formats = (getattr(layer, "_data_format", None) for layer in self._modes)
        names = (getattr(layer, "data_format", None) for layer in self._modes)
        return "NHWC" in (*formats, *names)

    def settle(self) -> None:
        """What the layers hold now, all being built, is what they hold afterwards."""
        layers = list(self._modes)
        if self._root is not None:
            layers += self._root.sublayers(include_self=True)
        for layer in dict.fromkeys(layers):
            held, buffers = vars(layer), layer._buffers
            self._attributes.append((held, _copied(held)))
            before = self._buffers.get(layer, {})
            for key in [key for key, each in buffers.items() if before.get(key) is not each]:
                # A tensor that the model keeps of its last call. A value of the program would be
                # written into it, where it is a buffer, instead of taking its place.
                held[key] = buffers.pop(key)

    def begin(self, block: Any) -> None:
        """From now on operations are recorded in `block`."""
        self._block = block


def _copied(held: dict[str, Any]) -> dict[str, Any]:
    """A layer's attributes, with copies of the lists and dicts among them."""
    return {
        key: (value, value.copy() if isinstance(value, list | dict | set) else None)
        for key, value in held.items()
    }


def _restore(live: dict[str, Any], before: dict[str, Any]) -> None:
    for key in [key for key in live if key not in before]:
        del live[key]
    for key, (value, content) in before.items():
        live[key] = value
        if isinstance(value, list):
            value[:] = content
        elif isinstance(value, dict | set):
            value.clear()
            value.update(content)
