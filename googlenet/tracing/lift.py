"""A graph in the spec's terms: each operation a layer, with what belongs to one layer taken
together, and nothing that only moves numbers about.

Paddings that stand apart go into the convolution or pool behind them, a bias that is added into its
convolution; flattening a map for a dense layer gives that layer the map's axes, in whatever order
the map was flattened. What remains and is no layer of the spec is foreign.

Here the operations are read in their order, those first that move the batch in `batches`; `state`
holds what is known meanwhile. What belongs together is in `paddings`, `constants`, `norms`,
`moves`, `joins` and `layers`, and the spec's layer of an operation in `made`; `vectors`, `wholes`,
`parts`, `pointwise` and `structure` make the tree of what was read.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..backend.graph import Graph, Op
from ..errors import TraceError
from .batches import with_batch_first
from .constants import affine, sum_pool
from .foreign import ELEMENTWISE
from .joins import JOINS, join, join_by
from .layers import elementwise, map_layer
from .moves import computes_nothing, dense, mean, part, transpose
from .norms import batch_norm
from .paddings import pad
from .parts import with_parts
from .pointwise import with_activations
from .state import State
from .structure import Structure
from .tree import Chain
from .vectors import with_vectors
from .views import plain
from .wholes import with_wholes


def lift(graph: Graph, *, ones: bool = False) -> Chain:
    """The layers of `graph` as a tree. With `ones`, a batch norm whose weights are all 1 has them,
    as one has that was not trained yet, and so has a trained factor; without, the one has none, and
    the other is the number that it is.

    Raises `TraceError` if the first axis of what a layer takes is not the batch.
    """
    ops, outputs = with_batch_first(graph, _needed(graph))
    state = State(graph, _counted(outputs, ops), ones=ones)
    for op in ops:
        if op.shape[:1] != graph.input_shape[:1]:
            raise TraceError(
                f"{op.place}: '{op.kind}' gives {op.shape} for images of {graph.input_shape}: its"
                " first axis is not the batch"
            )
        _read(state, op)
    given = [state.output(name) for name in outputs]
    values, names = with_vectors(list(state.values.values()), given)
    values = with_activations(with_parts(with_wholes(values, names), names))
    return Structure(graph.input, values).tree(names)


def _needed(graph: Graph) -> list[Op]:
    needed = set(graph.outputs)
    for op in reversed(graph.ops):
        if op.name in needed:
            needed.update(op.inputs)
    return [op for op in graph.ops if op.name in needed]


def _counted(outputs: Sequence[str], ops: Sequence[Op]) -> dict[str, int]:
    """How often each value is used, under whatever name."""
    names: dict[str, str] = {}
    uses: dict[str, int] = {}
    for op in ops:
        if computes_nothing(op):
            names[op.name] = names.get(op.inputs[0], op.inputs[0])
            continue
        for name in op.inputs:
            name = names.get(name, name)
            uses[name] = uses.get(name, 0) + 1
    for name in outputs:
        name = names.get(name, name)
        uses[name] = uses.get(name, 0) + 1
    return uses


def _read(state: State, op: Op) -> None:
    if op.kind in JOINS and len(op.inputs) > 1 and not op.arrays:
        join(state, op)
        return
    if len(op.inputs) != 1:
        join_by(state, op)
        return
    (name,) = op.inputs
    match op.kind:
        case "identity" | "concat" | "pad" | "mul" if computes_nothing(op):
            state.views[op.name] = state.views[name]
        case "flatten" | "reshape":
            state.views[op.name] = state.views[name].reshaped(op.shape[1:], op.place)
        case "transpose":
            transpose(state, op, name)
        case "pad":
            pad(state, op, name)
        case "slice":
            part(state, op, name)
        case "sum_pool":
            sum_pool(state, op, name)
        case "unfold":
            state.windows[op.name] = op
            state.views[op.name] = plain(op.name, op.shape[1:])
        case "softmax" | "log_softmax" if op.attributes["axis"] % len(op.shape) == 0:
            raise TraceError(f"{op.place}: '{op.kind}' works across the images of a batch")
        case kind if kind in ELEMENTWISE:
            elementwise(state, op, name)
        case "affine":
            affine(state, op, name)
        case "dense":
            dense(state, op, name)
        case "batch_norm":
            batch_norm(state, op, name)
        case "mean":
            mean(state, op, name)
        case _:
            map_layer(state, op, name)
