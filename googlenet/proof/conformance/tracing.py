"""The cases of users' own models: the backend's own networks, traced like any other model, are what
they were built from.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ...arrays import Array, Params
from ...backend.geometry import counted_padding, explicit_padding, leading
from ...backend.graph import Graph, faults, parameters_of
from ...backend.protocols import Traces
from ...errors import GoogLeNetError, TraceError
from ...spec.analysis import count_parameters
from ...spec.layers import (
    NO_PADDING,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    MaxPool,
    Network,
    Residual,
    Scale,
    Sequential,
)
from ...spec.rewrite import resolve
from ...spec.traversal import CompositeSite, LeafSite, fold
from ...tracing.evaluate import evaluate
from ...tracing.lift import lift
from ...tracing.network import Traced, as_traced, foreign, kind_of
from ...weights.samples import random_images, random_params
from ..parity.compare import compare_weights
from ..parity.problem import random_problem
from ..parity.rows import Row
from ..parity.tolerance import distance, limit
from .answers import forward_measured
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


def outline(network: Network) -> Outline:
    """What an evaluation shows of a network: no names, no nesting of sequences, no momentum, no
    weight of a loss, no scale in training, not whether batch norm's weights are ones; of a sum
    without a scale, not which branch is the shortcut; of windows only what they read and count.
    """

    def compose(site: CompositeSite, children: dict[str, Outline]) -> Outline:
        match site.layer:
            case Sequential():
                return tuple(item for child in children.values() for item in child)
            case Concat():
                return (("concat", *children.values()),)
            case Residual(scale=scale):
                factor = (("scale", np.float32(scale)),) if scale != 1 else ()
                # A scale behind the body is the same function.
                both = (*children["body"], *factor), children["shortcut"]
                return (("sum", frozenset(both)),)
            case Aux():
                return (("head", children["head"]),)

    return fold(resolve(network), outline_of_leaf, compose)


def outline_of_leaf(site: LeafSite) -> Outline:
    """What an evaluation shows of a layer whose padding is explicit."""
    match site.layer:
        case BatchNorm(eps=eps):
            return (("batch norm", np.float32(eps)),)
        case Scale(when="train") | Scale(factor=1):
            return ()
        case Scale(factor=factor):
            return (("scale", np.float32(factor)),)
        case MaxPool(kernel, stride) as pool:
            return (("max pool", kernel, stride, leading(explicit_padding(pool)), site.out_shape),)
        case AvgPool(kernel, stride) as pool:
            before = leading(explicit_padding(pool))
            counted = counted_padding(site, pool) if pool.count_include_pad else NO_PADDING
            sizes = tuple(max(size, 0) for side in counted for size in side)
            return (("average pool", kernel, stride, before, sizes, site.out_shape),)
        case layer:
            return (layer,)


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
    yardstick = forward_measured(problem, chunk=8)
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
    count = parameters_of(graph)
    expect(
        count == count_parameters(network),
        f"trace: {network.name} came back with {count:,} trained numbers, expected"
        f" {count_parameters(network):,}",
    )
    given, expected = outline(found.network), outline(network)
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
        f"trace: the graph is for images of {graph.input_shape}, expected {images.shape}",
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
        ("an object that is not a model", TraceError, lambda: backend.trace(object(), images)),
    ]
    expect_errors(broken, "trace", advice="turn whatever the framework raises into a TraceError")
