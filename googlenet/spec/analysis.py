"""What follows from the spec alone: parameters, multiply-adds, receptive field, smallest input, and
the summary by stage.

All are folds over `walk`. Multiply-adds count those of convolutions and dense layers for one image;
biases, pooling and normalisation are left out, as in the papers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from ..errors import ShapeError
from .layers import (
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Network,
    Pair,
    Sequential,
    Shape,
)
from .params import leaf_param_specs
from .traversal import CompositeSite, LeafSite, fold, join, walk


def count_parameters(network: Network) -> int:
    """The number of trainable values. Raises `ShapeError` if the input does not fit."""
    return sum(leaf_parameters(site) for site in walk(network))


def count_multiply_adds(network: Network) -> int:
    """The multiply-adds of one image, auxiliary heads included. Raises `ShapeError` if the input
    does not fit.
    """
    return sum(leaf_multiply_adds(site) for site in walk(network))


def norm_of_one_value(network: Network) -> str | None:
    """The path of the first batch norm on a 1×1 map, which refuses to train on a single image; None
    if there is none. Raises `ShapeError` if the input does not fit.
    """
    return next(
        (
            site.path
            for site in walk(network)
            if isinstance(site.layer, BatchNorm) and site.in_shape[1:] == (1, 1)
        ),
        None,
    )


def leaf_parameters(site: LeafSite) -> int:
    """The number of trainable values of a leaf."""
    return sum(math.prod(spec.shape) for spec in leaf_param_specs(site) if spec.trainable)


def leaf_multiply_adds(site: LeafSite) -> int:
    """The multiply-adds of a leaf for one image."""
    match site.layer:
        case Conv(_, kernel_size, _, _, groups, _):
            return math.prod(site.out_shape) * (site.in_shape[0] // groups) * math.prod(kernel_size)
        case Dense():
            return math.prod(site.in_shape) * math.prod(site.out_shape)
        case _:
            return 0


@dataclass(frozen=True, slots=True)
class Field:
    """A receptive field as (height, width): the input pixels that reach one output, and the step
    between two outputs.
    """

    size: Pair = (1, 1)
    step: Pair = (1, 1)

    def then(self, after: Field) -> Field:
        """The field of `after` applied to this one's output: `size + (kernel − 1) · step`, `step ·
        stride`.
        """
        size = tuple(
            s + (k - 1) * j for s, k, j in zip(self.size, after.size, self.step, strict=True)
        )
        step = tuple(j * s for j, s in zip(self.step, after.step, strict=True))
        return Field((size[0], size[1]), (step[0], step[1]))


def receptive_fields(network: Network) -> dict[str, Field]:
    """The receptive field at the output of every layer by path, the whole network's at "": the
    widest branch's, not clipped to the image.

    Raises `ShapeError` if the input does not fit.
    """

    def compose(site: CompositeSite, children: dict[str, dict[str, Field]]) -> dict[str, Field]:
        inside: dict[str, Field] = {}
        own = Field()
        if isinstance(site.layer, Sequential):
            for name, child in children.items():
                inside |= {path: own.then(field) for path, field in child.items()}
                own = inside[join(site.path, name)]
        elif isinstance(site.layer, Aux):
            inside = children["head"]
        else:
            for child in children.values():
                inside |= child
            ends = [children[name][join(site.path, name)] for name in children]
            heights, widths = zip(*(field.size for field in ends), strict=True)
            own = Field((max(heights), max(widths)), ends[0].step)
        # The path of an Aux stands for its main path, the identity; its head's layers keep their
        # own entries.
        return inside | {site.path: own}

    return fold(network, lambda site: {site.path: _leaf_field(site)}, compose)


def _leaf_field(site: LeafSite) -> Field:
    match site.layer:
        case (
            Conv(kernel_size=kernel, stride=stride)
            | MaxPool(kernel, stride)
            | AvgPool(kernel, stride)
        ):
            return Field(kernel, stride)
        case GlobalAvgPool() | Dense() if len(site.in_shape) == 3:
            return Field((site.in_shape[1], site.in_shape[2]))
        case AdaptiveAvgPool(output_size):
            (height, width), (rows, columns) = site.in_shape[1:], output_size
            return Field(
                (-(-height // rows), -(-width // columns)),
                (max(height // rows, 1), max(width // columns, 1)),
            )
        case _:
            return Field()


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of a summary: a stage such as `b3`, its shapes (C, H, W) or (C,), counts, and its
    receptive field in pixels.
    """

    name: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    receptive_field: Pair


def stages(network: Network) -> tuple[Stage, ...]:
    """The children of the root, in order, as the book walks through its blocks. Raises `ShapeError`
    if the input does not fit.
    """
    fields = receptive_fields(network)
    leaves = list(walk(network))
    shapes: dict[str, Shape] = {}

    def compose(site: CompositeSite, children: dict[str, None]) -> None:
        if not isinstance(site.layer, Aux):
            shapes[site.path] = site.out_shape

    fold(network, lambda site: shapes.update({site.path: site.out_shape}), compose)
    rows = []
    for name, _ in network.layers.children:
        inside = [site for site in leaves if site.path == name or site.path.startswith(f"{name}.")]
        parameters, multiply_adds = (
            sum(map(leaf_parameters, inside)),
            sum(map(leaf_multiply_adds, inside)),
        )
        rows.append(Stage(name, shapes[name], parameters, multiply_adds, fields[name].size))
    return tuple(rows)


def fits(network: Network) -> bool:
    """Whether every layer of `network` can take its input."""
    try:
        for _ in walk(network):
            pass
    except ShapeError:
        return False
    return True


def smallest_input(network: Network, *, limit: int = 1024) -> int | None:
    """The smallest side of a square image, in pixels, that every layer can take; None if there is
    none up to `limit`.
    """
    channels = network.input_shape[0]
    return next(
        (side for side in range(1, limit + 1) if fits(network.at((channels, side, side)))), None
    )


# Where the numbers are ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Budget:
    """What a network costs: trainable parameters by kind of layer, multiply-adds of one image, and
    its activations in bytes.

    `activation_bytes` is the output of every leaf for one image in float32: what training keeps for
    the backward pass. `largest_activation_bytes` is only the largest of them, a lower bound of what
    a forward pass needs.
    """

    convolution_parameters: int
    dense_parameters: int
    norm_parameters: int
    multiply_adds: int
    activation_bytes: int
    largest_activation_bytes: int

    @property
    def parameters(self) -> int:
        """All trainable parameters."""
        return self.convolution_parameters + self.dense_parameters + self.norm_parameters

    @property
    def dense_share(self) -> float:
        """The share of the parameters that dense layers hold, 0 to 1."""
        return self.dense_parameters / self.parameters if self.parameters else 0.0


FLOAT32_BYTES = 4


def budget(network: Network) -> Budget:
    """The `Budget` of `network`. Raises `ShapeError` if the input does not fit."""
    parameters = {Conv: 0, Dense: 0, BatchNorm: 0}
    multiply_adds, outputs = 0, [0]
    for site in walk(network):
        outputs.append(FLOAT32_BYTES * math.prod(site.out_shape))
        multiply_adds += leaf_multiply_adds(site)
        if isinstance(site.layer, (Conv, Dense, BatchNorm)):
            parameters[type(site.layer)] += leaf_parameters(site)
    return Budget(
        parameters[Conv],
        parameters[Dense],
        parameters[BatchNorm],
        multiply_adds,
        sum(outputs),
        max(outputs),
    )


@dataclass(frozen=True, slots=True)
class MinimumSize:
    """The smallest side of a square image, in pixels, for which `rule` holds, and what breaks it
    one pixel below.

    `stage` is the child of the root that sets the limit, `path` the layer in it, and `because` says
    why in words; all three are None if 1×1 is enough, and `side` is None if no side up to the limit
    is.
    """

    rule: str
    side: int | None
    stage: str | None
    path: str | None
    because: str | None


#: The rules that a minimum size can be found for, with the words that explain them.
MINIMUM_RULES = {
    "runs": "runs at all",
    "wider_than_one_pixel": "no stage is 1×1",
    "without_padding": "nor is any kernel larger than its input",
}


def minimum_sizes(network: Network, *, limit: int = 1024) -> tuple[MinimumSize, ...]:
    """For each of `MINIMUM_RULES` the smallest square image, up to `limit` pixels per side.

    `runs`: every layer takes its input. `wider_than_one_pixel`: also, every convolution, max pool
    and dense layer on a map, up to the adaptive or global pool of the main path, sees a map larger
    than 1×1. `without_padding`: also, every kernel fits the map that it sees without padding.
    """
    channels = network.input_shape[0]
    broken: dict[str, tuple[str, str] | None] = dict.fromkeys(MINIMUM_RULES)
    found: dict[str, MinimumSize] = {}
    for side in range(1, limit + 1):
        offenders = _offenders(network.at((channels, side, side)))
        for rule in MINIMUM_RULES:
            if rule in found:
                continue
            if offenders[rule] is None:
                path, because = broken[rule] or (None, None)
                found[rule] = MinimumSize(
                    rule, side, path and path.partition(".")[0], path, because
                )
            # If a size in between does not run at all, what broke the rule on the last one that did
            # is more useful.
            if "runs" not in found or offenders["runs"] is None:
                broken[rule] = offenders[rule]
        if len(found) == len(MINIMUM_RULES):
            break
    return tuple(
        found.get(rule, MinimumSize(rule, None, None, None, None)) for rule in MINIMUM_RULES
    )


def _main_path(network: Network) -> list[LeafSite]:
    """Every leaf in the order of execution, without those of auxiliary heads."""

    def compose(site: CompositeSite, children: dict[str, list[LeafSite]]) -> list[LeafSite]:
        return [] if isinstance(site.layer, Aux) else list(chain(*children.values()))

    return fold(network, lambda site: [site], compose)


def _offenders(network: Network) -> dict[str, tuple[str, str] | None]:
    """The first layer that breaks each rule, as (path, why), or None."""
    offenders: dict[str, tuple[str, str] | None] = dict.fromkeys(MINIMUM_RULES)
    try:
        sites = _main_path(network)
    except ShapeError as error:
        path, _, why = str(error).partition(": ")
        return dict.fromkeys(MINIMUM_RULES, (path, why))
    for site in sites:
        if isinstance(site.layer, (AdaptiveAvgPool, GlobalAvgPool)):
            break  # all that follows sees a map of one size, whatever the image
        if (
            isinstance(site.layer, Dense)
            and len(site.in_shape) == 3
            and max(site.in_shape[1:]) == 1
        ):
            offenders["wider_than_one_pixel"] = offenders["wider_than_one_pixel"] or (
                site.path,
                "its input is 1×1",
            )
        if not isinstance(site.layer, (Conv, MaxPool, AvgPool)):
            continue
        size, kernel = (site.in_shape[1], site.in_shape[2]), site.layer.kernel_size
        if max(size) == 1 and not isinstance(site.layer, AvgPool):
            offenders["wider_than_one_pixel"] = offenders["wider_than_one_pixel"] or (
                site.path,
                "its input is 1×1",
            )
        if any(k > s for k, s in zip(kernel, size, strict=True)):
            why = f"its {kernel[0]}×{kernel[1]} kernel is larger than its {size[0]}×{size[1]} input"
            offenders["without_padding"] = offenders["without_padding"] or (site.path, why)
    offenders["without_padding"] = offenders["without_padding"] or offenders["wider_than_one_pixel"]
    return offenders


def zero_gradients(network: Network) -> frozenset[str]:
    """The paths of biases whose gradients in training mode are 0, whatever the images are: those
    that a batch norm takes away again.
    """
    found: set[str] = set()

    def ends(layer: Layer, path: str) -> Iterator[str]:
        """The biases that are added last."""
        match layer:
            case Conv(bias=True) | Dense(bias=True):
                yield f"{path}.bias"
            case Sequential(children) if children:
                name, last = children[-1]
                yield from ends(last, f"{path}.{name}")
            case Concat(children):
                for name, branch in children:
                    yield from ends(branch, f"{path}.{name}")

    def visit(site: CompositeSite, children: object) -> None:
        if isinstance(site.layer, Sequential):
            pairs = zip(site.layer.children, site.layer.children[1:], strict=False)
            for (name, first), (_, second) in pairs:
                if isinstance(second, BatchNorm):
                    found.update(ends(first, f"{site.path}.{name}" if site.path else name))

    fold(network, lambda site: None, visit)
    return frozenset(found)
