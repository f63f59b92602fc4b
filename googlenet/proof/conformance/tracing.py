"""The cases of users' own models: the backend's own networks, traced like any other model, are what
they were built from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ...arrays import Array, Params
from ...backend.geometry import counted_padding, covering_padding
from ...backend.graph import Graph, faults
from ...backend.protocols import Traces
from ...errors import GoogLeNetError, SpecError, TraceError
from ...spec.layers import (
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Layer,
    Leaf,
    MaxPool,
    Network,
    Residual,
    Scale,
    Sequential,
)
from ...spec.rewrite import with_children
from ...spec.traversal import CompositeSite, LeafSite, fold
from ...tracing.evaluate import evaluate
from ...tracing.lift import lift
from ...tracing.network import Traced, as_traced, foreign, kind_of
from ...weights.samples import random_images, random_params
from ..parity.compare import compare_weights
from ..parity.problem import random_problem
from ..parity.rows import Row
from ..parity.tolerance import distance, forward_yardstick, limit
from .case import TRACE, AnyCase, Case, check_rows, expect, expect_errors
from .networks import LEAVES, composites, sandwich

#: What an evaluation shows of layers: leaves, and tuples for what has branches.
Outline: TypeAlias = tuple[Any, ...]


def trace_cases() -> Iterator[AnyCase]:
    """Every case of users' own models."""
    for name, network in composites().items():
        yield Case(f"trace-{name}", TRACE, partial(_check_trace, network=network))
    for name, layer in LEAVES.items():
        network = sandwich(name, layer)
        yield Case(f"trace-leaf-{name}", TRACE, partial(_check_trace, network=network))
    yield Case("trace-changes-nothing", TRACE, _check_unchanged)
    yield Case("trace-bad-input", TRACE, _check_bad_input)


def outline(layer: Layer) -> Outline:
    """What an evaluation shows of a layer whose padding is explicit: no names, no nesting of
    sequences, no momentum, no weight of a loss, no scale in training, not whether batch norm's
    weights are ones; of a sum without a scale, not which branch is the shortcut.
    """
    match layer:
        case Sequential(children):
            return tuple(item for _, child in children for item in outline(child))
        case Concat(children):
            return (("concat", *(outline(child) for _, child in children)),)
        case Residual(body, shortcut, scale):
            both = outline(body), outline(shortcut)
            factor = (("scale", np.float32(scale)),) if scale != 1 else ()
            # A scale behind the body is the same function.
            return (("sum", frozenset({(*both[0], *factor), both[1]})),)
        case Aux(head):
            return (("head", outline(head)),)
        case BatchNorm(eps=eps):
            return (("batch norm", np.float32(eps)),)
        case Scale(when="train"):
            return ()
        case Scale(factor=factor):
            return (("scale", np.float32(factor)),)
        case _:
            return (layer,)


def at_its_size(network: Network) -> Network:
    """`network` with explicit paddings, those of pools as far as windows reach at this size of
    images: what no window reads leaves no trace, nor does how windows of a max pool are rounded.
    """

    def covering(site: LeafSite) -> Leaf:
        match site.layer:
            case MaxPool() as pool:
                padding, ceil_mode = covering_padding(site, pool), False
            case AvgPool() as pool:
                (top, bottom), (left, right) = counted_padding(site, pool)
                padding = ((top, max(bottom, 0)), (left, max(right, 0)))
                ceil_mode = pool.ceil_mode
            case _:
                return site.layer
        try:
            return replace(pool, padding=padding, ceil_mode=ceil_mode)
        except SpecError:  # more than half of the kernel hangs over
            return pool

    def compose(site: CompositeSite, children: dict[str, Layer]) -> Layer:
        return with_children(site.layer, children)

    layers = fold(network, covering, compose)
    assert isinstance(layers, Sequential)  # as the network's own
    return replace(network, layers=layers)


