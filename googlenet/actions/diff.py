"""How two networks differ as functions."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from ..architectures import as_network, get_network
from ..data.images import ImageSet, load_image_set
from ..errors import GoogLeNetError
from ..proof.movement import Movement, movement
from ..spec.analysis import count_parameters
from ..spec.diff import Difference, differences
from ..spec.layers import Network, Shape
from ..spec.traversal import num_classes as classes_of
from .arguments import flag, integer, path_of

#: More classes than any image set has: labels do not matter here.
MOST_CLASSES = 1 << 31


@dataclass(frozen=True)
class Diff:
    """Two networks, how they differ in words, and how far the logits of `second` move from those of
    `first` with the same weights on `images`; the last two are None if the networks were not run.
    """

    first: Network
    second: Network
    differences: tuple[Difference, ...]
    movement: Movement | None = None
    images: ImageSet | None = None
    seed: int = 0

    @property
    def same_in_evaluation(self) -> bool:
        """Whether they are the same function in evaluation mode; they may differ in training."""
        return all(difference.training_alone for difference in self.differences)

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        answer: dict[str, Any] = {
            which: {
                "name": network.name,
                "input_shape": list(network.input_shape),
                "parameters": count_parameters(network),
            }
            for which, network in (("first", self.first), ("second", self.second))
        }
        answer["differences"] = [asdict(difference) for difference in self.differences]
        answer["same_in_evaluation"] = self.same_in_evaluation
        if self.movement is not None and self.images is not None:
            answer["logits"] = {
                "relative_distance": self.movement.logits,
                "first_divergence": self.movement.first_divergence,
                "unfit": self.movement.unfit,
                "images": self.images.description,
                "image_count": len(self.images.images),
                "seed": self.seed,
            }
        return answer


def diff(
    first: str | Network,
    second: str | Network,
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    images: str | os.PathLike[str] | None = None,
    count: int = 4,
    seed: int = 0,
    logits: bool = True,
) -> Diff:
    """How network `second` differs from `first`, layer by layer, and unless `logits` is False, how
    far its logits move with the same weights, drawn from `seed`, in the float32 reference.

    Each is a name, ZOO:NAME or a `Network`; a second one given by name takes the first's classes
    and input (C, H, W), or its own if it cannot. `images` is what `load_image_set` accepts, by
    default scikit-learn's digits, of which `count` are used. Raises `UnknownNameError`,
    `SpecError`, `ShapeError` or `DataError`.
    """
    count, seed = integer("count", count, 1), integer("seed", seed, 0)
    a = as_network(first, num_classes=num_classes, input_shape=input_shape, aux=aux)
    b = second if isinstance(second, Network) else _like(second, a, aux)
    found = tuple(differences(a, b))
    if not flag("logits", logits):
        return Diff(a, b, found)
    source = None if images is None else path_of("images", images)
    image_set = load_image_set(source, a.input_shape, MOST_CLASSES, count=count, seed=seed)
    return Diff(a, b, found, movement(a, b, image_set.images, seed=seed), image_set, seed)


def _like(name: str, a: Network, aux: bool) -> Network:
    """The network `name` with the classes and input of `a`, or its own if it cannot take them."""
    plain = get_network(name, aux=aux)
    try:
        return get_network(name, num_classes=classes_of(a), input_shape=a.input_shape, aux=aux)
    except GoogLeNetError:
        return plain
