"""How two networks differ as functions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..architectures import as_network, get_network
from ..arrays import Params
from ..data.images import ImageSet, load_image_set
from ..errors import GoogLeNetError, UnknownNameError
from ..jobs.own import is_own
from ..proof.movement import Movement, movement
from ..spec.analysis import count_parameters
from ..spec.diff import Difference, differences
from ..spec.layers import Network, Shape
from ..spec.memory import check_fits
from ..spec.params import param_specs
from ..spec.traversal import num_classes as classes_of
from ..tracing.flat import flat
from .arguments import flag, integer, path_of
from .own import OwnNetwork, Progress, own_network

#: More classes than any image set has: labels do not matter here.
MOST_CLASSES = 1 << 31


@dataclass(frozen=True)
class Diff:
    """Two networks, how they differ in words, and how far the logits of `second` move from those of
    `first` with the same weights on `images`; the last two are None if the networks were not run.

    If one of them is a user's own model, layers have the names of traced ones in both, and `places`
    says where each is: in the user's code, or its path in the network given by name.
    """

    first: Network
    second: Network
    differences: tuple[Difference, ...]
    movement: Movement | None = None
    images: ImageSet | None = None
    seed: int = 0
    places: tuple[Mapping[str, str], Mapping[str, str]] | None = None

    def place(self, path: str) -> str:
        """Where a layer of that path is: in both, as far as both have it, if a user's own model is
        one of them, or else the path itself.
        """
        if self.places is None:
            return path
        found = dict.fromkeys(each[path] for each in self.places if path in each)
        return " = ".join(found) or path

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
        answer["differences"] = [
            {**asdict(difference), **self._placed(difference.path)}
            for difference in self.differences
        ]
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

    def _placed(self, path: str) -> dict[str, Any]:
        """Where a layer is in each, null if there is none."""
        if self.places is None:
            return {}
        first, second = self.places
        return {"first_place": first.get(path), "second_place": second.get(path)}


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
    own_framework: str | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    timeout: float = 300.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Diff:
    """How network `second` differs from `first`, layer by layer, and unless `logits` is False, how
    far its logits move with the same weights, drawn from `seed`, in the float32 reference.

    Each is a name, ZOO:NAME, a `Network`, or FILE:NAME as for `own_network`, whose own weights are
    then those of both, the first's if both are such. One given by name takes the other's classes
    and input (C, H, W), or its own if it cannot. `images` is what `load_image_set` accepts, by
    default scikit-learn's digits, of which `count` are used. Raises `UnknownNameError`,
    `SpecError`, `ShapeError` or `DataError`, and what `own_network` raises.
    """
    count, seed = integer("count", count, 1), integer("seed", seed, 0)
    logits = flag("logits", logits)

    def traced(which: str, shape: Shape | None) -> OwnNetwork:
        return own_network(
            which,
            own_framework=own_framework,
            input_shape=shape,
            interpreters=interpreters,
            timeout=timeout,
            progress=progress,
        )

    if not is_own(first) and not is_own(second):
        if own_framework is not None:
            raise UnknownNameError("`own_framework`: applies only to a model given as FILE:NAME")
        a = as_network(first, num_classes=num_classes, input_shape=input_shape, aux=aux)
        b = second if isinstance(second, Network) else _like(second, a, aux)
        return _compared(Diff(a, b, ()), {}, logits, images, count, seed)
    ours = theirs = None
    if is_own(first):
        _refuse_classes(num_classes, first)
        ours = traced(first, input_shape)
        a = ours.network
    else:
        a = as_network(first, num_classes=num_classes, input_shape=input_shape, aux=aux)
    if is_own(second):
        theirs = traced(second, a.input_shape)
        b = theirs.network
        if isinstance(first, str) and ours is None and num_classes is None:
            a = _like(first, b, aux)
    else:
        b = second if isinstance(second, Network) else _like(second, a, aux)
    (a, our_places), (b, their_places) = _flat(a, ours), _flat(b, theirs)
    pair = Diff(a, b, (), places=(our_places, their_places))
    return _compared(pair, _weights(ours or theirs), logits, images, count, seed)


def _refuse_classes(num_classes: int | None, own: str) -> None:
    if num_classes is not None:
        raise UnknownNameError(
            f"`num_classes`: applies only to a network given by name; change {own} itself"
        )


def _compared(
    pair: Diff,
    given: Params,
    logits: bool,
    images: str | os.PathLike[str] | None,
    count: int,
    seed: int,
) -> Diff:
    """The two networks of `pair` compared, with the weights `given`."""
    a, b = pair.first, pair.second
    found = replace(pair, differences=tuple(differences(a, b)))
    if not logits:
        return found
    for network in (a, b):
        check_fits(network)
    source = None if images is None else path_of("images", images)
    image_set = load_image_set(source, a.input_shape, MOST_CLASSES, count=count, seed=seed)
    moved = movement(a, b, image_set.images, seed=seed, given=given)
    return replace(found, movement=moved, images=image_set, seed=seed)


def _flat(network: Network, own: OwnNetwork | None) -> tuple[Network, dict[str, str]]:
    """A network with the names of a traced one, and where each layer is."""
    made = flat(network)
    if own is None:
        return made.network, made.places
    return made.network, {path: own.places[place] for path, place in made.places.items()}


def _weights(own: OwnNetwork | None) -> Params:
    """The weights of a user's model, by the names of `flat`."""
    if own is None:
        return {}
    made = flat(own.network)
    params: Params = {}
    for path, spec in param_specs(made.network).items():
        layer, _, role = path.rpartition(".")
        held = own.params.get(f"{made.places[layer]}.{role}")
        # What the model has not is a gamma of ones.
        params[path] = np.ones(spec.shape, np.float32) if held is None else held
    return params


def _like(name: str, a: Network, aux: bool) -> Network:
    """The network `name` with the classes and input of `a`, or its own if it cannot take them."""
    plain = get_network(name, aux=aux)
    try:
        return get_network(name, num_classes=classes_of(a), input_shape=a.input_shape, aux=aux)
    except GoogLeNetError:
        return plain
