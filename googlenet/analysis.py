"""What can be told from the spec alone: parameters, multiply-adds, receptive field, smallest input, and the summary by stage.

All are folds over `walk`. Multiply-adds count those of convolutions and dense layers for one image; biases, pooling and
normalisation are left out, as in the papers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import ShapeError
from .params import leaf_param_specs
from .spec import (
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    Conv,
    Dense,
    GlobalAvgPool,
    MaxPool,
    Network,
    Pair,
    Sequential,
    Shape,
)
from .walk import CompositeSite, LeafSite, fold, join, walk


def count_parameters(network: Network) -> int:
    """The number of trainable values. Raises `ShapeError` if the input does not fit."""
    return sum(_leaf_parameters(site) for site in walk(network))


def count_multiply_adds(network: Network) -> int:
    """The multiply-adds of one image, auxiliary heads included. Raises `ShapeError` if the input does not fit."""
    return sum(_leaf_multiply_adds(site) for site in walk(network))


def _leaf_parameters(site: LeafSite) -> int:
    return sum(math.prod(spec.shape) for spec in leaf_param_specs(site) if spec.trainable)


def _leaf_multiply_adds(site: LeafSite) -> int:
    match site.layer:
        case Conv(_, kernel_size, _, _, groups, _):
            return math.prod(site.out_shape) * (site.in_shape[0] // groups) * math.prod(kernel_size)
        case Dense():
            return math.prod(site.in_shape) * math.prod(site.out_shape)
        case _:
            return 0


@dataclass(frozen=True, slots=True)
class Field:
    """A receptive field as (height, width): the input pixels that reach one output, and the step between two outputs."""

    size: Pair = (1, 1)
    step: Pair = (1, 1)

    def then(self, after: Field) -> Field:
        """The field of `after` applied to this one's output: `size + (kernel − 1) · step`, `step · stride`."""
        size = tuple(s + (k - 1) * j for s, k, j in zip(self.size, after.size, self.step, strict=True))
        step = tuple(j * s for j, s in zip(self.step, after.step, strict=True))
        return Field((size[0], size[1]), (step[0], step[1]))


def receptive_fields(network: Network) -> dict[str, Field]:
    """The receptive field at the output of every layer by path, the whole network's at "": the widest branch's, not clipped to
    the image.

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
        # The path of an Aux stands for its main path, the identity; its head's layers keep their own entries.
        return inside | {site.path: own}

    return fold(network, lambda site: {site.path: _leaf_field(site)}, compose)


def _leaf_field(site: LeafSite) -> Field:
    match site.layer:
        case Conv(kernel_size=kernel, stride=stride) | MaxPool(kernel, stride) | AvgPool(kernel, stride):
            return Field(kernel, stride)
        case GlobalAvgPool() | Dense() if len(site.in_shape) == 3:
            return Field((site.in_shape[1], site.in_shape[2]))
        case AdaptiveAvgPool(output_size):
            (height, width), (rows, columns) = site.in_shape[1:], output_size
            return Field((-(-height // rows), -(-width // columns)), (max(height // rows, 1), max(width // columns, 1)))
        case _:
            return Field()


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of a summary: a stage such as `b3`, its shapes (C, H, W) or (C,), counts, and its receptive field in pixels."""

    name: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    receptive_field: Pair


def stages(network: Network) -> tuple[Stage, ...]:
    """The children of the root, in order, as the book walks through its blocks. Raises `ShapeError` if the input does not fit."""
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
        parameters, multiply_adds = sum(map(_leaf_parameters, inside)), sum(map(_leaf_multiply_adds, inside))
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
    """The smallest side of a square image, in pixels, that runs through every layer; None if none does up to `limit`."""
    channels = network.input_shape[0]
    return next((side for side in range(1, limit + 1) if fits(network.at((channels, side, side)))), None)