def same_arrays(found: Params, expected: Params) -> bool:
    """Whether two networks have the same weights bit for bit, in whatever order branches that are
    added up come.
    """
    return _bits(found) == _bits(expected)


def _bits(params: Params) -> list[tuple[str, bytes]]:
    return sorted(
        (str((path.rpartition(".")[2], array.shape, array.dtype)), array.tobytes())
        for path, array in params.items()
    )


def _traced(backend: Traces, network: Network, model: Any, images: Array) -> tuple[Graph, Traced]:
    graph, outputs = backend.trace(model, images)
    wrong = faults(graph)
    expect(not wrong, f"trace: the graph of {network.name} is wrong: {'; '.join(wrong[:3])}")
    tree = lift(graph)
    strange = [f"{kind_of(step)} at {step.place or 'no place'}" for step in foreign(tree)]
    expect(
        not strange,
        f"trace: {network.name} has only layers of the spec, but came back with"
        f" {', '.join(strange)}",
    )
    problem = random_problem(network)
    yardstick = forward_yardstick(problem, chunk=8)
    exact = evaluate(tree, images)
    expect(
        len(outputs) == len(exact) == len(network.outputs),
        f"trace: {network.name} has {len(network.outputs)} outputs, but {len(outputs)} came back",
    )
    rows = [
        Row(f"{name} of a trace", distance(output, right), limit(yardstick[name]))
        for name, output, right in zip(network.outputs, outputs, exact, strict=True)
    ]
    check_rows(backend, network, rows)
    return graph, as_traced(tree, network.name, network.input_shape, network.source)


def _check_trace(backend: Traces, network: Network) -> None:
    """A native model of `network` is that network: layers, branches, and weights bit for bit."""
    params, images = random_params(network), random_images(network)
    graph, found = _traced(backend, network, backend.build(network, params), images)
    given, expected = (
        outline(at_its_size(found.network).layers),
        outline(at_its_size(network).layers),
    )
    for number, (ours, right) in enumerate(zip(given, expected, strict=False)):
        expect(
            ours == right,
            f"trace: {network.name} came back with {ours} as its layer {number}, expected {right}",
        )
    expect(
        len(given) == len(expected),
        f"trace: {network.name} came back with {len(given)} layers, expected {len(expected)}",
    )
    expect(
        same_arrays(found.params, params),
        f"trace: the weights of {network.name} did not come back bit for bit",
    )
    missing = sorted(path for path, place in found.places.items() if not place)
    expect(not missing, f"trace: {network.name} has no place for {', '.join(missing)}")
    expect(
        graph.input_shape == images.shape,
        f"trace: the graph is of images {graph.input_shape}, expected {images.shape}",
    )


def _check_unchanged(backend: Traces) -> None:
    """Neither the model nor the images are changed, and nothing of the graph is the model's own."""
    network = composites()["norm_residual"]
    params, images = random_params(network), random_images(network)
    kept, model = images.copy(), backend.build(network, params)
    before = backend.forward(model, images)["logits"]
    graph, _ = backend.trace(model, images)
    expect(np.array_equal(images, kept), "trace: the images were changed")
    for op in graph.ops:
        for array in op.arrays.values():
            if array.flags.writeable:
                array[...] = 0
    expect(
        not compare_weights(backend, model, params),
        "trace: the model's weights were changed, or are shared with the graph's arrays",
    )
    expect(
        np.array_equal(before, backend.forward(model, images)["logits"]),
        "trace: the model gives something else afterwards",
    )


def _check_bad_input(backend: Traces) -> None:
    network = composites()["inception"]
    model = backend.build(network, random_params(network))
    images = random_images(network)
    broken: list[tuple[str, type[GoogLeNetError], Any]] = [
        ("a wrong number of channels", TraceError, lambda: backend.trace(model, images[:, 1:])),
        ("what is no model", TraceError, lambda: backend.trace(object(), images)),
    ]
    expect_errors(broken, "trace", advice="turn whatever the framework raises into a TraceError")
