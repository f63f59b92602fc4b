"""Dropout that only a pass in training mode has, in the graph of evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .graph import Graph, Op


def with_dropout(graph: Graph, training: Graph | None) -> Graph:
    """`graph`, of evaluation mode, with the dropout that `training` has besides; as it is if that
    is not all that training mode adds.
    """
    if training is None:
        return graph
    rest, ops = list(graph.ops), []
    #: The names in `graph` for those in `training`, without and with the dropout.
    plain, dropped = ({graph.input: graph.input} for _ in range(2))
    for op in training.ops:
        if rest and _is_in_training(rest[0], op, plain):
            made = replace(rest.pop(0), inputs=tuple(dropped[each] for each in op.inputs))
            plain[op.name] = made.name
        elif "active" in op.attributes:  # a dropout, perhaps of a kind that only this framework has
            inputs, attributes = (dropped[op.inputs[0]],), {**op.attributes, "active": False}
            made = replace(op, name=f"dropout.{op.name}", inputs=inputs, attributes=attributes)
            plain[op.name] = plain[op.inputs[0]]
        else:
            return graph
        ops.append(made)
        dropped[op.name] = made.name
    if rest or tuple(plain[each] for each in training.outputs) != graph.outputs:
        return graph
    return replace(graph, ops=tuple(ops), outputs=tuple(dropped[each] for each in training.outputs))


def _is_in_training(op: Op, other: Op, names: Mapping[str, str]) -> bool:
    """Whether `other` is `op` in training mode."""
    modes = {"active": None, "train": None}
    return (
        op.kind == other.kind
        and op.inputs == tuple(names[each] for each in other.inputs)
        and {**op.attributes, **modes} == {**other.attributes, **modes}
    )
