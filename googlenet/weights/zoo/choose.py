"""Which zoo's model a file is when nobody says: its names, shapes and classes decide, as far as
they can.
"""

from __future__ import annotations

from ...errors import WeightsError
from ...spec.same import same_in_evaluation
from ..formats import WeightsFile
from .models import find_model, namings, zoo_models
from .names import network_of
from .parts import parts_of

#: A file that agrees less is not taken for a model that nobody named.
SURE = 0.9


class AmbiguousWeights(WeightsError):
    """A file that fits several models that compute different things: `models`, by designator."""

    def __init__(self, message: str, models: tuple[str, ...]) -> None:
        super().__init__(message)
        self.models = models


def only_model(file: WeightsFile) -> tuple[str, tuple[str, ...]] | None:
    """The zoo's model whose arrays the file has, and the others that have them as well and compute
    the same; None if it fits none well.

    Raises `AmbiguousWeights` if it fits several that compute different things.
    """
    shares = {
        designator: max(
            part.share for model in namings(designator) for part in parts_of(file, model)[:1]
        )
        for designator in zoo_models()
        if _may_be(file, designator)
    }
    best = max(shares.values())
    if best < SURE:
        return None
    first, *others = [designator for designator, share in shares.items() if share == best]
    ours = network_of(find_model(first))
    for other in others:
        theirs = network_of(find_model(other))
        if ours.input_shape != theirs.input_shape or not same_in_evaluation(ours, theirs):
            raise AmbiguousWeights(
                f"{file.path}: cannot tell by itself what it is: its arrays are those of {first}"
                f" and of {other}, which compute different things of them; `model=ZOO:MODEL` must"
                " say it",
                (first, other),
            )
    return first, tuple(others)


def _may_be(file: WeightsFile, designator: str) -> bool:
    """Whether a dense layer of the file has as many classes as every file of the model has, if that
    number is fixed; a file without any does not say.
    """
    classes = find_model(designator).classes
    dense = [array.shape for array in file.arrays.values() if array.ndim == 2]
    return classes is None or not dense or any(classes in shape for shape in dense)
