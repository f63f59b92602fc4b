"""What values must be multiples of for averages and scales to be exact.

The mean of nine numbers is one of float32's if they are multiples of nine. Averages and scaled sums
hand this on to the layers that can supply it: a convolution or dense layer makes its output, and
the gradient of its input, a multiple of any odd number by a factor in its weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from ...backend.geometry import average_divisor, window_count
from ...spec.layers import (
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    Composite,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    Layer,
    Network,
    Residual,
    Scale,
    Sequential,
)
from ...spec.traversal import LeafSite, child_path, walk

#: What the averages up to the next convolution or dense layer divide by, and the denominators of
#: the residual sums up to there.
Demand: TypeAlias = tuple[int, int]


@dataclass
class Demands:
    """Whole numbers by the path of a leaf: `outputs` must divide its output, `gradients` the
    gradient of its input. `cotangent` must divide the gradient of the loss with respect to the
    logits, `images` the images.
    """

    outputs: dict[str, int] = field(default_factory=dict)
    gradients: dict[str, int] = field(default_factory=dict)
    cotangent: int = 1
    images: int = 1


def demands(network: Network) -> Demands:
    """What the layers of `network` need of each other. Raises `ShapeError` as `walk` does."""
    sites = {site.path: site for site in walk(network)}
    # Where averages follow each other block after block, every value is a multiple of what they
    # need: layers that had to supply it anew would make their values that much larger each time.
    windows = [site for site in sites.values() if isinstance(site.layer, AvgPool)]
    common = math.lcm(*(_divisor(site) for site in windows)) if len(windows) > 1 else 1
    found = Demands()
    found.images = math.prod(_outputs(network.layers, "", sites, common, (1, 1), found))
    main = _gradients(network.layers, "", sites, 1, found)
    found.cotangent = math.lcm(found.cotangent, main)
    return found


def _odd(number: int) -> int:
    return number // (number & -number)


def _divisor(site: LeafSite) -> int:
    """What the values that enter `site` must be multiples of, because they are divided.

    Where averages follow each other, also the power of two in a divisor is asked for, so that the
    granule stays.
    """
    if isinstance(site.layer, Scale):
        return 1 if site.layer.when == "train" else _denominator(site.layer.factor)
    divided = math.lcm(*_counts(site))
    return divided if isinstance(site.layer, AvgPool) else _odd(divided)


def _counts(site: LeafSite) -> set[int]:
    """How many values each mean that `site` takes is of; none if it takes no mean."""
    match site.layer:
        case AvgPool() as pool:
            divisors = average_divisor(pool, site.in_shape, window_count(site))
            return {int(each) for each in np.unique(divisors)}
        case GlobalAvgPool():
            return {site.in_shape[1] * site.in_shape[2]}
        case AdaptiveAvgPool(output_size):
            rows, columns = (
                {-(-(i + 1) * size // out) - i * size // out for i in range(out)}
                for size, out in zip(site.in_shape[1:], output_size, strict=True)
            )
            return {a * b for a in rows for b in columns}
        case _:
            return set()


def rounded_reciprocals(network: Network) -> tuple[int, ...]:
    """The numbers n of values that means of `network` are taken of, for which n · (1 / n) may be
    other than 1 in float32: some frameworks multiply by the rounded reciprocal.
    """
    counts = set[int]().union(*(_counts(site) for site in walk(network)))
    half = Fraction(1, 2**25)  # of a unit in the last place, relative to the largest mantissa
    return tuple(
        n for n in sorted(counts) if abs(Fraction(float(np.float32(1 / n))) * n - 1) > half
    )


def _denominator(factor: float) -> int:
    """The denominator of a factor that a person wrote, such as 100 for 0.17."""
    return Fraction(factor).limit_denominator(1000).denominator


def _outputs(
    layer: Layer,
    path: str,
    sites: dict[str, LeafSite],
    common: int,
    demand: Demand,
    found: Demands,
) -> Demand:
    """What the input of `layer` must be a multiple of if its output has to be one of `demand`."""

    def inside(whole: Composite, name: str, child: Layer, wanted: Demand) -> Demand:
        return _outputs(child, child_path(whole, path, name), sites, common, wanted, found)

    match layer:
        case Sequential(children) as whole:
            for name, child in reversed(children):
                demand = inside(whole, name, child, demand)
            return demand
        case Concat(children) as whole:
            return _joined(*(inside(whole, name, child, demand) for name, child in children))
        case Residual(body, shortcut, scale) as whole:
            divided, scaled = demand
            return _joined(
                inside(whole, "body", body, (divided, scaled * _denominator(scale))),
                inside(whole, "shortcut", shortcut, demand),
            )
        case Aux(head) as whole:
            return _joined(demand, inside(whole, "head", head, (1, 1)))
    divided, scaled = demand
    found.outputs[path] = math.lcm(divided, common) * scaled
    if isinstance(layer, (Conv, Dense)):
        return 1, 1
    return divided * _divisor(sites[path]), scaled


def _joined(*wanted: Demand) -> Demand:
    """What satisfies all that is `wanted`."""
    return math.lcm(*(divided for divided, _ in wanted)), math.lcm(
        *(scaled for _, scaled in wanted)
    )


def _gradients(
    layer: Layer, path: str, sites: dict[str, LeafSite], demand: int, found: Demands
) -> int:
    """What the gradient of the output of `layer` must be a multiple of if that of its input has to
    be one of `demand`.
    """

    def inside(whole: Composite, name: str, child: Layer, wanted: int) -> int:
        return _gradients(child, child_path(whole, path, name), sites, wanted, found)

    match layer:
        case Sequential(children) as whole:
            for name, child in children:
                demand = inside(whole, name, child, demand)
            return demand
        case Concat(children) as whole:
            return math.lcm(*(inside(whole, name, child, demand) for name, child in children))
        case Residual(body, shortcut, scale) as whole:
            return math.lcm(
                inside(whole, "body", body, 1) * _denominator(scale),
                inside(whole, "shortcut", shortcut, demand),
            )
        case Aux(head) as whole:
            found.cotangent = math.lcm(found.cotangent, inside(whole, "head", head, demand))
            return demand
    found.gradients[path] = demand
    if isinstance(layer, (Conv, Dense)):
        return 1
    return demand * _divisor(sites[path])
