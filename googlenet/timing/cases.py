"""What is timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from ..backend.compiling import CALIBRATED
from ..spec.analysis import count_multiply_adds
from ..spec.blocks import sequential
from ..spec.layers import Dense, GlobalAvgPool, Network
from ..spec.traversal import num_classes

#: How a model is run: as `build` makes it, or as `compile` does.
FORMS: Final = ("native", "compiled")
#: A user's own model of the same network, as their code makes it.
OWN: Final = "own"
#: What is done with a batch: outputs in evaluation mode, or a step of training.
INFERENCE, TRAINING = "inference", "training"
#: The unit roundoffs of floating-point dtypes, in units of float32's.
ROUNDOFF: Final[Mapping[str, float]] = {"float32": 1.0, "bfloat16": 2.0**16}
#: The dtypes that a backend may compile for.
DTYPES: Final = (*ROUNDOFF, *CALIBRATED)
#: The product of two square matrices of this side, float32, is what a machine is measured by.
SIDE: Final = 2048
#: Images per pass of the float64 reference.
CHUNK: Final = 8
#: A training step has the products of a forward pass, and for each of them one for the gradient of
#: the images and one for that of the weights.
STEP: Final = 3


@dataclass(frozen=True)
class Case:
    """One thing to time: `work` on `batch` images of the network with this index, in a `form` and a
    `dtype`.
    """

    network: int
    form: str
    work: str
    batch: int
    dtype: str = "float32"

    def to_json(self) -> dict[str, Any]:
        """As `Case(**values)` reads it."""
        return asdict(self)

    def operations(self, networks: Sequence[Network]) -> int:
        """Multiplications and additions of the convolutions and dense layers, for the batch."""
        passes = STEP if self.work == TRAINING else 1
        return 2 * passes * self.batch * count_multiply_adds(networks[self.network])


def cases(
    networks: int,
    *,
    forms: Sequence[str],
    works: Sequence[str],
    batches: Sequence[int],
    dtypes: Sequence[str],
) -> tuple[Case, ...]:
    """Every combination that can be: models train as they are, and in float32; what is not compiled
    computes in float32, too.
    """
    found = []
    for network in range(networks):
        for batch in batches:
            for work in works:
                for form in forms if work == INFERENCE else FORMS[:1]:
                    for dtype in dtypes if form == "compiled" else ("float32",):
                        found.append(Case(network, form, work, batch, dtype))
    return tuple(found)


def at_depths(network: Network) -> tuple[Network, ...]:
    """`network` cut off after each of its stages, global average pooling and a dense layer with as
    many outputs as `network` has classes behind it; last `network` itself. Raises `ShapeError` if
    its outputs are no vectors.
    """
    *stages, (head, _) = network.layers.children
    ending = sequential(pool=GlobalAvgPool(), dense=Dense(num_classes(network), bias=True))
    found = [
        replace(
            network,
            name=f"{network.name}, to {stages[count - 1][0]}",
            layers=sequential(**dict(stages[:count]), **{head: ending}),
        )
        for count in range(1, len(stages))
    ]
    return (*found, network)


def at_sides(network: Network, sides: Sequence[int]) -> tuple[Network, ...]:
    """`network` for square images of each of `sides`, in pixels."""
    channels = network.input_shape[0]
    return tuple(network.at((channels, side, side)) for side in sides)
