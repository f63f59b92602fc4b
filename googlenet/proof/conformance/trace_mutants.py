"""The mutants of users' own models: captures that lose, change or mix up what a model computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from ...arrays import Array
from ...backend.graph import Graph, Op
from . import sabotage
from .mutant import Mutant

#: Changes one operation.
Change = Callable[[Op], Op]


def trace_mutants() -> Iterator[Mutant]:
    """Backends whose graphs are not what the model computes."""
    yield _mutant(
        "a trace loses the ReLUs",
        "'logits of a trace' of",
        _every("relu", lambda op: replace(op, kind="identity")),
        "trace-dense_on_vector",
    )
    yield _mutant(
        "a trace forgets the rate of dropout",
        "came back with",
        _every("dropout", lambda op: replace(op, attributes={"rate": 0.5, "active": False})),
        "trace-leaf-dropout",
    )
    yield _mutant(
        "a trace swaps the auxiliary outputs",
        "'aux1 of a trace' of",
        _swapped,
        "trace-auxiliary",
    )
    yield _mutant(
        "a trace rounds the weights",
        "did not come back bit for bit",
        _every("conv", _rounded),
        "trace-inception",
    )
    yield _mutant(
        "a trace names a kind that does not exist",
        "has no prefix",
        _every("relu", lambda op: replace(op, kind="Relu")),
        "trace-dense_on_vector",
    )
    yield _mutant(
        "a trace leaves out the places",
        "has no place for",
        lambda graph: replace(graph, ops=tuple(replace(op, place="") for op in graph.ops)),
        "trace-inception",
    )
    yield Mutant(
        "a trace changes the images",
        "trace: the images were changed",
        sabotage.instead("trace", _spoiling, "trace"),
        "trace-changes-nothing",
    )


def _mutant(name: str, divergence: str, change: Callable[[Graph], Graph], case: str) -> Mutant:
    def wrong(module: ModuleType, right: Any) -> Callable[..., tuple[Graph, list[Array]]]:
        def trace(model: Any, images: Array) -> tuple[Graph, list[Array]]:
            graph, outputs = right(model, images)
            return change(graph), outputs

        return trace

    return Mutant(name, divergence, sabotage.instead("trace", wrong, "trace"), case)


def _every(kind: str, change: Change) -> Callable[[Graph], Graph]:
    return lambda graph: replace(
        graph, ops=tuple(change(op) if op.kind == kind else op for op in graph.ops)
    )


def _swapped(graph: Graph) -> Graph:
    logits, first, second = graph.outputs
    return replace(graph, outputs=(logits, second, first))


def _rounded(op: Op) -> Op:
    """One weight moved by one unit in the last place."""
    weight = op.arrays["weight"].copy()
    weight.flat[0] = np.nextafter(weight.flat[0], np.float32(np.inf))
    return replace(op, arrays={**op.arrays, "weight": weight})


def _spoiling(module: ModuleType, right: Any) -> Callable[..., Any]:
    def trace(model: Any, images: Array) -> Any:
        found = right(model, images)
        images[...] = 0
        return found

    return trace
