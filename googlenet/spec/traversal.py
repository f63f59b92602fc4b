"""The one traversal of a network: paths, and the shape of every input and output.

`fold` visits every layer in the order of execution; rendering, running, counting and naming are all
folds. Shapes leave out the batch axis: (C, H, W) or (C,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, assert_never

from ..errors import ShapeError
from .layers import Aux, Composite, Concat, Layer, Leaf, Network, Residual, Sequential, Shape
from .shapes import concat_shape, leaf_shape, sum_shape

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Site:
    """A layer in its place: its path, the layer (padding always explicit), and its shapes without
    the batch axis.
    """

    path: str
    layer: Layer
    in_shape: Shape
    out_shape: Shape


@dataclass(frozen=True, slots=True)
class LeafSite(Site):
    """A `Site` whose layer is a leaf."""

    layer: Leaf


@dataclass(frozen=True, slots=True)
class CompositeSite(Site):
    """A `Site` whose layer is a composite."""

    layer: Composite


def fold(
    network: Network,
    leaf: Callable[[LeafSite], T],
    compose: Callable[[CompositeSite, dict[str, T]], T],
) -> T:
    """Build one value from a network, leaves first, in the order of execution.

    `leaf(site)` makes the value of a leaf; `compose(site, children)` joins the values of a
    composite's children, keyed by name (`body` and `shortcut` for a `Residual`; `head` for an
    `Aux`, whose head shares the path of the `Aux`). The root has the path "". Raises `ShapeError`,
    naming the path, if a layer cannot take its input.
    """
    value, _ = _fold(network.layers, "", network.input_shape, leaf, compose)
    return value


def _fold(
    layer: Layer,
    path: str,
    in_shape: Shape,
    leaf: Callable[[LeafSite], T],
    compose: Callable[[CompositeSite, dict[str, T]], T],
) -> tuple[T, Shape]:
    if isinstance(layer, Leaf):
        explicit, out_shape = leaf_shape(layer, path, in_shape)
        return leaf(LeafSite(path, explicit, in_shape, out_shape)), out_shape
    values: dict[str, T] = {}
    shapes: dict[str, Shape] = {}
    given = in_shape
    for name, child in layer.children:
        inside = child_path(layer, path, name)
        values[name], shapes[name] = _fold(child, inside, given, leaf, compose)
        if isinstance(layer, Sequential):
            given = shapes[name]
    match layer:
        case Sequential():
            out_shape = given
        case Concat():
            out_shape = concat_shape(path, shapes)
        case Residual():
            out_shape = sum_shape(path, shapes)
        case Aux():
            out_shape = in_shape
        case _:
            assert_never(layer)
    return compose(CompositeSite(path, layer, in_shape, out_shape), values), out_shape


def walk(network: Network) -> Iterator[LeafSite]:
    """Every leaf of `network` in the order of execution. Raises `ShapeError` as `fold` does."""
    sites: list[LeafSite] = []
    fold(network, sites.append, lambda site, children: None)
    yield from sites


def composites(network: Network) -> Iterator[CompositeSite]:
    """Every composite of `network`, each after its children, the root last. Raises `ShapeError` as
    `fold` does.
    """
    sites: list[CompositeSite] = []
    fold(network, lambda site: None, lambda site, children: sites.append(site))
    yield from sites


def nodes(network: Network) -> tuple[Site, ...]:
    """Every layer, composites after their children, without the root and without the identity:
    everything that can be tapped.
    """
    sites: list[Site] = []

    def compose(site: CompositeSite, children: dict[str, None]) -> None:
        # An Aux passes its input on unchanged, and its head has the same path: the head is what the
        # path shows.
        if site.path and not isinstance(site.layer, Aux) and children:
            sites.append(site)

    fold(network, sites.append, compose)
    return tuple(sites)


def inputs(network: Network) -> dict[str, str | None]:
    """For every layer by path, the path of the layer whose output it takes, as `nodes` has it; None
    for the network's own input. Raises `ShapeError` as `fold` does.
    """
    found: dict[str, str | None] = {}
    Flow: TypeAlias = Callable[[str | None], str | None]

    def leaf(site: LeafSite) -> Flow:
        def flow(source: str | None) -> str | None:
            found[site.path] = source
            return site.path

        return flow

    def compose(site: CompositeSite, children: dict[str, Flow]) -> Flow:
        def flow(source: str | None) -> str | None:
            if not isinstance(site.layer, Aux):  # whose path is its head's
                found[site.path] = source
            last = source
            for child in children.values():
                last = child(last if isinstance(site.layer, Sequential) else source)
            if isinstance(site.layer, Aux):
                return source
            return (site.path or last) if children else source

        return flow

    fold(network, leaf, compose)(None)
    return found


def output_shapes(network: Network) -> dict[str, Shape]:
    """The shape of every output by name, `logits` first. Raises `ShapeError` as `fold` does."""
    shapes: dict[str, Shape] = {}

    def compose(site: CompositeSite, children: dict[str, Shape]) -> Shape:
        if isinstance(site.layer, Aux):
            shapes[site.path.rpartition(".")[2]] = children["head"]
        return site.out_shape

    return {"logits": fold(network, lambda site: site.out_shape, compose), **shapes}


def child_path(layer: Composite, path: str, name: str) -> str:
    """The path of the child `name` of `layer`, which is at `path`: an auxiliary head has the path
    of its `Aux`.
    """
    return path if isinstance(layer, Aux) else join(path, name)


def join(path: str, name: str) -> str:
    """The path of the child `name` of the layer at `path`."""
    return f"{path}.{name}" if path else name


def num_classes(network: Network) -> int:
    """The length of every output. Raises `ShapeError` if one is not a vector, or an auxiliary
    head's has a different length.
    """
    shapes = output_shapes(network)
    for name, shape in shapes.items():
        if len(shape) != 1:
            raise ShapeError(
                f"network '{network.name}': output '{name}' is a map {shape}, not a vector; end it"
                " with GlobalAvgPool or Dense"
            )
        if shape != shapes["logits"]:
            raise ShapeError(
                f"network '{network.name}': output '{name}' has"
                f" {'one class' if shape[0] == 1 else f'{shape[0]} classes'}, but the logits have"
                f" {shapes['logits'][0]}; make them equal"
            )
    return shapes["logits"][0]
