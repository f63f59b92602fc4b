"""A tree without foreign layers as a network of the spec, with its weights and places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array, Params
from ..errors import ShapeError, SpecError, TraceError
from ..spec.layers import (
    Aux,
    Concat,
    Layer,
    Network,
    Residual,
    Scale,
    Sequential,
    Shape,
)
from ..spec.rewrite import resolve
from .tree import Chain, Foreign, Fork, Head, Item, Step, Tangle, steps

#: What a captured graph of evaluation does not say: the weight of a head's loss.
LOSS_WEIGHT = 0.3


@dataclass(frozen=True, eq=False)
class Traced:
    """A user's model in the spec's terms: its `network`, its weights by path (canonical axes,
    float32 where they are float32 numbers, else as the model has them), for each layer's path the
    place in the user's code, and the names of the outputs in the order in which it returns them.
    """

    network: Network
    params: Params
    places: dict[str, str]
    outputs: tuple[str, ...]


def foreign(chain: Chain) -> Iterator[Step]:
    """The layers that the spec has not, in the order of the tree; a product of branches, and a
    tangle, is one, after those inside.
    """
    for item in chain:
        match item:
            case Step(layer=Foreign()):
                yield item
            case Fork(join=join, branches=branches, by=by):
                for branch in branches:
                    yield from foreign(branch)
                if join == "product":
                    yield Step(Foreign("multiply"), {}, item.out_shape, item.place)
                if by is not None:
                    yield by
            case Tangle(knots=knots):
                yield from foreign(tuple(knot.item for knot in knots))
                yield Step(Foreign("tangle"), {}, item.out_shape, item.place)
            case Head(chain=inside):
                yield from foreign(inside)


def kind_of(step: Step) -> str:
    """What a layer is called: the kind of a foreign one, or the spec's class."""
    return step.layer.kind if isinstance(step.layer, Foreign) else type(step.layer).__name__


def as_traced(chain: Chain, name: str, input_shape: Shape, source: str) -> Traced:
    """`chain`, which has no foreign layers, as a network called `name` for images `input_shape`
    (C, H, W); layers are called by their kind, and counted.

    Raises `TraceError` if the layers do not fit together as the spec's must, such as a
    concatenation of vectors.
    """
    return Maker().whole(chain, name, input_shape, source)


def _as_float32(array: Array) -> Array:
    """The same numbers in float32, where they are some."""
    with np.errstate(over="ignore"):
        near = np.ascontiguousarray(array, np.float32)
    return near if np.array_equal(near, array, equal_nan=True) else array


class Maker:
    """Makes the layers of a network, which are called by their kind, and counted."""

    def __init__(self) -> None:
        self.params: Params = {}
        self.places: dict[str, str] = {}
        self.outputs: dict[int, str] = {0: "logits"}

    def whole(self, chain: Chain, name: str, input_shape: Shape, source: str) -> Traced:
        """The network of a whole model. Raises as `as_traced` does."""
        network = Network(name, self.sequential(chain, ""), input_shape, source)
        try:
            resolve(network)
        except (ShapeError, SpecError) as error:
            path = str(error).partition(":")[0]
            raise TraceError(
                f"{self.places.get(path, 'net')}: each layer is one of the spec's, but the spec has"
                f" no network made of them ({error})"
            ) from error
        params = {path: _as_float32(array) for path, array in self.params.items()}
        outputs = tuple(self.outputs[number] for number in sorted(self.outputs))
        return Traced(network, params, self.places, outputs)

    def sequential(self, chain: Chain, path: str) -> Sequential:
        """The layers of a chain."""
        return Sequential(tuple(self.children(chain, path).items()))

    def children(self, chain: Chain, path: str) -> dict[str, Layer]:
        """The layers of a chain by their names."""
        children: dict[str, Layer] = {}
        counts: dict[str, int] = {}
        for item in chain:
            kind = word(item)
            counts[kind] = counts.get(kind, 0) + 1
            name = f"{kind}_{counts[kind]}"
            children[name] = self.item(item, f"{path}.{name}" if path else name)
        return children

    def branches(self, fork: Fork, path: str) -> list[tuple[str, Layer]]:
        """The branches of a concatenation with their names."""
        return [
            (f"branch_{number}", self.sequential(branch, f"{path}.branch_{number}"))
            for number, branch in enumerate(fork.branches, 1)
        ]

    def head(self, head: Head, path: str) -> Sequential:
        """The layers of a further output."""
        return self.sequential(head.chain, path)

    def item(self, item: Item, path: str) -> Layer:
        """A layer, or the layers of a fork or a head."""
        match item:
            case Step(layer=layer, arrays=arrays, place=place):
                assert not isinstance(layer, Foreign)
                self.params.update({f"{path}.{role}": array for role, array in arrays.items()})
                self.places[path] = place
                return layer
            case Head(number=number):
                self.outputs[number] = path.rpartition(".")[2]
                return Aux(self.head(item, path), LOSS_WEIGHT)
            case Fork(join="concat", place=place):
                self.places[path] = place
                return Concat(tuple(self.branches(item, path)))
            case Fork():
                self.places[path] = item.place
                return self._sum(item, path)
            case Tangle():
                raise AssertionError(f"{item.place}: a tangle is foreign")

    def _sum(self, fork: Fork, path: str) -> Residual:
        """A sum of branches: the shorter one is the shortcut, and a factor at the end of the other
        is its scale.
        """
        *rest, last = sorted(fork.branches, key=_length)
        scale = 1.0
        if last and isinstance(last[-1], Step):
            layer = last[-1].layer
            if isinstance(layer, Scale) and layer.when == "always":
                scale, last = layer.factor, last[:-1]
        shortcut = rest[0] if len(rest) == 1 else (replace(fork, branches=tuple(rest)),)
        return Residual(
            self.sequential(last, f"{path}.body"),
            self.sequential(shortcut, f"{path}.shortcut"),
            scale,
        )


def _length(chain: Chain) -> int:
    return sum(1 for _ in steps(chain))


def word(item: Item) -> str:
    """What kind of layer it is, as a name."""
    if isinstance(item, Head):
        return "aux"
    if isinstance(item, Fork):
        return item.join
    assert isinstance(item, Step)
    words = {"Conv": "conv", "BatchNorm": "norm", "LocalResponseNorm": "lrn", "ReLU": "relu"}
    words |= {"MaxPool": "max_pool", "AvgPool": "avg_pool", "AdaptiveAvgPool": "adaptive_pool"}
    words |= {"GlobalAvgPool": "global_pool", "Dropout": "dropout", "Dense": "dense"}
    return words.get(type(item.layer).__name__, "scale")
