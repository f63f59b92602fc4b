"""How far the logits part of two models of which a file of weights may be either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..data.images import load_image_set
from ..errors import GoogLeNetError, WeightsError
from ..proof.movement import movement
from ..weights.formats import WeightsFile
from ..weights.zoo import AmbiguousWeights, find_model, import_weights, network_of


@contextmanager
def told_apart(file: WeightsFile) -> Iterator[None]:
    """Adds to `AmbiguousWeights` of the block how far the logits of the two models part, with the
    weights of `file` on a digit.
    """
    try:
        yield
    except AmbiguousWeights as error:
        far = _distance(file, *error.models)
        said = "" if far is None else f"; with these weights their logits part by {100 * far:.2g} %"
        raise WeightsError(f"{error}{said}") from error


def _distance(file: WeightsFile, first: str, second: str) -> float | None:
    """The relative distance of logits; None if the weights do not fit."""
    try:
        imported = import_weights(file, first, aux=False)
        images = load_image_set(None, imported.network.input_shape, 1 << 31, count=1).images
        other = network_of(find_model(second), input_shape=imported.network.input_shape)
        return movement(imported.network, other, images, given=imported.params).logits
    except GoogLeNetError:
        return None
