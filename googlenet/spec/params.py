"""The arrays of a network: their paths and canonical shapes, and which of them are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .layers import Aux, BatchNorm, Conv, Dense, Network, Shape
from .traversal import LeafSite, composites, join, walk


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One array of a network: its path, its canonical shape, its leaf, and whether training changes
    it by gradient.
    """

    path: str
    shape: Shape
    site: LeafSite
    trainable: bool

    @property
    def name(self) -> str:
        """The last part of the path: `weight`, `bias`, `running_mean` or `running_var`."""
        return self.path.rpartition(".")[2]


def leaf_param_specs(site: LeafSite) -> Iterator[ParamSpec]:
    """The arrays of one leaf, in a fixed order."""

    def spec(name: str, *shape: int, trainable: bool = True) -> ParamSpec:
        return ParamSpec(join(site.path, name), shape, site, trainable)

    match site.layer:
        case Conv(out_channels, kernel_size, _, _, groups, bias):
            yield spec("weight", out_channels, site.in_shape[0] // groups, *kernel_size)
            if bias:
                yield spec("bias", out_channels)
        case Dense(out_features, bias):
            yield spec("weight", out_features, *site.in_shape)
            if bias:
                yield spec("bias", out_features)
        case BatchNorm(scale=scale):
            channels = site.in_shape[0]
            if scale:
                yield spec("weight", channels)
            yield spec("bias", channels)
            yield spec("running_mean", channels, trainable=False)
            yield spec("running_var", channels, trainable=False)


def param_specs(network: Network) -> dict[str, ParamSpec]:
    """Every array of `network` by path, in the order of execution. Raises `ShapeError` if the input
    does not fit.
    """
    return {spec.path: spec for site in walk(network) for spec in leaf_param_specs(site)}


def end_weights(network: Network) -> tuple[ParamSpec, ParamSpec]:
    """The weight that takes the images, (out, channels, kH, kW), and the one that makes the logits,
    (classes, …): their shapes tell a file's channels and classes.
    """
    weights = [
        spec
        for spec in param_specs(network).values()
        if isinstance(spec.site.layer, (Conv, Dense)) and spec.name == "weight"
    ]
    return weights[0], weights[-1]


def classifier_paths(network: Network) -> list[str]:
    """The arrays of the last layer of every output: of the logits, and of each auxiliary head."""
    specs = list(param_specs(network).values())
    heads = [f"{site.path}." for site in composites(network) if isinstance(site.layer, Aux)]
    last = {specs[-1].site.path}
    last.update(
        [each for each in specs if each.path.startswith(head)][-1].site.path for head in heads
    )
    return [spec.path for spec in specs if spec.site.path in last]
