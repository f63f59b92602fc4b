"""A user's own model in the spec's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..arrays import Array, Params, uniform_float32
from ..backend.discovery import canonical_name, get_backend
from ..backend.graph import Graph
from ..backend.protocols import Traces
from ..errors import BackendError, TraceError
from ..proof.parity.tolerance import PROVABLE, distance, limit
from ..spec.layers import Network, Shape, check_input_shape
from ..tracing.evaluate import evaluate, is_known
from ..tracing.lift import lift
from ..tracing.network import Traced, as_traced, foreign, kind_of
from ..tracing.tree import Chain, Step
from .arguments import name_of

#: How many images a model is traced with: two, so that an axis of one is never the batch.
BATCH: Final = 2


@dataclass(frozen=True, eq=False)
class Trace:
    """What a model computes: the `graph` that its framework told, and its layers as a `tree`.

    `traced` is it as a network, with weights and places, None if something in it is `foreign`, that
    is no layer of the spec, or if the spec has no network of its layers: `obstacle` says which.
    `errors` are the relative L2 distances of the model's outputs, in the order in which it returns
    them, from the tree's in float64; there are none if it has a layer that nobody here knows.
    """

    framework: str
    graph: Graph
    tree: Chain
    traced: Traced | None
    foreign: tuple[Step, ...]
    errors: tuple[float, ...]
    obstacle: str = ""

    @property
    def network(self) -> Network:
        """The model as a network of the spec. Raises `TraceError` if something is foreign."""
        return self._whole.network

    @property
    def params(self) -> Params:
        """Its weights: path → float32 array in canonical axes.

        Raises as `network` does, and for weights of a model in double precision that no float32
        holds.
        """
        for path, array in self._whole.params.items():
            if array.dtype != np.float32:
                place = self._whole.places[path.rpartition(".")[0]]
                raise TraceError(
                    f"{place}: its {path.rpartition('.')[2]} is {array.dtype}, and float32 cannot"
                    " hold its values; convert the model to float32 first, or read `traced.params`"
                )
        return self._whole.params

    @property
    def outputs(self) -> tuple[str, ...]:
        """The network's names of the outputs, in the order in which the model returns them. Raises
        as `network` does.
        """
        return self._whole.outputs

    @property
    def places(self) -> dict[str, str]:
        """Where in the user's code each layer is, by its path. Raises as `network` does."""
        return self._whole.places

    @property
    def _whole(self) -> Traced:
        if self.traced is None:
            raise TraceError(self.obstacle)
        return self.traced


def trace(
    model: Any, framework: str, input_shape: Shape, *, name: str = "traced", seed: int = 0
) -> Trace:
    """What `model`, a model of `framework` that the user wrote, computes in evaluation mode for
    images of `input_shape` (C, H, W).

    It is run once on random images of both signs; its weights and its mode stay as they are. What
    was understood is proved each time: the tree's outputs in float64 must be the model's, within
    the limits of parity. `name` is the name of the network.

    Raises `ShapeError` for an `input_shape` that is none, `TraceError` if the model cannot be run
    or captured, or if it is another function than was understood; `BackendError` if the framework
    is not there, or its backend cannot trace.
    """
    named = canonical_name(name_of("framework", framework))
    shape = check_input_shape(input_shape)
    backend = get_backend(named)
    if not isinstance(backend, Traces):
        raise BackendError(f"framework '{named}': its backend cannot trace models yet")
    images = drawn_images(shape, seed)
    graph, outputs = backend.trace(model, images)
    check_finite(graph)
    tree = lift(graph)
    strange = tuple(foreign(tree))
    traced, obstacle = None, ""
    if strange:
        obstacle = (
            f"{strange[0].place}: '{kind_of(strange[0])}' is not a layer of the spec, so the model"
            " is not one of its networks; `foreign` has all such layers, and `tree` the rest"
        )
    else:
        try:
            traced = as_traced(tree, name, shape, f"a model of {named}")
        except TraceError as error:
            obstacle = str(error)
    unknown = [step for step in strange if not is_known(step)]
    errors = () if unknown else prove(tree, images, outputs)
    return Trace(named, graph, tree, traced, strange, errors, obstacle)


def drawn_images(shape: Shape, seed: int) -> Array:
    """The random images (N, C, H, W) of float32 in [-1, 1) that a model of images `shape` (C, H, W)
    is traced with.
    """
    count = BATCH * int(np.prod(shape))
    drawn = uniform_float32(seed, "images of a trace", count).reshape(BATCH, *shape)
    return 2 * drawn - 1


def check_finite(graph: Graph) -> None:
    """Raises `TraceError` for weights with which nothing can be proved."""
    for op in graph.ops:
        for role, array in op.arrays.items():
            if not np.isfinite(array).all():
                what = "NaN" if np.isnan(array).any() else "infinity"
                if role == "other":  # an addition or a product by itself
                    role = "factor" if op.attributes["product"] else "bias"
                raise TraceError(
                    f"{op.place}: its {role} holds {what}; give the model weights that are finite"
                )


def prove(tree: Chain, images: Array, outputs: list[Array]) -> tuple[float, ...]:
    """How far each output is from the tree's in float64. Raises `TraceError` if that is more than
    rounding.
    """
    right, rough = (evaluate(tree, images, dtype) for dtype in (np.float64, np.float32))
    errors: list[float] = []
    for number, (given, exact, near) in enumerate(zip(outputs, right, rough, strict=True)):
        if exact.size != given.size:
            raise TraceError(
                f"output {number}: the model gives {given.shape}, but its graph was read as giving"
                f" {exact.shape}; the graph was misread"
            )
        exact = exact.reshape(given.shape)
        error = distance(given, exact)
        allowed = limit(distance(near.reshape(given.shape), exact))
        if not allowed <= PROVABLE:  # float32 cannot tell right from wrong, or is not finite
            raise TraceError(
                f"output {number}: cannot be proved, since rounding alone moves it by"
                f" {allowed:.2g}; give the model weights with which this output stays finite"
            )
        if not error <= allowed:
            raise TraceError(
                f"output {number}: the model gives something other than what its graph says"
                f" (relative L2 distance {error:.2g}); is it random, or does it depend on the"
                " batch?"
            )
        errors.append(error)
    return tuple(errors)
