"""Where the parts of a user's model are: each layer, module and variable by the expression with
which the user reaches it, `net.layers[2].p3_2`.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras
import tensorflow as tf

#: How a model is called in a place, as long as it has no better name.
ROOT: Final = "net"
#: Whose objects hold no layers of the user's: they are not searched.
_CLOSED: Final = ("builtins", "keras", "numpy", "tensorflow", "typing")
_MOST: Final = 100_000

#: What every model has; a name is given, so that users' models are counted from 1.
_INTERNAL: Final = frozenset(vars(keras.Model(name="blank"))) | frozenset(vars(tf.Module()))


class Places:
    """All that can be reached from `model`: attributes, items, and what functions refer to."""

    def __init__(self, model: Any) -> None:
        self._paths: dict[int, str] = {}
        #: What was found, in order; kept, so that no other object gets the same `id`.
        self.found: list[Any] = []
        waiting = deque([(model, ROOT)])
        by_name: deque[tuple[Any, str]] = deque()  # only what has no other path
        while (waiting or by_name) and len(self.found) < _MOST:
            each, path = (waiting or by_name).popleft()
            if id(each) in self._paths or not _is_searched(each):
                continue
            self._paths[id(each)] = path
            self.found.append(each)
            waiting.extend(_parts(each, path))
            if isinstance(each, keras.Model):
                by_name.extend((part, f'{path}.get_layer("{part.name}")') for part in each.layers)

    def __getitem__(self, each: Any) -> str | None:
        """The path of an object; None if it was not found."""
        return self._paths.get(id(each))

    def mention(self, word: str) -> bool:
        """Whether the code of the user's classes and functions refers to something called so."""
        return any(word in _names(code) for each in self.found for code in _codes(each))

    def classes(self) -> dict[str, str]:
        """The names of the user's own classes by the paths of their layers and modules."""
        return {
            self._paths[id(each)]: type(each).__name__
            for each in self.found
            if isinstance(each, keras.layers.Layer | tf.Module) and is_users(type(each))
        }

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(self.found)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """Every Keras layer, those inside Keras' own layers included."""
        found: dict[int, Any] = {}
        for each in self.found:
            if isinstance(each, keras.layers.Layer):
                found.update((id(inner), inner) for inner in each._flatten_layers())
        return list(found.values())

    @property
    def variables(self) -> list[Any]:
        """Every variable of TensorFlow, once; of a variable of Keras the one that it holds."""
        found: dict[int, Any] = {}
        for each in self.found:
            has_own = isinstance(each, keras.layers.Layer | tf.Module)
            own = list(each.variables) if has_own else [each]
            plain = [one.value if isinstance(one, keras.Variable) else one for one in own]
            found.update((id(one), one) for one in plain if isinstance(one, tf.Variable))
        return list(found.values())


def is_users(kind: type) -> bool:
    """Whether a class is neither a framework's nor Python's own."""
    return kind.__module__.partition(".")[0] not in _CLOSED


def _is_searched(each: Any) -> bool:
    if each is None or isinstance(each, str | bytes | int | float | complex | type):
        return False
    return not isinstance(each, types.ModuleType | types.BuiltinFunctionType | tf.Tensor)


def _parts(each: Any, path: str) -> Iterator[tuple[Any, str]]:
    """The parts of an object, each with its path."""
    match each:
        case list() | tuple():
            yield from ((part, f"{path}[{n}]") for n, part in enumerate(each))
        case Mapping():
            yield from ((part, f"{path}[{key!r}]") for key, part in each.items())
        case keras.Variable():
            yield each.value, path
        case keras.Sequential():
            yield from ((part, f"{path}.layers[{n}]") for n, part in enumerate(each.layers))
        case keras.layers.Layer():
            yield from _attributes(each, path)
        case functools.partial():
            yield each.func, path
            yield from _parts(each.args, path)
            yield from _named(each.keywords)
        case types.MethodType():
            yield each.__self__, path
        case types.FunctionType():
            yield from _named(_references(each))
        case tf.Variable():
            return
        case _ if hasattr(each, "python_function"):  # what `tf.function` makes
            yield each.python_function, path
        case tf.Module():
            yield from _attributes(each, path)
        case _ if is_users(type(each)) or "saved_model" in type(each).__module__:
            yield from _attributes(each, path)


def _codes(each: Any) -> Iterator[types.CodeType]:
    """The code of a function, or of the methods of an object of the user's."""
    if isinstance(each, types.FunctionType):
        if _is_users_function(each):
            yield each.__code__
        return
    for kind in type(each).__mro__:
        if is_users(kind):
            for part in vars(kind).values():
                function = getattr(part, "python_function", part)
                if isinstance(function, types.FunctionType):
                    yield function.__code__


def _named(parts: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    yield from ((part, name) for name, part in parts.items())


def _attributes(each: Any, path: str) -> Iterator[tuple[Any, str]]:
    """The attributes that the user gave an object, those with a plain name first."""
    found = dict(getattr(each, "__dict__", {}))
    # A functional model has more of Keras' own, all private.
    hidden = "_" if "_operations" in found else "_self_"
    for name in sorted(found, key=lambda name: name.startswith("_")):
        if name not in _INTERNAL and not name.startswith(hidden):
            yield found[name], f"{path}.{name}"


def _references(function: types.FunctionType) -> dict[str, Any]:
    """What the code of a function refers to by name: closures and globals."""
    if not _is_users_function(function):
        return {}
    found: dict[str, Any] = {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name in _names(function.__code__):
        if name in function.__globals__:
            found.setdefault(name, function.__globals__[name])
    return found


def _is_users_function(function: types.FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] not in _CLOSED


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _names(each)
