"""Where the operations of a recorded program are in the user's code, as the user writes it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any, Final

import paddle
from paddle import nn
from paddle.jit.dy2static.program_translator import StaticFunction

from .constants import Constants, sources
from .nodes import listed
from .recording import Recording
from .watching import is_native

#: What a model is called.
ROOT: Final = "net"


class Places:
    """The paths of all layers and tensors that can be reached from a model."""

    def __init__(self, recording: Recording, constants: Constants) -> None:
        self._recording = recording
        self._constants = constants
        self._paths: dict[int, str] = {}
        self._owners: dict[int, nn.Layer] = {}
        self._kept: list[Any] = []
        self._root(recording.model)
        self._tensors = {value.id: tensor for tensor, value in recording.tensors}

    def of(self, op: Any) -> str:
        """The path of the tensor that an operation computes with, or of the innermost layer that
        it is in.
        """
        layers = self._recording.layers.get(op.id(), ())
        inside = next((self._paths[id(each)] for each in layers if id(each) in self._paths), ROOT)
        for value in (each for given in sources(op) for each in listed(given)):
            tensor = self._tensor(value)
            if tensor is None or id(tensor) not in self._paths:
                continue
            owner = self._owners.get(id(tensor))
            if owner is None:
                return self._paths[id(tensor)]
            path = self._paths[id(owner)]
            is_whole = type(owner).__module__.startswith("paddle.") and path == inside
            return path if is_whole else self._paths[id(tensor)].removesuffix(".weight")
        return inside

    def unused(self) -> tuple[str, ...]:
        """The paths of the outermost layers with parameters, none of which an output depends on."""
        used = {id(self._tensors[key]) for key in self._reached() if key in self._tensors}
        found: list[str] = []
        within: set[int] = set()
        for layer in (each for each in self._kept if isinstance(each, nn.Layer)):
            own = layer.parameters()
            if not own or id(layer) in within or any(id(each) in used for each in own):
                continue
            found.append(self._paths[id(layer)])
            within.update(id(each) for each in layer.sublayers())
        return tuple(found)

    def classes(self) -> dict[str, str]:
        """The names of the user's own classes by the paths of their layers."""
        return {
            self._paths[id(each)]: type(each).__name__
            for each in self._kept
            if isinstance(each, nn.Layer) and not is_native(type(each))
        }

    def _reached(self) -> set[Any]:
        """The values that the outputs depend on."""
        found: set[Any] = set()
        left = list(self._recording.results)
        while left:
            value = left.pop()
            op = value.get_defining_op()
            if value.id not in found and op is not None:
                found.add(value.id)
                left += [each for each in sources(op) if each is not None]
        return found

    def _tensor(self, value: Any) -> paddle.Tensor | None:
        """The user's tensor that a constant is, or is made of; one that is trained, if any is."""
        if value is None or not self._constants.is_constant(value):
            return None
        if value.id in self._tensors:
            return self._tensors[value.id]
        given = [each for each in sources(value.get_defining_op()) if each is not None]
        given.sort(key=lambda each: not self._constants.trained(each))
        return next((each for each in map(self._tensor, given) if each is not None), None)

    def _root(self, model: Any) -> None:
        while isinstance(model, functools.partial):
            for key, each in model.keywords.items():
                self._walk(each, key)
            for each in model.args:
                self._walk(each, ROOT)
            model = model.func
        if isinstance(model, StaticFunction):
            model = model.dygraph_function
        if isinstance(model, nn.Layer | dict | list | tuple):
            self._walk(model, ROOT)
        elif isinstance(model, MethodType):
            self._walk(model.__self__, ROOT)
            self._attributes(model.__self__, ROOT)
        elif isinstance(model, FunctionType):
            self._names(model)
        else:
            self._attributes(model, ROOT)

    def _names(self, function: FunctionType) -> None:
        """The variables of a function that are not its own, and those of those that it calls."""
        if id(function) in self._paths:
            return
        self._paths[id(function)] = ""
        for name, each in _variables(function):
            if isinstance(each, FunctionType):
                self._names(each)
            else:
                self._walk(each, name)

    def _walk(self, each: Any, path: str) -> None:
        """`each` and all that it holds, unless it was met before."""
        if not isinstance(each, nn.Layer | paddle.Tensor | list | tuple | dict):
            return
        if id(each) in self._paths:
            return
        self._paths[id(each)] = path
        self._kept.append(each)  # so that no other gets its identity
        if isinstance(each, nn.Layer):
            self._layer(each, path)
        elif isinstance(each, dict):
            for key, value in each.items():
                self._walk(value, f"{path}[{key!r}]")
        elif isinstance(each, list | tuple):
            for number, value in enumerate(each):
                self._walk(value, f"{path}[{number}]")

    def _layer(self, layer: nn.Layer, path: str) -> None:
        for key, child in layer._sub_layers.items():
            self._walk(child, path + (f"[{key}]" if key.isdigit() else f".{key}"))
        for key, tensor in (*layer._parameters.items(), *layer._buffers.items()):
            if tensor is not None and id(tensor) not in self._paths:
                self._owners[id(tensor)] = layer
                self._walk(tensor, f"{path}.{key}")
        self._attributes(layer, path)

    def _attributes(self, owner: Any, path: str) -> None:
        for key, each in getattr(owner, "__dict__", {}).items():
            if not key.startswith("_") or not isinstance(owner, nn.Layer):
                self._walk(each, f"{path}.{key}")


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function takes from outside: closed over, or global."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for default in function.__defaults__ or ():
        yield ROOT, default
