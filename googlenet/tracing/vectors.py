"""Maps of one pixel that nothing uses as maps: vectors, which only a global pool makes of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..arrays import Array
from ..spec.layers import AdaptiveAvgPool, Dense, Dropout, GlobalAvgPool, ReLU, Scale, Shape
from .foreign import ELEMENTWISE
from .structure import Value
from .tree import Foreign, Step


def with_vectors(
    values: Sequence[Value], outputs: Sequence[tuple[str, Shape]]
) -> tuple[list[Value], list[str]]:
    """`values` and the names of `outputs`, given with their shapes in the user's code, with a
    global pool for each adaptive one to 1×1 whose result only goes on as a vector.
    """
    found = _Vectors(values, outputs)
    return found.values(), [found.name(name) for name, _ in outputs]


class _Vectors:
    def __init__(self, values: Sequence[Value], outputs: Sequence[tuple[str, Shape]]) -> None:
        self._values = values
        self._users: dict[str, list[Value]] = {}
        for value in values:
            for name in value.inputs:
                self._users.setdefault(name, []).append(value)
        self._maps = {name for name, shape in outputs if len(shape) != 1}
        self._flat: set[str] = set()
        #: Arrays by the identity of the original: what is shared stays so.
        self._arrays: dict[int, Array] = {}
        #: Reshapings of what is a vector already, with what they reshape.
        self._same: dict[str, str] = {}
        for value in values:
            step = value.step
            pool = step is not None and step.layer == AdaptiveAvgPool((1, 1))
            if pool and self._is_vector(value):
                self._flatten(value)

    def name(self, name: str) -> str:
        """The value that stands for another."""
        return self._same.get(name, name)

    def values(self) -> list[Value]:
        """All values, those that are vectors as such."""
        return [
            replace(value, inputs=tuple(map(self.name, value.inputs)), step=self._step(value))
            for value in self._values
            if value.name not in self._same
        ]

    def _is_vector(self, value: Value) -> bool:
        """Whether all that becomes of a map of one pixel goes on as a vector."""
        if value.name in self._maps:
            return False
        return all(map(self._takes_vector, self._users.get(value.name, ())))

    def _takes_vector(self, user: Value) -> bool:
        if user.step is None:  # a join is one of maps
            return False
        if isinstance(user.step.layer, Dense) or _is_flattening(user.step):
            return True
        return _is_elementwise(user.step) and self._is_vector(user)

    def _flatten(self, value: Value) -> None:
        self._flat.add(value.name)
        for user in self._users.get(value.name, ()):
            assert user.step is not None
            if _is_flattening(user.step):
                self._same[user.name] = value.name
            elif isinstance(user.step.layer, Dense):
                self._flat.add(user.name)
            else:
                self._flatten(user)

    def _step(self, value: Value) -> Step | None:
        step = value.step
        if step is None or value.name not in self._flat:
            return step
        layer = GlobalAvgPool() if isinstance(step.layer, AdaptiveAvgPool) else step.layer
        arrays = {role: self._array(role, array) for role, array in step.arrays.items()}
        return replace(step, layer=layer, arrays=arrays, out_shape=step.out_shape[:1])

    def _array(self, role: str, array: Array) -> Array:
        """An array without the axes of one pixel that it has for a map."""
        shape = (len(array), -1) if role == "weight" else (-1,)
        return self._arrays.setdefault(id(array), array.reshape(shape))


def _is_flattening(step: Step) -> bool:
    layer, channels = step.layer, step.out_shape
    return isinstance(layer, Foreign) and layer.kind == "reshape" and len(channels) == 1


def _is_elementwise(step: Step) -> bool:
    if isinstance(step.layer, Foreign):
        return step.layer.kind in ELEMENTWISE or step.layer.kind == "affine"
    return isinstance(step.layer, ReLU | Dropout | Scale)
