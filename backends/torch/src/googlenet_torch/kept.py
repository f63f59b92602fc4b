"""A model as it was before somebody ran it: weights, buffers, modes and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

#: Where a module keeps what is not an attribute like any other.
REGISTRIES = ("_parameters", "_buffers", "_modules")


@contextmanager
def kept(model: nn.Module) -> Iterator[_Kept]:
    """`model` in evaluation mode, and afterwards as it was, whatever running it changed; only
    layers that are built when they are first called stay built.
    """
    found = _Kept(model)
    try:
        model.eval()
        yield found
    finally:
        found.restore()
        found.restore_modes()


class _Kept:
    def __init__(self, model: nn.Module) -> None:
        self._modes = {module: module.training for module in model.modules()}
        self._modules = [_KeptModule(module) for module in self._modes]
        self._random = torch.get_rng_state()

    def restore(self) -> None:
        """All but the modes."""
        for module in self._modules:
            module.restore()
        torch.set_rng_state(self._random)

    def restore_modes(self) -> None:
        """The modes."""
        for module, training in self._modes.items():
            module.training = training


class _KeptModule:
    """One module. What PyTorch builds by itself has other attributes afterwards."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._is_lazy = isinstance(module, nn.modules.lazy.LazyModuleMixin)
        self._buffers = dict(module._buffers)
        self._attributes = {
            name: (value, _content(value))
            for name, value in vars(module).items()
            if name not in REGISTRIES and name != "training"
        }
        self._values = [
            (tensor, tensor.detach().clone())
            for tensor in (*module._parameters.values(), *self._buffers.values())
            if tensor is not None and not nn.parameter.is_lazy(tensor)
        ]

    def restore(self) -> None:
        module = self._module
        with torch.no_grad():
            for tensor, value in self._values:
                tensor.copy_(value)
        if self._is_lazy:
            return
        module._buffers.clear()
        module._buffers.update(self._buffers)
        registered = {name for registry in REGISTRIES for name in vars(module)[registry]}
        for name in set(vars(module)) - self._attributes.keys() - {*REGISTRIES, "training"}:
            del vars(module)[name]
        for name, (value, content) in self._attributes.items():
            if name not in registered:
                vars(module)[name] = value
                _refill(value, content)


def _content(value: Any) -> Any:
    """What is in a list, dictionary or set, which running the model may change in place."""
    return value.copy() if isinstance(value, list | dict | set) else None


def _refill(value: Any, content: Any) -> None:
    if isinstance(value, list):
        value[:] = content
    elif isinstance(value, dict | set):
        value.clear()
        value.update(content)
